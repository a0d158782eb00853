/*
 * Emulated CXL Type-2 device: what its parts share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_TYPE2_INT_H
#define HW_CXL_TYPE2_INT_H

#include "hw/cxl/cxl_accel.h"
#include "hw/cxl/cxl_hdm_gate.h"
#include "hw/cxl/cxl_hdm_path.h"
#include "hw/cxl/cxl_hdm_regs.h"
#include "hw/cxl/cxl_type2_model.h"
#include "hw/pci/pci_device.h"
#include "qom/object.h"
#include "system/hostmem.h"

#define TYPE_CXL_TYPE2 "cxl-type2"
OBJECT_DECLARE_SIMPLE_TYPE(CXLType2Dev, CXL_TYPE2)

struct CXLType2Dev {
    PCIDevice parent_obj;

    /* properties */
    int identity;               /* CXLType2Identity */
    int hdm_commit;             /* CxlHdmCommit */
    uint64_t hdm_offset;
    uint64_t serial;            /* 0 until realized: by its root port */
    HostMemoryBackend *memdev;

    const CxlIdentity *id;
    uint16_t dvsec;             /* CXL Device DVSEC in config space */

    /* HDM: the backend's memory, what the guest sees of it, and where */
    MemoryRegion *hdm;
    uint64_t hdm_size;
    MemoryRegion hdm_alias;
    AddressSpace hdm_as;        /* the engine's way to it */
    CXLHDMGate gate;
    CXLHDMPath *path;
    CXLHDMRegs regs;

    MemoryRegion func_mr;       /* BAR 0 */
    MemoryRegion sram;          /* the memory in it, accel only */
    MemoryRegion comp_mr;
    MemoryRegion msix_mr;
    CxlRegs cm;
    CxlAccel accel;
    CxlSfc sfc;

    QEMUBH *engine;             /* the next step of the copy engine */
    VMChangeStateEntry *run_state;
    bool dma_done;              /* by this step */

    QEMUTimer *reset_timer;     /* armed: a CXL reset is going on */
    bool in_cxl_reset;          /* right now, in the guest's write */
    bool reset_clears;
    uint64_t reset_cleared;     /* bytes of HDM */
    bool reset_discards;        /* by giving them back to the host */
};

/* How to call a device in a message: by the name that the user gave it */
const char *cxl_type2_name(const CXLType2Dev *ct2);

/* -- cxl-type2-config.c: config space -- */

/**
 * cxl_type2_config_init: IDs and capabilities; MSI-X is the caller's
 * @ct2: the device, its HDM placed
 * @errp: no room, which cannot be
 */
bool cxl_type2_config_init(CXLType2Dev *ct2, Error **errp);
void cxl_type2_config_exit(CXLType2Dev *ct2);

/** cxl_type2_config_reset: what an FLR leaves alone, the CXL DVSECs */
void cxl_type2_config_reset(CXLType2Dev *ct2);

/** cxl_type2_config_write: the guest writes config space */
void cxl_type2_config_write(PCIDevice *pdev, uint32_t addr, uint32_t val,
                            int len);

/** cxl_type2_config_reset_done: what Status2 says of a CXL reset */
void cxl_type2_config_reset_done(CXLType2Dev *ct2);

/** cxl_type2_config_mem_clear: does the guest want the HDM cleared? */
bool cxl_type2_config_mem_clear(const CXLType2Dev *ct2);

/* -- cxl-type2-engine.c: BAR 0 and the copy engine -- */

/** cxl_type2_engine_init: BAR 0 with the accelerator's registers */
bool cxl_type2_engine_init(CXLType2Dev *ct2, Error **errp);
void cxl_type2_engine_exit(CXLType2Dev *ct2);

/** cxl_type2_engine_reset: forget what it does, clear registers and memory */
void cxl_type2_engine_reset(CXLType2Dev *ct2);

/* -- cxl-type2-reset.c -- */

void cxl_type2_reset_init(CXLType2Dev *ct2);
void cxl_type2_reset_exit(CXLType2Dev *ct2);

/** cxl_type2_reset_hold: a conventional reset, or an FLR */
void cxl_type2_reset_hold(Object *obj, ResetType type);

/** cxl_type2_reset_start: the guest initiates a CXL reset in the DVSEC */
void cxl_type2_reset_start(CXLType2Dev *ct2);

#endif /* HW_CXL_TYPE2_INT_H */
