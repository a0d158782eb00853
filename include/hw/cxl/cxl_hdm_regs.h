/*
 * The HDM decoder of an endpoint, as its guest finds it
 *
 * It joins the decoder block (registers), the path (where the window shows
 * the memory) and the gate (whether it does).  Passthrough and the emulated
 * device have the same one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_HDM_REGS_H
#define HW_CXL_HDM_REGS_H

#include "hw/cxl/cxl_hdm_decoder.h"
#include "hw/cxl/cxl_hdm_gate.h"
#include "hw/cxl/cxl_hdm_path.h"
#include "system/memory.h"

typedef struct CXLHDMRegs {
    CXLHDMBlock block;
    MemoryRegion mr;            /* the registers */
    CXLHDMPath *path;
    CXLHDMGate *gate;
    bool guest;                 /* the guest commits, not QEMU */
} CXLHDMRegs;

/**
 * cxl_hdm_regs_init: registers in reset state, not yet in any BAR
 * @regs: the registers; its path, gate and guest are set
 * @owner: the device
 * @size: bytes of the register block
 * @hdm_size: bytes of HDM
 * @capability: features of the decoder, see cxl_hdm_endpoint_init()
 */
void cxl_hdm_regs_init(CXLHDMRegs *regs, Object *owner, uint64_t size,
                       uint64_t hdm_size, uint32_t capability);

/**
 * cxl_hdm_regs_exit: from now on writes have no effect
 * @regs: the registers; before the end of their path.  A processor may still
 *        get to them until the device is finalized.
 */
void cxl_hdm_regs_exit(CXLHDMRegs *regs);

/**
 * cxl_hdm_regs_reset: the decoder after a reset: committed and locked by
 * QEMU, or left to the guest
 * @regs: the registers
 */
void cxl_hdm_regs_reset(CXLHDMRegs *regs);

#endif /* HW_CXL_HDM_REGS_H */
