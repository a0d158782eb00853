/*
 * HDM decoders of a CXL host bridge
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl.h"
#include "cxl-hdm-bridge.h"

#define HDM_CAPABILITY_ID 5

/* As many targets as the emulated bridge has with decoders of its own */
#define HDM_TARGET_COUNT 8

/* 32-bit registers from one decoder's base to the next one's */
#define STRIDE (R_CXL_HDM_DECODER1_BASE_LO - R_CXL_HDM_DECODER0_BASE_LO)

QEMU_BUILD_BUG_ON(CXL_HDM_BLOCK_DECODERS < CXL_HDM_DECODER_COUNT);

static uint64_t load_pair(const uint32_t *lo)
{
    return ldq_le_p(lo);
}

static void store_pair(uint32_t *lo, uint64_t value)
{
    stq_le_p(lo, value);
}

void cxl_hdm_component_load(const uint32_t *regs, CXLHDMBlock *block)
{
    unsigned int i;

    cxl_hdm_bridge_init(block, ldl_le_p(regs + R_CXL_HDM_DECODER_CAPABILITY));
    block->global_control = ldl_le_p(regs + R_CXL_HDM_DECODER_GLOBAL_CONTROL);
    for (i = 0; i < block->count; i++, regs += STRIDE) {
        CXLHDMDecoder *d = &block->decoder[i];

        d->base = load_pair(regs + R_CXL_HDM_DECODER0_BASE_LO);
        d->size = load_pair(regs + R_CXL_HDM_DECODER0_SIZE_LO);
        d->control = ldl_le_p(regs + R_CXL_HDM_DECODER0_CTRL);
        d->target = load_pair(regs + R_CXL_HDM_DECODER0_TARGET_LIST_LO);
    }
}

void cxl_hdm_bridge_load(const CXLHost *host, CXLHDMBlock *block)
{
    cxl_hdm_component_load(host->cxl_cstate.crb.cache_mem_registers, block);
}

void cxl_hdm_bridge_store(CXLHost *host, const CXLHDMBlock *block)
{
    uint32_t *regs = host->cxl_cstate.crb.cache_mem_registers;
    unsigned int i;

    stl_le_p(regs + R_CXL_HDM_DECODER_GLOBAL_CONTROL, block->global_control);
    for (i = 0; i < block->count; i++, regs += STRIDE) {
        const CXLHDMDecoder *d = &block->decoder[i];

        store_pair(regs + R_CXL_HDM_DECODER0_BASE_LO, d->base);
        store_pair(regs + R_CXL_HDM_DECODER0_SIZE_LO, d->size);
        stl_le_p(regs + R_CXL_HDM_DECODER0_CTRL, d->control);
        store_pair(regs + R_CXL_HDM_DECODER0_TARGET_LIST_LO, d->target);
    }
}

bool cxl_hdm_bridge_room(const CXLHDMBlock *block, unsigned int decoder,
                         uint64_t *from, uint64_t *to)
{
    unsigned int i;

    if (cxl_hdm_block_committed(block, decoder)) {
        return false;
    }
    *from = 0;
    *to = UINT64_MAX;
    for (i = 0; i < block->count; i++) {
        const CXLHDMDecoder *d = &block->decoder[i];

        if (!cxl_hdm_block_committed(block, i)) {
            continue;
        }
        if (i < decoder) {
            uint64_t last = d->base + (d->size - 1);

            /* What the guest committed before the rules held may be odd */
            if (last == UINT64_MAX) {
                return false;
            }
            *from = MAX(*from, last + 1);
        } else {
            *to = MIN(*to, d->base);
        }
    }
    return true;
}

bool cxl_hdm_bridge_routes(const CXLHDMBlock *block, uint8_t port,
                           const CXLHDMRange *range)
{
    unsigned int i;

    for (i = 0; i < block->count; i++) {
        const CXLHDMDecoder *d = &block->decoder[i];

        if (cxl_hdm_block_decodes(block, i) &&
            range->base >= d->base &&
            range->base - d->base <= d->size &&
            range->size <= d->size - (range->base - d->base)) {
            return FIELD_EX32(d->control, CXL_HDM_DECODER0_CTRL, IW) == 0 &&
                   (d->target & 0xff) == port;
        }
    }
    return false;
}

void cxl_hdm_bridge_enable(CXLHost *host)
{
    uint32_t *regs = host->cxl_cstate.crb.cache_mem_registers;

    host->passthrough = false;
    ARRAY_FIELD_DP32(regs, CXL_HDM_CAPABILITY_HEADER, ID, HDM_CAPABILITY_ID);
    ARRAY_FIELD_DP32(regs, CXL_HDM_DECODER_CAPABILITY, TARGET_COUNT,
                     HDM_TARGET_COUNT);
    ARRAY_FIELD_DP32(regs, CXL_HDM_DECODER_GLOBAL_CONTROL,
                     HDM_DECODER_ENABLE, 1);
}
