/*
 * What the monitor tells of CXL unasked: CXL_HDM_CHANGE, and how often
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "vfio-cxl-util.h"

#define SIZE (256 * MiB)
#define BRIDGE_HDM (VIRT_CXL_HOST + 0x1128)
#define GUEST "\"cxl-hdm-commit\":\"guest\""

/* More than the second for which events are held back */
#define HOLD_NS (1100 * 1000 * 1000ll)

static void check_change(QTestState *q, bool reachable, uint64_t base,
                         const char *reason)
{
    QDict *event = qtest_qmp_eventwait_ref(q, "CXL_HDM_CHANGE");
    QDict *data = qdict_get_qdict(event, "data");

    g_assert_cmpstr(qdict_get_str(data, "device"), ==, "hdm0");
    g_assert_cmpstr(qdict_get_str(data, "path"), ==,
                    "/machine/peripheral/hdm0");
    g_assert_cmpstr(qdict_get_str(data, "reason"), ==, reason);
    g_assert_cmpint(qdict_get_bool(data, "reachable"), ==, reachable);
    g_assert_cmphex(qdict_get_int(data, "base"), ==, base);
    g_assert_cmphex(qdict_get_int(data, "size"), ==, SIZE);
    qobject_unref(event);
    qtest_clock_step(q, HOLD_NS);
}

static void check_no_change(QTestState *q)
{
    qtest_clock_step(q, HOLD_NS);
    /* What an event comes before, if there is one */
    qtest_qmp_assert_success(q, "{'execute': 'query-status'}");
    g_assert_null(qtest_qmp_event_ref(q, "CXL_HDM_CHANGE"));
}

static void test_passthrough(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    uint64_t command = m->device + PCI_COMMAND;
    int i;

    check_change(q, true, VIRT_WINDOW, "memory-space");
    qtest_writew(q, command, 0);
    check_change(q, false, VIRT_WINDOW, "memory-space");
    /* Closed is closed, for whatever reason */
    qtest_writew(q, m->device + 0x44, 3);
    check_no_change(q);
    qtest_writew(q, command, PCI_COMMAND_MEMORY);
    check_no_change(q);
    qtest_writew(q, m->device + 0x44, 0);
    check_change(q, true, VIRT_WINDOW, "power");

    /* A guest that floods: the first, and the last when a second is over */
    for (i = 0; i < 100; i++) {
        qtest_writew(q, command, 0);
        qtest_writew(q, command, PCI_COMMAND_MEMORY);
    }
    check_change(q, false, VIRT_WINDOW, "memory-space");
    check_change(q, true, VIRT_WINDOW, "memory-space");
    check_no_change(q);

    /* A CXL reset takes it for a moment */
    qtest_writew(q, m->device + vfio_cxl_find_dvsec(m, 0) + 0x10, 1 << 2);
    check_change(q, false, VIRT_WINDOW, "reset");
    check_change(q, true, VIRT_WINDOW, "reset");

    /* A bus reset begins with Memory Space off, and leaves it so */
    vfio_cxl_bus_reset(m);
    check_change(q, false, VIRT_WINDOW, "memory-space");
    check_no_change(q);
    vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
    check_change(q, true, VIRT_WINDOW, "memory-space");

    qtest_qmp_assert_success(q, "{'execute': 'device_del',"
                             "'arguments': {'id': 'hdm0'}}");
    vfio_cxl_power_slot(m, false);
    check_change(q, false, VIRT_WINDOW, "unplug");
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* The memory moves with what the guest commits, in bridge and device */
static void test_guest_commits(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, VFIO_CXL_PORT_9, GUEST);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;

    check_no_change(q);
    qtest_writel(q, m->hdm_block + HDM_GLOBAL, 2);
    vfio_cxl_commit(q, BRIDGE_HDM, VIRT_WINDOW + SIZE, SIZE, 7, 0x200);
    check_no_change(q);
    vfio_cxl_commit(q, m->hdm_block, VIRT_WINDOW + SIZE, SIZE, 0, 0x200);
    check_change(q, true, VIRT_WINDOW + SIZE, "decoder");
    qtest_writel(q, BRIDGE_HDM + HDM_CTRL, 0);
    check_change(q, false, VIRT_WINDOW + SIZE, "decoder");
    qtest_writel(q, BRIDGE_HDM + HDM_CTRL, 0x200);
    check_change(q, true, VIRT_WINDOW + SIZE, "decoder");
    qtest_writel(q, m->hdm_block + HDM_CTRL, 0);
    check_change(q, false, VIRT_WINDOW + SIZE, "decoder");
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static void test_lost(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    check_change(m->qts, true, VIRT_WINDOW, "memory-space");
    vfio_cxl_server_stop(s);
    check_change(m->qts, false, VIRT_WINDOW, "device-lost");
    vfio_cxl_machine_stop(m);
}

/* A guest that goes on resetting a device whose resets fail */
static void test_failures(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--fault reset-fails");
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    uint64_t control = m->device + vfio_cxl_find_dvsec(m, 0) + 0x10;
    QTestState *q = m->qts;

    /* The machine's own reset failed as well */
    qtest_clock_step(q, HOLD_NS);
    qtest_writew(q, control, 1 << 2);
    qtest_qmp_eventwait(q, "CXL_HDM_FAILURE");
    qtest_writew(q, control, 1 << 2);
    qtest_qmp_assert_success(q, "{'execute': 'query-status'}");
    g_assert_null(qtest_qmp_event_ref(q, "CXL_HDM_FAILURE"));
    qtest_clock_step(q, HOLD_NS);
    qtest_qmp_eventwait(q, "CXL_HDM_FAILURE");
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/vfio/cxl/event/passthrough", test_passthrough);
    qtest_add_func("/vfio/cxl/event/guest-commits", test_guest_commits);
    qtest_add_func("/vfio/cxl/event/lost", test_lost);
    qtest_add_func("/vfio/cxl/event/failures", test_failures);
    return g_test_run();
}
