/*
 * CXL Type-2 device passthrough: writes to config space
 *
 * On real hardware an access to the HDM while it is gated is a fatal error
 * of the host, so the memory is taken away before the device sees the write.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl.h"
#include "cxl-int.h"

void vfio_cxl_config_prepare(VFIOPCIDevice *vdev, uint32_t addr, uint32_t val,
                             int len)
{
    VFIOCXL *cxl = vdev->cxl;
    PCIDevice *pdev = PCI_DEVICE(vdev);

    if (!cxl) {
        return;
    }
    if (cxl_config_asks_flr(pdev, addr, val, len) ||
        cxl_config_asks_reset(pdev, cxl->dvsec, addr, val, len)) {
        cxl_hdm_gate_set(&cxl->gate, CXL_HDM_GATE_RESET, true);
    }
    cxl_hdm_gate_prepare(&cxl->gate, pdev, addr, val, len);
}

void vfio_cxl_config_written(VFIOPCIDevice *vdev, uint32_t addr, uint32_t val,
                             int len)
{
    VFIOCXL *cxl = vdev->cxl;
    PCIDevice *pdev = PCI_DEVICE(vdev);

    if (!cxl) {
        return;
    }
    if (cxl_config_asks_reset(pdev, cxl->dvsec, addr, val, len)) {
        vfio_cxl_initiate_reset(cxl);
    } else if (cxl_config_asks_flr(pdev, addr, val, len)) {
        vfio_cxl_flr_done(cxl);
    }
    cxl_hdm_gate_update(&cxl->gate, pdev);
}
