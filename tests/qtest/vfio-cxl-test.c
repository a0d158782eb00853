/*
 * A passed-through CXL Type-2 device as its guest sees it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "hw/pci/pci_regs.h"
#include "qemu/atomic.h"
#include "qobject/qdict.h"
#include "vfio-cxl-util.h"

#define DVSEC_DEVICE 0
#define DVSEC_RANGE1_SIZE_HI 0x18
#define DVSEC_RANGE1_BASE_HI 0x20
#define DVSEC_RANGE2_SIZE_HI 0x28

/* The bridge's registers: CM part, capability header 3, HDM block */
#define BRIDGE_CM (VIRT_CXL_HOST + 0x1000)
#define BRIDGE_HDM_HEADER (BRIDGE_CM + 0x0c)
#define BRIDGE_HDM (BRIDGE_CM + 0x128)

static void check_decoder(QTestState *q, uint64_t block, uint64_t base,
                          uint64_t size)
{
    g_assert_cmphex(qtest_readl(q, block + HDM_BASE_LO), ==, (uint32_t)base);
    g_assert_cmphex(qtest_readl(q, block + HDM_BASE_HI), ==, base >> 32);
    g_assert_cmphex(qtest_readl(q, block + HDM_SIZE_LO), ==, (uint32_t)size);
    g_assert_cmphex(qtest_readl(q, block + HDM_SIZE_HI), ==, size >> 32);
    g_assert_cmphex(qtest_readl(q, block + HDM_CTRL), ==, HDM_CTRL_LOCKED);
}

static void check_path(VFIOCXLMachine *m, uint64_t base, uint64_t size)
{
    g_assert_cmphex(m->hdm_block, !=, 0);
    check_decoder(m->qts, m->hdm_block, base, size);
    g_assert_cmphex(qtest_readl(m->qts, m->hdm_block + HDM_GLOBAL), ==, 2);

    g_assert_cmphex(qtest_readl(m->qts, BRIDGE_HDM_HEADER) & 0xffff, ==, 5);
    check_decoder(m->qts, BRIDGE_HDM, base, size);
    g_assert_cmphex(qtest_readl(m->qts, BRIDGE_HDM + HDM_TARGET_LO), ==, 7);
    g_assert_cmphex(qtest_readl(m->qts, BRIDGE_HDM + HDM_NEXT + HDM_CTRL), ==,
                    0);
}

static void check_memory(VFIOCXLMachine *m, const VFIOCXLServer *s,
                         uint64_t base, uint64_t size)
{
    uint64_t *mem = vfio_cxl_server_mem(s, size);
    uint64_t last = size - 8;

    qtest_writeq(m->qts, base, 0x1122334455667788);
    qtest_writeq(m->qts, base + last, 0x99aabbccddeeff00);
    g_assert_cmphex(qatomic_read(&mem[0]), ==, 0x1122334455667788);
    g_assert_cmphex(qatomic_read(&mem[last / 8]), ==, 0x99aabbccddeeff00);
    qatomic_set(&mem[1], 0x5555aaaa5555aaaa);
    g_assert_cmphex(qtest_readq(m->qts, base + 8), ==, 0x5555aaaa5555aaaa);
    munmap(mem, size);
}

typedef struct {
    const char *name;
    const char *server;
    uint64_t size;
} Shape;

static const Shape shapes[] = {
    { "sfc", "--hdm-size 256M", 256 * MiB },
    { "accel", "--hdm-size 768M --identity accel", 768 * MiB },
    { "regions-swapped", "--hdm-size 256M --fault swap-regions", 256 * MiB },
};

static void test_placed(const void *data)
{
    const Shape *shape = data;
    VFIOCXLServer *s = vfio_cxl_server_start(shape->server);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, "\"cxl\":\"on\"");
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    check_path(m, VIRT_WINDOW, shape->size);
    check_memory(m, s, VIRT_WINDOW, shape->size);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* A locked path stays as it is, whatever the guest writes */
static void test_locked(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    uint64_t blocks[] = { m->hdm_block, BRIDGE_HDM };
    int i, reg;

    for (i = 0; i < ARRAY_SIZE(blocks); i++) {
        for (reg = HDM_BASE_LO; reg < 0x30; reg += 4) {
            qtest_writel(m->qts, blocks[i] + reg, 0x10000000);
            qtest_writel(m->qts, blocks[i] + reg, 0);
            qtest_writel(m->qts, blocks[i] + reg, 0xffffffff);
        }
        qtest_writel(m->qts, blocks[i] + HDM_CAP, 0);
        qtest_writeq(m->qts, blocks[i] + HDM_BASE_LO, 0x20000000);
    }
    for (i = 0; i < 4; i++) {
        qtest_writeb(m->qts, m->hdm_block + HDM_CTRL + i, 0);
    }
    check_path(m, VIRT_WINDOW, 256 * MiB);
    check_memory(m, s, VIRT_WINDOW, 256 * MiB);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static void test_widths(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    g_assert_cmphex(qtest_readb(m->qts, m->hdm_block + HDM_CTRL), ==, 0xff);
    g_assert_cmphex(qtest_readw(m->qts, m->hdm_block + HDM_CTRL), ==, 0xffff);
    g_assert_cmphex(qtest_readq(m->qts, m->hdm_block + HDM_SIZE_LO), ==,
                    UINT64_MAX);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static void test_bar_moves(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    uint64_t ras_mask = m->component + 0x1080 + 4;
    uint64_t old = m->hdm_block;
    uint32_t mask;

    /* Beside the decoder the BAR is the device's own */
    mask = qtest_readl(m->qts, ras_mask);
    qtest_writel(m->qts, ras_mask, mask ^ 1);
    g_assert_cmphex(qtest_readl(m->qts, ras_mask), ==, mask ^ 1);

    vfio_cxl_machine_enumerate(m, VIRT_MMIO64 + 8 * GiB);
    g_assert_cmphex(m->hdm_block, ==, old + 8 * GiB);
    check_path(m, VIRT_WINDOW, 256 * MiB);
    g_assert_cmphex(qtest_readl(m->qts, ras_mask + 8 * GiB), ==, mask ^ 1);
    g_assert_cmphex(qtest_readl(m->qts, old + HDM_CTRL), !=, HDM_CTRL_LOCKED);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* Each place where a base register could show, read dword by dword */
static void check_no_host_base(VFIOCXLMachine *m)
{
    uint32_t lo = (uint32_t)DEVICE_HOST_BASE, hi = DEVICE_HOST_BASE >> 32;
    uint32_t before = 0;
    int i;

    for (i = 0; i < 4096; i += 4) {
        uint32_t now = qtest_readl(m->qts, m->device + i);

        g_assert_false(before == lo && now == hi);
        g_assert_false(before == hi && (now & 0xf0000000) == lo);
        before = now;
    }
    if (m->component_bar < 0) {
        return;
    }
    for (i = 0x1000; i < 0x2000; i += 4) {
        uint32_t now = qtest_readl(m->qts, m->component + i);

        g_assert_false(before == lo && now == hi);
        before = now;
    }
}

static void test_dvsec(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--hdm-size 5G --identity accel "
                                             "--fault second-range");
    g_autofree char *args = vfio_cxl_args(
        s, "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=8G", NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    uint64_t range = m->device + vfio_cxl_find_dvsec(m, DVSEC_DEVICE);
    int i;

    for (i = 0; i < 2; i++) {
        g_assert_cmphex(qtest_readl(m->qts, range + DVSEC_RANGE1_SIZE_HI), ==,
                        1);
        /* Size 5G, information valid, memory active */
        g_assert_cmphex(qtest_readl(m->qts, range + DVSEC_RANGE1_SIZE_HI + 4) &
                        0xf0000003, ==, 0x40000003);
        g_assert_cmphex(qtest_readl(m->qts, range + DVSEC_RANGE1_BASE_HI), ==,
                        VIRT_WINDOW >> 32);
        g_assert_cmphex(qtest_readl(m->qts, range + DVSEC_RANGE1_BASE_HI + 4),
                        ==, (uint32_t)VIRT_WINDOW);
        g_assert_cmphex(qtest_readl(m->qts, range + DVSEC_RANGE2_SIZE_HI + 4),
                        ==, 0);
        check_no_host_base(m);

        /* Locked: the second pass finds the same */
        qtest_writel(m->qts, range + DVSEC_RANGE1_BASE_HI, 0x77);
        qtest_writel(m->qts, range + DVSEC_RANGE1_BASE_HI + 4, 0);
    }
    check_path(m, VIRT_WINDOW, 5 * GiB);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static void test_system_reset(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    int i;

    for (i = 0; i < 3; i++) {
        check_memory(m, s, VIRT_WINDOW, 256 * MiB);
        /* What a guest may change, a reset must undo */
        qtest_writel(m->qts, m->hdm_block + HDM_GLOBAL, 0);
        g_assert_cmphex(qtest_readl(m->qts, m->hdm_block + HDM_GLOBAL), ==, 0);
        qtest_system_reset(m->qts);
        vfio_cxl_machine_enumerate(m, VIRT_MMIO64 + i * GiB);
        check_path(m, VIRT_WINDOW, 256 * MiB);
        /* A reset of the device clears its memory */
        g_assert_cmphex(qtest_readq(m->qts, VIRT_WINDOW), ==, 0);
    }
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* Plain PCIe: no decoder, no memory, and no CXL that a driver could find */
static void check_plain(VFIOCXLServer *s, const char *options)
{
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, options);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    g_assert_cmphex(qtest_readl(m->qts, BRIDGE_HDM_HEADER) & 0xffff, ==, 0);
    g_assert_cmphex(qtest_readl(m->qts, BRIDGE_HDM + HDM_CTRL), ==, 0);
    qtest_writeq(m->qts, VIRT_WINDOW, 0x1122334455667788);
    g_assert_cmphex(qtest_readq(m->qts, VIRT_WINDOW), ==, 0);
    vfio_cxl_machine_stop(m);
}

static void test_off(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--fault second-range");
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, "\"cxl\":\"off\"");
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    g_assert_cmphex(vfio_cxl_find_dvsec(m, DVSEC_DEVICE), ==, 0);
    g_assert_cmphex(vfio_cxl_find_dvsec(m, 7), ==, 0);
    check_no_host_base(m);
    vfio_cxl_machine_stop(m);
    check_plain(s, "\"cxl\":\"off\"");
    vfio_cxl_server_stop(s);
}

/* The CXL flag on something without CXL.mem: plain, and no secrets */
static void test_no_mem(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--fault no-mem");
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    g_assert_cmphex(vfio_cxl_find_dvsec(m, DVSEC_DEVICE), !=, 0);
    check_no_host_base(m);
    vfio_cxl_machine_stop(m);
    check_plain(s, NULL);
    vfio_cxl_server_stop(s);
}

/* A host driver that knows nothing of CXL: plain, and no secrets */
static void test_no_flag(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--fault no-cxl-flag");
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    check_no_host_base(m);
    vfio_cxl_machine_stop(m);
    check_plain(s, NULL);
    vfio_cxl_server_stop(s);
}

/* Two windows fit: the first is taken.  Two devices: each has its range. */
static void test_two_windows(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(
        s, VFIO_CXL_WINDOW ",cxl-fmw.1.targets.0=cxl.1,cxl-fmw.1.size=4G",
        NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    check_path(m, VIRT_WINDOW, 256 * MiB);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static void test_two_devices(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    VFIOCXLServer *s2 = vfio_cxl_server_start("--hdm-size 512M "
                                              "--identity accel");
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    g_autofree char *two = g_strdup_printf(
        "%s " VFIO_CXL_PORT_9
        "-device '{\"driver\":\"vfio-user-pci\",\"bus\":\"rp1\","
        "\"socket\":{\"type\":\"unix\",\"path\":\"%s\"}}'", args, s2->socket);
    VFIOCXLMachine *m = vfio_cxl_machine_start(two);

    check_decoder(m->qts, BRIDGE_HDM, VIRT_WINDOW, 256 * MiB);
    check_decoder(m->qts, BRIDGE_HDM + HDM_NEXT, VIRT_WINDOW + 256 * MiB,
                  512 * MiB);
    g_assert_cmphex(qtest_readl(m->qts, BRIDGE_HDM + HDM_NEXT + HDM_TARGET_LO),
                    ==, 9);
    vfio_cxl_enable_below(m, 1, 14);
    check_memory(m, s, VIRT_WINDOW, 256 * MiB);
    check_memory(m, s2, VIRT_WINDOW + 256 * MiB, 512 * MiB);
    qtest_system_reset(m->qts);
    vfio_cxl_enable_below(m, 1, 14);
    check_decoder(m->qts, BRIDGE_HDM, VIRT_WINDOW, 256 * MiB);
    check_decoder(m->qts, BRIDGE_HDM + HDM_NEXT, VIRT_WINDOW + 256 * MiB,
                  512 * MiB);
    check_memory(m, s2, VIRT_WINDOW + 256 * MiB, 512 * MiB);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s2);
    vfio_cxl_server_stop(s);
}

static const char add_device[] =
    "{'execute': 'device_add', 'arguments': {'driver': 'vfio-user-pci',"
    "'id': 'hdm0', 'bus': 'rp0', 'socket': {'type': 'unix', 'path': %s}}}";

static void check_nothing_placed(VFIOCXLMachine *m)
{
    g_assert_cmphex(qtest_readl(m->qts, BRIDGE_HDM + HDM_CTRL), ==, 0);
    g_assert_cmphex(qtest_readl(m->qts, BRIDGE_HDM + HDM_BASE_HI), ==, 0);
    qtest_writeq(m->qts, VIRT_WINDOW, 0x1122334455667788);
    g_assert_cmphex(qtest_readq(m->qts, VIRT_WINDOW), ==, 0);
}

/* The decoder stays where it was, and nothing is there */
static void check_vacant(VFIOCXLMachine *m)
{
    check_decoder(m->qts, BRIDGE_HDM, VIRT_WINDOW, 256 * MiB);
    qtest_writeq(m->qts, VIRT_WINDOW, 0x1122334455667788);
    g_assert_cmphex(qtest_readq(m->qts, VIRT_WINDOW), ==, UINT64_MAX);
    g_assert_cmphex(qtest_readb(m->qts, VIRT_WINDOW + 256 * MiB - 1), ==,
                    0xff);
}

/* A failed device_add costs nothing: the next one gets the same place */
static void test_hotplug_fails(void)
{
    static const char *const faults[] = {
        "not-committed", "hdm-no-fd", "hdm-short-fd", "geometry-bar=6",
        "cap-loop=4", "close-at=20", "odd-bar=0",
    };
    VFIOCXLServer *good = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(NULL, NULL, VFIO_CXL_DECODERS, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    int i;

    for (i = 0; i < ARRAY_SIZE(faults); i++) {
        g_autofree char *fault = g_strdup_printf("--fault %s", faults[i]);
        VFIOCXLServer *bad = vfio_cxl_server_start(fault);
        QDict *reply = qtest_qmp(m->qts, add_device, bad->socket);

        g_assert_true(qdict_haskey(reply, "error"));
        qobject_unref(reply);
        check_nothing_placed(m);
        vfio_cxl_server_stop(bad);
    }
    qtest_qmp_assert_success(m->qts, add_device, good->socket);
    vfio_cxl_power_slot(m, true);
    vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
    check_path(m, VIRT_WINDOW, 256 * MiB);
    check_memory(m, good, VIRT_WINDOW, 256 * MiB);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(good);
}

static void test_hotplug(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(NULL, NULL, VFIO_CXL_DECODERS, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    int i;

    for (i = 0; i < 100; i++) {
        qtest_qmp_assert_success(m->qts, add_device, s->socket);
        vfio_cxl_power_slot(m, true);
        vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
        check_path(m, VIRT_WINDOW, 256 * MiB);
        check_memory(m, s, VIRT_WINDOW, 256 * MiB);
        if (i == 2) {
            qtest_system_reset(m->qts);
            vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
            check_path(m, VIRT_WINDOW, 256 * MiB);
        }

        qtest_qmp_assert_success(m->qts, "{'execute': 'device_del',"
                                 "'arguments': {'id': 'hdm0'}}");
        vfio_cxl_power_slot(m, false);
        qtest_qmp_eventwait(m->qts, "DEVICE_DELETED");
        check_vacant(m);
    }
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/*
 * A guest that runs may have committed bridge decoders itself.  What it
 * decodes there is not free.
 */
static void test_hotplug_beside_guest(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(NULL, NULL, VFIO_CXL_PORT_9, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    qtest_writel(m->qts, BRIDGE_HDM + HDM_BASE_HI, VIRT_WINDOW >> 32);
    qtest_writel(m->qts, BRIDGE_HDM + HDM_SIZE_LO, 256 * MiB);
    qtest_writel(m->qts, BRIDGE_HDM + HDM_TARGET_LO, 9);
    qtest_writel(m->qts, BRIDGE_HDM + HDM_CTRL, 0x200);

    qtest_qmp_assert_success(m->qts, add_device, s->socket);
    g_assert_cmphex(qtest_readl(m->qts, BRIDGE_HDM + HDM_CTRL), ==, 0x600);
    check_decoder(m->qts, BRIDGE_HDM + HDM_NEXT, VIRT_WINDOW + 256 * MiB,
                  256 * MiB);
    vfio_cxl_power_slot(m, true);
    vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
    check_memory(m, s, VIRT_WINDOW + 256 * MiB, 256 * MiB);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

int main(int argc, char **argv)
{
    int i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < ARRAY_SIZE(shapes); i++) {
        g_autofree char *path = g_strdup_printf("/vfio/cxl/placed/%s",
                                                shapes[i].name);

        qtest_add_data_func(path, &shapes[i], test_placed);
    }
    qtest_add_func("/vfio/cxl/locked", test_locked);
    qtest_add_func("/vfio/cxl/widths", test_widths);
    qtest_add_func("/vfio/cxl/bar-moves", test_bar_moves);
    qtest_add_func("/vfio/cxl/dvsec", test_dvsec);
    qtest_add_func("/vfio/cxl/system-reset", test_system_reset);
    qtest_add_func("/vfio/cxl/off", test_off);
    qtest_add_func("/vfio/cxl/no-flag", test_no_flag);
    qtest_add_func("/vfio/cxl/no-mem", test_no_mem);
    qtest_add_func("/vfio/cxl/two-windows", test_two_windows);
    qtest_add_func("/vfio/cxl/two-devices", test_two_devices);
    qtest_add_func("/vfio/cxl/hotplug/fails", test_hotplug_fails);
    qtest_add_func("/vfio/cxl/hotplug/rounds", test_hotplug);
    qtest_add_func("/vfio/cxl/hotplug/beside-guest",
                   test_hotplug_beside_guest);
    return g_test_run();
}
