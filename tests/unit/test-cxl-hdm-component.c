/*
 * HDM decoders in the registers of an emulated component
 *
 * The registers are what MMIO handlers return, as numbers and not as bytes,
 * so these tests also fail on a host of the other byte order if the code
 * takes one for the other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_component.h"
#include "hw/cxl/cxl_hdm_component.h"

#define MB256 0x10000000ull
#define HIGH 0x10000000000ull   /* the first address of a window */
#define REGS (CXL2_COMPONENT_CM_REGION_SIZE / 4)
#define COMMITTED 0x700u        /* COMMITTED, COMMIT, LOCK_ON_COMMIT */
#define NEXT (R_CXL_HDM_DECODER1_BASE_LO - R_CXL_HDM_DECODER0_BASE_LO)

/* Four decoders, eight targets */
#define CAPABILITY 0x82u

static uint32_t *new_regs(void)
{
    uint32_t *regs = g_new0(uint32_t, REGS);

    regs[R_CXL_HDM_DECODER_CAPABILITY] = CAPABILITY;
    return regs;
}

static void test_load(void)
{
    g_autofree uint32_t *regs = new_regs();
    CXLHDMBlock block;
    unsigned int i;

    regs[R_CXL_HDM_DECODER_GLOBAL_CONTROL] = 2;
    for (i = 0; i < 4; i++) {
        uint32_t *d = regs + i * NEXT;

        d[R_CXL_HDM_DECODER0_BASE_LO] = 0x10000000 + i;
        d[R_CXL_HDM_DECODER0_BASE_HI] = 0x100 + i;
        d[R_CXL_HDM_DECODER0_SIZE_LO] = 0x20000000 + i;
        d[R_CXL_HDM_DECODER0_SIZE_HI] = 0x200 + i;
        d[R_CXL_HDM_DECODER0_CTRL] = COMMITTED + i;
        d[R_CXL_HDM_DECODER0_TARGET_LIST_LO] = 0x04030201 + i;
        d[R_CXL_HDM_DECODER0_TARGET_LIST_HI] = 0x08070605 + i;
    }
    cxl_hdm_component_load(regs, &block);
    g_assert_cmphex(block.capability, ==, CAPABILITY);
    g_assert_cmpuint(block.count, ==, 4);
    g_assert_cmphex(block.global_control, ==, 2);
    g_assert_null(block.accept);
    g_assert_cmphex(block.hdm_size, ==, 0);
    for (i = 0; i < 4; i++) {
        const CXLHDMDecoder *d = &block.decoder[i];

        g_assert_cmphex(d->base, ==, 0x10010000000 + i * 0x100000001);
        g_assert_cmphex(d->size, ==, 0x20020000000 + i * 0x100000001);
        g_assert_cmphex(d->control, ==, COMMITTED + i);
        g_assert_cmphex(d->target, ==,
                        0x0807060504030201 + i * 0x100000001);
    }
}

static void test_store(void)
{
    g_autofree uint32_t *regs = new_regs();
    g_autofree uint32_t *want = new_regs();
    CXLHDMBlock block;

    /* Registers beside the decoders are none of its business */
    memset(regs, 0x5a, REGS * 4);
    memset(want, 0x5a, REGS * 4);
    regs[R_CXL_HDM_DECODER_CAPABILITY] = CAPABILITY;
    want[R_CXL_HDM_DECODER_CAPABILITY] = CAPABILITY;
    cxl_hdm_bridge_init(&block, CAPABILITY);
    g_assert_true(cxl_hdm_block_program(&block, 0, HIGH, MB256, 7));
    g_assert_true(cxl_hdm_block_program(&block, 1, HIGH + MB256,
                                        0x300000000, 0x0807060504030209));
    cxl_hdm_component_store(regs, &block);

    want[R_CXL_HDM_DECODER_GLOBAL_CONTROL] = 2;
    memset(want + R_CXL_HDM_DECODER0_BASE_LO, 0, 7 * 4);
    memset(want + R_CXL_HDM_DECODER0_BASE_LO + NEXT, 0, 7 * 4);
    memset(want + R_CXL_HDM_DECODER0_BASE_LO + 2 * NEXT, 0, 7 * 4);
    memset(want + R_CXL_HDM_DECODER0_BASE_LO + 3 * NEXT, 0, 7 * 4);
    want[R_CXL_HDM_DECODER0_BASE_HI] = 0x100;
    want[R_CXL_HDM_DECODER0_SIZE_LO] = 0x10000000;
    want[R_CXL_HDM_DECODER0_CTRL] = COMMITTED;
    want[R_CXL_HDM_DECODER0_TARGET_LIST_LO] = 7;
    want[R_CXL_HDM_DECODER1_BASE_LO] = 0x10000000;
    want[R_CXL_HDM_DECODER1_BASE_HI] = 0x100;
    want[R_CXL_HDM_DECODER1_SIZE_HI] = 3;
    want[R_CXL_HDM_DECODER1_CTRL] = COMMITTED;
    want[R_CXL_HDM_DECODER1_TARGET_LIST_LO] = 0x04030209;
    want[R_CXL_HDM_DECODER1_TARGET_LIST_HI] = 0x08070605;
    g_assert_cmpmem(regs, REGS * 4, want, REGS * 4);
}

static void test_enable(void)
{
    g_autofree uint32_t *regs = new_regs();
    g_autofree uint32_t *want = new_regs();

    regs[R_CXL_HDM_CAPABILITY_HEADER] = 0x12810000;
    regs[R_CXL_HDM_DECODER_CAPABILITY] = 0x312;
    regs[R_CXL_HDM_DECODER_GLOBAL_CONTROL] = 1;
    want[R_CXL_HDM_CAPABILITY_HEADER] = 0x12810005;
    want[R_CXL_HDM_DECODER_CAPABILITY] = 0x382;
    want[R_CXL_HDM_DECODER_GLOBAL_CONTROL] = 3;
    cxl_hdm_component_enable(regs);
    g_assert_cmpmem(regs, REGS * 4, want, REGS * 4);
}

/* The decoder after the last one that is committed, above all of them */
static void test_next(void)
{
    CXLHDMBlock block;
    uint64_t from = 1;
    int i;

    cxl_hdm_bridge_init(&block, CAPABILITY);
    g_assert_cmpint(cxl_hdm_block_next(&block, &from), ==, 0);
    g_assert_cmphex(from, ==, 0);
    for (i = 0; i < 4; i++) {
        g_assert_true(cxl_hdm_block_program(&block, i, HIGH + 2 * i * MB256,
                                            MB256, i));
        g_assert_cmpint(cxl_hdm_block_next(&block, &from), ==,
                        i < 3 ? i + 1 : -1);
        g_assert_cmphex(from, ==, HIGH + (2 * i + 1) * MB256);
    }
    /* a free one below others is of no use */
    cxl_hdm_block_release(&block, 3);
    cxl_hdm_block_release(&block, 0);
    g_assert_cmpint(cxl_hdm_block_next(&block, &from), ==, 3);
    g_assert_cmphex(from, ==, HIGH + 5 * MB256);
    /* nor is one after the end of all addresses */
    block.decoder[2].base = -MB256;
    g_assert_cmpint(cxl_hdm_block_next(&block, &from), ==, -1);
    /* what is odd ends well: a size of 0, and an order that is none */
    block.decoder[2].base = HIGH;
    block.decoder[2].size = 0;
    g_assert_cmpint(cxl_hdm_block_next(&block, &from), ==, 3);
    g_assert_cmphex(from, ==, HIGH + 3 * MB256);
}

static void test_routes(void)
{
    CXLHDMBlock block;

    cxl_hdm_bridge_init(&block, CAPABILITY);
    g_assert_false(cxl_hdm_block_routes(&block, 0, 0, 0));
    g_assert_true(cxl_hdm_block_program(&block, 0, HIGH, 2 * MB256, 7));
    g_assert_true(cxl_hdm_block_program(&block, 1, HIGH + 2 * MB256, MB256,
                                        0x0109));
    g_assert_true(cxl_hdm_block_routes(&block, 7, HIGH, 2 * MB256));
    g_assert_true(cxl_hdm_block_routes(&block, 7, HIGH + MB256, MB256));
    g_assert_true(cxl_hdm_block_routes(&block, 9, HIGH + 2 * MB256, MB256));
    /* the other port, too long, below, above, over two decoders */
    g_assert_false(cxl_hdm_block_routes(&block, 9, HIGH, MB256));
    g_assert_false(cxl_hdm_block_routes(&block, 7, HIGH, 2 * MB256 + 1));
    g_assert_false(cxl_hdm_block_routes(&block, 7, HIGH - 1, 1));
    g_assert_false(cxl_hdm_block_routes(&block, 9, HIGH + 3 * MB256, 1));
    g_assert_false(cxl_hdm_block_routes(&block, 7, HIGH + MB256, 2 * MB256));
    /* interleaved, and not committed */
    block.decoder[0].control |= 1 << 4;
    g_assert_false(cxl_hdm_block_routes(&block, 7, HIGH, MB256));
    block.decoder[0].control = 0x200;
    g_assert_false(cxl_hdm_block_routes(&block, 7, HIGH, MB256));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl/hdm/component/load", test_load);
    g_test_add_func("/cxl/hdm/component/store", test_store);
    g_test_add_func("/cxl/hdm/component/enable", test_enable);
    g_test_add_func("/cxl/hdm/component/next", test_next);
    g_test_add_func("/cxl/hdm/component/routes", test_routes);
    return g_test_run();
}
