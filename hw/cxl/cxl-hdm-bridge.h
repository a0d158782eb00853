/*
 * HDM decoders of a CXL host bridge, programmed by QEMU
 *
 * The registers are those of the emulated bridge, which leaves all checks to
 * the guest that programs them.  This is the firmware's access to them.
 *
 * CXL r3.1 section 8.2.4.20: CXL HDM Decoder Capability Structure
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_HDM_BRIDGE_H
#define HW_CXL_HDM_BRIDGE_H

#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_hdm_path.h"

/* 32-bit registers from one decoder's base to the next one's */
#define CXL_HDM_DECODER_STRIDE \
    (R_CXL_HDM_DECODER1_BASE_LO - R_CXL_HDM_DECODER0_BASE_LO)

/* A decoder's write mask while it was not locked */
typedef struct CXLHDMUnlocked {
    uint32_t mask[CXL_HDM_DECODER_STRIDE];
} CXLHDMUnlocked;

/**
 * cxl_hdm_bridge_range: what a decoder decodes, whoever committed it
 * @host: the host bridge
 * @decoder: index from 0
 * @range: filled in if the decoder is committed
 *
 * Returns: whether it is committed.
 */
bool cxl_hdm_bridge_range(const CXLHost *host, int decoder,
                          CXLHDMRange *range);

/**
 * cxl_hdm_bridge_room: where a decoder may decode while the others stay
 * @host: the host bridge
 * @decoder: index from 0
 * @from: lowest address
 * @to: address behind the highest
 *
 * Decoders decode ascending addresses, so there is room between committed
 * neighbours only.
 *
 * Returns: whether the decoder is free.
 */
bool cxl_hdm_bridge_room(const CXLHost *host, int decoder, uint64_t *from,
                         uint64_t *to);

/**
 * cxl_hdm_bridge_enable: show the decoders and turn them on
 * @host: the host bridge
 */
void cxl_hdm_bridge_enable(CXLHost *host);

/**
 * cxl_hdm_bridge_commit: commit a free decoder and lock it
 * @host: the host bridge
 * @decoder: index from 0
 * @range: a multiple of 256 MiB in base and size
 * @port: port number of the root port that is the target
 * @unlocked: kept for cxl_hdm_bridge_uncommit()
 */
void cxl_hdm_bridge_commit(CXLHost *host, int decoder,
                           const CXLHDMRange *range, uint8_t port,
                           CXLHDMUnlocked *unlocked);

/**
 * cxl_hdm_bridge_uncommit: give a decoder back to the guest, as after reset
 * @host: the host bridge
 * @decoder: index from 0
 * @unlocked: from cxl_hdm_bridge_commit()
 */
void cxl_hdm_bridge_uncommit(CXLHost *host, int decoder,
                             const CXLHDMUnlocked *unlocked);

#endif /* HW_CXL_HDM_BRIDGE_H */
