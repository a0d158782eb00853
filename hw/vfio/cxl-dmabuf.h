/*
 * CXL Type-2 device passthrough: HDM for DMA, by dma-buf
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_CXL_DMABUF_H
#define HW_VFIO_CXL_DMABUF_H

#include "hw/vfio/pci.h"

/**
 * vfio_cxl_dmabuf_fd: what to map into an IOAS in place of a memory region
 * @mr: any memory region
 *
 * The host is asked for the dma-buf at the first call for a device, and told
 * about when it has none.
 *
 * Returns: a file descriptor that stays the device's, whose offset 0 is that
 * of @mr; -1 when @mr is no HDM or the host exports none.
 */
int vfio_cxl_dmabuf_fd(MemoryRegion *mr);

/**
 * vfio_cxl_dmabuf_close: give the dma-buf back
 * @vdev: a device whose HDM is mapped in no IOAS any more
 */
void vfio_cxl_dmabuf_close(VFIOPCIDevice *vdev);

#endif /* HW_VFIO_CXL_DMABUF_H */
