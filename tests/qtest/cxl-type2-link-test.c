/*
 * The link to a CXL Type-2 device, as device and root port show it: both the
 * emulated device and the reference device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "cxl-type2-util.h"

enum { FLEXBUS_CAP = 0x0a, FLEXBUS_CTRL = 0x0c, FLEXBUS_STATUS = 0x0e };
enum { FLEXBUS_CACHE = 1, FLEXBUS_MEM = 4 };

/* Find an extended capability.  Returns: its offset, or 0. */
static unsigned int find_ext(QTestState *q, uint64_t device, uint16_t id)
{
    unsigned int pos = 0x100, steps = 0;

    while (pos) {
        uint32_t header = qtest_readl(q, device + pos);

        g_assert_cmpuint(steps++, <, 100);
        if ((header & 0xffff) == id) {
            return pos;
        }
        pos = header >> 20;
    }
    return 0;
}

static unsigned int find_dvsec(QTestState *q, uint64_t device, uint16_t id)
{
    VFIOCXLMachine at = { .qts = q, .device = device };

    return vfio_cxl_find_dvsec(&at, id);
}

static uint64_t find_exp(QTestState *q, uint64_t device)
{
    unsigned int pos = qtest_readb(q, device + PCI_CAPABILITY_LIST);

    while (qtest_readb(q, device + pos) != PCI_CAP_ID_EXP) {
        pos = qtest_readb(q, device + pos + PCI_CAP_LIST_NEXT);
        g_assert_cmpuint(pos, !=, 0);
    }
    return device + pos;
}

/*
 * What PCIe 5.0 demands of a function that runs at 32 GT/s (sections 7.7.3
 * to 7.7.8), and CXL r3.1 section 6.1 of the link.
 */
static void check_link(VFIOCXLMachine *m)
{
    static const struct {
        uint16_t id;
        uint16_t reg;
        uint32_t value;
    } caps[] = {
        { 0x19, 0x08, 0 },              /* no lane error */
        { 0x25, 0x08, 0x80000001 },     /* features exchanged */
        { 0x26, 0x0c, 0xf },            /* 16 GT/s: equalized */
        { 0x27, 0x04, 1 << 16 },        /* margining: ready */
        { 0x2a, 0x0c, 0x2f },           /* 32 GT/s: equalized, modified TS */
        { 0x2a, 0x10, 0x1e980002 },     /* of which protocol */
    };
    uint64_t exp = find_exp(m->qts, m->device);

    g_assert_cmphex(qtest_readl(m->qts, exp + PCI_EXP_LNKCAP) & 0x3ff, ==,
                    0x85);
    g_assert_cmphex(qtest_readw(m->qts, exp + PCI_EXP_LNKSTA) & 0x3ff, ==,
                    0x85);
    g_assert_cmphex(qtest_readl(m->qts, exp + PCI_EXP_LNKCAP2) & 0xfe, ==,
                    0x3e);
    g_assert_cmphex(qtest_readw(m->qts, exp + PCI_EXP_LNKSTA2), ==, 0x1e);
    for (int i = 0; i < ARRAY_SIZE(caps); i++) {
        unsigned int pos = find_ext(m->qts, m->device, caps[i].id);

        g_test_message("capability 0x%x", caps[i].id);
        g_assert_cmphex(pos, !=, 0);
        g_assert_cmphex(qtest_readl(m->qts, m->device + pos + caps[i].reg),
                        ==, caps[i].value);
    }
    /* The other end shows the same link */
    exp = find_exp(m->qts, m->port);
    g_assert_cmphex(qtest_readw(m->qts, exp + PCI_EXP_LNKSTA) & 0x3ff, ==,
                    0x85);
}

/* What the root port shows of the device below it: modes in use */
static uint16_t port_modes(VFIOCXLMachine *m)
{
    uint64_t port = m->port + find_dvsec(m->qts, m->port, 7);
    uint16_t cap = qtest_readw(m->qts, port + FLEXBUS_CAP);
    uint16_t status = qtest_readw(m->qts, port + FLEXBUS_STATUS);

    g_assert_cmphex(cap & (FLEXBUS_CACHE | FLEXBUS_MEM), ==,
                    FLEXBUS_CACHE | FLEXBUS_MEM);
    g_assert_cmphex(qtest_readw(m->qts, port + FLEXBUS_CTRL) & FLEXBUS_CACHE,
                    ==, status & FLEXBUS_CACHE);
    return status & (FLEXBUS_CACHE | FLEXBUS_MEM);
}

static void check_modes(VFIOCXLMachine *m, uint16_t modes)
{
    uint64_t device = m->device + find_dvsec(m->qts, m->device, 7);

    g_assert_cmphex(qtest_readw(m->qts, device + FLEXBUS_STATUS) &
                    (FLEXBUS_CACHE | FLEXBUS_MEM), ==, modes);
    g_assert_cmphex(port_modes(m), ==, modes);
    /* GPF: both have it */
    g_assert_cmphex(find_dvsec(m->qts, m->device, 5), !=, 0);
}

static void test_emulated(void)
{
    Type2Rig r;

    type2_start(&r, "");
    check_link(r.m);
    check_modes(r.m, FLEXBUS_CACHE | FLEXBUS_MEM);
    qtest_system_reset(r.q);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    check_link(r.m);
    check_modes(r.m, FLEXBUS_CACHE | FLEXBUS_MEM);

    /* Without the device nothing is negotiated */
    qtest_qmp_assert_success(r.q, "{'execute': 'device_del', 'arguments': "
                             "{'id': 'hdm0'}}");
    vfio_cxl_power_slot(r.m, false);
    qtest_qmp_eventwait(r.q, "DEVICE_DELETED");
    g_assert_cmphex(port_modes(r.m) & FLEXBUS_CACHE, ==, 0);
    type2_stop(&r);
}

static void reference(const char *options, uint16_t modes)
{
    VFIOCXLServer *s = vfio_cxl_server_start(options);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    check_link(m);
    check_modes(m, modes);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static void test_reference(void)
{
    reference(NULL, FLEXBUS_CACHE | FLEXBUS_MEM);
}

static void test_without_cache(void)
{
    reference("--coherency hdm-h", FLEXBUS_MEM);
}

static uint64_t serial(QTestState *q, uint64_t device)
{
    unsigned int pos = find_ext(q, device, PCI_EXT_CAP_ID_DSN);

    g_assert_cmphex(pos, !=, 0);
    return qtest_readl(q, device + pos + 4) |
           (uint64_t)qtest_readl(q, device + pos + 8) << 32;
}

/* Two emulated devices and two servers, none told a number */
static void test_serial(void)
{
    VFIOCXLServer *a = vfio_cxl_server_start(NULL);
    VFIOCXLServer *b = vfio_cxl_server_start(NULL);
    g_autofree char *options = g_strdup_printf(
        VFIO_CXL_PORT_9
        "-device cxl-rp,port=10,bus=cxl.1,id=rp2,chassis=0,slot=4 "
        "-device cxl-rp,port=11,bus=cxl.1,id=rp3,chassis=1,slot=4 "
        "-object memory-backend-ram,id=m0,size=256M "
        "-object memory-backend-ram,id=m1,size=256M "
        "-device cxl-type2,bus=rp1,memdev=m0 "
        "-device cxl-type2,bus=rp2,memdev=m1 "
        "-device '{\"driver\":\"vfio-user-pci\",\"bus\":\"rp3\","
        "\"socket\":{\"type\":\"unix\",\"path\":\"%s\"}}'", b->socket);
    g_autofree char *args = vfio_cxl_args(a, NULL, options, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    uint64_t found[4] = { serial(m->qts, m->device) };

    for (int i = 1; i < 4; i++) {
        found[i] = serial(m->qts, vfio_cxl_enable_below(m, i, 13 + i));
        g_test_message("serial 0x%" PRIx64, found[i]);
        for (int j = 0; j < i; j++) {
            g_assert_cmphex(found[i], !=, found[j]);
        }
    }
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(a);
    vfio_cxl_server_stop(b);
}

static void test_serial_set(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--serial 0x1122334455667788");
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    Type2Rig r;

    g_assert_cmphex(serial(m->qts, m->device), ==, 0x1122334455667788);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);

    type2_start(&r, ",sn=0x8877665544332211");
    g_assert_cmphex(serial(r.q, r.m->device), ==, 0x8877665544332211);
    type2_stop(&r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-type2/link/emulated", test_emulated);
    qtest_add_func("/cxl-type2/link/reference", test_reference);
    qtest_add_func("/cxl-type2/link/without-cache", test_without_cache);
    qtest_add_func("/cxl-type2/serial", test_serial);
    qtest_add_func("/cxl-type2/serial/set", test_serial_set);
    return g_test_run();
}
