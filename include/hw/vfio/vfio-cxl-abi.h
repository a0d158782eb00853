/*
 * VFIO interface of a CXL Type-2 device
 *
 * The kernel interface is not merged yet, so no released <linux/vfio.h> has
 * these names.  Everything that may still change stands here and nowhere
 * else; the file goes away when scripts/update-linux-headers.sh brings the
 * real definitions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_VFIO_CXL_ABI_H
#define HW_VFIO_VFIO_CXL_ABI_H

#include <linux/vfio.h>

/* vfio_device_info.flags: the device has usable CXL.mem */
#define VFIO_DEVICE_FLAGS_CXL (1 << 9)

/* Regions are found by this type: vendor type, CXL consortium vendor id */
#define VFIO_REGION_TYPE_CXL (VFIO_REGION_TYPE_PCI_VENDOR_TYPE | 0x1e98)

/* Host-managed device memory; region offset 0 is DPA 0 */
#define VFIO_REGION_SUBTYPE_CXL_MEM 1

/* The HDM decoder capability block: live to read, deaf to writes */
#define VFIO_REGION_SUBTYPE_CXL_COMP_REGS 2

/*
 * Geometry, on the decoder-register region: where in which BAR the guest
 * looks for the HDM decoder capability block.  The number and the field
 * widths were never seen in a released header; 6 is the next free number.
 */
#define VFIO_REGION_INFO_CAP_CXL_COMP_REGS 6
#define VFIO_REGION_INFO_CAP_CXL_COMP_REGS_VERSION 1

struct vfio_region_info_cap_cxl_comp_regs {
    struct vfio_info_cap_header header;
    __u32 bar;          /* BAR index, 0 to 5 */
    __u32 reserved;
    __u64 offset;       /* bytes from the start of that BAR */
};

/*
 * Export of a region as dma-buf, as in <linux/vfio.h> of Linux 7.3.4; QEMU's
 * copy is older.  The argument follows struct vfio_device_feature; what is
 * returned is a file descriptor.
 */
#ifndef VFIO_DEVICE_FEATURE_DMA_BUF
#define VFIO_DEVICE_FEATURE_DMA_BUF 11

struct vfio_region_dma_range {
    __u64 offset;       /* bytes from the start of the region */
    __u64 length;
};

struct vfio_device_feature_dma_buf {
    __u32 region_index;
    __u32 open_flags;   /* of the descriptor */
    __u32 flags;        /* 0 */
    __u32 nr_ranges;
    struct vfio_region_dma_range dma_ranges[];
};
#endif

#endif /* HW_VFIO_VFIO_CXL_ABI_H */
