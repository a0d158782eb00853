/*
 * CXL Type-2 device passthrough: HDM for DMA, by dma-buf
 *
 * A Type-2 device reaches its own memory by DMA too, at the guest's address,
 * so the HDM has to be in the IOAS.  The kernel has no struct pages for it and
 * iommufd cannot take it by its address; it takes a dma-buf of the region.
 *
 * The kernel revokes the dma-buf while Memory Space is off and in resets, and
 * a mapping in an IOAS that was revoked stays dead.  It need not come back:
 * the gate takes the HDM from the guest before all these, which unmaps it, and
 * maps it anew after.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "hw/vfio/vfio-cxl-abi.h"
#include "cxl-dmabuf.h"
#include "cxl-int.h"
#include "trace.h"

/* The whole HDM as dma-buf, or -errno */
static int export_hdm(VFIODevice *vbasedev, const VFIORegion *hdm)
{
    g_autofree struct vfio_device_feature *feature = NULL;
    struct vfio_device_feature_dma_buf *request;
    size_t size = sizeof(*feature) + sizeof(*request) +
                  sizeof(request->dma_ranges[0]);

    if (!vbasedev->io_ops->device_feature) {
        return -ENOTTY;
    }
    feature = g_malloc0(size);
    feature->argsz = size;
    feature->flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
    request = (struct vfio_device_feature_dma_buf *)feature->data;
    request->region_index = hdm->nr;
    request->open_flags = O_RDWR | O_CLOEXEC;
    request->nr_ranges = 1;
    request->dma_ranges[0].length = hdm->size;
    return vbasedev->io_ops->device_feature(vbasedev, feature);
}

int vfio_cxl_dmabuf_fd(MemoryRegion *mr)
{
    VFIOPCIDevice *vdev = (VFIOPCIDevice *)
        object_dynamic_cast(memory_region_owner(mr), TYPE_VFIO_PCI_DEVICE);
    VFIODevice *vbasedev;

    if (!vdev || !vdev->cxl || !vdev->cxl->hdm.nr_mmaps ||
        mr != &vdev->cxl->hdm.mmaps[0].mem) {
        return -1;
    }
    vbasedev = &vdev->vbasedev;
    if (!vdev->cxl_dmabuf_asked) {
        vdev->cxl_dmabuf_asked = true;
        vdev->cxl_dmabuf = export_hdm(vbasedev, &vdev->cxl->hdm);
        trace_vfio_cxl_dmabuf(vbasedev->name, vdev->cxl_dmabuf);
        if (vdev->cxl_dmabuf < 0) {
            warn_report("vfio %s: the host exports no dma-buf of the HDM "
                        "(%s): iommufd may refuse to map it, and then no "
                        "device of the guest reaches it by DMA",
                        vbasedev->name, strerror(-vdev->cxl_dmabuf));
        }
    }
    return MAX(vdev->cxl_dmabuf, -1);
}

void vfio_cxl_dmabuf_close(VFIOPCIDevice *vdev)
{
    if (vdev->cxl_dmabuf_asked && vdev->cxl_dmabuf >= 0) {
        close(vdev->cxl_dmabuf);
    }
    vdev->cxl_dmabuf_asked = false;
}
