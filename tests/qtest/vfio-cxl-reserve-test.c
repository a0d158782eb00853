/*
 * HDM that a root port reserves for what is plugged later: hdm-reserve
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "vfio-cxl-util.h"

#define SIZE (256 * MiB)
#define BRIDGE_HDM (VIRT_CXL_HOST + 0x1128)
#define ONES UINT64_MAX
#define PATTERN 0x1122334455667788ull

/* The usual port reserves; the string begins the machine's options */
#define RESERVE(size) "-global cxl-rp.hdm-reserve=" size " "

#define MEMORY \
    "-object memory-backend-ram,id=mem0,size=256M " \
    "-object memory-backend-ram,id=mem1,size=256M " \
    "-object memory-backend-ram,id=large,size=512M "

/* Decoder @decoder is locked; base and size in units of SIZE */
static void check_decoder(QTestState *q, int decoder, uint32_t port,
                          unsigned int base, unsigned int size)
{
    uint64_t d = BRIDGE_HDM + decoder * HDM_NEXT;
    uint64_t address = VIRT_WINDOW + base * (uint64_t)SIZE;

    g_assert_cmphex(qtest_readl(q, d + HDM_CTRL), ==, HDM_CTRL_LOCKED);
    g_assert_cmphex(qtest_readl(q, d + HDM_TARGET_LO), ==, port);
    g_assert_cmphex(qtest_readl(q, d + HDM_BASE_LO), ==, (uint32_t)address);
    g_assert_cmphex(qtest_readl(q, d + HDM_BASE_HI), ==, address >> 32);
    g_assert_cmphex(qtest_readl(q, d + HDM_SIZE_LO), ==, size * SIZE);
}

static void check_unused(QTestState *q, int decoder)
{
    uint64_t d = BRIDGE_HDM + decoder * HDM_NEXT;

    g_assert_cmphex(qtest_readl(q, d + HDM_CTRL), ==, 0);
    g_assert_cmphex(qtest_readl(q, d + HDM_SIZE_LO), ==, 0);
}

static void check_vacant(QTestState *q, unsigned int base, unsigned int size)
{
    uint64_t address = VIRT_WINDOW + base * (uint64_t)SIZE;

    qtest_writeq(q, address, 0);
    g_assert_cmphex(qtest_readq(q, address), ==, ONES);
    g_assert_cmphex(qtest_readb(q, address + size * (uint64_t)SIZE - 1), ==,
                    0xff);
}

/* The device below a port has its memory there */
static void check_memory(VFIOCXLMachine *m, int slot, unsigned int base,
                         unsigned int size)
{
    uint64_t address = VIRT_WINDOW + base * (uint64_t)SIZE;
    uint64_t last = address + size * (uint64_t)SIZE - 8;

    vfio_cxl_enable_below(m, slot, 20 + slot);
    qtest_writeq(m->qts, address, PATTERN + slot);
    qtest_writeq(m->qts, last, ~PATTERN + slot);
    g_assert_cmphex(qtest_readq(m->qts, address), ==, PATTERN + slot);
    g_assert_cmphex(qtest_readq(m->qts, last), ==, ~PATTERN + slot);
}

static QDict *plug(QTestState *q, const char *port, const char *mem)
{
    return qtest_qmp(q, "{'execute': 'device_add', 'arguments': {'driver':"
                     "'cxl-type2', 'id': %s, 'bus': %s, 'memdev': %s}}",
                     port + 1, port, mem);
}

static void check_plugged(QDict *reply)
{
    g_assert_false(qdict_haskey(reply, "error"));
    qobject_unref(reply);
}

static void check_refused(QDict *reply, const char *words)
{
    const char *desc = qdict_get_str(qdict_get_qdict(reply, "error"), "desc");

    g_test_message("%s", desc);
    g_assert_nonnull(strstr(desc, words));
    qobject_unref(reply);
}

static void unplug(VFIOCXLMachine *m, int slot, const char *id)
{
    vfio_cxl_power_port(m, slot, true);
    qtest_qmp_assert_success(m->qts, "{'execute': 'device_del',"
                             "'arguments': {'id': %s}}", id);
    vfio_cxl_power_port(m, slot, false);
    qtest_qmp_eventwait(m->qts, "DEVICE_DELETED");
}

/* An empty port, the only one of its bridge */
static void test_empty(void)
{
    g_autofree char *args = vfio_cxl_args(NULL, NULL, RESERVE("512M") MEMORY,
                                          NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    int i;

    for (i = 0; i < 3; i++) {
        check_decoder(q, 0, 7, 0, 2);
        check_unused(q, 1);
        check_vacant(q, 0, 2);
        check_refused(plug(q, "rp0", "mem0"), "port 'rp0' has hdm-reserve="
                      "512M, but the device has 256M of HDM, and both must "
                      "be equal: set hdm-reserve=256M");
        check_plugged(plug(q, "rp0", "large"));
        vfio_cxl_power_slot(m, true);
        check_decoder(q, 0, 7, 0, 2);
        check_memory(m, 0, 0, 2);
        if (i == 1) {
            qtest_system_reset(q);
            check_decoder(q, 0, 7, 0, 2);
            check_memory(m, 0, 0, 2);
        }
        unplug(m, 0, "p0");
        check_decoder(q, 0, 7, 0, 2);
        check_vacant(q, 0, 2);
        if (i == 0) {
            qtest_system_reset(q);
        }
    }
    vfio_cxl_machine_stop(m);
}

/* A device runs, and another comes: nothing changes for the first */
static void test_beside(void)
{
    g_autofree char *args = vfio_cxl_args(NULL, NULL, MEMORY
        "-device cxl-rp,port=9,bus=cxl.1,id=rp1,chassis=0,slot=3,"
        "hdm-reserve=256M -device cxl-type2,bus=rp0,memdev=large", NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    int i;

    check_decoder(q, 0, 9, 0, 1);
    check_decoder(q, 1, 7, 1, 2);
    check_memory(m, 0, 1, 2);
    for (i = 0; i < 2; i++) {
        check_vacant(q, 0, 1);
        check_plugged(plug(q, "rp1", i ? "mem1" : "mem0"));
        vfio_cxl_power_port(m, 1, true);
        check_memory(m, 1, 0, 1);
        g_assert_cmphex(qtest_readq(q, VIRT_WINDOW + SIZE), ==, PATTERN);
        unplug(m, 1, "p1");
        check_decoder(q, 0, 9, 0, 1);
        check_decoder(q, 1, 7, 1, 2);
        g_assert_cmphex(qtest_readq(q, VIRT_WINDOW + SIZE), ==, PATTERN);
    }
    vfio_cxl_machine_stop(m);
}

/* A device that is there from the start takes it, also at a place asked for */
static void test_cold(const void *data)
{
    const char *offset = data;
    g_autofree char *options = g_strdup_printf(
        MEMORY RESERVE("256M") VFIO_CXL_PORT_9
        "-device cxl-type2,bus=rp0,id=p0,memdev=mem0%s", offset);
    g_autofree char *args = vfio_cxl_args(NULL, NULL, options, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    bool moved = *offset;
    int i;

    for (i = 0; i < 2; i++) {
        check_decoder(m->qts, moved, 7, moved * 4, 1);
        check_decoder(m->qts, !moved, 9, 1, 1);
        check_unused(m->qts, 2);
        check_memory(m, 0, moved * 4, 1);
        check_vacant(m->qts, 1, 1);
        qtest_system_reset(m->qts);
    }
    vfio_cxl_power_slot(m, true);
    unplug(m, 0, "p0");
    qtest_system_reset(m->qts);
    check_decoder(m->qts, moved, 7, moved * 4, 1);
    check_decoder(m->qts, !moved, 9, 1, 1);
    vfio_cxl_machine_stop(m);
}

/* -- what must not start -- */

typedef struct {
    const char *name;
    const char *machine;    /* CXL properties, NULL for the usual window */
    const char *options;    /* that follow the usual port */
    const char *device;     /* what the message must name */
    const char *expect[3];
} Wrong;

#define PORT(n, more) "-device cxl-rp,port=" #n ",bus=cxl.1,id=more" #n \
    ",chassis=0,slot=1" #n "," more " "

static const Wrong wrongs[] = {
    { "size", NULL, PORT(1, "hdm-reserve=100M"), "'more1'",
      { "hdm-reserve=0x6400000", "multiple of 256 MiB (0x10000000)",
        "use 0x10000000" } },
    { "bus", NULL, "-device cxl-rp,bus=pcie.0,id=lone,chassis=1,slot=1,"
      "hdm-reserve=256M", "'lone'",
      { "hdm-reserve is set", "bus 'pcie.0'", "belong to a pxb-cxl" } },
    { "window", NULL, PORT(1, "hdm-reserve=5G"), "window 0",
      { "(size 4 GiB) has no free range for 5 GiB", "cxl-fmw.0.size=5120M" } },
    { "window-full", NULL, PORT(1, "hdm-reserve=3G") PORT(2, "hdm-reserve=2G"),
      "window 0", { "no free range for 2 GiB", "cxl-fmw.0.size=5120M" } },
    { "no-window", "cxl=on", PORT(1, "hdm-reserve=256M"), "'cxl.1'",
      { "none of 0 CXL fixed memory windows", "cxl-fmw.0.targets.0=cxl.1" } },
    { "off", "cxl=off", PORT(1, "hdm-reserve=256M"), "'more1'",
      { "hdm-reserve is set", "cxl=off", "add -machine cxl=on" } },
    { "five", NULL, PORT(1, "hdm-reserve=256M") PORT(2, "hdm-reserve=256M")
      PORT(3, "hdm-reserve=256M") PORT(4, "hdm-reserve=256M")
      PORT(5, "hdm-reserve=256M"), "'cxl.1'",
      { "has 4 HDM decoders and all are taken", "use another pxb-cxl" } },
    { "five-with-device", NULL, MEMORY PORT(1, "hdm-reserve=256M")
      PORT(2, "hdm-reserve=256M") PORT(3, "hdm-reserve=256M")
      PORT(4, "hdm-reserve=256M") "-device cxl-type2,bus=rp0,memdev=mem0",
      "'cxl.1'", { "has 4 HDM decoders and all are taken" } },
    { "device-size", NULL, MEMORY PORT(1, "hdm-reserve=256M")
      "-device cxl-type2,bus=more1,memdev=large", "'more1'",
      { "hdm-reserve=256M, but the device has 512M", "set hdm-reserve=512M" }
    },
    { "guest", NULL, MEMORY PORT(1, "hdm-reserve=256M")
      "-device cxl-type2,bus=more1,memdev=mem0,cxl-hdm-commit=guest",
      "'more1'", { "cxl-hdm-commit=guest", "hdm-reserve=256M",
                   "leave one of them out" } },
    { "offset-taken", NULL, MEMORY PORT(1, "hdm-reserve=256M")
      "-device cxl-type2,bus=rp0,memdev=mem0,cxl-hdm-offset=0", "'more1'",
      { "cxl-hdm-offset=0x0 is in the HDM of port", "choose another" } },
    { "port-number", NULL, PORT(7, "hdm-reserve=256M"), "'rp0'",
      { "'more7'", "both have port number 7", "its own port=N" } },
    { "port-number-later", NULL, PORT(1, "hdm-reserve=256M")
      "-device cxl-rp,port=1,bus=cxl.1,id=late,chassis=0,slot=9", "'late'",
      { "'more1'", "both have port number 1", "its own port=N" } },
    { "port-number-after-device", NULL, MEMORY
      "-device cxl-type2,bus=rp0,memdev=mem0 " PORT(7, "x-speed=64"),
      "'more7'", { "'rp0'", "both have port number 7", "its own port=N" } },
    { "port-number-after-guest", NULL, MEMORY
      "-device cxl-type2,bus=rp0,memdev=mem0,cxl-hdm-commit=guest "
      PORT(7, "x-speed=64"), "'more7'", { "'rp0'", "port number 7" } },
};

static void test_wrong(const void *data)
{
    const Wrong *w = data;
    g_autofree char *args = vfio_cxl_args(NULL, w->machine, w->options, NULL);
    VFIOCXLRun run;

    vfio_cxl_run(args, &run);
    vfio_cxl_check_failure(&run, w->device, w->expect);
    g_free(run.err);
}

int main(int argc, char **argv)
{
    int i;

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/vfio/cxl/reserve/empty", test_empty);
    qtest_add_func("/vfio/cxl/reserve/beside", test_beside);
    qtest_add_data_func("/vfio/cxl/reserve/cold", "", test_cold);
    qtest_add_data_func("/vfio/cxl/reserve/cold-offset",
                        ",cxl-hdm-offset=1073741824", test_cold);
    for (i = 0; i < ARRAY_SIZE(wrongs); i++) {
        g_autofree char *path = g_strdup_printf("/vfio/cxl/reserve/wrong/%s",
                                                wrongs[i].name);

        qtest_add_data_func(path, &wrongs[i], test_wrong);
    }
    return g_test_run();
}
