/*
 * Virtual HDM decoders: every state against every kind of write
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_hdm_decoder.h"

/* Offsets and bits from CXL r3.1 section 8.2.4.20, on purpose not shared */
enum {
    CAP = 0x00, GLOBAL = 0x04, BASE_LO = 0x10, BASE_HI = 0x14,
    SIZE_LO = 0x18, SIZE_HI = 0x1c, CTRL = 0x20, SKIP_LO = 0x24,
    SKIP_HI = 0x28,
};

enum {
    LOCK = 1 << 8, COMMIT = 1 << 9, COMMITTED = 1 << 10, ERR = 1 << 11,
    TYPE = 1 << 12, BI = 1 << 13, IW_2 = 1 << 4,
};

#define HDM_SIZE (5 * GiB)
#define BASE 0x12340000000ull

static CXLHDMEvent wr(CXLHDMBlock *d, hwaddr reg, uint32_t value)
{
    return cxl_hdm_block_write(d, reg, value, 4);
}

static uint32_t rd(const CXLHDMBlock *d, hwaddr reg)
{
    return cxl_hdm_block_read(d, reg, 4);
}

static void set_range(CXLHDMBlock *d, uint64_t base, uint64_t size)
{
    wr(d, BASE_LO, base);
    wr(d, BASE_HI, base >> 32);
    wr(d, SIZE_LO, size);
    wr(d, SIZE_HI, size >> 32);
}

/* The states that a decoder can be in, and how a guest gets there */
typedef enum {
    ST_RESET, ST_RANGED, ST_ERROR, ST_COMMITTED, ST_LOCKED, ST_MAX
} State;

static void enter(CXLHDMBlock *d, State state)
{
    cxl_hdm_endpoint_init(d, HDM_SIZE, 0x300);
    switch (state) {
    case ST_RESET:
        break;
    case ST_RANGED:
        set_range(d, BASE, HDM_SIZE);
        break;
    case ST_ERROR:
        set_range(d, BASE, HDM_SIZE / 2);
        g_assert_cmpint(wr(d, CTRL, COMMIT), ==, CXL_HDM_REFUSED);
        break;
    case ST_COMMITTED:
        set_range(d, BASE, HDM_SIZE);
        g_assert_cmpint(wr(d, CTRL, COMMIT), ==, CXL_HDM_CHANGED);
        break;
    case ST_LOCKED:
        g_assert_true(cxl_hdm_block_program(d, 0, BASE, HDM_SIZE, 0));
        break;
    default:
        g_assert_not_reached();
    }
}

typedef struct {
    const char *name;
    hwaddr reg;
    uint32_t value;
    struct {
        CXLHDMEvent event;
        uint32_t after;     /* the register, read back */
        uint32_t ctrl;      /* the control register afterwards */
    } expect[ST_MAX];
} Transition;

#define NONE CXL_HDM_NONE
#define DONE CXL_HDM_CHANGED
#define GONE CXL_HDM_CHANGED
#define REFUSED CXL_HDM_REFUSED
#define IGNORED CXL_HDM_IGNORED

#define C_ERR (COMMIT | ERR)
#define C_OK (COMMIT | COMMITTED)
#define C_LOCKED (LOCK | COMMIT | COMMITTED)

static const uint32_t base_lo = (uint32_t)BASE;
static const uint32_t size_hi = HDM_SIZE >> 32;

static const Transition transitions[] = {
    { "base low", BASE_LO, 0xffffffff, {
        { NONE, 0xf0000000, 0 },
        { NONE, 0xf0000000, 0 },
        { NONE, 0xf0000000, C_ERR },
        { IGNORED, base_lo, C_OK },
        { IGNORED, base_lo, C_LOCKED } } },
    { "base high", BASE_HI, 0x77, {
        { NONE, 0x77, 0 },
        { NONE, 0x77, 0 },
        { NONE, 0x77, C_ERR },
        { IGNORED, BASE >> 32, C_OK },
        { IGNORED, BASE >> 32, C_LOCKED } } },
    { "size low", SIZE_LO, 0x1fffffff, {
        { NONE, 0x10000000, 0 },
        { NONE, 0x10000000, 0 },
        { NONE, 0x10000000, C_ERR },
        { IGNORED, (uint32_t)HDM_SIZE, C_OK },
        { IGNORED, (uint32_t)HDM_SIZE, C_LOCKED } } },
    { "size high", SIZE_HI, 9, {
        { NONE, 9, 0 },
        { NONE, 9, 0 },
        { NONE, 9, C_ERR },
        { IGNORED, size_hi, C_OK },
        { IGNORED, size_hi, C_LOCKED } } },
    { "DPA skip low", SKIP_LO, 0x2fffffff, {
        { NONE, 0x20000000, 0 },
        { NONE, 0x20000000, 0 },
        { NONE, 0x20000000, C_ERR },
        { IGNORED, 0, C_OK },
        { IGNORED, 0, C_LOCKED } } },
    { "DPA skip high", SKIP_HI, 3, {
        { NONE, 3, 0 },
        { NONE, 3, 0 },
        { NONE, 3, C_ERR },
        { IGNORED, 0, C_OK },
        { IGNORED, 0, C_LOCKED } } },
    { "commit", CTRL, COMMIT, {
        { REFUSED, C_ERR, C_ERR },
        { DONE, C_OK, C_OK },
        { REFUSED, C_ERR, C_ERR },
        { NONE, C_OK, C_OK },
        { IGNORED, C_LOCKED, C_LOCKED } } },
    { "commit and lock", CTRL, COMMIT | LOCK, {
        { REFUSED, C_ERR | LOCK, C_ERR | LOCK },
        { DONE, C_LOCKED, C_LOCKED },
        { REFUSED, C_ERR | LOCK, C_ERR | LOCK },
        { IGNORED, C_OK, C_OK },
        { IGNORED, C_LOCKED, C_LOCKED } } },
    { "commit with interleave", CTRL, COMMIT | IW_2, {
        { REFUSED, C_ERR | IW_2, C_ERR | IW_2 },
        { REFUSED, C_ERR | IW_2, C_ERR | IW_2 },
        { REFUSED, C_ERR | IW_2, C_ERR | IW_2 },
        { IGNORED, C_OK, C_OK },
        { IGNORED, C_LOCKED, C_LOCKED } } },
    { "clear", CTRL, 0, {
        { NONE, 0, 0 },
        { NONE, 0, 0 },
        { NONE, 0, 0 },
        { GONE, 0, 0 },
        { IGNORED, C_LOCKED, C_LOCKED } } },
    { "read-only and reserved bits", CTRL,
      COMMITTED | ERR | TYPE | BI | 0xffff8000, {
        { NONE, 0, 0 },
        { NONE, 0, 0 },
        { NONE, 0, 0 },
        { GONE, 0, 0 },
        { IGNORED, C_LOCKED, C_LOCKED } } },
    { "global control", GLOBAL, 0xffffffff, {
        { DONE, 3, 0 },
        { DONE, 3, 0 },
        { DONE, 3, C_ERR },
        { DONE, 3, C_OK },
        { DONE, 3, C_LOCKED } } },
    { "capability", CAP, 0xffffffff, {
        { IGNORED, 0x300, 0 },
        { IGNORED, 0x300, 0 },
        { IGNORED, 0x300, C_ERR },
        { IGNORED, 0x300, C_OK },
        { IGNORED, 0x300, C_LOCKED } } },
    { "reserved", 0x2c, 0xffffffff, {
        { IGNORED, 0, 0 },
        { IGNORED, 0, 0 },
        { IGNORED, 0, C_ERR },
        { IGNORED, 0, C_OK },
        { IGNORED, 0, C_LOCKED } } },
};

static void test_transition(const void *data)
{
    const Transition *t = data;
    State s;

    for (s = 0; s < ST_MAX; s++) {
        CXLHDMBlock d;

        enter(&d, s);
        g_test_message("state %d", s);
        g_assert_cmpint(wr(&d, t->reg, t->value), ==, t->expect[s].event);
        g_assert_cmphex(rd(&d, t->reg), ==, t->expect[s].after);
        g_assert_cmphex(rd(&d, CTRL), ==, t->expect[s].ctrl);
        g_assert_cmpint(cxl_hdm_block_committed(&d, 0), ==,
                        !!(t->expect[s].ctrl & COMMITTED));
    }
}

static void test_widths(void)
{
    static const unsigned int sizes[] = { 1, 2, 8 };
    CXLHDMBlock d;
    unsigned int i;

    enter(&d, ST_RANGED);
    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        g_assert_cmphex(cxl_hdm_block_read(&d, BASE_LO, sizes[i]), ==,
                        UINT64_MAX >> (64 - sizes[i] * 8));
        g_assert_cmpint(cxl_hdm_block_write(&d, CTRL, COMMIT, sizes[i]), ==,
                        CXL_HDM_IGNORED);
    }
    g_assert_cmphex(cxl_hdm_block_read(&d, BASE_LO + 2, 4), ==, 0xffffffff);
    g_assert_cmpint(wr(&d, CTRL + 2, COMMIT), ==, CXL_HDM_IGNORED);
    g_assert_cmphex(rd(&d, CTRL), ==, 0);
}

/* Type, BI and further decoders of the host do not shine through */
static void test_capability(void)
{
    CXLHDMBlock d;

    cxl_hdm_endpoint_init(&d, HDM_SIZE, 0xffffffff);
    g_assert_cmphex(rd(&d, CAP), ==, 0x00600700);
}

static void test_commit_rules(void)
{
    CXLHDMBlock d;

    enter(&d, ST_RANGED);
    wr(&d, SKIP_LO, 0x10000000);
    g_assert_cmpint(wr(&d, CTRL, COMMIT), ==, CXL_HDM_REFUSED);

    enter(&d, ST_RANGED);
    wr(&d, SIZE_HI, size_hi + 1);
    g_assert_cmpint(wr(&d, CTRL, COMMIT), ==, CXL_HDM_REFUSED);

    enter(&d, ST_RESET);
    set_range(&d, -HDM_SIZE + 256 * MiB, HDM_SIZE);
    g_assert_cmpint(wr(&d, CTRL, COMMIT), ==, CXL_HDM_REFUSED);
    set_range(&d, -HDM_SIZE, HDM_SIZE);
    g_assert_cmpint(wr(&d, CTRL, COMMIT), ==, CXL_HDM_CHANGED);

    enter(&d, ST_RANGED);
    wr(&d, BASE_LO, 0x10000000);
    g_assert_cmpint(wr(&d, CTRL, COMMIT | 7), ==, CXL_HDM_REFUSED);
    g_assert_cmpint(wr(&d, CTRL, COMMIT | 6), ==, CXL_HDM_CHANGED);
}

static void test_firmware(void)
{
    CXLHDMBlock d;

    cxl_hdm_endpoint_init(&d, HDM_SIZE, 0x300);
    g_assert_false(cxl_hdm_block_program(&d, 0, BASE + 4096, HDM_SIZE, 0));
    g_assert_false(cxl_hdm_block_committed(&d, 0));

    g_assert_true(cxl_hdm_block_program(&d, 0, BASE, HDM_SIZE, 0));
    g_assert_cmphex(rd(&d, GLOBAL), ==, 2);
    g_assert_cmphex(rd(&d, BASE_LO), ==, base_lo);
    g_assert_cmphex(rd(&d, BASE_HI), ==, BASE >> 32);
    g_assert_cmphex(rd(&d, SIZE_LO), ==, (uint32_t)HDM_SIZE);
    g_assert_cmphex(rd(&d, SIZE_HI), ==, size_hi);
    g_assert_cmphex(rd(&d, CTRL), ==, C_LOCKED);

    /* Locked is locked, until a reset */
    g_assert_cmpint(wr(&d, CTRL, 0), ==, CXL_HDM_IGNORED);
    g_assert_true(cxl_hdm_block_decodes(&d, 0));
    cxl_hdm_block_reset(&d);
    g_assert_cmphex(rd(&d, CTRL), ==, 0);
    g_assert_cmphex(rd(&d, BASE_HI), ==, 0);
    g_assert_cmphex(rd(&d, CAP), ==, 0x300);
    g_assert_true(cxl_hdm_block_program(&d, 0, 0, HDM_SIZE, 0));
}

/* -- a decoder in effect -- */

static void test_decodes(void)
{
    CXLHDMBlock d;

    enter(&d, ST_COMMITTED);
    g_assert_false(cxl_hdm_block_decodes(&d, 0));
    g_assert_cmpint(wr(&d, GLOBAL, 2), ==, CXL_HDM_CHANGED);
    g_assert_true(cxl_hdm_block_decodes(&d, 0));
    g_assert_cmpint(wr(&d, GLOBAL, 2), ==, CXL_HDM_NONE);
    wr(&d, GLOBAL, 1);
    g_assert_false(cxl_hdm_block_decodes(&d, 0));
}

static const char *accept_above(void *opaque, unsigned int decoder,
                                uint64_t base, uint64_t size)
{
    g_assert_cmpuint(decoder, ==, 0);
    g_assert_cmphex(size, ==, HDM_SIZE);
    return base > *(uint64_t *)opaque ? NULL : "too low";
}

static void test_accept(void)
{
    uint64_t limit = BASE;
    CXLHDMBlock d;

    enter(&d, ST_RANGED);
    d.accept = accept_above;
    d.opaque = &limit;
    g_assert_cmpint(wr(&d, CTRL, COMMIT), ==, CXL_HDM_REFUSED);
    g_assert_cmpstr(d.refused, ==, "too low");
    limit = BASE - 1;
    g_assert_cmpint(wr(&d, CTRL, COMMIT), ==, CXL_HDM_CHANGED);
    g_assert_null(d.refused);
}

/* -- several decoders: a bridge's -- */

#define MB256 (256 * MiB)
#define BRIDGE_CAP 0x382        /* 4 decoders, 8 targets, 256 B and 4 KiB */
#define N(n, reg) ((reg) + (n) * 0x20)
#define TARGET_LO SKIP_LO
#define TARGET_HI SKIP_HI

static void set_range_n(CXLHDMBlock *b, unsigned int n, uint64_t base,
                        uint64_t size)
{
    wr(b, N(n, BASE_LO), base);
    wr(b, N(n, BASE_HI), base >> 32);
    wr(b, N(n, SIZE_LO), size);
    wr(b, N(n, SIZE_HI), size >> 32);
}

static CXLHDMEvent commit_n(CXLHDMBlock *b, unsigned int n, uint64_t base,
                            uint64_t size)
{
    set_range_n(b, n, base, size);
    return wr(b, N(n, CTRL), COMMIT);
}

static void test_bridge_registers(void)
{
    CXLHDMBlock b;
    unsigned int n;

    cxl_hdm_bridge_init(&b, BRIDGE_CAP);
    g_assert_cmpuint(b.count, ==, 4);
    g_assert_cmphex(rd(&b, CAP), ==, BRIDGE_CAP);
    for (n = 0; n < 4; n++) {
        set_range_n(&b, n, (n + 1) * 0x130000000, MB256);
        wr(&b, N(n, TARGET_LO), 0x03020100 + n);
        wr(&b, N(n, TARGET_HI), 0x07060504 + n);
        g_assert_cmpint(wr(&b, N(n, CTRL), TYPE), ==, CXL_HDM_NONE);
    }
    for (n = 0; n < 4; n++) {
        uint64_t base = (n + 1) * 0x130000000;

        g_assert_cmphex(rd(&b, N(n, BASE_LO)), ==, (uint32_t)base);
        g_assert_cmphex(rd(&b, N(n, BASE_HI)), ==, base >> 32);
        g_assert_cmphex(rd(&b, N(n, TARGET_LO)), ==, 0x03020100 + n);
        g_assert_cmphex(rd(&b, N(n, TARGET_HI)), ==, 0x07060504 + n);
        g_assert_cmphex(rd(&b, N(n, CTRL)), ==, TYPE);
    }
    /* Nothing behind the last one */
    g_assert_cmpint(wr(&b, N(4, BASE_LO), ~0), ==, CXL_HDM_IGNORED);
    g_assert_cmphex(rd(&b, N(4, BASE_LO)), ==, 0);

    cxl_hdm_bridge_init(&b, 0x010);
    g_assert_cmpuint(b.count, ==, 1);
    cxl_hdm_bridge_init(&b, 0x011);
    g_assert_cmpuint(b.count, ==, 2);
}

static void test_bridge_order(void)
{
    CXLHDMBlock b;

    cxl_hdm_bridge_init(&b, BRIDGE_CAP);
    g_assert_cmpint(commit_n(&b, 1, 2 * MB256, MB256), ==, CXL_HDM_REFUSED);
    g_assert_cmpint(commit_n(&b, 0, 2 * MB256, 2 * MB256), ==,
                    CXL_HDM_CHANGED);
    /* At, inside, around and below the first one's range */
    g_assert_cmpint(commit_n(&b, 1, 2 * MB256, MB256), ==, CXL_HDM_REFUSED);
    g_assert_cmpint(commit_n(&b, 1, 3 * MB256, MB256), ==, CXL_HDM_REFUSED);
    g_assert_cmpint(commit_n(&b, 1, MB256, 4 * MB256), ==, CXL_HDM_REFUSED);
    g_assert_cmpint(commit_n(&b, 1, MB256, MB256), ==, CXL_HDM_REFUSED);
    g_assert_cmpint(commit_n(&b, 1, 4 * MB256, MB256), ==, CXL_HDM_CHANGED);
    g_assert_cmpint(commit_n(&b, 3, 6 * MB256, MB256), ==, CXL_HDM_REFUSED);
    g_assert_cmpint(commit_n(&b, 2, 6 * MB256, MB256), ==, CXL_HDM_CHANGED);
    g_assert_cmpint(commit_n(&b, 3, 7 * MB256, MB256), ==, CXL_HDM_CHANGED);

    /* A hole in the middle may only be filled with what fits */
    g_assert_cmpint(wr(&b, N(1, CTRL), 0), ==, CXL_HDM_CHANGED);
    g_assert_cmpint(commit_n(&b, 1, 4 * MB256, 3 * MB256), ==,
                    CXL_HDM_REFUSED);
    g_assert_cmpint(commit_n(&b, 1, 8 * MB256, MB256), ==, CXL_HDM_REFUSED);
    g_assert_cmpint(commit_n(&b, 1, 5 * MB256, MB256), ==, CXL_HDM_CHANGED);
    g_assert_true(cxl_hdm_block_decodes(&b, 1));
}

static void test_bridge_last_byte(void)
{
    CXLHDMBlock b;

    cxl_hdm_bridge_init(&b, BRIDGE_CAP);
    g_assert_cmpint(commit_n(&b, 0, -(uint64_t)MB256, MB256), ==,
                    CXL_HDM_CHANGED);
    g_assert_cmpint(commit_n(&b, 1, 0, MB256), ==, CXL_HDM_REFUSED);
}

static void test_bridge_interleave(void)
{
    static const struct {
        uint32_t cap;
        unsigned int code;
        uint64_t size;
        CXLHDMEvent event;
    } cases[] = {
        { 0x382, 0, MB256, CXL_HDM_CHANGED },
        { 0x382, 1, MB256, CXL_HDM_REFUSED },       /* size per way */
        { 0x382, 1, 2 * MB256, CXL_HDM_CHANGED },
        { 0x382, 3, 8 * MB256, CXL_HDM_CHANGED },
        { 0x382, 4, 16 * MB256, CXL_HDM_REFUSED },  /* no 16 ways */
        { 0x1382, 4, 16 * MB256, CXL_HDM_REFUSED }, /* but 8 targets */
        { 0x382, 8, 3 * MB256, CXL_HDM_REFUSED },   /* no 3 ways */
        { 0xb82, 8, 3 * MB256, CXL_HDM_CHANGED },
        { 0xb82, 8, 2 * MB256, CXL_HDM_REFUSED },
        { 0xb82, 9, 6 * MB256, CXL_HDM_CHANGED },
        { 0xb82, 10, 12 * MB256, CXL_HDM_REFUSED }, /* 8 targets */
        { 0xb82, 11, 12 * MB256, CXL_HDM_REFUSED }, /* reserved */
        { 0xb82, 5, 32 * MB256, CXL_HDM_REFUSED },  /* reserved */
        { 0x312, 0, MB256, CXL_HDM_CHANGED },       /* 1 target */
        { 0x312, 1, 2 * MB256, CXL_HDM_REFUSED },
    };
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        CXLHDMBlock b;

        g_test_message("case %u", i);
        cxl_hdm_bridge_init(&b, cases[i].cap);
        set_range_n(&b, 0, 16 * MB256, cases[i].size);
        g_assert_cmpint(wr(&b, CTRL, COMMIT | cases[i].code << 4), ==,
                        cases[i].event);
    }
}

static void test_bridge_firmware(void)
{
    CXLHDMBlock b;

    cxl_hdm_bridge_init(&b, BRIDGE_CAP);
    g_assert_true(cxl_hdm_block_program(&b, 2, 4 * MB256, MB256, 7));
    g_assert_cmphex(rd(&b, N(2, CTRL)), ==, C_LOCKED);
    g_assert_cmphex(rd(&b, N(2, TARGET_LO)), ==, 7);
    g_assert_cmphex(rd(&b, GLOBAL), ==, 2);
    g_assert_false(cxl_hdm_block_program(&b, 3, 4 * MB256, MB256, 7));
    g_assert_nonnull(b.refused);
    g_assert_cmphex(rd(&b, N(3, CTRL)), ==, 0);
    g_assert_false(cxl_hdm_block_program(&b, 1, 4 * MB256, MB256, 7));
    g_assert_false(cxl_hdm_block_program(&b, 1, 0, MB256 + 4096, 7));
    g_assert_true(cxl_hdm_block_program(&b, 1, 3 * MB256, MB256, 7));
    g_assert_cmpint(wr(&b, N(1, TARGET_LO), 3), ==, CXL_HDM_IGNORED);

    cxl_hdm_block_release(&b, 2);
    g_assert_cmphex(rd(&b, N(2, CTRL)), ==, 0);
    g_assert_cmphex(rd(&b, N(2, BASE_LO)), ==, 0);
    g_assert_true(cxl_hdm_block_committed(&b, 1));
}

int main(int argc, char **argv)
{
    unsigned int i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < ARRAY_SIZE(transitions); i++) {
        g_autofree char *path = g_strdup_printf("/cxl/hdm-decoder/write/%s",
                                                transitions[i].name);

        g_test_add_data_func(path, &transitions[i], test_transition);
    }
    g_test_add_func("/cxl/hdm-decoder/widths", test_widths);
    g_test_add_func("/cxl/hdm-decoder/capability", test_capability);
    g_test_add_func("/cxl/hdm-decoder/commit-rules", test_commit_rules);
    g_test_add_func("/cxl/hdm-decoder/firmware", test_firmware);
    g_test_add_func("/cxl/hdm-decoder/decodes", test_decodes);
    g_test_add_func("/cxl/hdm-decoder/accept", test_accept);
    g_test_add_func("/cxl/hdm-decoder/bridge/registers",
                    test_bridge_registers);
    g_test_add_func("/cxl/hdm-decoder/bridge/order", test_bridge_order);
    g_test_add_func("/cxl/hdm-decoder/bridge/last-byte",
                    test_bridge_last_byte);
    g_test_add_func("/cxl/hdm-decoder/bridge/interleave",
                    test_bridge_interleave);
    g_test_add_func("/cxl/hdm-decoder/bridge/firmware",
                    test_bridge_firmware);
    return g_test_run();
}
