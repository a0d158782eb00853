/*
 * The emulated CXL Type-2 device: monitor, hotplug, and what must not work
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "hw/pci/pci_regs.h"
#include "qemu/timer.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "cxl-type2-util.h"

/* What x-query-cxl tells of the device */
static void check_query(Type2Rig *r, bool reachable)
{
    QDict *reply = qtest_qmp(r->q, "{'execute': 'x-query-cxl'}");
    QDict *info = qdict_get_qdict(reply, "return");
    const QListEntry *first = qlist_first(qdict_get_qlist(info, "devices"));
    QDict *device = qobject_to(QDict, qlist_entry_obj(first));

    g_assert_cmpstr(qdict_get_str(device, "id"), ==, "hdm0");
    g_assert_cmpstr(qdict_get_str(device, "type"), ==, "cxl-type2");
    g_assert_cmpstr(qdict_get_str(device, "backing"), ==, "emulated");
    g_assert_cmphex(qdict_get_int(device, "hdm-size"), ==, HDM_SIZE);
    g_assert_cmpint(qdict_get_bool(device, "reachable"), ==, reachable);
    qobject_unref(reply);
}

/* The event CXL_HDM_CHANGE, limited to one each second */
static void check_change(Type2Rig *r, bool reachable)
{
    QDict *event;
    bool now;

    do {
        qtest_clock_step(r->q, NANOSECONDS_PER_SECOND);
        event = qtest_qmp_eventwait_ref(r->q, "CXL_HDM_CHANGE");
        now = qdict_get_bool(qdict_get_qdict(event, "data"), "reachable");
        qobject_unref(event);
    } while (now != reachable);
}

static void test_monitor(void)
{
    Type2Rig r;

    type2_start(&r, "");
    check_query(&r, true);
    check_change(&r, true);
    qtest_writew(r.q, r.m->device + PCI_COMMAND, 0);
    check_query(&r, false);
    check_change(&r, false);
    type2_stop(&r);
}

static void hotplug(Type2Rig *r)
{
    qtest_qmp_assert_success(r->q,
        "{'execute': 'device_add', 'arguments': {'driver': 'cxl-type2',"
        " 'id': 'hdm0', 'bus': 'rp0', 'memdev': 'mem'}}");
    vfio_cxl_power_slot(r->m, true);
    vfio_cxl_machine_enumerate(r->m, VIRT_MMIO64);
}

static void test_hotplug(void)
{
    Type2Rig r;
    QDict *reply;

    type2_start_with(&r, NULL, VFIO_CXL_DECODERS
                     "-object memory-backend-ram,id=odd,size=100M");
    for (int i = 0; i < 3; i++) {
        reply = qtest_qmp(r.q, "{'execute': 'device_add', 'arguments': {"
                          "'driver': 'cxl-type2', 'bus': 'rp0', 'memdev': "
                          "'odd'}}");
        qmp_expect_error_and_unref(reply, "GenericError");
        hotplug(&r);
        type2_check_committed(&r, VIRT_WINDOW);
        type2_fill(&r, PATTERN + i);
        accel_setup(r.m, MSI_AT);
        accel_check_round(r.m, 0);
        qtest_qmp_assert_success(r.q, "{'execute': 'device_del',"
                                 "'arguments': {'id': 'hdm0'}}");
        vfio_cxl_power_slot(r.m, false);
        qtest_qmp_eventwait(r.q, "DEVICE_DELETED");
        g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW), ==, UINT64_MAX);
        g_assert_cmphex(type2_host_word(&r, 0), ==, PATTERN + i);
    }
    type2_stop(&r);
}

static void test_fixed(void)
{
    static const char *const values[] = {
        "'identity', 'value': 'sfc'", "'cxl-hdm-commit', 'value': 'guest'",
        "'cxl-hdm-offset', 'value': 0",
        "'memdev', 'value': '/objects/mem'",
    };
    static const struct {
        const char *name, *value;
    } kept[] = {
        { "identity", "accel" }, { "cxl-hdm-commit", "firmware" },
        { "memdev", "/objects/mem" },
    };
    Type2Rig r;
    QDict *reply;

    type2_start(&r, "");
    for (int i = 0; i < ARRAY_SIZE(values); i++) {
        g_autofree char *set = g_strdup_printf(
            "{'execute': 'qom-set', 'arguments': {'path': "
            "'/machine/peripheral/hdm0', 'property': %s}}", values[i]);

        reply = qtest_qmp(r.q, set, NULL);
        qmp_expect_error_and_unref(reply, "GenericError");
    }
    for (int i = 0; i < ARRAY_SIZE(kept); i++) {
        reply = qtest_qmp(r.q, "{'execute': 'qom-get', 'arguments': {'path': "
                          "'/machine/peripheral/hdm0', 'property': %s}}",
                          kept[i].name);
        g_assert_cmpstr(qdict_get_str(reply, "return"), ==, kept[i].value);
        qobject_unref(reply);
    }
    /* nor can the machine be saved */
    reply = qtest_qmp(r.q, "{'execute': 'migrate', 'arguments': {'uri': "
                      "'exec:cat>/dev/null'}}");
    qmp_expect_error_and_unref(reply, "GenericError");
    type2_check_committed(&r, VIRT_WINDOW);
    type2_stop(&r);
}

/* -- what must not work -- */

typedef struct {
    const char *name;
    const char *machine;    /* CXL properties, NULL for the usual window */
    const char *memory;     /* options before the device */
    const char *device;     /* its own, after bus and ID */
    const char *expect[3];
} Case;

#define MEM(size) "-object memory-backend-ram,id=mem,size=" size

static const Case cases[] = {
    { "no-memdev", NULL, "", "bus=rp0",
      { "no memory", "memdev=ID", "memory-backend-ram" } },
    { "size-unaligned", NULL, MEM("100M"), "bus=rp0,memdev=mem",
      { "'mem'", "0x6400000 (100 MiB)", "256 MiB" } },
    { "size-not-sfc", NULL, MEM("512M"), "bus=rp0,memdev=mem,identity=sfc",
      { "512 MiB", "256 MiB only", "identity=accel" } },
    { "memory-in-use", NULL, "", "bus=rp0,memdev=ram",
      { "'ram'", "in use", "one of its own" } },
    { "identity-unknown", NULL, MEM("256M"), "bus=rp0,memdev=mem,identity=x",
      { "'x'", NULL, NULL } },
    { "commit-unknown", NULL, MEM("256M"),
      "bus=rp0,memdev=mem,cxl-hdm-commit=x", { "'x'", NULL, NULL } },
    { "no-window", "cxl=on", MEM("256M"), "bus=rp0,memdev=mem",
      { "none of 0", "256 MiB", "cxl-fmw.0.size=256M" } },
    { "window-too-small", NULL, "-object memory-backend-memfd,id=mem,size=5G",
      "bus=rp0,memdev=mem",
      { "window 0 (size 4 GiB)", "5 GiB", "cxl-fmw.0.size=5120M" } },
    { "window-shared",
      "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.targets.1=cxl.2,"
      "cxl-fmw.0.size=4G",
      MEM("256M") " -device pxb-cxl,bus_nr=40,bus=pcie.0,id=cxl.2",
      "bus=rp0,memdev=mem", { "window 0 has 2", "window with 1", "cxl.1" } },
    { "machine-without-cxl",
      "cxl=off,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G", MEM("256M"),
      "bus=rp0,memdev=mem", { "cxl=off", "add -machine cxl=on", NULL } },
    { "on-root-bus", NULL, MEM("256M"), "bus=pcie.0,memdev=mem",
      { "'pcie.0'", "cxl-rp", "pxb-cxl" } },
    { "multifunction", NULL, MEM("256M"),
      "bus=rp0,memdev=mem,multifunction=on",
      { "00.0", "multifunction=on", "only" } },
    { "offset-unaligned", NULL, MEM("256M"),
      "bus=rp0,memdev=mem,cxl-hdm-offset=1M",
      { "cxl-hdm-offset=0x100000", "multiple of 256 MiB", "use 0x0" } },
    { "offset-with-guest", NULL, MEM("256M"),
      "bus=rp0,memdev=mem,cxl-hdm-offset=0,cxl-hdm-commit=guest",
      { "cxl-hdm-offset=0x0", "cxl-hdm-commit=guest", "leave one" } },
};

static void test_error(const void *data)
{
    const Case *c = data;
    g_autofree char *options = g_strdup_printf(
        "%s -device cxl-type2,id=hdm0,%s", c->memory, c->device);
    g_autofree char *args = vfio_cxl_args(NULL, c->machine, options, NULL);
    VFIOCXLRun run;

    vfio_cxl_run(args, &run);
    vfio_cxl_check_failure(&run, "hdm0", c->expect);
    /* what only passthrough has is no remedy here */
    g_assert_null(strstr(run.err, "set cxl=off"));
    g_free(run.err);
}

/* Memory that QEMU itself cannot write: a CXL reset may have to clear it */
static void test_read_only(void)
{
    static const char *const words[] = { "'mem'", "read-only", "rom=off" };
    g_autofree char *name = NULL;
    g_autofree char *memory = NULL;
    int fd = g_file_open_tmp("cxl-type2-XXXXXX", &name, NULL);
    Case c = { .device = "bus=rp0,memdev=mem" };

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, HDM_SIZE), ==, 0);
    close(fd);
    memory = g_strdup_printf("-object memory-backend-file,id=mem,size=256M,"
                             "readonly=on,mem-path=%s", name);
    c.memory = memory;
    memcpy(c.expect, words, sizeof(words));
    test_error(&c);
    g_unlink(name);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-type2/monitor", test_monitor);
    qtest_add_func("/cxl-type2/hotplug", test_hotplug);
    qtest_add_func("/cxl-type2/fixed", test_fixed);
    qtest_add_func("/cxl-type2/error/memory-read-only", test_read_only);
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *path = g_strdup_printf("/cxl-type2/error/%s",
                                                cases[i].name);

        qtest_add_data_func(path, &cases[i], test_error);
    }
    return g_test_run();
}
