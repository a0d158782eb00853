/*
 * Checks of what the other side says about a VFIO region
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/vfio/vfio-cxl-abi.h"
#include "region-caps.h"

static const struct vfio_info_cap_header *
cap_at(const struct vfio_region_info *info, uint32_t offset)
{
    return (const void *)((const char *)info + offset);
}

/* How many bytes of a capability QEMU reads, as far as that is constant */
static size_t cap_fixed_size(uint16_t id)
{
    switch (id) {
    case VFIO_REGION_INFO_CAP_SPARSE_MMAP:
        return sizeof(struct vfio_region_info_cap_sparse_mmap);
    case VFIO_REGION_INFO_CAP_TYPE:
        return sizeof(struct vfio_region_info_cap_type);
    case VFIO_REGION_INFO_CAP_CXL_COMP_REGS:
        return sizeof(struct vfio_region_info_cap_cxl_comp_regs);
    default:
        return sizeof(struct vfio_info_cap_header);
    }
}

static bool check_sparse_mmap(const struct vfio_region_info *info, size_t len,
                              uint32_t offset, Error **errp)
{
    const struct vfio_region_info_cap_sparse_mmap *sparse =
        (const void *)cap_at(info, offset);
    size_t room = (len - offset - sizeof(*sparse)) / sizeof(sparse->areas[0]);
    uint32_t i;

    if (sparse->nr_areas > room) {
        error_setg(errp, "region %u: sparse mmap capability at offset 0x%x "
                   "has %u areas, but the reply of %zu bytes ends after %zu",
                   info->index, offset, sparse->nr_areas, len, room);
        return false;
    }

    for (i = 0; i < sparse->nr_areas; i++) {
        uint64_t start = sparse->areas[i].offset;
        uint64_t size = sparse->areas[i].size;

        if (size > info->size || start > info->size - size) {
            error_setg(errp, "region %u: sparse mmap area %u, offset 0x%"
                       PRIx64 " size 0x%" PRIx64 ", leaves the region of "
                       "size 0x%" PRIx64, info->index, i, start, size,
                       (uint64_t)info->size);
            return false;
        }
    }
    return true;
}

bool vfio_region_info_check(const struct vfio_region_info *info, size_t len,
                            Error **errp)
{
    size_t left = len / sizeof(struct vfio_info_cap_header);
    uint32_t offset;

    if (!(info->flags & VFIO_REGION_INFO_FLAG_CAPS)) {
        return true;
    }

    offset = info->cap_offset;
    do {
        const struct vfio_info_cap_header *cap;

        if (offset < sizeof(*info) || offset % 8 || offset > len ||
            len - offset < sizeof(*cap)) {
            error_setg(errp, "region %u: capability at offset 0x%x is not "
                       "inside the reply of %zu bytes at a multiple of 8",
                       info->index, offset, len);
            return false;
        }

        cap = cap_at(info, offset);
        if (!cap->id || len - offset < cap_fixed_size(cap->id)) {
            error_setg(errp, "region %u: capability %u at offset 0x%x is "
                       "truncated: %zu bytes of the reply are left",
                       info->index, cap->id, offset, len - offset);
            return false;
        }
        if (cap->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP &&
            !check_sparse_mmap(info, len, offset, errp)) {
            return false;
        }

        /* More steps than there is room for capabilities: it goes round */
        if (!left--) {
            error_setg(errp, "region %u: capability chain loops, last through "
                       "offset 0x%x", info->index, offset);
            return false;
        }
        offset = cap->next;
    } while (offset);

    return true;
}

const void *vfio_region_info_cap(const struct vfio_region_info *info,
                                 uint16_t id)
{
    uint32_t offset;

    if (!(info->flags & VFIO_REGION_INFO_FLAG_CAPS)) {
        return NULL;
    }
    for (offset = info->cap_offset; offset;
         offset = cap_at(info, offset)->next) {
        if (cap_at(info, offset)->id == id) {
            return cap_at(info, offset);
        }
    }
    return NULL;
}
