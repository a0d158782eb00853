/*
 * Unplug of CXL devices, in any order: a locked decoder stays as it is until
 * its bridge is reset, and no other device notices
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "vfio-cxl-util.h"

#define SIZE (256 * MiB)
#define BRIDGE_HDM (VIRT_CXL_HOST + 0x1128)
#define DEVICES 4
#define ONES UINT64_MAX

/* Port numbers, as decoders have them for targets */
static const unsigned int ports[DEVICES] = { 7, 9, 4, 5 };

/* HDM in units of SIZE, and where it begins */
static const unsigned int sizes[DEVICES] = { 1, 2, 1, 3 };
static const unsigned int offsets[DEVICES] = { 0, 1, 3, 4 };

typedef struct {
    VFIOCXLMachine *m;
    QTestState *q;
    bool there[DEVICES];
    uint64_t value[DEVICES];
    uint32_t registers[(HDM_BASE_LO + DEVICES * HDM_NEXT) / 4];
} Rig;

static char *machine_args(const char *options)
{
    g_autoptr(GString) more = g_string_new(
        VFIO_CXL_PORT_9
        "-device cxl-rp,port=4,bus=cxl.1,id=rp2,chassis=0,slot=4 "
        "-device cxl-rp,port=5,bus=cxl.1,id=rp3,chassis=0,slot=5 ");
    int i;

    for (i = 0; i < DEVICES; i++) {
        g_string_append_printf(more, "-object memory-backend-ram,id=mem%d,"
                               "size=%" PRIu64 "M -device cxl-type2,id=dev%d,"
                               "bus=rp%d,memdev=mem%d ", i,
                               sizes[i] * SIZE / MiB, i, i, i);
    }
    g_string_append(more, options);
    return vfio_cxl_args(NULL, NULL, more->str, NULL);
}

static uint64_t address(int device)
{
    return VIRT_WINDOW + offsets[device] * (uint64_t)SIZE;
}

static uint64_t last_word(int device)
{
    return address(device) + sizes[device] * (uint64_t)SIZE - 8;
}

static void read_decoders(Rig *r, uint32_t *registers)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(r->registers); i++) {
        registers[i] = qtest_readl(r->q, BRIDGE_HDM + i * 4);
    }
}

/* Decoder @decoder is locked to one device's port and range */
static void check_decoder(Rig *r, int decoder, int device)
{
    uint64_t d = BRIDGE_HDM + decoder * HDM_NEXT;

    g_assert_cmphex(qtest_readl(r->q, d + HDM_CTRL), ==, HDM_CTRL_LOCKED);
    g_assert_cmphex(qtest_readl(r->q, d + HDM_TARGET_LO), ==, ports[device]);
    g_assert_cmphex(qtest_readl(r->q, d + HDM_BASE_LO), ==,
                    (uint32_t)address(device));
    g_assert_cmphex(qtest_readl(r->q, d + HDM_BASE_HI), ==,
                    address(device) >> 32);
    g_assert_cmphex(qtest_readl(r->q, d + HDM_SIZE_LO), ==,
                    sizes[device] * SIZE);
}

static void fill(Rig *r, int device)
{
    static uint64_t next = 0x1122334455667701;

    vfio_cxl_enable_below(r->m, device, 20 + device);
    r->value[device] = next++;
    qtest_writeq(r->q, address(device), r->value[device]);
    qtest_writeq(r->q, last_word(device), ~r->value[device]);
}

/* All that stays has its memory, and where nothing is there are ones */
static void check_memory(Rig *r)
{
    int i;

    for (i = 0; i < DEVICES; i++) {
        g_assert_cmphex(qtest_readq(r->q, address(i)), ==,
                        r->there[i] ? r->value[i] : ONES);
        g_assert_cmphex(qtest_readq(r->q, last_word(i)), ==,
                        r->there[i] ? ~r->value[i] : ONES);
    }
}

static void check(Rig *r)
{
    uint32_t now[ARRAY_SIZE(r->registers)];

    read_decoders(r, now);
    g_assert_cmpmem(now, sizeof(now), r->registers, sizeof(r->registers));
    check_memory(r);
}

static void plug(Rig *r, int device)
{
    g_autofree char *id = g_strdup_printf("dev%d", device);
    g_autofree char *bus = g_strdup_printf("rp%d", device);
    g_autofree char *mem = g_strdup_printf("mem%d", device);

    qtest_qmp_assert_success(r->q, "{'execute': 'device_add', 'arguments': {"
        "'driver': 'cxl-type2', 'id': %s, 'bus': %s, 'memdev': %s}}", id, bus,
        mem);
    vfio_cxl_power_port(r->m, device, true);
    r->there[device] = true;
    fill(r, device);
}

static void unplug(Rig *r, int device)
{
    g_autofree char *id = g_strdup_printf("dev%d", device);

    vfio_cxl_power_port(r->m, device, true);
    qtest_qmp_assert_success(r->q, "{'execute': 'device_del',"
                             "'arguments': {'id': %s}}", id);
    vfio_cxl_power_port(r->m, device, false);
    qtest_qmp_eventwait(r->q, "DEVICE_DELETED");
    r->there[device] = false;
}

static void start(Rig *r, const char *options)
{
    g_autofree char *args = machine_args(options);
    int i;

    r->m = vfio_cxl_machine_start(args);
    r->q = r->m->qts;
    for (i = 0; i < DEVICES; i++) {
        r->there[i] = true;
        check_decoder(r, i, i);
        fill(r, i);
    }
    read_decoders(r, r->registers);
    check(r);
}

static void reset(Rig *r)
{
    int i;

    qtest_system_reset(r->q);
    vfio_cxl_machine_enumerate(r->m, VIRT_MMIO64);
    for (i = 0; i < DEVICES; i++) {
        if (r->there[i]) {
            fill(r, i);
        }
    }
}

/* One of the 24 orders of four devices */
static void get_order(int number, int *order)
{
    bool used[DEVICES] = { false };
    int i, pick, device;

    for (i = 0; i < DEVICES; i++) {
        pick = number % (DEVICES - i);
        number /= DEVICES - i;
        for (device = 0; used[device] || pick; device++) {
            pick -= !used[device];
        }
        used[device] = true;
        order[i] = device;
    }
}

static void test_orders(void)
{
    int out[DEVICES], in[DEVICES], n, i;
    Rig r;

    start(&r, "");
    for (n = 0; n < 24; n++) {
        get_order(n, out);
        get_order(n * 7 % 24, in);
        for (i = 0; i < DEVICES; i++) {
            unplug(&r, out[i]);
            check(&r);
        }
        for (i = 0; i < DEVICES; i++) {
            plug(&r, in[i]);
            check(&r);
        }
    }
    vfio_cxl_machine_stop(r.m);
}

/* After the bridge's reset decoders are in order, and devices where they were */
static void test_reset(void)
{
    uint32_t registers[ARRAY_SIZE(((Rig *)0)->registers)];
    int gone, i, decoder;
    Rig r;

    for (gone = 0; gone < 1 << DEVICES; gone++) {
        start(&r, "");
        for (i = 0; i < DEVICES; i++) {
            if (gone & 1 << i) {
                unplug(&r, i);
            }
        }
        check(&r);
        reset(&r);
        for (i = decoder = 0; i < DEVICES; i++) {
            if (r.there[i]) {
                check_decoder(&r, decoder++, i);
                g_assert_cmphex(qtest_readq(r.q, address(i)), ==, r.value[i]);
            } else {
                g_assert_cmphex(qtest_readq(r.q, address(i)), ==, 0);
            }
        }
        for (; decoder < DEVICES; decoder++) {
            g_assert_cmphex(qtest_readl(r.q, BRIDGE_HDM + decoder * HDM_NEXT +
                                        HDM_CTRL), ==, 0);
        }
        /* and it stays so */
        read_decoders(&r, r.registers);
        reset(&r);
        read_decoders(&r, registers);
        g_assert_cmpmem(registers, sizeof(registers), r.registers,
                        sizeof(r.registers));
        vfio_cxl_machine_stop(r.m);
    }
}

/* The guest cannot undo a locked decoder, whether its device is there or not */
static void test_locked(void)
{
    int d, i;
    Rig r;

    start(&r, "");
    for (d = 0; d <= DEVICES; d++) {
        for (i = HDM_BASE_LO; i < HDM_BASE_LO + DEVICES * HDM_NEXT; i += 4) {
            qtest_writel(r.q, BRIDGE_HDM + i, 0);
            qtest_writel(r.q, BRIDGE_HDM + i, 0xffffffff);
        }
        check(&r);
        if (d < DEVICES) {
            unplug(&r, d);
        }
    }
    vfio_cxl_machine_stop(r.m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/vfio/cxl/unplug/orders", test_orders);
    qtest_add_func("/vfio/cxl/unplug/reset", test_reset);
    qtest_add_func("/vfio/cxl/unplug/locked", test_locked);
    return g_test_run();
}
