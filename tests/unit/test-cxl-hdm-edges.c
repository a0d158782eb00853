/*
 * Virtual HDM decoders: edges that the table of transitions leaves out
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_hdm_decoder.h"

#define UNIT CXL_HDM_DECODER_ALIGN

/* Offsets and bits from CXL r3.1 section 8.2.4.20, on purpose not shared */
enum {
    GLOBAL = 0x04, BASE = 0x10, SIZE = 0x18, CTRL = 0x20, TARGET = 0x24,
    STRIDE = 0x20,
};

enum {
    COMMIT = 1 << 9, COMMITTED = 1 << 10, ERR = 1 << 11,
};

static uint32_t rd(const CXLHDMBlock *block, hwaddr offset)
{
    return cxl_hdm_block_read(block, offset, 4);
}

static CXLHDMEvent wr(CXLHDMBlock *block, hwaddr offset, uint32_t value)
{
    return cxl_hdm_block_write(block, offset, value, 4);
}

/* Whatever the memory held before, all is 0 but the capability */
static void test_init(void)
{
    CXLHDMBlock block;
    hwaddr offset;

    memset(&block, 0xff, sizeof(block));
    cxl_hdm_endpoint_init(&block, UNIT, 0);
    g_assert_cmpuint(block.count, ==, 1);
    g_assert_null(block.accept);
    for (offset = 0; offset < 0x100; offset += 4) {
        g_assert_cmphex(rd(&block, offset), ==, 0);
    }

    memset(&block, 0xff, sizeof(block));
    cxl_hdm_bridge_init(&block, 1);
    g_assert_cmpuint(block.count, ==, 2);
    g_assert_cmphex(block.hdm_size, ==, 0);
    g_assert_null(block.accept);
    g_assert_cmphex(rd(&block, 0), ==, 1);
    for (offset = 4; offset < 0x100; offset += 4) {
        g_assert_cmphex(rd(&block, offset), ==, 0);
    }
}

/* Decoders that there are not, and registers between those that there are */
static void test_nothing_there(void)
{
    CXLHDMBlock block;
    hwaddr offset;

    cxl_hdm_bridge_init(&block, 1);
    for (offset = 0; offset < 0x100; offset += 4) {
        bool there = offset == GLOBAL ||
                     (offset >= BASE && offset < BASE + 2 * STRIDE &&
                      (offset - BASE) % STRIDE < 7 * 4);
        CXLHDMEvent event = wr(&block, offset, 0);

        g_test_message("offset 0x%" PRIx64, (uint64_t)offset);
        g_assert_cmpint(event == CXL_HDM_IGNORED, ==, !there);
    }
    g_assert_cmpint(wr(&block, 0x1000000010, 1u << 28), ==, CXL_HDM_IGNORED);
    g_assert_cmphex(rd(&block, 0x1000000010), ==, 0);
}

/* Each decoder has registers of its own */
static void test_registers_apart(void)
{
    CXLHDMBlock block;
    unsigned int n, reg;

    cxl_hdm_bridge_init(&block, 2);
    for (n = 0; n < 4; n++) {
        for (reg = 0; reg < 7; reg++) {
            if (BASE + reg * 4 != CTRL) {
                wr(&block, BASE + n * STRIDE + reg * 4,
                   (n * 8 + reg + 1) << 28 | (n * 8 + reg + 1));
            }
        }
    }
    for (n = 0; n < 4; n++) {
        for (reg = 0; reg < 7; reg++) {
            uint32_t low = n * 8 + reg + 1;
            /* base low and size low have their upper 4 bits only */
            bool short_reg = reg == 0 || reg == 2;

            if (BASE + reg * 4 != CTRL) {
                g_assert_cmphex(rd(&block, BASE + n * STRIDE + reg * 4), ==,
                                low << 28 | (short_reg ? 0 : low));
            }
        }
    }
}

/* The end of the address space may be decoded, and not one byte more */
static void test_end_of_space(void)
{
    CXLHDMBlock block;

    cxl_hdm_endpoint_init(&block, 2 * UNIT, 0);
    wr(&block, SIZE, 2 * UNIT);
    wr(&block, BASE + 4, 0xffffffff);
    wr(&block, BASE, 0xf0000000);
    g_assert_cmpint(wr(&block, CTRL, COMMIT), ==, CXL_HDM_REFUSED);
    g_assert_cmphex(rd(&block, CTRL), ==, COMMIT | ERR);
    wr(&block, BASE, 0xe0000000);
    g_assert_cmpint(wr(&block, CTRL, COMMIT), ==, CXL_HDM_CHANGED);
    g_assert_cmphex(rd(&block, CTRL), ==, COMMIT | COMMITTED);
}

/* A decoder that was given up has left nothing, and its neighbour all */
static void test_release(void)
{
    CXLHDMBlock block;

    cxl_hdm_bridge_init(&block, 0x100 | 1 | 1 << 4);
    g_assert_true(cxl_hdm_block_program(&block, 0, 4 * UNIT, UNIT, 0x21));
    g_assert_true(cxl_hdm_block_program(&block, 1, 6 * UNIT, UNIT, 0x43));
    cxl_hdm_block_release(&block, 0);
    g_assert_false(cxl_hdm_block_committed(&block, 0));
    g_assert_cmphex(rd(&block, BASE), ==, 0);
    g_assert_cmphex(rd(&block, SIZE), ==, 0);
    g_assert_cmphex(rd(&block, TARGET), ==, 0);
    g_assert_true(cxl_hdm_block_committed(&block, 1));
    g_assert_cmphex(rd(&block, BASE + STRIDE), ==, 6 * UNIT);
    g_assert_cmphex(rd(&block, TARGET + STRIDE), ==, 0x43);
    g_assert_cmphex(rd(&block, GLOBAL), ==, 2);
}

/* Firmware is told why it may not have a range */
static void test_program_refused(void)
{
    CXLHDMBlock block;

    cxl_hdm_bridge_init(&block, 0x100 | 1 << 4);
    g_assert_false(cxl_hdm_block_program(&block, 0, UNIT / 2, UNIT, 0));
    g_assert_nonnull(strstr(block.refused, "multiple of 256 MiB"));
    block.refused = NULL;
    g_assert_false(cxl_hdm_block_program(&block, 0, UNIT, UNIT / 2, 0));
    g_assert_nonnull(strstr(block.refused, "multiple of 256 MiB"));
    g_assert_false(cxl_hdm_block_program(&block, 0, UNIT, 0, 0));
    g_assert_nonnull(strstr(block.refused, "size is 0"));
    g_assert_true(cxl_hdm_block_program(&block, 0, UNIT, UNIT, 0));
    g_assert_null(block.refused);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl/hdm-edges/init", test_init);
    g_test_add_func("/cxl/hdm-edges/nothing-there", test_nothing_there);
    g_test_add_func("/cxl/hdm-edges/registers-apart", test_registers_apart);
    g_test_add_func("/cxl/hdm-edges/end-of-space", test_end_of_space);
    g_test_add_func("/cxl/hdm-edges/release", test_release);
    g_test_add_func("/cxl/hdm-edges/program-refused", test_program_refused);
    return g_test_run();
}
