/*
 * What the monitor tells of CXL when it is asked: x-query-cxl, info cxl
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "qobject/qstring.h"
#include "vfio-cxl-util.h"

#define SIZE (256 * MiB)
#define BRIDGE_HDM (VIRT_CXL_HOST + 0x1128)
#define BRIDGE "/machine/peripheral/cxl.1"
#define GUEST "\"cxl-hdm-commit\":\"guest\""
#define TYPE3 "-object memory-backend-ram,id=t3mem,size=256M "

static QDict *query(QTestState *q)
{
    QDict *response = qtest_qmp(q, "{'execute': 'x-query-cxl'}");
    QDict *info;

    g_assert_true(qdict_haskey(response, "return"));
    info = qobject_ref(qdict_get_qdict(response, "return"));
    qobject_unref(response);
    return info;
}

/* Entry @index of a list, of which there are @count */
static QDict *entry(QDict *from, const char *list, size_t index, size_t count)
{
    const QListEntry *iter = qlist_first(qdict_get_qlist(from, list));

    g_assert_cmpuint(qlist_size(qdict_get_qlist(from, list)), ==, count);
    while (index--) {
        iter = qlist_next(iter);
    }
    return qobject_to(QDict, qlist_entry_obj(iter));
}

/* A list of strings, joined by commas */
static char *joined(QDict *from, const char *list)
{
    GString *text = g_string_new(NULL);
    const QListEntry *iter;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(from, list), iter) {
        g_string_append_printf(text, "%s%s", text->len ? "," : "",
            qstring_get_str(qobject_to(QString, qlist_entry_obj(iter))));
    }
    return g_string_free(text, false);
}

static void check_joined(QDict *from, const char *list, const char *expected)
{
    g_autofree char *text = joined(from, list);

    g_assert_cmpstr(text, ==, expected);
}

static void check_string(QDict *from, const char *name, const char *expected)
{
    g_assert_cmpstr(qdict_get_try_str(from, name), ==, expected);
}

static void check_address(QDict *from, int bus, int slot)
{
    QDict *address = qdict_get_qdict(from, "address");

    g_assert_cmpint(qdict_get_int(address, "bus"), ==, bus);
    g_assert_cmpint(qdict_get_int(address, "slot"), ==, slot);
    g_assert_cmpint(qdict_get_int(address, "function"), ==, 0);
}

/* @state: as 'c' committed, 'l' locked, 'e' error */
static void check_decoder(QDict *component, int index, int count,
                          uint64_t base, uint64_t size, const char *state)
{
    QDict *d = entry(component, "decoders", index, count);

    g_assert_cmpint(qdict_get_int(d, "index"), ==, index);
    g_assert_cmphex(qdict_get_int(d, "base"), ==, base);
    g_assert_cmphex(qdict_get_int(d, "size"), ==, size);
    g_assert_cmpint(qdict_get_bool(d, "committed"), ==, !!strchr(state, 'c'));
    g_assert_cmpint(qdict_get_bool(d, "locked"), ==, !!strchr(state, 'l'));
    g_assert_cmpint(qdict_get_bool(d, "error"), ==, !!strchr(state, 'e'));
    g_assert_false(qdict_get_bool(d, "host-only"));
    g_assert_cmpint(qdict_get_int(d, "interleave-ways"), ==, 1);
    g_assert_cmpint(qdict_get_int(d, "interleave-granularity"), ==, 256);
}

static void check_target(QDict *bridge, int index, int count, int port)
{
    QDict *d = entry(bridge, "decoders", index, count);
    QList *targets = qdict_get_qlist(d, "targets");

    g_assert_cmpuint(qlist_size(targets), ==, 1);
    g_assert_cmpint(qnum_get_int(qobject_to(QNum,
                        qlist_entry_obj(qlist_first(targets)))), ==, port);
    g_assert_false(qdict_haskey(d, "dpa-skip"));
}

/* The device's only range, and why it is out of reach */
static void check_memory(QTestState *q, uint64_t base, const char *blocked)
{
    QDict *info = query(q);
    QDict *device = entry(info, "devices", 0, 1);
    QDict *range;

    g_assert_cmpint(qdict_get_bool(device, "reachable"), ==, !*blocked);
    check_joined(device, "blocked", blocked);
    if (base) {
        range = entry(device, "ranges", 0, 1);
        g_assert_cmphex(qdict_get_int(range, "base"), ==, base);
        g_assert_cmphex(qdict_get_int(range, "size"), ==, SIZE);
        g_assert_cmpint(qdict_get_int(range, "window"), ==, 0);
        g_assert_cmpint(qdict_get_bool(range, "reachable"), ==, !*blocked);
    } else {
        g_assert_true(qlist_empty(qdict_get_qlist(device, "ranges")));
    }
    qobject_unref(info);
}

/* What people see */
static void check_line(const char *text, const char *line)
{
    if (!strstr(text, line)) {
        g_test_message("%s", text);
        g_error("no '%s' in info cxl", line);
    }
}

/* -- a passed-through device -- */

static void test_device(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QDict *info = query(m->qts), *part;

    g_assert_true(qdict_get_bool(info, "enabled"));
    part = entry(info, "windows", 0, 1);
    g_assert_cmpint(qdict_get_int(part, "index"), ==, 0);
    g_assert_cmphex(qdict_get_int(part, "base"), ==, VIRT_WINDOW);
    g_assert_cmphex(qdict_get_int(part, "size"), ==, 4 * GiB);
    g_assert_cmpint(qdict_get_int(part, "interleave-ways"), ==, 1);
    g_assert_cmpint(qdict_get_int(part, "interleave-granularity"), ==, 256);
    check_joined(part, "targets", BRIDGE);
    check_joined(part, "restrictions",
                 "device-coherent,host-only,volatile,persistent");

    part = entry(info, "host-bridges", 0, 1);
    check_string(part, "qom-path", BRIDGE);
    check_string(part, "id", "cxl.1");
    g_assert_cmpint(qdict_get_int(part, "bus"), ==, 12);
    g_assert_cmphex(qdict_get_int(part, "registers"), ==, VIRT_CXL_HOST);
    g_assert_cmphex(qdict_get_int(part, "registers-size"), ==, 64 * KiB);
    g_assert_true(qdict_get_bool(part, "shows-decoders"));
    check_decoder(part, 0, 4, VIRT_WINDOW, SIZE, "cl");
    check_decoder(part, 3, 4, 0, 0, "");
    check_target(part, 0, 4, 7);

    part = entry(info, "ports", 0, 1);
    check_string(part, "id", "rp0");
    check_string(part, "parent", BRIDGE);
    g_assert_cmpint(qdict_get_int(part, "number"), ==, 7);
    check_address(part, 12, 0);
    g_assert_true(qlist_empty(qdict_get_qlist(info, "switches")));

    part = entry(info, "devices", 0, 1);
    check_string(part, "id", "hdm0");
    check_string(part, "qom-path", "/machine/peripheral/hdm0");
    check_string(part, "type", "vfio-user-pci");
    check_string(part, "port", "/machine/peripheral/rp0");
    check_string(part, "backing", "server");
    check_string(part, "source", s->socket);
    check_string(part, "commit", "firmware");
    check_address(part, 13, 0);
    g_assert_cmphex(qdict_get_int(part, "hdm-size"), ==, SIZE);
    g_assert_true(qdict_get_bool(part, "hdm-enabled"));
    check_decoder(part, 0, 1, VIRT_WINDOW, SIZE, "cl");
    g_assert_cmphex(qdict_get_int(entry(part, "decoders", 0, 1), "dpa-skip"),
                    ==, 0);
    qobject_unref(info);

    check_memory(m->qts, VIRT_WINDOW, "");
    qtest_writew(m->qts, m->device + PCI_COMMAND, 0);
    check_memory(m->qts, VIRT_WINDOW, "memory-space");
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* As plain PCIe device it is none of CXL's */
static void test_plain(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, "\"cxl\":\"off\"");
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QDict *info = query(m->qts), *bridge;

    g_assert_true(qlist_empty(qdict_get_qlist(info, "devices")));
    bridge = entry(info, "host-bridges", 0, 1);
    g_assert_false(qdict_get_bool(bridge, "shows-decoders"));
    g_assert_true(qlist_empty(qdict_get_qlist(bridge, "decoders")));
    qobject_unref(info);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static void test_guest_commits(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, VFIO_CXL_PORT_9, GUEST);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    QDict *info;

    check_memory(q, 0, "decoder");
    /* Nothing leads there yet: refused, which the decoder tells */
    qtest_writel(q, m->hdm_block + HDM_GLOBAL, 2);
    vfio_cxl_commit(q, m->hdm_block, VIRT_WINDOW + SIZE, SIZE, 0, 0x200);
    info = query(q);
    check_decoder(entry(info, "devices", 0, 1), 0, 1, VIRT_WINDOW + SIZE,
                  SIZE, "e");
    check_string(entry(info, "devices", 0, 1), "commit", "guest");
    qobject_unref(info);

    vfio_cxl_commit(q, BRIDGE_HDM, VIRT_WINDOW + SIZE, SIZE, 7, 0x200);
    vfio_cxl_commit(q, m->hdm_block, VIRT_WINDOW + SIZE, SIZE, 0, 0x200);
    check_memory(q, VIRT_WINDOW + SIZE, "");
    qtest_writel(q, BRIDGE_HDM + HDM_CTRL, 0);
    check_memory(q, VIRT_WINDOW + SIZE, "decoder");
    qtest_writew(q, m->device + PCI_COMMAND, 0);
    check_memory(q, VIRT_WINDOW + SIZE, "decoder,memory-space");
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* -- emulated devices, and none -- */

static void test_type3(void)
{
    g_autofree char *args = vfio_cxl_args(NULL, NULL, TYPE3
        "-device cxl-type3,bus=rp0,volatile-memdev=t3mem,id=t3", NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    QDict *info = query(q), *part = entry(info, "devices", 0, 1);

    check_string(part, "id", "t3");
    check_string(part, "type", "cxl-type3");
    check_string(part, "backing", "emulated");
    check_string(part, "commit", "guest");
    check_string(part, "source", NULL);
    g_assert_cmphex(qdict_get_int(part, "hdm-size"), ==, SIZE);
    check_decoder(part, 0, 4, 0, 0, "");
    part = entry(info, "host-bridges", 0, 1);
    g_assert_false(qdict_get_bool(part, "shows-decoders"));
    qobject_unref(info);
    check_memory(q, 0, "decoder");

    vfio_cxl_commit(q, m->hdm_block, VIRT_WINDOW, SIZE, 0, 0x200);
    check_memory(q, VIRT_WINDOW, "");
    qtest_writel(q, m->hdm_block + HDM_CTRL, 0);
    check_memory(q, 0, "decoder");
    vfio_cxl_machine_stop(m);
}

/* A bridge with decoders has to lead there too */
static void test_type3_bridge(void)
{
    g_autofree char *args = vfio_cxl_args(NULL, NULL, TYPE3
        VFIO_CXL_PORT_9
        "-device cxl-type3,bus=rp0,volatile-memdev=t3mem,id=t3", NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    QDict *info;

    vfio_cxl_commit(q, m->hdm_block, VIRT_WINDOW + SIZE, SIZE, 0, 0x200);
    check_memory(q, VIRT_WINDOW + SIZE, "decoder");
    vfio_cxl_commit(q, BRIDGE_HDM, VIRT_WINDOW + SIZE, SIZE, 9, 0x200);
    check_memory(q, VIRT_WINDOW + SIZE, "decoder");
    qtest_writel(q, BRIDGE_HDM + HDM_CTRL, 0);
    vfio_cxl_commit(q, BRIDGE_HDM, VIRT_WINDOW + SIZE, SIZE, 7, 0x200);
    check_memory(q, VIRT_WINDOW + SIZE, "");
    info = query(q);
    check_decoder(entry(info, "host-bridges", 0, 1), 0, 4,
                  VIRT_WINDOW + SIZE, SIZE, "c");
    check_target(entry(info, "host-bridges", 0, 1), 0, 4, 7);
    qobject_unref(info);
    vfio_cxl_machine_stop(m);
}

/* Whatever a guest writes there is shown, and nothing is read beyond it */
static void test_type3_odd(void)
{
    g_autofree char *args = vfio_cxl_args(NULL, NULL, TYPE3
        VFIO_CXL_PORT_9
        "-device cxl-type3,bus=rp0,volatile-memdev=t3mem,id=t3", NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    uint64_t blocks[] = { m->hdm_block, BRIDGE_HDM };
    g_autofree char *text = NULL;
    QTestState *q = m->qts;
    uint32_t code;
    int i;

    for (code = 0; code < 0x100; code++) {
        for (i = 0; i < ARRAY_SIZE(blocks); i++) {
            qtest_writel(q, blocks[i] + HDM_CTRL, 0);
            vfio_cxl_commit(q, blocks[i], VIRT_WINDOW + 4 * GiB - SIZE, SIZE,
                            ~0u, 0x200 | code);
        }
        qobject_unref(query(q));
        qtest_readl(q, VIRT_WINDOW + 4 * GiB - 4);
    }

    /* The same for people: two ways in window 0, then outside of it */
    qtest_writel(q, m->hdm_block + HDM_CTRL, 0);
    vfio_cxl_commit(q, m->hdm_block, VIRT_WINDOW, SIZE, SIZE, 0x210);
    text = qtest_hmp(q, "info cxl");
    check_line(text, "committed, 2 ways of 256 bytes, skips 0x10000000");
    check_line(text, "in window 0, NOT REACHABLE");
    g_free(g_steal_pointer(&text));
    qtest_writel(q, m->hdm_block + HDM_CTRL, 0);
    vfio_cxl_commit(q, m->hdm_block, VIRT_WINDOW + 4 * GiB, SIZE, 0, 0x200);
    text = qtest_hmp(q, "info cxl");
    check_line(text, "in no window, NOT REACHABLE");
    vfio_cxl_machine_stop(m);
}

static void test_switch(void)
{
    g_autofree char *args = vfio_cxl_args(NULL, NULL, TYPE3
        "-device cxl-upstream,bus=rp0,id=us0 "
        "-device cxl-downstream,port=3,bus=us0,id=ds0,chassis=0,slot=4 "
        "-device cxl-type3,bus=ds0,volatile-memdev=t3mem,id=t3", NULL);
    QTestState *q = qtest_init(args);
    QDict *info = query(q), *part = entry(info, "switches", 0, 1);

    check_string(part, "id", "us0");
    check_string(part, "port", "/machine/peripheral/rp0");
    check_decoder(part, 0, 4, 0, 0, "");
    part = entry(info, "ports", 1, 2);
    check_string(part, "id", "ds0");
    check_string(part, "parent", "/machine/peripheral/us0");
    g_assert_cmpint(qdict_get_int(part, "number"), ==, 3);
    part = entry(info, "devices", 0, 1);
    check_string(part, "port", "/machine/peripheral/ds0");
    qobject_unref(info);
    qtest_quit(q);
}

/* An interleaved window, by both of its bridges */
static void test_two_bridges(void)
{
    g_autofree char *args = vfio_cxl_args(NULL,
        "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=1G,"
        "cxl-fmw.1.targets.0=cxl.2,cxl-fmw.1.targets.1=cxl.1,"
        "cxl-fmw.1.size=2G,cxl-fmw.1.interleave-granularity=8k",
        "-device pxb-cxl,bus_nr=2,bus=pcie.0,id=cxl.2", NULL);
    QTestState *q = qtest_init(args);
    QDict *info = query(q), *part = entry(info, "windows", 1, 2);
    g_autofree char *text = NULL;

    g_assert_cmphex(qdict_get_int(part, "base"), ==, VIRT_WINDOW + GiB);
    g_assert_cmpint(qdict_get_int(part, "interleave-ways"), ==, 2);
    g_assert_cmpint(qdict_get_int(part, "interleave-granularity"), ==, 8192);
    check_joined(part, "targets", "/machine/peripheral/cxl.2," BRIDGE);
    check_string(entry(info, "host-bridges", 0, 2), "id", "cxl.2");
    check_string(entry(info, "host-bridges", 1, 2), "id", "cxl.1");
    text = qtest_hmp(q, "info cxl");
    check_line(text, "to cxl.2 cxl.1, 2 ways of 8192 bytes");
    qobject_unref(info);
    qtest_quit(q);
}

static void test_none(void)
{
    static const char *const machines[] = {
        "-machine none", "-machine virt,cxl=off",
        "-machine virt,cxl=on", "-machine raspi3b",
    };
    static const char *const lists[] = {
        "windows", "host-bridges", "ports", "switches", "devices",
    };
    int i, n;

    for (i = 0; i < ARRAY_SIZE(machines); i++) {
        g_autofree char *text = NULL;
        QTestState *q = qtest_init(machines[i]);
        QDict *info = query(q);

        g_assert_cmpint(qdict_get_bool(info, "enabled"), ==,
                        !!strstr(machines[i], "cxl=on"));
        for (n = 0; n < ARRAY_SIZE(lists); n++) {
            g_assert_true(qlist_empty(qdict_get_qlist(info, lists[n])));
        }
        qobject_unref(info);
        text = qtest_hmp(q, "info cxl");
        g_assert_cmpint(!!strstr(text, "CXL is off"), ==,
                        !strstr(machines[i], "cxl=on"));
        qtest_quit(q);
    }
}

/* -- for people -- */

static void test_hmp(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, TYPE3
        VFIO_CXL_PORT_9
        "-device cxl-upstream,bus=rp1,id=us0 "
        "-device cxl-downstream,port=3,bus=us0,id=ds0,chassis=0,slot=4 "
        "-device cxl-type3,bus=ds0,volatile-memdev=t3mem,id=t3", NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    g_autofree char *text = qtest_hmp(m->qts, "info cxl");

    check_line(text, "window 0: 0x10000000000-0x100ffffffff (4 GiB), "
               "to cxl.1");
    check_line(text, "host bridge cxl.1: bus 0xc, registers "
               "0x4004000000-0x400400ffff (64 KiB)");
    check_line(text, "  decoder 0: 0x10000000000-0x1000fffffff (256 MiB), "
               "committed, locked, target port 7");
    check_line(text, "  3 decoders unused");
    check_line(text, "  port 7: rp0 at 0c:00.0");
    check_line(text, "    device hdm0 (vfio-user-pci) at 0d:00.0: 256 MiB, "
               "server ");
    check_line(text, "      memory: 0x10000000000-0x1000fffffff (256 MiB) in "
               "window 0, reachable");
    check_line(text, "    switch us0 at ");
    check_line(text, "        device t3 (cxl-type3) at ");
    check_line(text, "          blocked by: decoder");
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* A guest may have tried to commit nothing */
static void test_hmp_empty(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, GUEST);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    g_autofree char *text = NULL;

    vfio_cxl_commit(m->qts, m->hdm_block, VIRT_WINDOW, 0, 0, 0x200);
    text = qtest_hmp(m->qts, "info cxl");
    check_line(text, "decoder 0: 0x10000000000 (0 B), not committed, ERROR");
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/vfio/cxl/query/device", test_device);
    qtest_add_func("/vfio/cxl/query/plain", test_plain);
    qtest_add_func("/vfio/cxl/query/guest-commits", test_guest_commits);
    qtest_add_func("/vfio/cxl/query/type3", test_type3);
    qtest_add_func("/vfio/cxl/query/type3-bridge", test_type3_bridge);
    qtest_add_func("/vfio/cxl/query/type3-odd", test_type3_odd);
    qtest_add_func("/vfio/cxl/query/switch", test_switch);
    qtest_add_func("/vfio/cxl/query/two-bridges", test_two_bridges);
    qtest_add_func("/vfio/cxl/query/none", test_none);
    qtest_add_func("/vfio/cxl/query/hmp", test_hmp);
    qtest_add_func("/vfio/cxl/query/hmp-empty", test_hmp_empty);
    return g_test_run();
}
