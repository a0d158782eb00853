/*
 * Virtual HDM decoder: every state against every kind of write
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

static CXLHDMDecoderEvent wr(CXLHDMDecoder *d, hwaddr reg, uint32_t value)
{
    return cxl_hdm_decoder_write(d, reg, value, 4);
}

static uint32_t rd(const CXLHDMDecoder *d, hwaddr reg)
{
    return cxl_hdm_decoder_read(d, reg, 4);
}

static void set_range(CXLHDMDecoder *d, uint64_t base, uint64_t size)
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

static void enter(CXLHDMDecoder *d, State state)
{
    cxl_hdm_decoder_init(d, HDM_SIZE, 0x300);
    switch (state) {
    case ST_RESET:
        break;
    case ST_RANGED:
        set_range(d, BASE, HDM_SIZE);
        break;
    case ST_ERROR:
        set_range(d, BASE, HDM_SIZE / 2);
        g_assert_cmpint(wr(d, CTRL, COMMIT), ==, CXL_HDM_DECODER_REFUSED);
        break;
    case ST_COMMITTED:
        set_range(d, BASE, HDM_SIZE);
        g_assert_cmpint(wr(d, CTRL, COMMIT), ==, CXL_HDM_DECODER_COMMITTED);
        break;
    case ST_LOCKED:
        g_assert_true(cxl_hdm_decoder_program(d, BASE));
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
        CXLHDMDecoderEvent event;
        uint32_t after;     /* the register, read back */
        uint32_t ctrl;      /* the control register afterwards */
    } expect[ST_MAX];
} Transition;

#define NONE CXL_HDM_DECODER_NONE
#define DONE CXL_HDM_DECODER_COMMITTED
#define GONE CXL_HDM_DECODER_UNCOMMITTED
#define REFUSED CXL_HDM_DECODER_REFUSED
#define IGNORED CXL_HDM_DECODER_IGNORED

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
        { NONE, 3, 0 },
        { NONE, 3, 0 },
        { NONE, 3, C_ERR },
        { NONE, 3, C_OK },
        { NONE, 3, C_LOCKED } } },
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
        CXLHDMDecoder d;

        enter(&d, s);
        g_test_message("state %d", s);
        g_assert_cmpint(wr(&d, t->reg, t->value), ==, t->expect[s].event);
        g_assert_cmphex(rd(&d, t->reg), ==, t->expect[s].after);
        g_assert_cmphex(rd(&d, CTRL), ==, t->expect[s].ctrl);
        g_assert_cmpint(cxl_hdm_decoder_committed(&d), ==,
                        !!(t->expect[s].ctrl & COMMITTED));
    }
}

static void test_widths(void)
{
    static const unsigned int sizes[] = { 1, 2, 8 };
    CXLHDMDecoder d;
    unsigned int i;

    enter(&d, ST_RANGED);
    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        g_assert_cmphex(cxl_hdm_decoder_read(&d, BASE_LO, sizes[i]), ==,
                        UINT64_MAX >> (64 - sizes[i] * 8));
        g_assert_cmpint(cxl_hdm_decoder_write(&d, CTRL, COMMIT, sizes[i]), ==,
                        CXL_HDM_DECODER_IGNORED);
    }
    g_assert_cmphex(cxl_hdm_decoder_read(&d, BASE_LO + 2, 4), ==, 0xffffffff);
    g_assert_cmpint(wr(&d, CTRL + 2, COMMIT), ==, CXL_HDM_DECODER_IGNORED);
    g_assert_cmphex(rd(&d, CTRL), ==, 0);
}

/* Type, BI and further decoders of the host do not shine through */
static void test_capability(void)
{
    CXLHDMDecoder d;

    cxl_hdm_decoder_init(&d, HDM_SIZE, 0xffffffff);
    g_assert_cmphex(rd(&d, CAP), ==, 0x00600700);
}

static void test_commit_rules(void)
{
    CXLHDMDecoder d;

    enter(&d, ST_RANGED);
    wr(&d, SKIP_LO, 0x10000000);
    g_assert_cmpint(wr(&d, CTRL, COMMIT), ==, CXL_HDM_DECODER_REFUSED);

    enter(&d, ST_RANGED);
    wr(&d, SIZE_HI, size_hi + 1);
    g_assert_cmpint(wr(&d, CTRL, COMMIT), ==, CXL_HDM_DECODER_REFUSED);

    enter(&d, ST_RESET);
    set_range(&d, -HDM_SIZE + 256 * MiB, HDM_SIZE);
    g_assert_cmpint(wr(&d, CTRL, COMMIT), ==, CXL_HDM_DECODER_REFUSED);
    set_range(&d, -HDM_SIZE, HDM_SIZE);
    g_assert_cmpint(wr(&d, CTRL, COMMIT), ==, CXL_HDM_DECODER_COMMITTED);

    cxl_hdm_decoder_init(&d, 0, 0);
    g_assert_cmpint(wr(&d, CTRL, COMMIT), ==, CXL_HDM_DECODER_REFUSED);
}

static void test_firmware(void)
{
    CXLHDMDecoder d;

    cxl_hdm_decoder_init(&d, HDM_SIZE, 0x300);
    g_assert_false(cxl_hdm_decoder_program(&d, BASE + 4096));
    g_assert_false(cxl_hdm_decoder_committed(&d));

    g_assert_true(cxl_hdm_decoder_program(&d, BASE));
    g_assert_cmphex(rd(&d, GLOBAL), ==, 2);
    g_assert_cmphex(rd(&d, BASE_LO), ==, base_lo);
    g_assert_cmphex(rd(&d, BASE_HI), ==, BASE >> 32);
    g_assert_cmphex(rd(&d, SIZE_LO), ==, (uint32_t)HDM_SIZE);
    g_assert_cmphex(rd(&d, SIZE_HI), ==, size_hi);
    g_assert_cmphex(rd(&d, CTRL), ==, C_LOCKED);

    /* Locked is locked, until a reset */
    g_assert_false(cxl_hdm_decoder_program(&d, BASE));
    cxl_hdm_decoder_reset(&d);
    g_assert_cmphex(rd(&d, CTRL), ==, 0);
    g_assert_cmphex(rd(&d, BASE_HI), ==, 0);
    g_assert_cmphex(rd(&d, CAP), ==, 0x300);
    g_assert_true(cxl_hdm_decoder_program(&d, 0));
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
    return g_test_run();
}
