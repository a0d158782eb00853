/*
 * When a guest reaches the memory of a CXL device: gating, resets, failures
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "vfio-cxl-util.h"

#define SIZE (256 * MiB)
#define LAST (VIRT_WINDOW + SIZE - 8)
#define PATTERN 0x1122334455667788ull
#define ONES UINT64_MAX

typedef struct {
    VFIOCXLServer *server;
    VFIOCXLMachine *m;
    QTestState *q;
} Rig;

static void rig_start(Rig *r, const char *server, const char *members)
{
    g_autofree char *args = NULL;

    r->server = vfio_cxl_server_start(server);
    args = vfio_cxl_args(r->server, NULL, NULL, members);
    r->m = vfio_cxl_machine_start(args);
    r->q = r->m->qts;
}

static void rig_stop(Rig *r)
{
    vfio_cxl_machine_stop(r->m);
    vfio_cxl_server_stop(r->server);
}

static void set_command(Rig *r, bool on)
{
    qtest_writew(r->q, r->m->device + PCI_COMMAND,
                 on ? PCI_COMMAND_MEMORY : 0);
}

static void check_open(Rig *r, uint64_t value)
{
    g_assert_cmphex(qtest_readq(r->q, VIRT_WINDOW), ==, value);
    g_assert_cmphex(qtest_readq(r->q, LAST), ==, value);
}

/* All ones in every width, and writes leave no trace in the memory */
static void check_gated(Rig *r, uint64_t kept)
{
    uint64_t *mem = vfio_cxl_server_mem(r->server, SIZE);

    g_assert_cmphex(qtest_readq(r->q, VIRT_WINDOW), ==, ONES);
    g_assert_cmphex(qtest_readl(r->q, VIRT_WINDOW + 4), ==, 0xffffffff);
    g_assert_cmphex(qtest_readb(r->q, LAST + 7), ==, 0xff);
    qtest_writeq(r->q, VIRT_WINDOW, 0xdead);
    qtest_writeb(r->q, LAST, 0x55);
    g_assert_cmphex(qatomic_read(&mem[0]), ==, kept);
    g_assert_cmphex(qatomic_read(&mem[SIZE / 8 - 1]), ==, kept);
    munmap(mem, SIZE);
}

static void fill(Rig *r)
{
    qtest_writeq(r->q, VIRT_WINDOW, PATTERN);
    qtest_writeq(r->q, LAST, PATTERN);
    check_open(r, PATTERN);
}

static void check_committed(Rig *r)
{
    g_assert_cmphex(qtest_readl(r->q, r->m->hdm_block + HDM_CTRL), ==,
                    HDM_CTRL_LOCKED);
    g_assert_cmphex(qtest_readl(r->q, r->m->hdm_block + HDM_BASE_HI), ==,
                    VIRT_WINDOW >> 32);
    g_assert_cmphex(qtest_readl(r->q, r->m->hdm_block + HDM_SIZE_LO), ==,
                    SIZE);
}

static void wait_failure(Rig *r, const char *reason)
{
    QDict *event = qtest_qmp_eventwait_ref(r->q, "CXL_HDM_FAILURE");
    QDict *data = qdict_get_qdict(event, "data");

    g_assert_cmpstr(qdict_get_str(data, "reason"), ==, reason);
    g_assert_cmpstr(qdict_get_str(data, "device"), ==, "hdm0");
    g_assert_cmpstr(qdict_get_str(data, "path"), ==,
                    "/machine/peripheral/hdm0");
    qobject_unref(event);
    /* For a second another one like this would be held back */
    qtest_clock_step(r->q, 1100 * 1000 * 1000ll);
}

static void cxl_reset(Rig *r)
{
    unsigned int dvsec = vfio_cxl_find_dvsec(r->m, 0);

    qtest_writew(r->q, r->m->device + dvsec + DVSEC_CTRL2, 1 << 2);
}

static uint16_t status2(Rig *r)
{
    return qtest_readw(r->q, r->m->device + vfio_cxl_find_dvsec(r->m, 0) +
                       DVSEC_STATUS2);
}

/* -- gating -- */

static void test_memory_space(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    fill(&r);
    set_command(&r, false);
    check_gated(&r, PATTERN);
    set_command(&r, true);
    check_open(&r, PATTERN);
    check_committed(&r);
    rig_stop(&r);
}

/* A write that covers other registers too */
static void test_memory_space_wide(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    fill(&r);
    qtest_writel(r.q, r.m->device + PCI_COMMAND, 0);
    check_gated(&r, PATTERN);
    qtest_writel(r.q, r.m->device + PCI_COMMAND, PCI_COMMAND_MEMORY);
    check_open(&r, PATTERN);
    qtest_writeb(r.q, r.m->device + PCI_COMMAND + 1, 0);
    check_open(&r, PATTERN);
    rig_stop(&r);
}

static void test_power(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    fill(&r);
    qtest_writew(r.q, r.m->device + PM_CSR, 3);
    check_gated(&r, PATTERN);
    qtest_writew(r.q, r.m->device + PM_CSR, 0);
    set_command(&r, true);
    check_open(&r, PATTERN);
    rig_stop(&r);
}

/* Either reason alone keeps the gate closed */
static void test_two_reasons(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    fill(&r);
    set_command(&r, false);
    qtest_writew(r.q, r.m->device + PM_CSR, 3);
    qtest_writew(r.q, r.m->device + PM_CSR, 0);
    check_gated(&r, PATTERN);
    qtest_writew(r.q, r.m->device + PM_CSR, 3);
    set_command(&r, true);
    check_gated(&r, PATTERN);
    qtest_writew(r.q, r.m->device + PM_CSR, 0);
    check_open(&r, PATTERN);
    rig_stop(&r);
}

/* The log tells what a guest reached for in vain, and why */
static void test_log(void)
{
    g_autofree char *path = NULL, *text = NULL;
    Rig r;

    close(g_file_open_tmp("vfio-cxl-XXXXXX", &path, NULL));
    rig_start(&r, NULL, NULL);
    g_free(qtest_hmp(r.q, "logfile %s", path));
    g_free(qtest_hmp(r.q, "log guest_errors"));
    set_command(&r, false);
    qtest_readl(r.q, LAST);
    qtest_writeb(r.q, VIRT_WINDOW, 0);
    rig_stop(&r);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    unlink(path);
    g_assert_nonnull(strstr(text, "HDM read at offset 0xffffff8 (4 bytes) "
                            "gives all ones: Memory Space is off\n"));
    g_assert_nonnull(strstr(text, "HDM write at offset 0x0 (1 bytes) dropped:"
                            " Memory Space is off\n"));
}

/* -- resets -- */

static void test_flr(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    fill(&r);
    qtest_writew(r.q, r.m->device + EXP_DEVCTL, 0x8000);
    check_open(&r, 0);
    check_committed(&r);
    fill(&r);
    rig_stop(&r);
}

static void test_cxl_reset(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    fill(&r);
    cxl_reset(&r);
    check_open(&r, 0);
    check_committed(&r);
    g_assert_cmphex(status2(&r) & 6, ==, 2);
    fill(&r);
    rig_stop(&r);
}

/* Nothing but the doorbell is one */
static void test_no_cxl_reset(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    fill(&r);
    qtest_writew(r.q, r.m->device + vfio_cxl_find_dvsec(r.m, 0) +
                 DVSEC_CTRL2, 1 << 0 | 1 << 3);
    check_open(&r, PATTERN);
    qtest_writew(r.q, r.m->device + EXP_DEVCTL, 0x7fff);
    check_open(&r, PATTERN);
    rig_stop(&r);
}

static void test_hot_reset(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    fill(&r);
    vfio_cxl_bus_reset(r.m);
    check_gated(&r, 0);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    check_open(&r, 0);
    check_committed(&r);
    rig_stop(&r);
}

static void test_system_reset(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    fill(&r);
    qtest_system_reset(r.q);
    check_gated(&r, 0);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    check_open(&r, 0);
    rig_stop(&r);
}

static void test_reset_fails(void)
{
    Rig r;

    /* The first reset is the machine's */
    rig_start(&r, "--fault fail-reset=2", NULL);
    fill(&r);
    cxl_reset(&r);
    wait_failure(&r, "reset-failed");
    check_gated(&r, PATTERN);
    check_committed(&r);
    g_assert_cmphex(status2(&r) & 6, ==, 4);
    set_command(&r, false);
    set_command(&r, true);
    check_gated(&r, PATTERN);

    cxl_reset(&r);
    check_open(&r, 0);
    g_assert_cmphex(status2(&r) & 6, ==, 2);
    fill(&r);
    rig_stop(&r);
}

static void test_flr_fails(void)
{
    Rig r;

    rig_start(&r, "--fault fail-reset=2", NULL);
    fill(&r);
    qtest_writew(r.q, r.m->device + EXP_DEVCTL, 0x8000);
    wait_failure(&r, "reset-failed");
    check_gated(&r, PATTERN);
    qtest_system_reset(r.q);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    check_open(&r, 0);
    rig_stop(&r);
}

/* What a reset took, an FLR gives back as well, if it works */
static void test_flr_repairs(void)
{
    Rig r;

    rig_start(&r, "--fault fail-reset=2", NULL);
    fill(&r);
    cxl_reset(&r);
    wait_failure(&r, "reset-failed");
    check_gated(&r, PATTERN);
    qtest_writew(r.q, r.m->device + EXP_DEVCTL, 0x8000);
    check_open(&r, 0);
    fill(&r);
    rig_stop(&r);
}

static void test_system_reset_fails(void)
{
    Rig r;

    /* Too early for QMP to hear of it */
    rig_start(&r, "--fault fail-reset=1", NULL);
    check_gated(&r, 0);
    check_committed(&r);
    qtest_system_reset(r.q);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    fill(&r);
    rig_stop(&r);
}

/* Longer than any other request may take */
static void test_reset_slow(void)
{
    Rig r;

    rig_start(&r, "--fault reset-ms=5500", NULL);
    fill(&r);
    cxl_reset(&r);
    check_open(&r, 0);
    fill(&r);
    rig_stop(&r);
}

/* -- memory that goes away -- */

static void cut_file(Rig *r, off_t size)
{
    g_assert_cmpint(truncate(r->server->mem_file, size), ==, 0);
}

static void test_sigbus(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    fill(&r);
    cut_file(&r, 0);
    qtest_readq(r.q, VIRT_WINDOW + 4 * MiB);
    wait_failure(&r, "memory-error");
    g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW), ==, ONES);

    /* It comes back with a reset, but only when it is there */
    cxl_reset(&r);
    g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW), ==, ONES);
    cut_file(&r, SIZE);
    cxl_reset(&r);
    check_open(&r, 0);
    fill(&r);
    rig_stop(&r);
}

static void test_sigbus_write(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    fill(&r);
    cut_file(&r, 4096);
    qtest_writeq(r.q, LAST, 1);
    wait_failure(&r, "memory-error");
    g_assert_cmphex(qtest_readq(r.q, LAST), ==, ONES);
    rig_stop(&r);
}

/* Whether it can be looked at is another matter: QEMU must live */
static void look(QTestState *q)
{
    g_free(qtest_hmp(q, "xp /64xg 0x10000000000"));
    qobject_unref(qtest_qmp(q, "{'execute': 'pmemsave', 'arguments': "
                            "{'val': 1099511627776, 'size': 65536, "
                            "'filename': '/dev/null'}}"));
    qobject_unref(qtest_qmp(q, "{'execute': 'memsave', 'arguments': "
                            "{'val': 1099511627776, 'size': 65536, "
                            "'filename': '/dev/null'}}"));
    qobject_unref(qtest_qmp(q, "{'execute': 'dump-guest-memory', "
                            "'arguments': {'paging': false, "
                            "'protocol': 'file:/dev/null', "
                            "'begin': 1099511627776, 'length': 65536}}"));
}

/* QEMU's own looks at the memory, in each state that it can be in */
static void test_monitor(void)
{
    Rig r;
    int state;

    rig_start(&r, NULL, NULL);
    fill(&r);
    for (state = 0; state < 4; state++) {
        if (state == 1) {
            set_command(&r, false);
        } else if (state == 2) {
            set_command(&r, true);
            cut_file(&r, 0);
        }
        look(r.q);
        if (state == 2) {
            wait_failure(&r, "memory-error");
        }
    }
    rig_stop(&r);
}

/* -- a device that is gone -- */

static void test_lost(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    fill(&r);
    kill(r.server->pid, SIGTERM);
    wait_failure(&r, "device-lost");
    g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW), ==, ONES);
    g_assert_cmphex(qtest_readl(r.q, r.m->device), ==, 0xffffffff);
    set_command(&r, false);
    set_command(&r, true);
    g_assert_cmphex(qtest_readq(r.q, LAST), ==, ONES);
    qtest_system_reset(r.q);
    g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW), ==, ONES);

    qtest_qmp_assert_success(r.q, "{'execute': 'device_del',"
                             "'arguments': {'id': 'hdm0'}}");
    vfio_cxl_power_slot(r.m, true);
    vfio_cxl_power_slot(r.m, false);
    qtest_qmp_eventwait(r.q, "DEVICE_DELETED");
    rig_stop(&r);
}

/* A VM that has run is not ended, even when it looks like before its start */
static void test_lost_when_stopped(void)
{
    Rig r;

    rig_start(&r, NULL, NULL);
    qtest_qmp_assert_success(r.q, "{'execute': 'stop'}");
    qtest_system_reset(r.q);
    kill(r.server->pid, SIGTERM);
    wait_failure(&r, "device-lost");
    qtest_system_reset(r.q);
    g_assert_cmphex(qtest_readl(r.q, r.m->device), ==, 0xffffffff);
    qtest_qmp_assert_success(r.q, "{'execute': 'cont'}");
    rig_stop(&r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/vfio/cxl/gate/memory-space", test_memory_space);
    qtest_add_func("/vfio/cxl/gate/memory-space-wide",
                   test_memory_space_wide);
    qtest_add_func("/vfio/cxl/gate/power", test_power);
    qtest_add_func("/vfio/cxl/gate/two-reasons", test_two_reasons);
    qtest_add_func("/vfio/cxl/gate/log", test_log);
    qtest_add_func("/vfio/cxl/reset/flr", test_flr);
    qtest_add_func("/vfio/cxl/reset/cxl", test_cxl_reset);
    qtest_add_func("/vfio/cxl/reset/none", test_no_cxl_reset);
    qtest_add_func("/vfio/cxl/reset/hot", test_hot_reset);
    qtest_add_func("/vfio/cxl/reset/system", test_system_reset);
    qtest_add_func("/vfio/cxl/reset/fails", test_reset_fails);
    qtest_add_func("/vfio/cxl/reset/flr-fails", test_flr_fails);
    qtest_add_func("/vfio/cxl/reset/flr-repairs", test_flr_repairs);
    qtest_add_func("/vfio/cxl/reset/system-fails", test_system_reset_fails);
    qtest_add_func("/vfio/cxl/reset/slow", test_reset_slow);
    qtest_add_func("/vfio/cxl/sigbus/read", test_sigbus);
    qtest_add_func("/vfio/cxl/sigbus/write", test_sigbus_write);
    qtest_add_func("/vfio/cxl/sigbus/monitor", test_monitor);
    qtest_add_func("/vfio/cxl/lost-when-stopped", test_lost_when_stopped);
    qtest_add_func("/vfio/cxl/lost", test_lost);
    return g_test_run();
}
