/*
 * Migration and snapshots of a machine with a CXL Type-2 device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "vfio-cxl-util.h"

#define REASON "a CXL device's HDM cannot be migrated"
#define LIMIT_S 60

/* An address in RAM, and what is there before the machine moves */
#define MARK_AT (VIRT_RAM + MiB)
#define MARK 0x4d6f76656420ull

static void migrate_refused(VFIOCXLMachine *m)
{
    QDict *reply = qtest_qmp(m->qts, "{'execute': 'migrate', 'arguments': "
                             "{'uri': 'exec:cat > /dev/null'}}");

    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(reply, "error"),
                                          "desc"), REASON));
    qobject_unref(reply);
}

static void snapshot_refused(VFIOCXLMachine *m)
{
    g_autofree char *text = qtest_hmp(m->qts, "savevm now");

    g_assert_nonnull(strstr(text, REASON));
}

static void test_blocked(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    migrate_refused(m);
    snapshot_refused(m);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static void wait_completed(QTestState *qts)
{
    gint64 end = g_get_monotonic_time() + LIMIT_S * G_TIME_SPAN_SECOND;
    g_autofree char *status = NULL;

    while (g_strcmp0(status, "completed")) {
        QDict *info = qtest_qmp_assert_success_ref(
            qts, "{'execute': 'query-migrate'}");

        g_free(status);
        status = g_strdup(qdict_get_try_str(info, "status"));
        qobject_unref(info);
        g_assert_cmpstr(status, !=, "failed");
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(G_TIME_SPAN_MILLISECOND);
    }
}

/* Move a machine by way of a file, and go on where it stopped */
static void move(VFIOCXLMachine *from, const char *args)
{
    g_autofree char *dir = g_dir_make_tmp("vfio-cxl-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, "state", NULL);
    g_autofree char *uri = g_strdup_printf("file:%s", file);
    g_autofree char *incoming = g_strdup_printf("%s -incoming %s", args, uri);
    QTestState *to;

    qtest_writeq(from->qts, MARK_AT, MARK);
    qtest_qmp_assert_success(from->qts, "{'execute': 'migrate', "
                             "'arguments': {'uri': %s}}", uri);
    wait_completed(from->qts);
    vfio_cxl_machine_stop(from);

    to = qtest_init(incoming);
    wait_completed(to);
    g_assert_cmphex(qtest_readq(to, MARK_AT), ==, MARK);
    qtest_quit(to);
    g_assert_cmpint(g_unlink(file), ==, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

/* Without its CXL side the device has nothing of ours to stand in the way */
static void test_off(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, "\"cxl\":\"off\"");

    move(vfio_cxl_machine_start(args), args);
    vfio_cxl_server_stop(s);
}

/* The reason goes with the device */
static void test_unplugged(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    g_autofree char *without = vfio_cxl_args(NULL, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    migrate_refused(m);
    qtest_qmp_device_del_send(m->qts, "hdm0");
    vfio_cxl_power_slot(m, false);
    qtest_qmp_eventwait(m->qts, "DEVICE_DELETED");
    move(m, without);
    vfio_cxl_server_stop(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/vfio/cxl/migration/blocked", test_blocked);
    qtest_add_func("/vfio/cxl/migration/off", test_off);
    qtest_add_func("/vfio/cxl/migration/unplugged", test_unplugged);
    return g_test_run();
}
