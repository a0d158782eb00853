/*
 * What a VFIO CXL device says of itself: plain checks over plain data
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "hw/cxl/cxl_component.h"
#include "hw/cxl/cxl_hdm_decoder.h"
#include "hw/cxl/cxl_pci.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci_regs.h"
#include "cxl-info.h"
#include "region-caps.h"

/* Index of a decoder register in the dwords that were read */
#define HDM_DWORD(reg) (R_CXL_HDM_DECODER##reg - R_CXL_HDM_DECODER_CAPABILITY)

QEMU_BUILD_BUG_ON(VFIO_CXL_DECODER_DWORDS * 4 != CXL_HDM_BLOCK_SIZE(1));

/* VFIORegion and the accessors of a region have 8 bits for its index */
static bool check_index(const struct vfio_region_info *info, const char *what,
                        Error **errp)
{
    if (info->index > UINT8_MAX) {
        error_setg(errp, "the CXL %s region has index %u, but only regions 0 "
                   "to %d can be used: set cxl=off to use the device as plain "
                   "PCIe device", what, info->index, UINT8_MAX);
        return false;
    }
    return true;
}

bool vfio_cxl_check_hdm_region(const struct vfio_region_info *info,
                               Error **errp)
{
    const uint32_t flags = VFIO_REGION_INFO_FLAG_READ |
                           VFIO_REGION_INFO_FLAG_WRITE |
                           VFIO_REGION_INFO_FLAG_MMAP;

    if (!check_index(info, "HDM memory", errp)) {
        return false;
    }
    if (!info->size || info->size % CXL_HDM_DECODER_ALIGN) {
        error_setg(errp, "HDM region %u has size 0x%" PRIx64 ": an HDM "
                   "decoder needs a multiple of 256 MiB, at least 256 MiB",
                   info->index, (uint64_t)info->size);
        return false;
    }
    if ((info->flags & flags) != flags ||
        vfio_region_info_cap(info, VFIO_REGION_INFO_CAP_SPARSE_MMAP)) {
        error_setg(errp, "HDM region %u (flags 0x%x) must be readable, "
                   "writable and mappable as a whole: HDM is never emulated",
                   info->index, info->flags);
        return false;
    }
    return true;
}

bool vfio_cxl_check_geometry(const struct vfio_region_info *info,
                             const uint64_t *bar_size,
                             VFIOCXLGeometry *geometry, Error **errp)
{
    const struct vfio_region_info_cap_cxl_comp_regs *cap =
        vfio_region_info_cap(info, VFIO_REGION_INFO_CAP_CXL_COMP_REGS);

    if (!check_index(info, "decoder register", errp)) {
        return false;
    }
    if (!cap) {
        error_setg(errp, "decoder region %u has no geometry capability "
                   "(number %u): the decoder's place in a BAR is unknown",
                   info->index, VFIO_REGION_INFO_CAP_CXL_COMP_REGS);
        return false;
    }
    if (cap->header.version != VFIO_REGION_INFO_CAP_CXL_COMP_REGS_VERSION) {
        error_setg(errp, "decoder region %u has geometry capability version "
                   "%u, but only %u is known", info->index,
                   cap->header.version,
                   VFIO_REGION_INFO_CAP_CXL_COMP_REGS_VERSION);
        return false;
    }
    if (info->size < CXL_HDM_BLOCK_SIZE(1) || info->size % 4) {
        error_setg(errp, "decoder region %u has size 0x%" PRIx64 ": one "
                   "decoder needs 0x%x bytes, and a multiple of 4",
                   info->index, (uint64_t)info->size,
                   CXL_HDM_BLOCK_SIZE(1));
        return false;
    }
    if (cap->bar >= PCI_ROM_SLOT || !bar_size[cap->bar]) {
        error_setg(errp, "geometry of decoder region %u names BAR %u, which "
                   "is no memory BAR of the device", info->index, cap->bar);
        return false;
    }
    if (cap->offset % 4 || info->size > bar_size[cap->bar] ||
        cap->offset > bar_size[cap->bar] - info->size) {
        error_setg(errp, "geometry of decoder region %u puts 0x%" PRIx64
                   " bytes at offset 0x%" PRIx64 " of BAR %u, which must be "
                   "a multiple of 4 inside its 0x%" PRIx64 " bytes",
                   info->index, (uint64_t)info->size, (uint64_t)cap->offset,
                   cap->bar, bar_size[cap->bar]);
        return false;
    }

    geometry->bar = cap->bar;
    geometry->offset = cap->offset;
    geometry->size = info->size;
    return true;
}

bool vfio_cxl_check_decoder(const uint32_t *regs, uint64_t hdm_size,
                            Error **errp)
{
    uint32_t cap = regs[HDM_DWORD(_CAPABILITY)];
    uint32_t ctrl = regs[HDM_DWORD(0_CTRL)];
    uint32_t count = FIELD_EX32(cap, CXL_HDM_DECODER_CAPABILITY,
                                DECODER_COUNT);
    uint64_t size = (uint64_t)regs[HDM_DWORD(0_SIZE_HI)] << 32 |
                    (regs[HDM_DWORD(0_SIZE_LO)] & 0xf0000000);

    if (count) {
        error_setg(errp, "host HDM decoder count has code %u (capability "
                   "0x%08x): only code 0, one decoder, is supported", count,
                   cap);
        return false;
    }
    if (!FIELD_EX32(ctrl, CXL_HDM_DECODER0_CTRL, COMMITTED) ||
        FIELD_EX32(ctrl, CXL_HDM_DECODER0_CTRL, ERR)) {
        error_setg(errp, "host HDM decoder is not committed (control 0x%08x): "
                   "host firmware or driver must commit it", ctrl);
        return false;
    }
    if (FIELD_EX32(ctrl, CXL_HDM_DECODER0_CTRL, IW)) {
        error_setg(errp, "host HDM decoder interleaves, ways code %u (control "
                   "0x%08x): only code 0, one way, is supported",
                   FIELD_EX32(ctrl, CXL_HDM_DECODER0_CTRL, IW), ctrl);
        return false;
    }
    if (size != hdm_size) {
        error_setg(errp, "host HDM decoder has size 0x%" PRIx64 ", but the "
                   "HDM region has 0x%" PRIx64 " bytes: both must be equal",
                   size, hdm_size);
        return false;
    }
    return true;
}

bool vfio_cxl_check_coherency(const uint32_t *regs, bool cache,
                              bool *host_only, Error **errp)
{
    uint32_t ctrl = regs[HDM_DWORD(0_CTRL)];

    if (FIELD_EX32(ctrl, CXL_HDM_DECODER0_CTRL, BI)) {
        error_setg(errp, "host HDM decoder has Back-Invalidate on (control "
                   "0x%08x), but a guest's ports cannot show it: HDM-H and "
                   "HDM-D are supported, HDM-DB is not; set cxl=off to use "
                   "the device as plain PCIe device", ctrl);
        return false;
    }
    *host_only = FIELD_EX32(ctrl, CXL_HDM_DECODER0_CTRL, TYPE);
    if (!*host_only && !cache) {
        error_setg(errp, "host HDM decoder is device coherent (control "
                   "0x%08x), but the device's DVSEC claims no CXL.cache: HDM "
                   "of such a device must be host-only coherent, bit %d set",
                   ctrl, R_CXL_HDM_DECODER0_CTRL_TYPE_SHIFT);
        return false;
    }
    return true;
}

uint16_t vfio_cxl_find_dvsec(const uint8_t *config, size_t size)
{
    unsigned int left = size / 4; /* a chain that loops ends here */
    size_t pos = PCI_CONFIG_SPACE_SIZE, found = 0;

    while (left-- && pos >= PCI_CONFIG_SPACE_SIZE && pos % 4 == 0 &&
           pos + sizeof(CXLDVSECDevice) <= size) {
        uint32_t header = pci_get_long(config + pos);
        uint32_t dvsec = pci_get_long(config + pos + PCIE_DVSEC_HEADER1_OFFSET);

        if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_DVSEC &&
            (dvsec & 0xffff) == CXL_VENDOR_ID &&
            pci_get_word(config + pos + PCIE_DVSEC_ID_OFFSET) ==
            PCIE_CXL_DEVICE_DVSEC) {
            /* bits 31:20: length; registers through Range 2 are needed */
            if (dvsec >> 20 < offsetof(CXLDVSECDevice, cap3) ||
                (found && found != pos)) {
                return 0;
            }
            found = pos;
        }
        pos = PCI_EXT_CAP_NEXT(header);
    }
    return found;
}
