/*
 * When a guest reaches the HDM of a CXL endpoint
 *
 * The HDM is mapped where the endpoint's decoder says.  While a reason closes
 * the gate the guest finds nothing there instead: reads give all ones, writes
 * are dropped, both are told to the log, and the memory is not touched.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_HDM_GATE_H
#define HW_CXL_HDM_GATE_H

#include "hw/cxl/cxl_hdm_path.h"
#include "hw/pci/pci_device.h"
#include "qapi/qapi-types-cxl.h"
#include "system/memory.h"

/* Each reason alone takes the memory away */
typedef enum CXLHDMGateReason {
    CXL_HDM_GATE_MEMORY_SPACE = 1 << CXL_HDM_REASON_MEMORY_SPACE,
    CXL_HDM_GATE_POWER = 1 << CXL_HDM_REASON_POWER,
    CXL_HDM_GATE_RESET = 1 << CXL_HDM_REASON_RESET,
    CXL_HDM_GATE_RESET_FAILED = 1 << CXL_HDM_REASON_RESET_FAILED,
    CXL_HDM_GATE_MEMORY_ERROR = 1 << CXL_HDM_REASON_MEMORY_ERROR,
    CXL_HDM_GATE_DEVICE_LOST = 1 << CXL_HDM_REASON_DEVICE_LOST,
} CXLHDMGateReason;

typedef struct CXLHDMGate {
    char *name;                 /* of the device, for the log */
    MemoryRegion root;          /* what is in the window: the HDM, else ... */
    MemoryRegion closed;        /* ... nothing, told to the log */
    MemoryRegion *hdm;
    CXLHDMPath *path;           /* whose memory it is, until the exit */
    uint32_t reasons;           /* CXLHDMGateReason */
} CXLHDMGate;

/**
 * cxl_hdm_gate_init: a gate, closed until the guest turns Memory Space on
 * @gate: the gate
 * @owner: the device, of which @gate is a part
 * @name: how to call the device in the log
 * @hdm: the memory, in no other region; it is only ever enabled and disabled
 * @size: its bytes
 * @path: the path that will be told when the gate opens and closes
 */
void cxl_hdm_gate_init(CXLHDMGate *gate, Object *owner, const char *name,
                       MemoryRegion *hdm, uint64_t size, CXLHDMPath *path);

/**
 * cxl_hdm_gate_exit: give the memory back; no effect without a memory
 * @gate: the gate; before the end of its path
 */
void cxl_hdm_gate_exit(CXLHDMGate *gate);

/** cxl_hdm_gate_finalize: nobody has the regions any more */
void cxl_hdm_gate_finalize(CXLHDMGate *gate);

/** cxl_hdm_gate_set: add or remove one reason, also after the exit */
void cxl_hdm_gate_set(CXLHDMGate *gate, CXLHDMGateReason why, bool closed);

/**
 * cxl_hdm_gate_update: what config space says of Memory Space and power
 * @gate: the gate
 * @pdev: its device
 */
void cxl_hdm_gate_update(CXLHDMGate *gate, const PCIDevice *pdev);

/** cxl_config_asks_flr: does a config write start a function-level reset? */
bool cxl_config_asks_flr(const PCIDevice *pdev, uint32_t addr, uint32_t val,
                         int len);

/**
 * cxl_config_asks_reset: does a config write initiate a CXL reset?
 * @pdev: the device
 * @dvsec: its CXL Device DVSEC (CXL r3.1 section 8.1.3.4: Control2)
 * @addr: offset in config space
 * @val: what is written
 * @len: bytes
 */
bool cxl_config_asks_reset(const PCIDevice *pdev, uint16_t dvsec,
                           uint32_t addr, uint32_t val, int len);

#endif /* HW_CXL_HDM_GATE_H */
