/*
 * HDM decoders in the registers of an emulated CXL component
 *
 * QEMU keeps the CXL.cache and CXL.mem registers of host bridges, switches
 * and emulated devices in an array of 32-bit values in host byte order, as
 * its MMIO handlers return them.  These functions load decoders from it into
 * a decoder block and store them back, so that the block's rules hold for
 * whoever writes.  All of them work on plain data.
 *
 * CXL r3.1 section 8.2.4.20: CXL HDM Decoder Capability Structure
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_HDM_COMPONENT_H
#define HW_CXL_HDM_COMPONENT_H

#include "hw/cxl/cxl_hdm_decoder.h"

/**
 * cxl_hdm_component_load: the decoders of a component as they are now
 * @regs: its CXL.cache and CXL.mem registers
 * @block: filled in, with the rules of a bridge and no rule of its own for
 *         what may be decoded
 */
void cxl_hdm_component_load(const uint32_t *regs, CXLHDMBlock *block);

/**
 * cxl_hdm_component_store: make a decoder block the component's
 * @regs: its CXL.cache and CXL.mem registers
 * @block: from cxl_hdm_component_load(), changed
 */
void cxl_hdm_component_store(uint32_t *regs, const CXLHDMBlock *block);

/**
 * cxl_hdm_component_enable: show the decoders and turn them on
 * @regs: CXL.cache and CXL.mem registers of a bridge
 *
 * A bridge with one root port may do without decoders, but then no guest
 * can follow a committed endpoint decoder up to the window.
 */
void cxl_hdm_component_enable(uint32_t *regs);

/**
 * cxl_hdm_block_next: the decoder that may be committed after all others
 * @block: decoders of a bridge
 * @from: set to the lowest address that it may decode, as decoders are
 *        committed in turn and decode ascending addresses
 *
 * Returns: its index, or -1 if there is none.
 */
int cxl_hdm_block_next(const CXLHDMBlock *block, uint64_t *from);

/**
 * cxl_hdm_block_routes: does a decoder lead a range to one port, and whole?
 * @block: decoders of a bridge
 * @port: port number of the root port
 * @base: guest physical address
 * @size: bytes
 */
bool cxl_hdm_block_routes(const CXLHDMBlock *block, uint8_t port,
                          uint64_t base, uint64_t size);

#endif /* HW_CXL_HDM_COMPONENT_H */
