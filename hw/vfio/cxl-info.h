/*
 * What a VFIO CXL device says of itself: plain checks over plain data
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_CXL_INFO_H
#define HW_VFIO_CXL_INFO_H

#include "hw/vfio/vfio-cxl-abi.h"

/* Dwords of the decoder block that are read: header and one decoder */
#define VFIO_CXL_DECODER_DWORDS 12

typedef struct VFIOCXLGeometry {
    unsigned int bar;   /* index of the component BAR */
    uint64_t offset;    /* bytes from its start to the decoder block */
    uint64_t size;      /* bytes of the decoder block */
} VFIOCXLGeometry;

/**
 * vfio_cxl_check_hdm_region: can the HDM region be given to a guest?
 * @info: the region, checked by vfio_region_info_check()
 * @errp: figure and rule
 *
 * Returns: true when its index fits into 8 bits, and it is mappable as a
 * whole, readable, writable and of a size that a decoder can express.
 */
bool vfio_cxl_check_hdm_region(const struct vfio_region_info *info,
                               Error **errp);

/**
 * vfio_cxl_check_geometry: read and check the geometry capability
 * @info: the decoder-register region, checked by vfio_region_info_check()
 * @bar_size: sizes of BAR 0 to 5 in bytes, 0 for one that is no memory BAR
 * @geometry: filled in on success
 * @errp: figure and rule
 */
bool vfio_cxl_check_geometry(const struct vfio_region_info *info,
                             const uint64_t *bar_size,
                             VFIOCXLGeometry *geometry, Error **errp);

/**
 * vfio_cxl_check_decoder: does the host's decoder show what can be passed on?
 * @regs: the first VFIO_CXL_DECODER_DWORDS registers in host byte order
 * @hdm_size: bytes of the HDM region
 * @errp: figure and rule; never the host's base address
 *
 * CXL r3.1 section 8.2.4.20.  One decoder, one way, committed, and as large
 * as the HDM region.
 */
bool vfio_cxl_check_decoder(const uint32_t *regs, uint64_t hdm_size,
                            Error **errp);

/**
 * vfio_cxl_check_coherency: does the decoder's type fit the device?
 * @regs: as for vfio_cxl_check_decoder(), which has checked them
 * @cache: whether the device claims CXL.cache
 * @host_only: gets whether the memory is host-only coherent (HDM-H)
 * @errp: figure and rule
 *
 * CXL r3.1 sections 2.2 and 8.2.4.20.7.  Device coherent memory (HDM-D) takes
 * CXL.cache or Back-Invalidate, of which QEMU's ports have no registers.
 */
bool vfio_cxl_check_coherency(const uint32_t *regs, bool cache,
                              bool *host_only, Error **errp);

/**
 * vfio_cxl_find_dvsec: find the CXL Device DVSEC
 * @config: configuration space
 * @size: its bytes
 *
 * Returns: its offset, or 0 when there is not exactly one, long enough to
 * hold the range registers (CXL r3.1 section 8.1.3).
 */
uint16_t vfio_cxl_find_dvsec(const uint8_t *config, size_t size);

#endif /* HW_VFIO_CXL_INFO_H */
