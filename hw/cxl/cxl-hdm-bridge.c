/*
 * HDM decoders of a CXL host bridge, programmed by QEMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl.h"
#include "cxl-hdm-bridge.h"

#define HDM_CAPABILITY_ID 5

/* As many targets as the emulated bridge has with decoders of its own */
#define HDM_TARGET_COUNT 8

static uint64_t reg_pair(const uint32_t *lo)
{
    return (ldl_le_p(lo) & 0xf0000000) | (uint64_t)ldl_le_p(lo + 1) << 32;
}

bool cxl_hdm_bridge_range(const CXLHost *host, int decoder,
                          CXLHDMRange *range)
{
    const uint32_t *regs = host->cxl_cstate.crb.cache_mem_registers +
                           decoder * CXL_HDM_DECODER_STRIDE;

    if (!FIELD_EX32(ldl_le_p(regs + R_CXL_HDM_DECODER0_CTRL),
                    CXL_HDM_DECODER0_CTRL, COMMITTED)) {
        return false;
    }
    range->base = reg_pair(regs + R_CXL_HDM_DECODER0_BASE_LO);
    range->size = reg_pair(regs + R_CXL_HDM_DECODER0_SIZE_LO);
    return true;
}

bool cxl_hdm_bridge_room(const CXLHost *host, int decoder, uint64_t *from,
                         uint64_t *to)
{
    CXLHDMRange range;
    int i;

    *from = 0;
    *to = UINT64_MAX;
    for (i = 0; i < CXL_HDM_DECODER_COUNT; i++) {
        if (!cxl_hdm_bridge_range(host, i, &range)) {
            continue;
        }
        if (i == decoder) {
            return false;
        } else if (i < decoder) {
            *from = MAX(*from, range.base + range.size);
        } else {
            *to = MIN(*to, range.base);
        }
    }
    return true;
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

void cxl_hdm_bridge_commit(CXLHost *host, int decoder,
                           const CXLHDMRange *range, uint8_t port,
                           CXLHDMUnlocked *unlocked)
{
    ComponentRegisters *crb = &host->cxl_cstate.crb;
    unsigned int skip = decoder * CXL_HDM_DECODER_STRIDE;
    uint32_t *regs = crb->cache_mem_registers + skip;
    uint32_t *mask = crb->cache_mem_regs_write_mask +
                     R_CXL_HDM_DECODER0_BASE_LO + skip;
    uint32_t ctrl = 0;

    ctrl = FIELD_DP32(ctrl, CXL_HDM_DECODER0_CTRL, LOCK_ON_COMMIT, 1);
    ctrl = FIELD_DP32(ctrl, CXL_HDM_DECODER0_CTRL, COMMIT, 1);
    ctrl = FIELD_DP32(ctrl, CXL_HDM_DECODER0_CTRL, COMMITTED, 1);

    stl_le_p(regs + R_CXL_HDM_DECODER0_BASE_LO, range->base);
    stl_le_p(regs + R_CXL_HDM_DECODER0_BASE_HI, range->base >> 32);
    stl_le_p(regs + R_CXL_HDM_DECODER0_SIZE_LO, range->size);
    stl_le_p(regs + R_CXL_HDM_DECODER0_SIZE_HI, range->size >> 32);
    stl_le_p(regs + R_CXL_HDM_DECODER0_TARGET_LIST_LO, port);
    stl_le_p(regs + R_CXL_HDM_DECODER0_TARGET_LIST_HI, 0);
    stl_le_p(regs + R_CXL_HDM_DECODER0_CTRL, ctrl);

    /* The lock: the bridge's write handler knows none, but obeys its mask */
    memcpy(unlocked->mask, mask, sizeof(unlocked->mask));
    memset(mask, 0, sizeof(unlocked->mask));
}

void cxl_hdm_bridge_uncommit(CXLHost *host, int decoder,
                             const CXLHDMUnlocked *unlocked)
{
    ComponentRegisters *crb = &host->cxl_cstate.crb;
    unsigned int first = R_CXL_HDM_DECODER0_BASE_LO +
                         decoder * CXL_HDM_DECODER_STRIDE;

    memset(crb->cache_mem_registers + first, 0, sizeof(unlocked->mask));
    memcpy(crb->cache_mem_regs_write_mask + first, unlocked->mask,
           sizeof(unlocked->mask));
}
