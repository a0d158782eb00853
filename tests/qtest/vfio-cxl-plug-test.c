/*
 * CXL devices that are plugged while the guest runs: what a guest that reads
 * a bridge's decoders once can use, and devices that fail while plugged
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/atomic.h"
#include "qobject/qdict.h"
#include "vfio-cxl-util.h"

#define SIZE (256 * MiB)
#define BRIDGE_HDM (VIRT_CXL_HOST + 0x1128)
#define PATTERN 0x1122334455667788ull

/* A decoder that leads to one of the ports above, or to none */
static void check_decoder(VFIOCXLMachine *m, int decoder, uint32_t port,
                          uint64_t offset)
{
    uint64_t d = BRIDGE_HDM + decoder * HDM_NEXT;

    g_assert_cmphex(qtest_readl(m->qts, d + HDM_CTRL), ==,
                    port ? HDM_CTRL_LOCKED : 0);
    g_assert_cmphex(qtest_readl(m->qts, d + HDM_TARGET_LO), ==, port);
    g_assert_cmphex(qtest_readl(m->qts, d + HDM_BASE_LO), ==, offset);
    g_assert_cmphex(qtest_readl(m->qts, d + HDM_BASE_HI), ==,
                    port ? VIRT_WINDOW >> 32 : 0);
}

static QDict *plug(VFIOCXLMachine *m, const VFIOCXLServer *s,
                   const char *port, uint64_t offset)
{
    return qtest_qmp(m->qts,
        "{'execute': 'device_add', 'arguments': {'driver': 'vfio-user-pci',"
        "'id': %s, 'bus': %s, 'cxl-hdm-offset': %" PRIu64 ","
        "'socket': {'type': 'unix', 'path': %s}}}", port + 1, port, offset,
        s->socket);
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

/* What was plugged below rp0 goes */
static void unplug(VFIOCXLMachine *m, const char *id)
{
    vfio_cxl_power_slot(m, true);
    qtest_qmp_assert_success(m->qts, "{'execute': 'device_del',"
                             "'arguments': {'id': %s}}", id);
    vfio_cxl_power_slot(m, false);
    qtest_qmp_eventwait(m->qts, "DEVICE_DELETED");
}

static void check_there(VFIOCXLMachine *m, const VFIOCXLServer *s,
                        uint64_t offset)
{
    uint64_t *mem = vfio_cxl_server_mem(s, SIZE);

    qtest_writeq(m->qts, VIRT_WINDOW + offset, PATTERN + offset);
    g_assert_cmphex(qatomic_read(&mem[0]), ==, PATTERN + offset);
    munmap(mem, SIZE);
}

static void check_nothing_there(VFIOCXLMachine *m, uint64_t offset)
{
    g_assert_cmphex(qtest_readq(m->qts, VIRT_WINDOW + offset), ==,
                    UINT64_MAX);
}

/* A bridge without an endpoint: the first one gets a decoder, no other */
static void test_first(void)
{
    VFIOCXLServer *a = vfio_cxl_server_start(NULL);
    VFIOCXLServer *b = vfio_cxl_server_start(NULL);
    VFIOCXLServer *large = vfio_cxl_server_start("--hdm-size 512M");
    g_autofree char *args = vfio_cxl_args(NULL, NULL, VFIO_CXL_PORT_9, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    const uint64_t none = UINT64_MAX;

    check_plugged(plug(m, a, "rp0", none));
    check_decoder(m, 0, 7, 0);
    check_refused(plug(m, b, "rp1", none), "'cxl.1' has had a CXL device "
                  "since its reset, and guests read decoders only then: "
                  "start with hdm-reserve=256M on port 'rp1'");
    check_decoder(m, 1, 0, 0);
    vfio_cxl_power_slot(m, true);
    vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
    check_there(m, a, 0);

    /* The decoder outlives the device: it fits another of its size there */
    unplug(m, "p0");
    check_decoder(m, 0, 7, 0);
    check_nothing_there(m, 0);
    check_nothing_there(m, SIZE - 8);
    check_refused(plug(m, b, "rp1", none), "plug the device below port 'rp0',"
                  " which decoder 0 leads to with 256M");
    check_refused(plug(m, large, "rp1", none), "hdm-reserve=512M on port "
                  "'rp1', or plug the device below a pxb-cxl");
    check_refused(plug(m, large, "rp0", none), "decoder 0 of host bridge "
                  "'cxl.1' is locked to 256M of HDM for port 'rp0' until the "
                  "next reset, but the device has 512M");
    check_refused(plug(m, b, "rp0", SIZE), "is locked to 0x10000000000");
    check_refused(qtest_qmp(m->qts, "{'execute': 'device_add', 'arguments': {"
        "'driver': 'vfio-user-pci', 'bus': 'rp0', 'cxl-hdm-commit': 'guest',"
        "'socket': {'type': 'unix', 'path': %s}}}", b->socket),
        "decoder 0 of host bridge 'cxl.1' is locked to port 'rp0'");
    check_decoder(m, 1, 0, 0);
    check_plugged(plug(m, b, "rp0", 0));
    vfio_cxl_power_slot(m, true);
    vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
    check_there(m, b, 0);

    /* The reset of the bridge ends what nobody has */
    unplug(m, "p0");
    qtest_system_reset(m->qts);
    check_decoder(m, 0, 0, 0);
    g_assert_cmphex(qtest_readq(m->qts, VIRT_WINDOW), ==, 0);
    check_plugged(plug(m, large, "rp1", SIZE));
    check_decoder(m, 0, 9, SIZE);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(large);
    vfio_cxl_server_stop(b);
    vfio_cxl_server_stop(a);
}

static uint32_t hdm_capability_id(VFIOCXLMachine *m)
{
    uint64_t cm = VIRT_CXL_HOST + 0x1000;
    uint32_t header = qtest_readl(m->qts, cm);
    int i;

    for (i = 1; i <= header >> 24; i++) {
        uint32_t cap = qtest_readl(m->qts, cm + i * 4);

        if (cap >> 20 == 0x128) {
            return cap & 0xffff;
        }
    }
    g_assert_not_reached();
}

/* A bridge that shows no decoders does so until its reset */
static void test_no_decoders(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(NULL, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    g_assert_cmphex(hdm_capability_id(m), ==, 0);
    check_refused(plug(m, s, "rp0", UINT64_MAX), "shows no HDM decoders until "
                  "the next reset, so that no guest can use HDM which is "
                  "plugged now: start with hdm-reserve=256M on port 'rp0', or "
                  "with hdm_for_passthrough=on on the pxb-cxl");
    g_assert_cmphex(hdm_capability_id(m), ==, 0);
    check_decoder(m, 0, 0, 0);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* An emulated memory device makes a guest read the decoders as well */
static void test_other_endpoint(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(NULL, NULL, VFIO_CXL_PORT_9
        "-object memory-backend-ram,id=t3mem,size=256M "
        "-object memory-backend-ram,id=t3again,size=256M "
        "-device cxl-type3,bus=rp0,volatile-memdev=t3mem,id=p0", NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    int i;

    for (i = 0; i < 2; i++) {
        check_refused(plug(m, s, "rp1", UINT64_MAX), "'cxl.1' has had a CXL "
                      "device since its reset");
        if (i == 0) {
            unplug(m, "p0");
        }
    }
    qtest_system_reset(m->qts);
    qtest_qmp_assert_success(m->qts, "{'execute': 'device_add', 'arguments': {"
        "'driver': 'cxl-type3', 'bus': 'rp0', 'volatile-memdev': 't3again',"
        "'id': 'p0'}}");
    unplug(m, "p0");
    check_refused(plug(m, s, "rp1", UINT64_MAX), "'cxl.1' has had a CXL "
                  "device since its reset");
    qtest_system_reset(m->qts);
    check_plugged(plug(m, s, "rp1", UINT64_MAX));
    check_decoder(m, 0, 9, 0);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/*
 * A place asked for must be above what lower decoders decode.  In units of
 * SIZE:
 */
static void test_offset(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(NULL, NULL, VFIO_CXL_PORT_9, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    /* What a guest committed at 2 is in the way of all below it */
    g_assert_cmphex(vfio_cxl_commit(m->qts, BRIDGE_HDM, VIRT_WINDOW + 2 * SIZE,
                                    SIZE, 9, 0x200), ==, 0x600);
    check_refused(plug(m, s, "rp0", 0), "decoders must decode ascending "
                  "addresses: choose 0x30000000 or a higher offset");
    check_refused(plug(m, s, "rp0", 2 * SIZE), "choose 0x30000000");
    check_refused(plug(m, s, "rp0", 16 * (uint64_t)SIZE), "use a lower offs");
    check_refused(plug(m, s, "rp0", SIZE / 2), "must be a multiple of 256");
    check_decoder(m, 1, 0, 0);
    check_plugged(plug(m, s, "rp0", 15 * (uint64_t)SIZE));
    check_decoder(m, 1, 7, 15 * (uint64_t)SIZE);

    /* a reset programs all of QEMU's in order, and none of the guest's */
    qtest_system_reset(m->qts);
    check_decoder(m, 0, 7, 15 * (uint64_t)SIZE);
    check_decoder(m, 1, 0, 0);
    vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
    check_there(m, s, 15 * (uint64_t)SIZE);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* The end of the window is a place as well, before the guest runs */
static void test_offset_cold(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL,
                                          "\"cxl-hdm-offset\":4026531840");
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    check_decoder(m, 0, 7, 4 * GiB - SIZE);
    check_there(m, s, 4 * GiB - SIZE);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static void test_no_decoder_left(void)
{
    g_autoptr(GString) more = g_string_new(NULL);
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = NULL;
    VFIOCXLMachine *m;
    int i;

    for (i = 1; i < 5; i++) {
        g_string_append_printf(more, "-device cxl-rp,port=%d,bus=cxl.1,"
            "id=more%d,chassis=0,slot=%d,hdm-reserve=256M ", 20 + i, i,
            20 + i);
    }
    args = vfio_cxl_args(NULL, NULL, more->str, NULL);
    m = vfio_cxl_machine_start(args);
    check_refused(plug(m, s, "rp0", UINT64_MAX),
                  "'cxl.1' has 4 HDM decoders and all are taken");
    for (i = 0; i < 4; i++) {
        check_decoder(m, i, 21 + i, i * SIZE);
    }
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* A device that is refused leaves nothing behind */
static void test_ports_alike(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(NULL, NULL,
        "-device cxl-rp,port=7,bus=cxl.1,id=rp1,chassis=0,slot=3", NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    check_refused(plug(m, s, "rp0", UINT64_MAX), "both have port number 7");
    check_decoder(m, 0, 0, 0);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static void test_multifunction(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(NULL, NULL, VFIO_CXL_DECODERS,
                                          NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    check_refused(qtest_qmp(m->qts,
        "{'execute': 'device_add', 'arguments': {'driver': 'vfio-user-pci',"
        "'bus': 'rp0', 'multifunction': true, 'socket': {'type': 'unix',"
        "'path': %s}}}", s->socket), "it must be the only function");
    check_decoder(m, 0, 0, 0);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* Who commits is chosen before the device is there, and can be read */
static void test_commit_property(const void *mode)
{
    g_autofree char *member = g_strdup_printf("\"cxl-hdm-commit\":\"%s\"",
                                              (const char *)mode);
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, member);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    int i;

    for (i = 0; i < 2; i++) {
        QDict *reply = qtest_qmp(m->qts, "{'execute': 'qom-get', 'arguments':"
            "{'path': '/machine/peripheral/hdm0',"
            "'property': 'cxl-hdm-commit'}}");

        g_assert_cmpstr(qdict_get_str(reply, "return"), ==, mode);
        qobject_unref(reply);
        check_refused(qtest_qmp(m->qts, "{'execute': 'qom-set', 'arguments':"
            "{'path': '/machine/peripheral/hdm0', 'property':"
            "'cxl-hdm-commit', 'value': %s}}", i ? "guest" : "firmware"),
            "cannot be set after the device is realized");
    }
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/*
 * The server goes at each request in turn while the device comes: the guest
 * runs on, and nothing is left of it.
 */
static void test_server_dies(const void *data)
{
    const char *fault = data;
    g_autofree char *args = vfio_cxl_args(NULL, NULL, VFIO_CXL_DECODERS,
                                          NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    bool plugged = false;
    unsigned int n;

    for (n = 1; n < 200 && !plugged; n++) {
        g_autofree char *options = g_strdup_printf("--fault close-at=%u %s",
                                                   n, fault);
        VFIOCXLServer *s = vfio_cxl_server_start(options);
        QDict *reply = plug(m, s, "rp0", UINT64_MAX);

        plugged = !qdict_haskey(reply, "error");
        if (!plugged) {
            check_decoder(m, 0, 0, 0);
        }
        qobject_unref(reply);
        vfio_cxl_server_stop(s);
        if (*fault && n == 60) {
            break;              /* that one never comes */
        }
    }
    g_test_message("%u requests", n);
    g_assert_cmpuint(n, >, 20);
    g_assert_true(plugged == !*fault);
    vfio_cxl_machine_stop(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/vfio/cxl/plug/first", test_first);
    qtest_add_func("/vfio/cxl/plug/no-decoders", test_no_decoders);
    qtest_add_func("/vfio/cxl/plug/other-endpoint", test_other_endpoint);
    qtest_add_func("/vfio/cxl/plug/offset", test_offset);
    qtest_add_func("/vfio/cxl/plug/offset-cold", test_offset_cold);
    qtest_add_func("/vfio/cxl/plug/no-decoder-left", test_no_decoder_left);
    qtest_add_func("/vfio/cxl/plug/ports-alike", test_ports_alike);
    qtest_add_func("/vfio/cxl/plug/multifunction", test_multifunction);
    qtest_add_data_func("/vfio/cxl/plug/commit-firmware", "firmware",
                        test_commit_property);
    qtest_add_data_func("/vfio/cxl/plug/commit-guest", "guest",
                        test_commit_property);
    qtest_add_data_func("/vfio/cxl/plug/server-dies", "", test_server_dies);
    qtest_add_data_func("/vfio/cxl/plug/server-dies-explaining",
                        "--fault cap-loop=9", test_server_dies);
    return g_test_run();
}
