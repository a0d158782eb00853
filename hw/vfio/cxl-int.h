/*
 * CXL Type-2 device passthrough: what its parts share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_CXL_INT_H
#define HW_VFIO_CXL_INT_H

#include "hw/cxl/cxl_hdm_gate.h"
#include "hw/cxl/cxl_hdm_path.h"
#include "hw/cxl/cxl_hdm_regs.h"
#include "hw/vfio/pci.h"
#include "qapi/qapi-types-cxl.h"
#include "cxl-info.h"

struct VFIOCXL {
    VFIOPCIDevice *vdev;
    uint16_t dvsec;             /* CXL Device DVSEC in config space */
    VFIOCXLGeometry geometry;
    const struct vfio_region_info *hdm_info;
    const struct vfio_region_info *decoder_info;    /* the host's decoder */
    bool host_only;             /* HDM-H, as the host's decoder says */
    CXLHDMRegs regs;            /* the guest's decoder */
    CXLHDMPath *path;
    VFIORegion hdm;
    CXLHDMGate gate;            /* between the window and the HDM */
    bool reset_failing;         /* the reset that is going on */
    Error *migration_blocker;
};

/* -- cxl-dvsec.c: the CXL Device DVSEC that the guest sees -- */

/** vfio_cxl_dvsec_setup: keep the host's base out of the ranges */
void vfio_cxl_dvsec_setup(VFIOCXL *cxl);

/** vfio_cxl_dvsec_clear: range registers from @first to the last read 0 */
void vfio_cxl_dvsec_clear(VFIOPCIDevice *vdev, uint16_t dvsec,
                          unsigned int first);

/** vfio_cxl_dvsec_set_reset_error: what Status2 says of the last CXL reset */
void vfio_cxl_dvsec_set_reset_error(VFIOCXL *cxl, bool error);

/* -- cxl-admission.c: which device gets its memory -- */

/**
 * vfio_cxl_admit: whether the device gets its memory, by what it claims to be
 * and where it is
 * @vdev: the device, its capabilities already added
 * @dvsec: gets the offset of its CXL Device DVSEC; 0 for a device that stays
 *         a plain PCIe one, of which the user has been told if need be
 * @errp: what it lacks, and the remedy
 *
 * Returns: false when QEMU must not go on with the device.
 */
bool vfio_cxl_admit(VFIOPCIDevice *vdev, uint16_t *dvsec, Error **errp);

/** vfio_cxl_is_plain: whether the device stays plain PCIe without looking at
 * what it claims: cxl=off, or cxl=auto in a place that is none for CXL */
bool vfio_cxl_is_plain(const VFIOPCIDevice *vdev);

/** vfio_cxl_has_cache: whether the DVSEC claims CXL.cache */
bool vfio_cxl_has_cache(VFIOPCIDevice *vdev, uint16_t dvsec);

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
