/*
 * HDM decoders in the registers of an emulated CXL component
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_component.h"
#include "hw/cxl/cxl_hdm_component.h"

#define HDM_CAPABILITY_ID 5

/* As many targets as the emulated bridge has with decoders of its own */
#define HDM_TARGET_COUNT 8

/* 32-bit registers from one decoder's base to the next one's */
#define STRIDE (R_CXL_HDM_DECODER1_BASE_LO - R_CXL_HDM_DECODER0_BASE_LO)

QEMU_BUILD_BUG_ON(CXL_HDM_BLOCK_DECODERS < CXL_HDM_DECODER_COUNT);

static uint64_t load_pair(const uint32_t *lo)
{
    return lo[0] | (uint64_t)lo[1] << 32;
}

static void store_pair(uint32_t *lo, uint64_t value)
{
    lo[0] = value;
    lo[1] = value >> 32;
}

void cxl_hdm_component_load(const uint32_t *regs, CXLHDMBlock *block)
{
    unsigned int i;

    cxl_hdm_bridge_init(block, regs[R_CXL_HDM_DECODER_CAPABILITY]);
    block->global_control = regs[R_CXL_HDM_DECODER_GLOBAL_CONTROL];
    for (i = 0; i < block->count; i++, regs += STRIDE) {
        CXLHDMDecoder *d = &block->decoder[i];

        d->base = load_pair(regs + R_CXL_HDM_DECODER0_BASE_LO);
        d->size = load_pair(regs + R_CXL_HDM_DECODER0_SIZE_LO);
        d->control = regs[R_CXL_HDM_DECODER0_CTRL];
        d->target = load_pair(regs + R_CXL_HDM_DECODER0_TARGET_LIST_LO);
    }
}

void cxl_hdm_component_store(uint32_t *regs, const CXLHDMBlock *block)
{
    unsigned int i;

    regs[R_CXL_HDM_DECODER_GLOBAL_CONTROL] = block->global_control;
    for (i = 0; i < block->count; i++, regs += STRIDE) {
        const CXLHDMDecoder *d = &block->decoder[i];

        store_pair(regs + R_CXL_HDM_DECODER0_BASE_LO, d->base);
        store_pair(regs + R_CXL_HDM_DECODER0_SIZE_LO, d->size);
        regs[R_CXL_HDM_DECODER0_CTRL] = d->control;
        store_pair(regs + R_CXL_HDM_DECODER0_TARGET_LIST_LO, d->target);
    }
}

void cxl_hdm_component_enable(uint32_t *regs)
{
    ARRAY_FIELD_DP32(regs, CXL_HDM_CAPABILITY_HEADER, ID, HDM_CAPABILITY_ID);
    ARRAY_FIELD_DP32(regs, CXL_HDM_DECODER_CAPABILITY, TARGET_COUNT,
                     HDM_TARGET_COUNT);
    ARRAY_FIELD_DP32(regs, CXL_HDM_DECODER_GLOBAL_CONTROL,
                     HDM_DECODER_ENABLE, 1);
}

int cxl_hdm_block_next(const CXLHDMBlock *block, uint64_t *from)
{
    unsigned int i, next = 0;

    *from = 0;
    for (i = 0; i < block->count; i++) {
        const CXLHDMDecoder *d = &block->decoder[i];
        uint64_t last = d->base + (d->size - 1);

        if (!cxl_hdm_block_committed(block, i)) {
            continue;
        }
        /* What the guest committed before the rules held may be odd */
        if (last == UINT64_MAX) {
            return -1;
        }
        *from = MAX(*from, last + 1);
        next = i + 1;
    }
    return next < block->count ? next : -1;
}

bool cxl_hdm_block_routes(const CXLHDMBlock *block, uint8_t port,
                          uint64_t base, uint64_t size)
{
    unsigned int i;

    for (i = 0; i < block->count; i++) {
        const CXLHDMDecoder *d = &block->decoder[i];

        if (cxl_hdm_block_decodes(block, i) && base >= d->base &&
            base - d->base <= d->size &&
            size <= d->size - (base - d->base)) {
            return FIELD_EX32(d->control, CXL_HDM_DECODER0_CTRL, IW) == 0 &&
                   (d->target & 0xff) == port;
        }
    }
    return false;
}
