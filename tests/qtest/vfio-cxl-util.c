/*
 * A virt machine with a CXL device that is served over vfio-user
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include "hw/pci/pci_regs.h"
#include "qapi/error.h"
#include "qobject/qjson.h"
#include "vfio-cxl-util.h"

/* Bus numbers: pxb-cxl has 12, the enumeration gives 13 to the port */
#define BUS_BRIDGE 12
#define BUS_DEVICE 13

#define DVSEC_CAP_ID 0x23
#define CXL_VENDOR 0x1e98
#define DVSEC_REG_LOCATOR 8
#define BLOCK_COMPONENT 1
#define CAP_HDM 5

#define TIME_LIMIT_S 10

static const char *server_program(void)
{
    const char *path = g_getenv("QTEST_VFIO_USER_CXL");

    return path ? path : "./contrib/vfio-user-cxl/vfio-user-cxl";
}

/* A server that outlives a failed test keeps who reads its output waiting */
static void end_with_test(gpointer unused)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

VFIOCXLServer *vfio_cxl_server_start(const char *options)
{
    VFIOCXLServer *s = g_new0(VFIOCXLServer, 1);
    g_autofree char *cmd = NULL;
    g_auto(GStrv) argv = NULL;
    GError *err = NULL;
    char line[32] = "";
    int out, fill = 0;

    s->dir = g_dir_make_tmp("vfio-cxl-XXXXXX", NULL);
    g_assert_nonnull(s->dir);
    s->socket = g_strdup_printf("%s/socket", s->dir);
    s->mem_file = g_strdup_printf("%s/hdm", s->dir);
    cmd = g_strdup_printf("%s --socket %s --mem-file %s --summary %s/summary "
                          "%s", server_program(), s->socket, s->mem_file,
                          s->dir, options ? options : "");
    g_assert_true(g_shell_parse_argv(cmd, NULL, &argv, NULL));
    if (!g_spawn_async_with_pipes(NULL, argv, NULL,
                                  G_SPAWN_DO_NOT_REAP_CHILD, end_with_test,
                                  NULL, &s->pid, NULL, &out, NULL, &err)) {
        g_error("cannot start %s: %s; build it or set QTEST_VFIO_USER_CXL",
                argv[0], err->message);
    }
    /* "listening on ..." comes when the socket is there */
    while (fill < 9 && read(out, line + fill, 1) == 1) {
        fill++;
    }
    g_assert_cmpstr(line, ==, "listening");
    /* The pipe stays open: the server must not die of SIGPIPE */
    return s;
}

static void end_server(VFIOCXLServer *s)
{
    int status;

    kill(s->pid, SIGTERM);
    g_assert_cmpint(waitpid(s->pid, &status, 0), ==, s->pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    s->pid = 0;
}

QDict *vfio_cxl_server_summary(VFIOCXLServer *s)
{
    g_autofree char *path = g_build_filename(s->dir, "summary", NULL);
    g_autofree char *text = NULL;

    end_server(s);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return qobject_to(QDict, qobject_from_json(text, &error_abort));
}

void vfio_cxl_server_stop(VFIOCXLServer *s)
{
    static const char *files[] = { "socket", "hdm", "summary" };
    int i;

    if (s->pid) {
        end_server(s);
    }
    for (i = 0; i < ARRAY_SIZE(files); i++) {
        g_autofree char *path = g_build_filename(s->dir, files[i], NULL);

        g_unlink(path);
    }
    g_assert_cmpint(g_rmdir(s->dir), ==, 0);
    g_free(s->dir);
    g_free(s->socket);
    g_free(s->mem_file);
    g_free(s);
}

uint64_t *vfio_cxl_server_mem(const VFIOCXLServer *s, size_t size)
{
    int fd = open(s->mem_file, O_RDWR);
    void *mem;

    g_assert_cmpint(fd, >=, 0);
    mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(mem != MAP_FAILED);
    close(fd);
    return mem;
}

char *vfio_cxl_args(const VFIOCXLServer *s, const char *machine,
                    const char *options, const char *members)
{
    g_autofree char *device = g_strdup("");

    if (s) {
        g_free(device);
        device = g_strdup_printf(
            "-device '{\"driver\":\"vfio-user-pci\",\"id\":\"hdm0\","
            "\"socket\":{\"type\":\"unix\",\"path\":\"%s\"},%s%s%s}'",
            s->socket,
            members && strstr(members, "\"bus\"") ? "" : "\"bus\":\"rp0\"",
            members && !strstr(members, "\"bus\"") ? "," : "",
            members ? members : "");
    }
    return g_strdup_printf(
        "-nodefaults -machine virt,gic-version=3,memory-backend=ram,%s "
        "-object memory-backend-memfd,id=ram,size=128M,share=on -m 128M "
        "-cpu max -device pxb-cxl,bus_nr=%d,bus=pcie.0,id=cxl.1 "
        "-device cxl-rp,port=7,bus=cxl.1,id=rp0,chassis=0,slot=2 %s %s",
        machine ? machine : VFIO_CXL_WINDOW, BUS_BRIDGE,
        options ? options : "", device);
}

static uint64_t ecam(int bus)
{
    return VIRT_ECAM + ((uint64_t)bus << 20);
}

void vfio_cxl_power_port(VFIOCXLMachine *m, int slot, bool on)
{
    uint64_t rp = ecam(BUS_BRIDGE) + (slot << 15);
    unsigned int pos = qtest_readb(m->qts, rp + PCI_CAPABILITY_LIST);

    while (qtest_readb(m->qts, rp + pos) != PCI_CAP_ID_EXP) {
        pos = qtest_readb(m->qts, rp + pos + PCI_CAP_LIST_NEXT);
        g_assert_cmpuint(pos, !=, 0);
    }
    qtest_writew(m->qts, rp + pos + PCI_EXP_SLTCTL,
                 on ? PCI_EXP_SLTCTL_PWR_IND_ON | PCI_EXP_SLTCTL_PWR_ON :
                      PCI_EXP_SLTCTL_PWR_IND_OFF | PCI_EXP_SLTCTL_PWR_OFF);
}

void vfio_cxl_power_slot(VFIOCXLMachine *m, bool on)
{
    vfio_cxl_power_port(m, 0, on);
}

unsigned int vfio_cxl_find_dvsec(VFIOCXLMachine *m, uint16_t id)
{
    unsigned int pos = 0x100, steps = 0;

    while (pos) {
        uint32_t header = qtest_readl(m->qts, m->device + pos);

        g_assert_cmpuint(steps++, <, 100);
        if ((header & 0xffff) == DVSEC_CAP_ID &&
            qtest_readw(m->qts, m->device + pos + 4) == CXL_VENDOR &&
            qtest_readw(m->qts, m->device + pos + 8) == id) {
            return pos;
        }
        pos = header >> 20;
    }
    return 0;
}

void vfio_cxl_bus_reset(VFIOCXLMachine *m)
{
    uint64_t control = ecam(BUS_BRIDGE) + PCI_BRIDGE_CONTROL;

    qtest_writew(m->qts, control, PCI_BRIDGE_CTL_BUS_RESET);
    qtest_writew(m->qts, control, 0);
}

/* The component block, found as a driver finds it: by the register locator */
static void find_component_bar(VFIOCXLMachine *m)
{
    unsigned int locator = vfio_cxl_find_dvsec(m, DVSEC_REG_LOCATOR);
    uint64_t entry;

    if (!locator) {
        return;
    }
    entry = qtest_readl(m->qts, m->device + locator + 0x0c) |
            (uint64_t)qtest_readl(m->qts, m->device + locator + 0x10) << 32;
    g_assert_cmpuint(entry >> 8 & 0xff, ==, BLOCK_COMPONENT);
    m->component_bar = entry & 7;
    m->block_offset = entry & ~0xffffull;
}

static void find_hdm_block(VFIOCXLMachine *m)
{
    uint64_t cm = m->component + 0x1000;
    uint32_t header = qtest_readl(m->qts, cm);
    int i;

    m->hdm_block = 0;
    g_assert_cmpuint(header & 0xffff, ==, 1);
    for (i = 1; i <= header >> 24; i++) {
        uint32_t cap = qtest_readl(m->qts, cm + i * 4);

        if ((cap & 0xffff) == CAP_HDM) {
            m->hdm_block = cm + (cap >> 20);
        }
    }
    g_assert_cmphex(m->hdm_block, !=, 0);
}

void vfio_cxl_machine_enumerate(VFIOCXLMachine *m, uint64_t bar_base)
{
    QTestState *q = m->qts;
    uint64_t rp = ecam(BUS_BRIDGE);
    uint64_t limit = VIRT_MMIO64 + 16 * GiB - 1;
    uint64_t bar;

    qtest_writel(q, rp + PCI_PRIMARY_BUS,
                 BUS_BRIDGE | BUS_DEVICE << 8 | BUS_DEVICE << 16);
    qtest_writew(q, rp + PCI_PREF_MEMORY_BASE, VIRT_MMIO64 >> 16 & 0xfff0);
    qtest_writew(q, rp + PCI_PREF_MEMORY_LIMIT, limit >> 16 & 0xfff0);
    qtest_writel(q, rp + PCI_PREF_BASE_UPPER32, VIRT_MMIO64 >> 32);
    qtest_writel(q, rp + PCI_PREF_LIMIT_UPPER32, limit >> 32);
    qtest_writew(q, rp + PCI_COMMAND,
                 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);

    m->port = rp;
    m->device = ecam(BUS_DEVICE);
    m->component_bar = -1;
    if (qtest_readw(q, m->device + PCI_VENDOR_ID) == 0xffff) {
        return; /* the slot is empty */
    }
    find_component_bar(m);
    if (m->component_bar < 0) {
        return;
    }
    bar = m->device + PCI_BASE_ADDRESS_0 + m->component_bar * 4;
    m->component = bar_base + m->block_offset;
    qtest_writew(q, m->device + PCI_COMMAND, PCI_COMMAND_MASTER);
    qtest_writel(q, bar, bar_base);
    qtest_writel(q, bar + 4, bar_base >> 32);
    qtest_writew(q, m->device + PCI_COMMAND,
                 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    find_hdm_block(m);
}

uint64_t vfio_cxl_enable_below(VFIOCXLMachine *m, int slot, int bus)
{
    uint64_t rp = ecam(BUS_BRIDGE) + (slot << 15);
    uint64_t device = ecam(bus);

    qtest_writel(m->qts, rp + PCI_PRIMARY_BUS,
                 BUS_BRIDGE | bus << 8 | bus << 16);
    g_assert_cmphex(qtest_readw(m->qts, device + PCI_VENDOR_ID), !=, 0xffff);
    qtest_writew(m->qts, device + PCI_COMMAND, PCI_COMMAND_MEMORY);
    return device;
}

uint64_t vfio_cxl_hdm_below(VFIOCXLMachine *m, int slot, int bus)
{
    uint64_t rp = ecam(BUS_BRIDGE) + (slot << 15);
    uint64_t base = VIRT_MMIO64 + slot * 16 * GiB;
    uint64_t limit = base + 16 * GiB - 1;
    uint64_t device = vfio_cxl_enable_below(m, slot, bus);
    uint64_t bar = device + PCI_BASE_ADDRESS_0 + m->component_bar * 4;

    qtest_writew(m->qts, rp + PCI_PREF_MEMORY_BASE, base >> 16 & 0xfff0);
    qtest_writew(m->qts, rp + PCI_PREF_MEMORY_LIMIT, limit >> 16 & 0xfff0);
    qtest_writel(m->qts, rp + PCI_PREF_BASE_UPPER32, base >> 32);
    qtest_writel(m->qts, rp + PCI_PREF_LIMIT_UPPER32, limit >> 32);
    qtest_writew(m->qts, rp + PCI_COMMAND,
                 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    qtest_writel(m->qts, bar, base);
    qtest_writel(m->qts, bar + 4, base >> 32);
    return base + m->block_offset + m->hdm_block - m->component;
}

uint32_t vfio_cxl_commit(QTestState *q, uint64_t decoder, uint64_t base,
                         uint64_t size, uint32_t target, uint32_t control)
{
    qtest_writel(q, decoder + HDM_BASE_LO, base);
    qtest_writel(q, decoder + HDM_BASE_HI, base >> 32);
    qtest_writel(q, decoder + HDM_SIZE_LO, size);
    qtest_writel(q, decoder + HDM_SIZE_HI, size >> 32);
    qtest_writel(q, decoder + HDM_TARGET_LO, target);
    qtest_writel(q, decoder + HDM_CTRL, control);
    return qtest_readl(q, decoder + HDM_CTRL);
}

VFIOCXLMachine *vfio_cxl_machine_start(const char *args)
{
    VFIOCXLMachine *m = g_new0(VFIOCXLMachine, 1);

    m->qts = qtest_init(args);
    vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
    return m;
}

void vfio_cxl_machine_stop(VFIOCXLMachine *m)
{
    qtest_quit(m->qts);
    g_free(m);
}

void vfio_cxl_run(const char *args, VFIOCXLRun *run)
{
    const char *qemu = g_getenv("QTEST_QEMU_BINARY");
    g_autofree char *cmd = NULL;
    g_auto(GStrv) argv = NULL;
    GError *err = NULL;

    /* What should fail but does not is ended by the time limit: status 124 */
    cmd = g_strdup_printf("timeout %d %s -accel qtest -display none -S %s",
                          TIME_LIMIT_S, qemu, args);
    g_assert_true(g_shell_parse_argv(cmd, NULL, &argv, NULL));
    run->us = g_get_monotonic_time();
    g_spawn_sync(NULL, argv, NULL,
                 G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                 NULL, &run->err, &run->status, &err);
    g_assert_no_error(err);
    run->us = g_get_monotonic_time() - run->us;
    g_test_message("%s", run->err);
}

static unsigned int count_lines(const char *text)
{
    unsigned int n = 0;

    while ((text = strchr(text, '\n'))) {
        text++;
        n++;
    }
    return n;
}

void vfio_cxl_check_failure(VFIOCXLRun *run, const char *device,
                          const char *const *expect)
{
    int i;

    g_assert_true(WIFEXITED(run->status));
    g_assert_cmpint(WEXITSTATUS(run->status), ==, 1);
    g_assert_cmpint(run->us, <, TIME_LIMIT_S * G_USEC_PER_SEC);
    for (i = 0; i < 3 && expect[i]; i++) {
        if (!strstr(run->err, expect[i])) {
            g_error("no '%s' in: %s", expect[i], run->err);
        }
    }
    if (!strstr(run->err, device)) {
        g_error("device '%s' is not named in: %s", device, run->err);
    }
    g_assert_null(strstr(run->err, "4ac0000000"));
    g_assert_cmpuint(count_lines(run->err), ==, 1);
}
