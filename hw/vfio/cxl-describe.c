/*
 * CXL Type-2 device passthrough: what the monitor shows
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "hw/cxl/cxl_hdm_device.h"
#include "cxl-int.h"

static bool describe(CXLHDMDevice *dev, CXLHDMDeviceInfo *info)
{
    VFIOPCIDevice *vdev = VFIO_PCI_DEVICE(dev);
    const char *source = vdev->vbasedev.name;
    VFIOCXL *cxl = vdev->cxl;

    if (!cxl || !cxl->path) {
        return false;
    }
    info->block = &cxl->regs.block;
    info->path = cxl->path;
    info->gates = cxl->gate.reasons;
    /* The transports differ in how they name the other side */
    info->backing = strstart(source, "vfio-user:", &source) ?
                    CXL_DEVICE_BACKING_SERVER : CXL_DEVICE_BACKING_HOST_DEVICE;
    info->source = g_strdup(source);
    return true;
}

void vfio_cxl_describe_class_init(ObjectClass *klass)
{
    CXL_HDM_DEVICE_CLASS(klass)->describe = describe;
}
