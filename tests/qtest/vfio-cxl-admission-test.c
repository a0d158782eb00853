/*
 * Which CXL device gets its memory, which one stays a plain PCIe device, and
 * which one is refused
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "hw/pci/pci_regs.h"
#include "qobject/qlist.h"
#include "vfio-cxl-util.h"

/* What becomes of a device */
typedef enum {
    MEMORY,             /* it has its memory, and nothing is said */
    PLAIN,              /* it has none, no CXL DVSEC, and nothing is said */
    WARNED,             /* the same, with a warning */
    REFUSED,            /* QEMU ends */
} Outcome;

enum { AUTO, ON, OFF, MODES };
static const char *const modes[MODES] = { "auto", "on", "off" };

#define SWITCH \
    "-device cxl-upstream,bus=rp0,id=us0 " \
    "-device cxl-downstream,port=0,bus=us0,id=ds0,chassis=1,slot=4"
#define PLAIN_PORT "-device pcie-root-port,id=plain,bus=pcie.0,chassis=9"
#define STRAY_PORT "-device cxl-rp,id=stray,bus=pcie.0,chassis=9,port=1"

typedef struct {
    const char *name;
    const char *machine;        /* CXL properties, NULL for the usual window */
    const char *options;
    const char *bus;            /* NULL: rp0 */
    Outcome outcome[MODES];
    const char *warning;        /* with cxl=auto */
} Place;

static const Place places[] = {
    { "below-cxl-rp", NULL, NULL, NULL, { MEMORY, MEMORY, PLAIN } },
    /* With cxl=off QEMU has no use for a pxb-cxl, and refuses any */
    { "machine-without-cxl", "cxl=off", PLAIN_PORT, "plain",
      { WARNED, REFUSED, PLAIN }, "the machine has cxl=off" },
    { "below-plain-port", NULL, PLAIN_PORT, "plain",
      { WARNED, REFUSED, PLAIN }, "bus 'plain'" },
    { "on-root-bus", NULL, NULL, "pcie.0",
      { WARNED, REFUSED, PLAIN }, "bus 'pcie.0'" },
    { "below-stray-cxl-rp", NULL, STRAY_PORT, "stray",
      { WARNED, REFUSED, PLAIN }, "bus 'stray'" },
    { "behind-switch", NULL, SWITCH, "ds0",
      { WARNED, REFUSED, PLAIN }, "bus 'ds0'" },
    { "no-window", "cxl=on", NULL, NULL, { REFUSED, REFUSED, PLAIN } },
    { "small-window",
      "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=256M", NULL, NULL,
      { REFUSED, REFUSED, PLAIN } },
};

static char *place_args(const VFIOCXLServer *s, const Place *p, int mode)
{
    /* An explicit auto is not another thing than the default */
    g_autofree char *member = g_strdup_printf(
        "\"bus\":\"%s\",\"addr\":\"0\",\"cxl\":\"%s\"",
        p->bus ? p->bus : "rp0", modes[mode]);
    g_autofree char *root = g_strdup_printf(
        "\"bus\":\"pcie.0\",\"cxl\":\"%s\"", modes[mode]);

    if (!g_strcmp0(p->machine, "cxl=off")) {
        return g_strdup_printf(
            "-nodefaults -machine virt,gic-version=3,memory-backend=ram "
            "-object memory-backend-memfd,id=ram,size=128M,share=on -m 128M "
            "-cpu max %s -device '{\"driver\":\"vfio-user-pci\",%s,"
            "\"socket\":{\"type\":\"unix\",\"path\":\"%s\"}}'",
            p->options, member, s->socket);
    }
    return vfio_cxl_args(s, p->machine, p->options,
                         g_strcmp0(p->bus, "pcie.0") ? member : root);
}

/* Start a machine, and keep what QEMU says */
static VFIOCXLMachine *start(const char *args, const char *file)
{
    int mine = dup(STDERR_FILENO);
    int fd = open(file, O_CREAT | O_TRUNC | O_RDWR, 0600);
    VFIOCXLMachine *m = g_new0(VFIOCXLMachine, 1);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(dup2(fd, STDERR_FILENO), >=, 0);
    m->qts = qtest_init(args);
    dup2(mine, STDERR_FILENO);
    close(mine);
    close(fd);
    return m;
}

/*
 * Give buses below the root bus numbers until the device is found, which has
 * the only such IDs.
 */
static bool find_device(VFIOCXLMachine *m, int bus, int *next)
{
    for (int slot = 0; slot < 32; slot++) {
        uint64_t at = VIRT_ECAM + ((uint64_t)bus << 20) + (slot << 15);
        uint32_t id = qtest_readl(m->qts, at);
        int below;

        if (id == 0x0b031924) {
            m->device = at;
            return true;
        }
        if (id == UINT32_MAX ||
            (qtest_readb(m->qts, at + PCI_HEADER_TYPE) & 0x7f) !=
            PCI_HEADER_TYPE_BRIDGE) {
            continue;
        }
        below = ++*next;
        qtest_writel(m->qts, at + PCI_PRIMARY_BUS,
                     bus | below << 8 | 0xff << 16);
        if (find_device(m, below, next)) {
            return true;
        }
        qtest_writel(m->qts, at + PCI_PRIMARY_BUS, 0);
    }
    return false;
}

static bool has_memory(VFIOCXLMachine *m)
{
    QDict *reply = qtest_qmp(m->qts, "{'execute': 'x-query-cxl'}");
    QDict *info = qdict_get_qdict(reply, "return");
    bool found = !qlist_empty(qdict_get_qlist(info, "devices"));

    qobject_unref(reply);
    return found;
}

static void check_config(VFIOCXLMachine *m, bool cxl)
{
    static const int ids[] = { 0, 5, 7, 8 };
    int next = 0;
    bool found = find_device(m, 0, &next);

    if (!found) {
        next = 12; /* bus_nr of the pxb-cxl */
        found = find_device(m, next, &next);
    }
    g_assert_true(found);
    for (int i = 0; i < ARRAY_SIZE(ids); i++) {
        unsigned int pos = vfio_cxl_find_dvsec(m, ids[i]);

        g_assert_cmpint(pos != 0, ==, cxl);
    }
    /* Where the ranges are, which hold the host's base, nothing is */
    if (!cxl) {
        for (int reg = 0x18; reg < 0x38; reg += 4) {
            g_assert_cmphex(qtest_readl(m->qts, m->device + 0x160 + reg), ==,
                            0);
        }
    }
}

static void check_said(const char *file, const VFIOCXLServer *s,
                       const char *warning)
{
    g_autofree char *said = NULL;

    g_assert_true(g_file_get_contents(file, &said, NULL, NULL));
    if (!warning) {
        g_assert_cmpstr(said, ==, "");
        return;
    }
    g_test_message("%s", said);
    g_assert_nonnull(strstr(said, "warning: "));
    g_assert_nonnull(strstr(said, warning));
    g_assert_nonnull(strstr(said, s->socket));
    g_assert_nonnull(strstr(said, "plain PCIe device"));
    g_assert_nonnull(strstr(said, "set cxl=off"));
    g_assert_true(strchr(said, '\n') == said + strlen(said) - 1);
}

static void check_runs(const VFIOCXLServer *s, const char *args,
                       Outcome outcome, const char *warning)
{
    g_autofree char *file = g_build_filename(s->dir, "stderr", NULL);
    VFIOCXLMachine *m = start(args, file);

    g_assert_cmpint(has_memory(m), ==, outcome == MEMORY);
    check_config(m, outcome == MEMORY);
    vfio_cxl_machine_stop(m);
    check_said(file, s, outcome == WARNED ? warning : NULL);
    g_unlink(file);
}

static void check_refused(const VFIOCXLServer *s, const char *args)
{
    static const char *const expect[] = { NULL };
    VFIOCXLRun run;

    vfio_cxl_run(args, &run);
    vfio_cxl_check_failure(&run, s->socket, expect);
    g_free(run.err);
}

static void test_place(const void *data)
{
    const Place *p = data;
    bool big = g_str_equal(p->name, "small-window");
    VFIOCXLServer *s = vfio_cxl_server_start(big ? "--hdm-size 512M" : NULL);

    for (int mode = 0; mode < MODES; mode++) {
        g_autofree char *args = place_args(s, p, mode);

        g_test_message("cxl=%s", modes[mode]);
        if (p->outcome[mode] == REFUSED) {
            check_refused(s, args);
        } else {
            check_runs(s, args, p->outcome[mode], p->warning);
        }
    }
    vfio_cxl_server_stop(s);
}

/* A device that contradicts itself: refused where its memory is wanted */
static void test_faulty(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--fault no-geometry "
                                             "--fault no-reset-flag");
    g_autofree char *wanted = vfio_cxl_args(s, NULL, NULL, NULL);
    g_autofree char *plain = vfio_cxl_args(s, NULL, PLAIN_PORT,
                                           "\"bus\":\"plain\"");

    check_refused(s, wanted);
    check_runs(s, plain, WARNED, "bus 'plain'");
    vfio_cxl_server_stop(s);
}

/* Machine types of older releases do as those releases did */
static void test_old_machine(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *usual = vfio_cxl_args(s, NULL, "-machine virt-10.1",
                                           NULL);
    g_autofree char *plain = vfio_cxl_args(
        s, NULL, "-machine virt-10.1 " PLAIN_PORT, "\"bus\":\"plain\"");
    g_autofree char *wanted = vfio_cxl_args(s, NULL, "-machine virt-10.1",
                                            "\"cxl\":\"on\"");

    check_runs(s, usual, PLAIN, NULL);
    check_runs(s, plain, PLAIN, NULL);
    check_runs(s, wanted, MEMORY, NULL);
    vfio_cxl_server_stop(s);
}

/* In device_add a warning must not be an error */
static void test_hot_plug(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(NULL, NULL, PLAIN_PORT, NULL);
    g_autofree char *file = g_build_filename(s->dir, "stderr", NULL);
    VFIOCXLMachine *m = start(args, file);

    qtest_qmp_assert_success(m->qts,
        "{'execute': 'device_add', 'arguments': {'driver': 'vfio-user-pci',"
        " 'id': 'hdm0', 'bus': 'plain', 'socket': {'type': 'unix',"
        " 'path': %s}}}", s->socket);
    g_assert_false(has_memory(m));
    vfio_cxl_machine_stop(m);
    check_said(file, s, "bus 'plain'");
    g_unlink(file);
    vfio_cxl_server_stop(s);
}

/* Memory without CXL.cache is host-only coherent, and the decoder says so */
static void test_host_only(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--coherency hdm-h");
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, "\"cxl\":\"on\"");
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    uint64_t *mem = vfio_cxl_server_mem(s, 8);
    uint32_t type = 1 << 12;

    g_assert_cmphex(qtest_readl(m->qts, m->hdm_block + HDM_CTRL), ==,
                    HDM_CTRL_LOCKED | type);
    g_assert_cmphex(qtest_readl(m->qts, m->hdm_block + HDM_CAP) >> 21 & 3, ==,
                    2);
    qtest_writeq(m->qts, VIRT_WINDOW, 0x1122334455667788);
    g_assert_cmphex(mem[0], ==, 0x1122334455667788);
    munmap(mem, 8);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* The guest cannot change the type */
static void test_host_only_guest(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--coherency hdm-h");
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL,
                                          "\"cxl-hdm-commit\":\"guest\"");
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    uint64_t ctrl = m->hdm_block + HDM_CTRL;

    g_assert_cmphex(qtest_readl(m->qts, ctrl), ==, 1 << 12);
    qtest_writel(m->qts, ctrl, 0x100);
    g_assert_cmphex(qtest_readl(m->qts, ctrl), ==, 1 << 12 | 0x100);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* An unset offset is not one of 16 EiB */
static void test_offset_shown(void)
{
    static const struct {
        const char *members;
        const char *shown;
    } cases[] = {
        { NULL, "cxl-hdm-offset = \"auto\"" },
        { "\"cxl-hdm-offset\":268435456",
          "cxl-hdm-offset = 268435456 (256 MiB)" },
        { "\"cxl-hdm-offset\":0", "cxl-hdm-offset = 0 (0 B)" },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        VFIOCXLServer *s = vfio_cxl_server_start(NULL);
        g_autofree char *args = vfio_cxl_args(s, NULL, NULL,
                                              cases[i].members);
        VFIOCXLMachine *m = vfio_cxl_machine_start(args);
        g_autofree char *tree = qtest_hmp(m->qts, "info qtree");

        if (!strstr(tree, cases[i].shown)) {
            g_error("no '%s' in: %s", cases[i].shown, tree);
        }
        g_assert_null(strstr(tree, "cxl-hdm-offset = 18446744073709551615"));
        vfio_cxl_machine_stop(m);
        vfio_cxl_server_stop(s);
    }
}

/* Beside a pxb-cxl a device needs to be told its bus, as the manual says */
static void test_bus_needed(void)
{
    static const char *const expect[] = {
        "Only PCI/PCIe bridges can be plugged into pxb-cxl", NULL,
    };
    g_autofree char *without = vfio_cxl_args(NULL, NULL,
                                             "-device virtio-rng-pci", NULL);
    g_autofree char *with = vfio_cxl_args(
        NULL, NULL, "-device virtio-rng-pci,bus=pcie.0", NULL);
    VFIOCXLRun run;

    vfio_cxl_run(without, &run);
    vfio_cxl_check_failure(&run, "virtio-rng-pci", expect);
    g_free(run.err);
    vfio_cxl_machine_stop(vfio_cxl_machine_start(with));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (int i = 0; i < ARRAY_SIZE(places); i++) {
        g_autofree char *path = g_strdup_printf("/vfio/cxl/admission/%s",
                                                places[i].name);

        qtest_add_data_func(path, &places[i], test_place);
    }
    qtest_add_func("/vfio/cxl/admission/faulty", test_faulty);
    qtest_add_func("/vfio/cxl/admission/old-machine", test_old_machine);
    qtest_add_func("/vfio/cxl/admission/hot-plug", test_hot_plug);
    qtest_add_func("/vfio/cxl/admission/host-only", test_host_only);
    qtest_add_func("/vfio/cxl/admission/host-only-guest",
                   test_host_only_guest);
    qtest_add_func("/vfio/cxl/admission/offset-shown", test_offset_shown);
    qtest_add_func("/vfio/cxl/admission/bus-needed", test_bus_needed);
    return g_test_run();
}
