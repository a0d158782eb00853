/*
 * Who commits HDM decoders, and what they may decode: the guest that
 * programs them itself, the rules of a host bridge, places asked for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qobject/qdict.h"
#include "vfio-cxl-util.h"

#define SIZE (256 * MiB)
#define BRIDGE_HDM (VIRT_CXL_HOST + 0x1128)
#define PATTERN 0x1122334455667788ull

enum {
    CTRL_LOCK = 1 << 8, CTRL_COMMIT = 1 << 9, CTRL_COMMITTED = 1 << 10,
    CTRL_ERR = 1 << 11, CTRL_OK = CTRL_COMMIT | CTRL_COMMITTED,
    CTRL_REFUSED = CTRL_COMMIT | CTRL_ERR, CTRL_IW_2 = 1 << 4,
};

#define GUEST "\"cxl-hdm-commit\":\"guest\""

/* It is on nearly every line */
#define commit vfio_cxl_commit

static void uncommit(QTestState *q, uint64_t decoder)
{
    qtest_writel(q, decoder + HDM_CTRL, 0);
    g_assert_cmphex(qtest_readl(q, decoder + HDM_CTRL), ==, 0);
}

static void check_there(VFIOCXLMachine *m, const VFIOCXLServer *s,
                        uint64_t base, uint64_t value)
{
    uint64_t *mem = vfio_cxl_server_mem(s, SIZE);

    qtest_writeq(m->qts, base, value);
    qtest_writeq(m->qts, base + SIZE - 8, ~value);
    g_assert_cmphex(qatomic_read(&mem[0]), ==, value);
    g_assert_cmphex(qatomic_read(&mem[SIZE / 8 - 1]), ==, ~value);
    munmap(mem, SIZE);
}

static void check_nothing(VFIOCXLMachine *m, uint64_t base)
{
    qtest_writeq(m->qts, base, PATTERN);
    g_assert_cmphex(qtest_readq(m->qts, base), !=, PATTERN);
}

/* -- the guest commits; the bridge has one port and no decoders -- */

static void test_guest(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, GUEST);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    uint64_t d = m->hdm_block;
    int i;

    g_assert_cmphex(qtest_readl(q, d + HDM_GLOBAL), ==, 0);
    g_assert_cmphex(qtest_readl(q, d + HDM_CTRL), ==, 0);
    check_nothing(m, VIRT_WINDOW);
    /* The bridge stays without decoders */
    g_assert_cmphex(qtest_readl(q, VIRT_CXL_HOST + 0x100c) & 0xffff, ==, 0);

    /* Committed and not enabled is not there yet */
    g_assert_cmphex(commit(q, d, VIRT_WINDOW + SIZE, SIZE, 0, CTRL_COMMIT),
                    ==, CTRL_OK);
    check_nothing(m, VIRT_WINDOW + SIZE);
    qtest_writel(q, d + HDM_GLOBAL, 2);
    check_there(m, s, VIRT_WINDOW + SIZE, 1);

    /* Again and again, somewhere else */
    for (i = 0; i < 16; i++) {
        uint64_t base = VIRT_WINDOW + (uint64_t)(i * 7 % 16) * SIZE;

        uncommit(q, d);
        check_nothing(m, base);
        g_assert_cmphex(commit(q, d, base, SIZE, 0, CTRL_COMMIT), ==,
                        CTRL_OK);
        check_there(m, s, base, i + 2);
    }

    /* A reset takes it away, and the guest can begin anew */
    qtest_system_reset(q);
    vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
    g_assert_cmphex(qtest_readl(q, d + HDM_CTRL), ==, 0);
    check_nothing(m, VIRT_WINDOW);
    qtest_writel(q, d + HDM_GLOBAL, 2);
    g_assert_cmphex(commit(q, d, VIRT_WINDOW, SIZE, 0,
                           CTRL_COMMIT | CTRL_LOCK), ==, HDM_CTRL_LOCKED);
    check_there(m, s, VIRT_WINDOW, 99);
    qtest_writel(q, d + HDM_CTRL, 0);
    g_assert_cmphex(qtest_readl(q, d + HDM_CTRL), ==, HDM_CTRL_LOCKED);
    check_there(m, s, VIRT_WINDOW, 100);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* A CXL reset and a hot reset take the decoder, an FLR does not */
static void test_guest_resets(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, GUEST);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    uint64_t d = m->hdm_block;

    qtest_writel(q, d + HDM_GLOBAL, 2);
    commit(q, d, VIRT_WINDOW, SIZE, 0, CTRL_COMMIT);
    qtest_writew(q, m->device + 0x68, 0x8000);
    g_assert_cmphex(qtest_readl(q, d + HDM_CTRL), ==, CTRL_OK);
    check_there(m, s, VIRT_WINDOW, 1);

    qtest_writew(q, m->device + vfio_cxl_find_dvsec(m, 0) + 0x10, 1 << 2);
    g_assert_cmphex(qtest_readl(q, d + HDM_CTRL), ==, 0);
    check_nothing(m, VIRT_WINDOW);

    qtest_writel(q, d + HDM_GLOBAL, 2);
    commit(q, d, VIRT_WINDOW, SIZE, 0, CTRL_COMMIT);
    check_there(m, s, VIRT_WINDOW, 2);
    vfio_cxl_bus_reset(m);
    vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
    g_assert_cmphex(qtest_readl(q, d + HDM_CTRL), ==, 0);
    check_nothing(m, VIRT_WINDOW);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

typedef struct {
    const char *name;
    uint64_t base, size;
    uint32_t control;
} Refusal;

static const Refusal refusals[] = {
    { "below-window", VIRT_WINDOW - SIZE, SIZE, CTRL_COMMIT },
    { "above-window", VIRT_WINDOW + 4 * GiB, SIZE, CTRL_COMMIT },
    { "in-ram", VIRT_RAM, SIZE, CTRL_COMMIT },
    { "at-0", 0, SIZE, CTRL_COMMIT },
    { "at-the-end", -(uint64_t)SIZE, SIZE, CTRL_COMMIT },
    { "wraps", -(uint64_t)SIZE, 2 * SIZE, CTRL_COMMIT },
    { "size-0", VIRT_WINDOW, 0, CTRL_COMMIT },
    { "too-large", VIRT_WINDOW, 2 * SIZE, CTRL_COMMIT },
    { "interleaved", VIRT_WINDOW, SIZE, CTRL_COMMIT | CTRL_IW_2 },
};

static void test_guest_refused(const void *data)
{
    const Refusal *c = data;
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, GUEST);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    uint64_t *mem = vfio_cxl_server_mem(s, SIZE);
    uint32_t control;

    qtest_writel(q, m->hdm_block + HDM_GLOBAL, 2);
    control = commit(q, m->hdm_block, c->base, c->size, 0, c->control);
    g_assert_cmphex(control & CTRL_COMMITTED, ==, 0);
    g_assert_cmphex(control & CTRL_ERR, ==, CTRL_ERR);
    qtest_writeq(q, VIRT_WINDOW, PATTERN);
    g_assert_cmphex(qatomic_read(&mem[0]), ==, 0);
    munmap(mem, SIZE);

    /* And the next try may be right */
    g_assert_cmphex(commit(q, m->hdm_block, VIRT_WINDOW, SIZE, 0,
                           CTRL_COMMIT), ==, CTRL_OK);
    check_there(m, s, VIRT_WINDOW, 1);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static void test_guest_shared_window(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s,
        "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=256M,"
        "cxl-fmw.1.targets.0=cxl.1,cxl-fmw.1.targets.1=cxl.2,"
        "cxl-fmw.1.size=4G", "-device pxb-cxl,bus_nr=40,bus=pcie.0,id=cxl.2",
        GUEST);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);

    qtest_writel(m->qts, m->hdm_block + HDM_GLOBAL, 2);
    g_assert_cmphex(commit(m->qts, m->hdm_block, VIRT_WINDOW + SIZE, SIZE, 0,
                           CTRL_COMMIT), ==, CTRL_REFUSED);
    g_assert_cmphex(commit(m->qts, m->hdm_block, VIRT_WINDOW, SIZE, 0,
                           CTRL_COMMIT), ==, CTRL_OK);
    check_there(m, s, VIRT_WINDOW, 1);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* -- the guest commits, and the bridge has decoders -- */

static void test_guest_path(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, VFIO_CXL_PORT_9, GUEST);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    uint64_t d = m->hdm_block, b = BRIDGE_HDM;

    qtest_writel(q, d + HDM_GLOBAL, 2);
    qtest_writel(q, b + HDM_GLOBAL, 2);

    /* Nothing leads there; then another port; then a part; then too far */
    g_assert_cmphex(commit(q, d, VIRT_WINDOW, SIZE, 0, CTRL_COMMIT), ==,
                    CTRL_REFUSED);
    g_assert_cmphex(commit(q, b, VIRT_WINDOW, SIZE, 9, CTRL_COMMIT), ==,
                    CTRL_OK);
    g_assert_cmphex(commit(q, d, VIRT_WINDOW, SIZE, 0, CTRL_COMMIT), ==,
                    CTRL_REFUSED);
    uncommit(q, b);
    g_assert_cmphex(commit(q, b, VIRT_WINDOW, 2 * SIZE, 0x0907,
                           CTRL_COMMIT | CTRL_IW_2), ==,
                    CTRL_OK | CTRL_IW_2);
    g_assert_cmphex(commit(q, d, VIRT_WINDOW, SIZE, 0, CTRL_COMMIT), ==,
                    CTRL_REFUSED);
    uncommit(q, b);
    g_assert_cmphex(commit(q, b, VIRT_WINDOW + SIZE, 2 * SIZE, 7,
                           CTRL_COMMIT), ==, CTRL_OK);
    g_assert_cmphex(commit(q, d, VIRT_WINDOW, SIZE, 0, CTRL_COMMIT), ==,
                    CTRL_REFUSED);
    g_assert_cmphex(commit(q, d, VIRT_WINDOW + 3 * SIZE, SIZE, 0,
                           CTRL_COMMIT), ==, CTRL_REFUSED);
    g_assert_cmphex(commit(q, d, VIRT_WINDOW + 2 * SIZE, SIZE, 0,
                           CTRL_COMMIT), ==, CTRL_OK);
    check_there(m, s, VIRT_WINDOW + 2 * SIZE, 1);

    /* The way is the guest's to close, and to open */
    uncommit(q, b);
    check_nothing(m, VIRT_WINDOW + 2 * SIZE);
    g_assert_cmphex(commit(q, b, VIRT_WINDOW + 2 * SIZE, SIZE, 7,
                           CTRL_COMMIT), ==, CTRL_OK);
    check_there(m, s, VIRT_WINDOW + 2 * SIZE, 2);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* Two devices on one address is what must never be */
static void test_guest_two(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    VFIOCXLServer *s2 = vfio_cxl_server_start("--identity sfc");
    g_autofree char *one = vfio_cxl_args(s, NULL, VFIO_CXL_PORT_9, GUEST);
    g_autofree char *two = g_strdup_printf(
        "%s -device '{\"driver\":\"vfio-user-pci\",\"bus\":\"rp1\","
        "\"socket\":{\"type\":\"unix\",\"path\":\"%s\"}}'", one, s2->socket);
    VFIOCXLMachine *m = vfio_cxl_machine_start(two);
    QTestState *q = m->qts;
    uint64_t d = m->hdm_block, b = BRIDGE_HDM;

    /* The second device has the first decoder and the start of the window */
    vfio_cxl_enable_below(m, 1, 14);
    g_assert_cmphex(qtest_readl(q, b + HDM_CTRL), ==, HDM_CTRL_LOCKED);
    g_assert_cmphex(qtest_readl(q, b + HDM_TARGET_LO), ==, 9);
    check_there(m, s2, VIRT_WINDOW, 1);

    qtest_writel(q, d + HDM_GLOBAL, 2);
    g_assert_cmphex(commit(q, d, VIRT_WINDOW, SIZE, 0, CTRL_COMMIT), ==,
                    CTRL_REFUSED);
    g_assert_cmphex(commit(q, b + HDM_NEXT, VIRT_WINDOW, SIZE, 7,
                           CTRL_COMMIT), ==, CTRL_REFUSED);
    g_assert_cmphex(commit(q, b + HDM_NEXT, VIRT_WINDOW + SIZE, SIZE, 7,
                           CTRL_COMMIT), ==, CTRL_OK);
    g_assert_cmphex(commit(q, d, VIRT_WINDOW + SIZE, SIZE, 0, CTRL_COMMIT),
                    ==, CTRL_OK);
    check_there(m, s, VIRT_WINDOW + SIZE, 2);
    check_there(m, s2, VIRT_WINDOW, 3);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s2);
    vfio_cxl_server_stop(s);
}

/* Right below another device's range is a place like any other */
static void test_guest_below(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    VFIOCXLServer *s2 = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, VFIO_CXL_PORT_9, GUEST);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    uint64_t b = BRIDGE_HDM, d2;

    qtest_qmp_assert_success(q,
        "{'execute': 'device_add', 'arguments': {'driver': 'vfio-user-pci',"
        "'bus': 'rp1', 'cxl-hdm-commit': 'guest',"
        "'socket': {'type': 'unix', 'path': %s}}}", s2->socket);
    vfio_cxl_power_port(m, 1, true);
    d2 = vfio_cxl_hdm_below(m, 1, 14);
    qtest_writel(q, m->hdm_block + HDM_GLOBAL, 2);
    qtest_writel(q, d2 + HDM_GLOBAL, 2);
    qtest_writel(q, b + HDM_GLOBAL, 2);
    g_assert_cmphex(commit(q, b, VIRT_WINDOW, SIZE, 7, CTRL_COMMIT), ==,
                    CTRL_OK);
    g_assert_cmphex(commit(q, b + HDM_NEXT, VIRT_WINDOW + SIZE, SIZE, 9,
                           CTRL_COMMIT), ==, CTRL_OK);
    g_assert_cmphex(commit(q, d2, VIRT_WINDOW + SIZE, SIZE, 0, CTRL_COMMIT),
                    ==, CTRL_OK);
    g_assert_cmphex(commit(q, m->hdm_block, VIRT_WINDOW, SIZE, 0,
                           CTRL_COMMIT), ==, CTRL_OK);
    check_there(m, s, VIRT_WINDOW, 1);
    check_there(m, s2, VIRT_WINDOW + SIZE, 2);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s2);
    vfio_cxl_server_stop(s);
}

/* -- the bridge of a device that QEMU placed -- */

static void test_bridge_rules(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, NULL, VFIO_CXL_PORT_9, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    uint64_t b = BRIDGE_HDM;
    uint32_t caps[8];
    unsigned int reg;

    /* Locked: no register of it changes */
    for (reg = HDM_BASE_LO; reg <= HDM_TARGET_LO + 4; reg += 4) {
        uint32_t old = qtest_readl(q, b + reg);

        qtest_writel(q, b + reg, ~old);
        g_assert_cmphex(qtest_readl(q, b + reg), ==, old);
        qtest_writel(q, b + reg, 0);
        g_assert_cmphex(qtest_readl(q, b + reg), ==, old);
    }

    b += HDM_NEXT;
    g_assert_cmphex(commit(q, b, VIRT_WINDOW, SIZE, 9, CTRL_COMMIT), ==,
                    CTRL_REFUSED);
    g_assert_cmphex(commit(q, b, VIRT_WINDOW + 4 * GiB, SIZE, 9,
                           CTRL_COMMIT), ==, CTRL_REFUSED);
    g_assert_cmphex(commit(q, b, VIRT_WINDOW + 4 * GiB - SIZE, 2 * SIZE, 9,
                           CTRL_COMMIT), ==, CTRL_REFUSED);
    g_assert_cmphex(commit(q, b + HDM_NEXT, VIRT_WINDOW + SIZE, SIZE, 9,
                           CTRL_COMMIT), ==, CTRL_REFUSED);
    g_assert_cmphex(commit(q, b, VIRT_WINDOW + SIZE, SIZE, 9,
                           CTRL_COMMIT | 0x1000), ==, CTRL_OK | 0x1000);
    check_there(m, s, VIRT_WINDOW, 1);
    /* What a committed decoder has is fixed */
    qtest_writel(q, b + HDM_BASE_LO, 0);
    g_assert_cmphex(qtest_readl(q, b + HDM_BASE_LO), ==, SIZE);
    uncommit(q, b);
    qtest_writel(q, b + HDM_BASE_LO, 0);
    g_assert_cmphex(qtest_readl(q, b + HDM_BASE_LO), ==, 0);

    /* Registers beside the decoders stay as they were: the capabilities */
    for (reg = 0; reg < ARRAY_SIZE(caps); reg++) {
        caps[reg] = qtest_readl(q, VIRT_CXL_HOST + 0x1000 + reg * 4);
    }
    g_assert_cmphex(caps[0] & 0xffff, ==, 1);
    for (reg = 0; reg < ARRAY_SIZE(caps) - 1; reg++) {
        qtest_writel(q, VIRT_CXL_HOST + 0x1000 + reg * 4, ~caps[reg]);
    }
    for (reg = 0; reg < ARRAY_SIZE(caps); reg++) {
        g_assert_cmphex(qtest_readl(q, VIRT_CXL_HOST + 0x1000 + reg * 4), ==,
                        caps[reg]);
    }
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* What a guest committed while no rules held must not end QEMU */
static void test_plug_beside_nonsense(void)
{
    static const struct {
        uint64_t base, size;
    } odd[] = {
        { 0, 0 }, { -(uint64_t)SIZE, SIZE }, { VIRT_WINDOW, 8 * GiB },
    };
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(NULL, NULL, VFIO_CXL_PORT_9, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    int i;

    for (i = 0; i < ARRAY_SIZE(odd); i++) {
        QDict *reply;

        /* Nothing is wrong with it for the base's own handler */
        g_assert_cmphex(commit(m->qts, BRIDGE_HDM, odd[i].base, odd[i].size,
                               9, CTRL_COMMIT), ==, CTRL_OK);
        reply = qtest_qmp(m->qts,
            "{'execute': 'device_add', 'arguments': {'driver': "
            "'vfio-user-pci', 'bus': 'rp0', 'socket': {'type': 'unix', "
            "'path': %s}}}", s->socket);
        g_assert_true(qdict_haskey(reply, "error"));
        qobject_unref(reply);
        uncommit(m->qts, BRIDGE_HDM);
    }
    qtest_qmp_assert_success(m->qts,
        "{'execute': 'device_add', 'arguments': {'driver': 'vfio-user-pci',"
        "'bus': 'rp0', 'socket': {'type': 'unix', 'path': %s}}}", s->socket);
    g_assert_cmphex(qtest_readl(m->qts, BRIDGE_HDM + HDM_CTRL), ==,
                    HDM_CTRL_LOCKED);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* -- a place asked for -- */

static void test_offset(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    VFIOCXLServer *s2 = vfio_cxl_server_start(NULL);
    g_autofree char *one = vfio_cxl_args(s, NULL, VFIO_CXL_PORT_9,
                                         "\"cxl-hdm-offset\":1073741824");
    g_autofree char *two = g_strdup_printf(
        "%s -device '{\"driver\":\"vfio-user-pci\",\"bus\":\"rp1\","
        "\"cxl-hdm-offset\":536870912,"
        "\"socket\":{\"type\":\"unix\",\"path\":\"%s\"}}'", one, s2->socket);
    VFIOCXLMachine *m = vfio_cxl_machine_start(two);
    int i;

    for (i = 0; i < 2; i++) {
        vfio_cxl_enable_below(m, 1, 14);
        check_there(m, s, VIRT_WINDOW + GiB, 1);
        check_there(m, s2, VIRT_WINDOW + GiB / 2, 2);
        check_nothing(m, VIRT_WINDOW);
        /* In order of address, whatever the order of devices */
        g_assert_cmphex(qtest_readl(m->qts, BRIDGE_HDM + HDM_TARGET_LO), ==,
                        9);
        g_assert_cmphex(qtest_readl(m->qts, BRIDGE_HDM + HDM_NEXT +
                                    HDM_TARGET_LO), ==, 7);
        qtest_system_reset(m->qts);
        vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
    }
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s2);
    vfio_cxl_server_stop(s);
}

int main(int argc, char **argv)
{
    int i;

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/vfio/cxl/commit/guest", test_guest);
    qtest_add_func("/vfio/cxl/commit/guest-resets", test_guest_resets);
    for (i = 0; i < ARRAY_SIZE(refusals); i++) {
        g_autofree char *path = g_strdup_printf(
            "/vfio/cxl/commit/guest-refused/%s", refusals[i].name);

        qtest_add_data_func(path, &refusals[i], test_guest_refused);
    }
    qtest_add_func("/vfio/cxl/commit/guest-shared-window",
                   test_guest_shared_window);
    qtest_add_func("/vfio/cxl/commit/guest-path", test_guest_path);
    qtest_add_func("/vfio/cxl/commit/guest-two", test_guest_two);
    qtest_add_func("/vfio/cxl/commit/guest-below", test_guest_below);
    qtest_add_func("/vfio/cxl/commit/bridge-rules", test_bridge_rules);
    qtest_add_func("/vfio/cxl/commit/plug-beside-nonsense",
                   test_plug_beside_nonsense);
    qtest_add_func("/vfio/cxl/commit/offset", test_offset);
    return g_test_run();
}
