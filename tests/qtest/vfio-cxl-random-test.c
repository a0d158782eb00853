/*
 * A guest that does anything, in any order, against a model of what it must
 * see.  The model is made from the specification, not from QEMU's code.
 *
 * The seed is printed, and taken by --seed.  VFIO_CXL_RANDOM_SECONDS sets how
 * long each case goes on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "hw/pci/pci_regs.h"
#include "vfio-cxl-util.h"

#define DEFAULT_SECONDS 4
#define SIZE (256 * MiB)
#define WINDOW_SIZE (4 * GiB)

enum {
    CTRL_IG = 0xf, CTRL_IW = 0xf0, CTRL_LOCK = 1 << 8, CTRL_COMMIT = 1 << 9,
    CTRL_COMMITTED = 1 << 10, CTRL_ERR = 1 << 11,
    CTRL_RW = CTRL_IG | CTRL_IW | CTRL_LOCK | CTRL_COMMIT,
};

typedef struct {
    bool guest;             /* the guest commits */
    bool plugged;
    bool memory_space;
    unsigned int power;
    uint32_t global;
    uint64_t base, size, skip;
    uint32_t control;
    uint64_t value;         /* first and last word of the HDM */
    uint64_t elsewhere;     /* where it was last seen */
} Model;

typedef struct {
    VFIOCXLServer *server;
    VFIOCXLMachine *m;
    QTestState *q;
    Model model;
} Rig;

/* -- the model -- */

static void model_reset_decoder(Model *m)
{
    m->base = m->size = m->skip = 0;
    m->control = m->global = 0;
    if (!m->guest) {
        m->base = VIRT_WINDOW;
        m->size = SIZE;
        m->control = HDM_CTRL_LOCKED;
        m->global = 2;
    }
}

static void model_power_on(Model *m)
{
    m->memory_space = false;
    m->power = 0;
    m->value = 0;
    model_reset_decoder(m);
}

static bool model_open(const Model *m)
{
    return m->plugged && m->memory_space && m->power == 0;
}

static bool model_decodes(const Model *m)
{
    return m->plugged && (m->control & CTRL_COMMITTED) && (m->global & 2);
}

static bool model_may_commit(const Model *m)
{
    return m->size == SIZE && m->skip == 0 && !(m->control & CTRL_IW) &&
           (m->control & CTRL_IG) <= 6 && m->base >= VIRT_WINDOW &&
           m->base - VIRT_WINDOW <= WINDOW_SIZE - SIZE;
}

static void model_write(Model *m, unsigned int reg, uint32_t value)
{
    uint32_t low = value & 0xf0000000;

    if (reg == HDM_GLOBAL) {
        m->global = value & 3;
        return;
    }
    if (m->control & CTRL_COMMITTED) {
        if (reg == HDM_CTRL && !(value & CTRL_COMMIT) &&
            !(m->control & CTRL_LOCK)) {
            m->control = value & CTRL_RW;
        }
        return;
    }
    switch (reg) {
    case HDM_BASE_LO:
        m->base = deposit64(m->base, 0, 32, low);
        break;
    case HDM_BASE_HI:
        m->base = deposit64(m->base, 32, 32, value);
        break;
    case HDM_SIZE_LO:
        m->size = deposit64(m->size, 0, 32, low);
        break;
    case HDM_SIZE_HI:
        m->size = deposit64(m->size, 32, 32, value);
        break;
    case HDM_TARGET_LO:
        m->skip = deposit64(m->skip, 0, 32, low);
        break;
    case HDM_TARGET_LO + 4:
        m->skip = deposit64(m->skip, 32, 32, value);
        break;
    case HDM_CTRL:
        m->control = value & CTRL_RW;
        if (value & CTRL_COMMIT) {
            m->control |= model_may_commit(m) ? CTRL_COMMITTED : CTRL_ERR;
        }
        break;
    }
}

/* -- the machine -- */

static void compare_decoder(Rig *r)
{
    const Model *m = &r->model;
    uint64_t d = r->m->hdm_block;

    g_assert_cmphex(qtest_readl(r->q, d + HDM_GLOBAL), ==, m->global);
    g_assert_cmphex(qtest_readl(r->q, d + HDM_CTRL), ==, m->control);
    g_assert_cmphex(qtest_readl(r->q, d + HDM_BASE_LO), ==,
                    (uint32_t)m->base);
    g_assert_cmphex(qtest_readl(r->q, d + HDM_BASE_HI), ==, m->base >> 32);
    g_assert_cmphex(qtest_readl(r->q, d + HDM_SIZE_LO), ==,
                    (uint32_t)m->size);
    g_assert_cmphex(qtest_readl(r->q, d + HDM_SIZE_HI), ==, m->size >> 32);
    g_assert_cmphex(qtest_readl(r->q, d + HDM_TARGET_LO), ==,
                    (uint32_t)m->skip);
}

static void compare(Rig *r)
{
    Model *m = &r->model;

    if (model_open(m)) {
        compare_decoder(r);
    }
    if (model_decodes(m)) {
        uint64_t expect = model_open(m) ? m->value : UINT64_MAX;

        g_assert_cmphex(qtest_readq(r->q, m->base), ==, expect);
        g_assert_cmphex(qtest_readq(r->q, m->base + SIZE - 8), ==, expect);
        m->elsewhere = m->base;
    } else if (m->value) {
        g_assert_cmphex(qtest_readq(r->q, m->elsewhere), !=, m->value);
    }
}

/* -- what a guest, and its operator, may do -- */

static void do_write_memory(Rig *r)
{
    Model *m = &r->model;
    uint64_t value = (uint64_t)g_test_rand_int() << 32 | 0x5a5a0001;

    if (model_decodes(m)) {
        qtest_writeq(r->q, m->base, value);
        qtest_writeq(r->q, m->base + SIZE - 8, value);
        if (model_open(m)) {
            m->value = value;
        }
    }
}

static void do_write_register(Rig *r)
{
    static const unsigned int regs[] = {
        HDM_GLOBAL, HDM_BASE_LO, HDM_BASE_HI, HDM_SIZE_LO, HDM_SIZE_HI,
        HDM_CTRL, HDM_CTRL, HDM_CTRL, HDM_TARGET_LO, HDM_TARGET_LO + 4,
    };
    unsigned int reg = regs[g_test_rand_int_range(0, ARRAY_SIZE(regs))];
    uint32_t value = g_test_rand_int();

    if (g_test_rand_bit()) {
        /* Rather something that makes sense */
        value = reg == HDM_BASE_LO ? value & 0xf0000000 :
                reg == HDM_BASE_HI ? VIRT_WINDOW >> 32 :
                reg == HDM_SIZE_LO ? SIZE :
                reg == HDM_GLOBAL ? 2 :
                reg == HDM_CTRL ? (g_test_rand_bit() ? CTRL_COMMIT : 0) : 0;
    }
    if (model_open(&r->model)) {
        qtest_writel(r->q, r->m->hdm_block + reg, value);
        model_write(&r->model, reg, value);
    }
}

/* All that a commit takes, at once: alone, the writes seldom come to that */
static void do_commit(Rig *r)
{
    static const unsigned int regs[] = {
        HDM_GLOBAL, HDM_BASE_LO, HDM_BASE_HI, HDM_SIZE_LO, HDM_SIZE_HI,
        HDM_TARGET_LO, HDM_TARGET_LO + 4, HDM_CTRL,
    };
    uint64_t base = VIRT_WINDOW + (uint64_t)g_test_rand_int_range(-1, 17) *
                    SIZE;
    uint32_t lock = g_test_rand_int_range(0, 8) ? 0 : CTRL_LOCK;
    const uint32_t values[] = {
        2, base, base >> 32, SIZE, 0, 0, 0, CTRL_COMMIT | lock,
    };
    unsigned int i;

    if (!model_open(&r->model)) {
        return;
    }
    for (i = 0; i < ARRAY_SIZE(regs); i++) {
        qtest_writel(r->q, r->m->hdm_block + regs[i], values[i]);
        model_write(&r->model, regs[i], values[i]);
    }
}

static void do_memory_space(Rig *r)
{
    if (r->model.plugged && r->model.power == 0) {
        r->model.memory_space = g_test_rand_bit();
        qtest_writew(r->q, r->m->device + PCI_COMMAND,
                     r->model.memory_space ? PCI_COMMAND_MEMORY : 0);
    }
}

static void do_power(Rig *r)
{
    if (r->model.plugged) {
        r->model.power = g_test_rand_bit() ? 3 : 0;
        qtest_writew(r->q, r->m->device + PM_CSR, r->model.power);
    }
}

static void do_flr(Rig *r)
{
    if (model_open(&r->model)) {
        qtest_writew(r->q, r->m->device + EXP_DEVCTL, 0x8000);
        r->model.value = 0;
    }
}

static void do_cxl_reset(Rig *r)
{
    if (model_open(&r->model)) {
        qtest_writew(r->q, r->m->device + vfio_cxl_find_dvsec(r->m, 0) +
                     DVSEC_CTRL2, 1 << 2);
        r->model.value = 0;
        model_reset_decoder(&r->model);
    }
}

static void enumerate(Rig *r)
{
    vfio_cxl_machine_enumerate(r->m, VIRT_MMIO64);
    r->model.memory_space = true;
}

static void do_hot_reset(Rig *r)
{
    if (r->model.plugged) {
        vfio_cxl_bus_reset(r->m);
        model_power_on(&r->model);
        compare(r);
        enumerate(r);
    }
}

static void do_system_reset(Rig *r)
{
    qtest_system_reset(r->q);
    model_power_on(&r->model);
    compare(r);
    if (r->model.plugged) {
        enumerate(r);
    } else {
        vfio_cxl_machine_enumerate(r->m, VIRT_MMIO64);
    }
}

static void plug(Rig *r)
{
    const char *commit = r->model.guest ? "guest" : "firmware";

    qtest_qmp_assert_success(r->q,
        "{'execute': 'device_add', 'arguments': {'driver': 'vfio-user-pci',"
        "'id': 'hdm0', 'bus': 'rp0', 'cxl-hdm-commit': %s,"
        "'socket': {'type': 'unix', 'path': %s}}}", commit,
        r->server->socket);
    vfio_cxl_power_slot(r->m, true);
    r->model.plugged = true;
    model_power_on(&r->model);
    enumerate(r);
}

static void do_plug(Rig *r)
{
    if (!r->model.plugged) {
        plug(r);
        return;
    }
    qtest_qmp_assert_success(r->q, "{'execute': 'device_del',"
                             "'arguments': {'id': 'hdm0'}}");
    vfio_cxl_power_slot(r->m, false);
    qtest_qmp_eventwait(r->q, "DEVICE_DELETED");
    r->model.plugged = false;
}

typedef struct {
    const char *name;
    void (*go)(Rig *r);
    unsigned int weight;
} Action;

static const Action actions[] = {
    { "write register", do_write_register, 40 },
    { "commit", do_commit, 12 },
    { "write memory", do_write_memory, 20 },
    { "memory space", do_memory_space, 12 },
    { "power", do_power, 6 },
    { "flr", do_flr, 3 },
    { "cxl reset", do_cxl_reset, 3 },
    { "hot reset", do_hot_reset, 2 },
    { "system reset", do_system_reset, 1 },
    { "plug", do_plug, 2 },
};

static const Action *choose(void)
{
    unsigned int total = 0, pick, i;

    for (i = 0; i < ARRAY_SIZE(actions); i++) {
        total += actions[i].weight;
    }
    pick = g_test_rand_int_range(0, total);
    for (i = 0; pick >= actions[i].weight; i++) {
        pick -= actions[i].weight;
    }
    return &actions[i];
}

static void test_random(const void *data)
{
    const char *limit = g_getenv("VFIO_CXL_RANDOM_SECONDS");
    int64_t seconds = limit ? atoi(limit) : DEFAULT_SECONDS;
    int64_t end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
    Rig r = { .model = { .guest = data != NULL } };
    g_autofree char *args = vfio_cxl_args(NULL, NULL, data ? NULL :
                                          VFIO_CXL_DECODERS, NULL);
    uint64_t steps = 0;

    r.server = vfio_cxl_server_start(NULL);
    r.m = vfio_cxl_machine_start(args);
    r.q = r.m->qts;
    r.model.elsewhere = VIRT_WINDOW;
    plug(&r);
    compare(&r);
    while (g_get_monotonic_time() < end) {
        const Action *a = choose();

        steps++;
        if (g_test_verbose()) {
            g_test_message("%" PRIu64 ": %s", steps, a->name);
        }
        a->go(&r);
        compare(&r);
    }
    g_test_message("%" PRIu64 " steps", steps);
    g_assert_cmpuint(steps, >, 20);
    vfio_cxl_machine_stop(r.m);
    vfio_cxl_server_stop(r.server);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("/vfio/cxl/random/firmware", NULL, test_random);
    qtest_add_data_func("/vfio/cxl/random/guest", "guest", test_random);
    return g_test_run();
}
