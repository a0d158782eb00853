/*
 * CXL Type-2 device passthrough: what its parts share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_CXL_INT_H
#define HW_VFIO_CXL_INT_H

#include "hw/cxl/cxl_hdm_decoder.h"
#include "hw/cxl/cxl_hdm_path.h"
#include "hw/vfio/pci.h"
#include "qapi/qapi-types-cxl.h"
#include "cxl-info.h"

/*
 * Why the guest must not reach the HDM.  On real hardware an access then is
 * a fatal error of the host, so each reason alone takes the memory away.
 */
typedef enum VFIOCXLGate {
    VFIO_CXL_GATE_MEMORY_SPACE = 1 << CXL_HDM_REASON_MEMORY_SPACE,
    VFIO_CXL_GATE_POWER = 1 << CXL_HDM_REASON_POWER,
    VFIO_CXL_GATE_RESET = 1 << CXL_HDM_REASON_RESET,
    VFIO_CXL_GATE_RESET_FAILED = 1 << CXL_HDM_REASON_RESET_FAILED,
    VFIO_CXL_GATE_MEMORY_ERROR = 1 << CXL_HDM_REASON_MEMORY_ERROR,
    VFIO_CXL_GATE_DEVICE_LOST = 1 << CXL_HDM_REASON_DEVICE_LOST,
} VFIOCXLGate;

struct VFIOCXL {
    VFIOPCIDevice *vdev;
    uint16_t dvsec;             /* CXL Device DVSEC in config space */
    VFIOCXLGeometry geometry;
    const struct vfio_region_info *hdm_info;
    const struct vfio_region_info *decoder_info;    /* the host's decoder */
    CXLHDMBlock block;          /* the guest's decoder */
    MemoryRegion decoder_mr;    /* over the component BAR */
    CXLHDMPath *path;
    VFIORegion hdm;
    MemoryRegion hdm_root;      /* what is in the window: HDM, else ... */
    MemoryRegion gate_mr;       /* ... nothing, told to the log */
    uint32_t gates;             /* VFIOCXLGate */
    bool reset_failing;         /* the reset that is going on */
    Error *migration_blocker;
};

/* -- cxl-decoder.c: the decoder that the guest sees -- */

/**
 * vfio_cxl_decoder_setup: lay the guest's decoder over the component BAR
 * @cxl: with geometry and path
 * @hdm_size: bytes of HDM
 * @host_capability: the host decoder's capability register
 */
void vfio_cxl_decoder_setup(VFIOCXL *cxl, uint64_t hdm_size,
                            uint32_t host_capability);

/**
 * vfio_cxl_decoder_reset: the decoder after a reset: committed and locked by
 * QEMU, or left to the guest
 */
void vfio_cxl_decoder_reset(VFIOCXL *cxl);

/* -- cxl-dvsec.c: the CXL Device DVSEC that the guest sees -- */

/** vfio_cxl_dvsec_setup: keep the host's base out of the ranges */
void vfio_cxl_dvsec_setup(VFIOCXL *cxl);

/** vfio_cxl_dvsec_clear: range registers from @first to the last read 0 */
void vfio_cxl_dvsec_clear(VFIOPCIDevice *vdev, uint16_t dvsec,
                          unsigned int first);

/** vfio_cxl_dvsec_asks_reset: does a config write initiate a CXL reset? */
bool vfio_cxl_dvsec_asks_reset(const VFIOCXL *cxl, uint32_t addr,
                               uint32_t val, int len);

/** vfio_cxl_dvsec_set_reset_error: what Status2 says of the last CXL reset */
void vfio_cxl_dvsec_set_reset_error(VFIOCXL *cxl, bool error);

/* -- cxl-gate.c: when the guest reaches the HDM -- */

/** vfio_cxl_gate_setup: closed until the guest turns Memory Space on */
void vfio_cxl_gate_setup(VFIOCXL *cxl, uint64_t hdm_size);

/** vfio_cxl_gate_set: add or remove one reason */
void vfio_cxl_gate_set(VFIOCXL *cxl, VFIOCXLGate why, bool closed);

/** vfio_cxl_gate_update: what config space says of Memory Space and power */
void vfio_cxl_gate_update(VFIOCXL *cxl);

/* -- cxl-describe.c: what the monitor shows -- */

/** vfio_cxl_describe_class_init: let x-query-cxl ask the device */
void vfio_cxl_describe_class_init(ObjectClass *klass);

/* -- cxl-reset.c: resets of the device -- */

/** vfio_cxl_initiate_reset: the guest asked for one in the DVSEC */
void vfio_cxl_initiate_reset(VFIOCXL *cxl);

/** vfio_cxl_flr_done: the guest's function-level reset is through */
void vfio_cxl_flr_done(VFIOCXL *cxl);

/**
 * vfio_cxl_report_failure: tell QMP that the memory is lost
 * @reason: why
 */
void vfio_cxl_report_failure(VFIOCXL *cxl, CxlHdmFailure reason);

/* -- cxl-sigbus.c: memory that the host cannot reach -- */

/** vfio_cxl_sigbus_add: survive faults in the device's HDM mapping */
void vfio_cxl_sigbus_add(VFIOCXL *cxl);
void vfio_cxl_sigbus_remove(VFIOCXL *cxl);

/**
 * vfio_cxl_sigbus_repair: map the device's memory again after a fault
 *
 * Returns: true if there was no fault or the memory is mapped again.
 */
bool vfio_cxl_sigbus_repair(VFIOCXL *cxl);

/* -- cxl.c: the host's side -- */

/**
 * vfio_cxl_check_host: is the host's decoder as it has to be?
 * @cxl: the device
 * @hdm_size: bytes of HDM that it must have
 * @capability: its capability register
 * @errp: the broken rule, without the host's addresses
 */
bool vfio_cxl_check_host(VFIOCXL *cxl, uint64_t hdm_size,
                         uint32_t *capability, Error **errp);

/** vfio_cxl_check_file: is the HDM's file there and long enough? */
bool vfio_cxl_check_file(VFIOCXL *cxl, Error **errp);

#endif /* HW_VFIO_CXL_INT_H */
