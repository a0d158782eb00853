/*
 * CXL Type-2 device passthrough
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_CXL_H
#define HW_VFIO_CXL_H

#include "hw/cxl/cxl_hdm_device.h"
#include "hw/vfio/pci.h"

/**
 * vfio_cxl_class_init: add the CXL properties to the VFIO PCI base class
 * @klass: TYPE_VFIO_PCI_DEVICE
 */
void vfio_cxl_class_init(ObjectClass *klass);

/**
 * vfio_cxl_hides_dvsec: keep a CXL DVSEC from a guest that gets plain PCIe
 * @vdev: the device
 * @pos: offset of a DVSEC in its configuration space
 *
 * Returns: true when the DVSEC is CXL's and the device is a plain PCIe one:
 * with cxl=off, or with cxl=auto where no memory can be given.
 */
bool vfio_cxl_hides_dvsec(VFIOPCIDevice *vdev, uint16_t pos);

/**
 * vfio_cxl_realize: set the CXL side of a device up, if it has one
 * @vdev: the device, its BARs and capabilities already added
 * @errp: what the device or its place lacks, and the remedy
 *
 * Returns: true when the device may go on, as CXL device or as plain PCIe
 * one.
 */
bool vfio_cxl_realize(VFIOPCIDevice *vdev, Error **errp);

/**
 * vfio_cxl_reset: give the guest the decoder and the memory back
 * @vdev: a device that has just been reset
 */
void vfio_cxl_reset(VFIOPCIDevice *vdev);

/**
 * vfio_cxl_reset_failed: nothing that was tried reset the device
 * @vdev: a device for which vfio_cxl_reset() comes next
 */
void vfio_cxl_reset_failed(VFIOPCIDevice *vdev);

/**
 * vfio_cxl_lost: take the memory of a device away that no longer answers
 * @vdev: the device
 */
void vfio_cxl_lost(VFIOPCIDevice *vdev);

/**
 * vfio_cxl_config_prepare: take the memory away before a write to config
 * space makes the host gate it
 * @vdev: the device
 * @addr: offset in config space
 * @val: value
 * @len: bytes
 */
void vfio_cxl_config_prepare(VFIOPCIDevice *vdev, uint32_t addr, uint32_t val,
                             int len);

/**
 * vfio_cxl_config_written: act on a write to config space that is done
 * @vdev, @addr, @val, @len: as for vfio_cxl_config_prepare()
 */
void vfio_cxl_config_written(VFIOPCIDevice *vdev, uint32_t addr, uint32_t val,
                             int len);

/**
 * vfio_cxl_exit: take the memory away from the guest
 * @vdev: a device that goes away, or whose realize failed
 */
void vfio_cxl_exit(VFIOPCIDevice *vdev);

/**
 * vfio_cxl_finalize: free what vfio_cxl_realize() made
 * @vdev: the device, after vfio_cxl_exit()
 */
void vfio_cxl_finalize(VFIOPCIDevice *vdev);

#endif /* HW_VFIO_CXL_H */
