/*
 * HDM decoders of a CXL host bridge
 *
 * The registers are those of the emulated bridge, and the emulated devices
 * below it look into them.  This loads them into a decoder block and stores
 * them back, so that the block's rules hold for whoever writes.
 *
 * CXL r3.1 section 8.2.4.20: CXL HDM Decoder Capability Structure
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_HDM_BRIDGE_H
#define HW_CXL_HDM_BRIDGE_H

#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_hdm_decoder.h"
#include "hw/cxl/cxl_hdm_path.h"

/**
 * cxl_hdm_component_load: the decoders of an emulated component as they are now
 * @regs: its CXL.cache and CXL.mem registers, little endian
 * @block: filled in, with the rules of a bridge
 */
void cxl_hdm_component_load(const uint32_t *regs, CXLHDMBlock *block);

/**
 * cxl_hdm_bridge_load: the bridge's decoders as they are now
 * @host: the host bridge
 * @block: filled in, without a rule of its own for what may be decoded
 */
void cxl_hdm_bridge_load(const CXLHost *host, CXLHDMBlock *block);

/**
 * cxl_hdm_bridge_store: make a decoder block the bridge's
 * @host: the host bridge
 * @block: from cxl_hdm_bridge_load(), changed
 */
void cxl_hdm_bridge_store(CXLHost *host, const CXLHDMBlock *block);

/**
 * cxl_hdm_bridge_room: where a decoder may decode while the others stay
 * @block: the bridge's decoders
 * @decoder: index from 0
 * @from: lowest address
 * @to: address behind the highest
 *
 * Decoders decode ascending addresses, so there is room between committed
 * neighbours only.
 *
 * Returns: whether the decoder is free.
 */
bool cxl_hdm_bridge_room(const CXLHDMBlock *block, unsigned int decoder,
                         uint64_t *from, uint64_t *to);

/**
 * cxl_hdm_bridge_routes: does a decoder lead a range to one port, and whole?
 * @block: the bridge's decoders
 * @port: port number of the root port
 * @range: the range
 */
bool cxl_hdm_bridge_routes(const CXLHDMBlock *block, uint8_t port,
                           const CXLHDMRange *range);

/**
 * cxl_hdm_bridge_enable: show the decoders and turn them on
 * @host: the host bridge
 *
 * A bridge with one root port may do without decoders, but then no guest
 * can follow a committed endpoint decoder up to the window.
 */
void cxl_hdm_bridge_enable(CXLHost *host);

#endif /* HW_CXL_HDM_BRIDGE_H */
