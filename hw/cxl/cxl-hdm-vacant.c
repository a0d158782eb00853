/*
 * The range of a locked decoder while no memory is there
 *
 * A decoder stays as it is when the device below its port goes, or before
 * one comes.  Reads then give all ones, as those of any PCIe device that is
 * not there; the window itself would answer with an error, which ends a guest
 * that only looks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "hw/pci-bridge/pci_expander_bridge.h"
#include "cxl-hdm-path-int.h"

static uint64_t vacant_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLHDMBridge *bridge = opaque;

    qemu_log_mask(LOG_GUEST_ERROR, "%s: read at offset 0x%" HWADDR_PRIx
                  " of a decoder's range (%u bytes) gives all ones: no memory "
                  "is there\n", cxl_hdm_dev_name(bridge->pxb), addr, size);
    return UINT64_MAX >> (64 - size * 8);
}

static void vacant_write(void *opaque, hwaddr addr, uint64_t value,
                         unsigned size)
{
    CXLHDMBridge *bridge = opaque;

    qemu_log_mask(LOG_GUEST_ERROR, "%s: write at offset 0x%" HWADDR_PRIx
                  " of a decoder's range (%u bytes) dropped: no memory is "
                  "there\n", cxl_hdm_dev_name(bridge->pxb), addr, size);
}

static const MemoryRegionOps vacant_ops = {
    .read = vacant_read,
    .write = vacant_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
};

void cxl_hdm_vacant_init(CXLHDMBridge *bridge)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(bridge->vacant); i++) {
        g_autofree char *name = g_strdup_printf("HDM decoder %d", i);

        memory_region_init_io(&bridge->vacant[i], OBJECT(bridge->host),
                              &vacant_ops, bridge, name, 0);
    }
}

void cxl_hdm_vacant_map(CXLHDMBridge *bridge, const CXLHDMAlloc *alloc)
{
    MemoryRegion *mr = &bridge->vacant[alloc->decoder];

    memory_region_set_size(mr, alloc->range.size);
    /* Above the window's own handler, below the memory of a device */
    memory_region_add_subregion_overlap(&alloc->fw->mr, alloc->range.base -
                                        alloc->fw->base, mr, 1);
}

void cxl_hdm_vacant_unmap(CXLHDMBridge *bridge, const CXLHDMAlloc *alloc)
{
    memory_region_del_subregion(&alloc->fw->mr,
                                &bridge->vacant[alloc->decoder]);
}
