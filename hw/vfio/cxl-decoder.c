/*
 * CXL Type-2 device passthrough: the decoder that the guest sees
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "cxl.h"
#include "cxl-int.h"
#include "trace.h"

static uint64_t decoder_read(void *opaque, hwaddr addr, unsigned size)
{
    VFIOCXL *cxl = opaque;
    uint64_t value = cxl_hdm_block_read(&cxl->block, addr, size);

    trace_vfio_cxl_decoder_read(cxl->vdev->vbasedev.name, addr, size, value);
    return value;
}

/* Let the window show what the decoder says */
static void decoder_update(VFIOCXL *cxl)
{
    uint64_t base = cxl->block.decoder[0].base;
    uint64_t size = cxl->block.hdm_size;
    const char *name = cxl->vdev->vbasedev.name;

    /* In one transaction: what comes back to its place never went away */
    memory_region_transaction_begin();
    cxl_hdm_path_unmap(cxl->path);
    if (cxl_hdm_block_decodes(&cxl->block, 0)) {
        trace_vfio_cxl_commit(name, base, size);
        cxl_hdm_path_map(cxl->path, base, &cxl->hdm_root);
    } else {
        trace_vfio_cxl_uncommit(name);
    }
    memory_region_transaction_commit();
    if (cxl_hdm_path_mapped(cxl->path)) {
        trace_vfio_cxl_map(name, base, size);
    }
    cxl_hdm_path_report(cxl->path, !cxl->gates, CXL_HDM_REASON_DECODER);
}

static void decoder_write(void *opaque, hwaddr addr, uint64_t value,
                          unsigned size)
{
    VFIOCXL *cxl = opaque;
    const char *name = cxl->vdev->vbasedev.name;

    trace_vfio_cxl_decoder_write(name, addr, size, value);
    switch (cxl_hdm_block_write(&cxl->block, addr, value, size)) {
    case CXL_HDM_IGNORED:
        qemu_log_mask(LOG_GUEST_ERROR, "vfio %s: HDM decoder write of 0x%"
                      PRIx64 " (%u bytes) at offset 0x%" HWADDR_PRIx
                      " ignored: committed, locked, read-only or not 4 "
                      "bytes\n", name, value, size, addr);
        break;
    case CXL_HDM_REFUSED:
        trace_vfio_cxl_refuse(name, cxl->block.decoder[0].base,
                              cxl->block.decoder[0].size, cxl->block.refused);
        qemu_log_mask(LOG_GUEST_ERROR, "vfio %s: HDM decoder commit refused: "
                      "%s; base 0x%" PRIx64 " size 0x%" PRIx64 "\n", name,
                      cxl->block.refused, cxl->block.decoder[0].base,
                      cxl->block.decoder[0].size);
        break;
    case CXL_HDM_CHANGED:
        decoder_update(cxl);
        break;
    default:
        break;
    }
}

/* All widths get here, so that a wrong one is logged and no bus error */
static const MemoryRegionOps decoder_ops = {
    .read = decoder_read,
    .write = decoder_write,
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

static const char *decoder_accept(void *opaque, unsigned int decoder,
                                  uint64_t base, uint64_t size)
{
    VFIOCXL *cxl = opaque;

    return cxl_hdm_path_refuse(cxl->path, base, size);
}

/* The decoder moves with the BAR and leaves the rest of it alone */
void vfio_cxl_decoder_setup(VFIOCXL *cxl, uint64_t hdm_size,
                            uint32_t host_capability)
{
    VFIOPCIDevice *vdev = cxl->vdev;
    g_autofree char *name = g_strdup_printf("%s HDM decoder",
                                            vdev->vbasedev.name);

    cxl_hdm_endpoint_init(&cxl->block, hdm_size, host_capability);
    if (vdev->cxl_hdm_commit == VFIO_CXL_COMMIT_GUEST) {
        cxl->block.accept = decoder_accept;
        cxl->block.opaque = cxl;
    }
    memory_region_init_io(&cxl->decoder_mr, OBJECT(vdev), &decoder_ops, cxl,
                          name, cxl->geometry.size);
    memory_region_add_subregion_overlap(vdev->bars[cxl->geometry.bar].mr,
                                        cxl->geometry.offset,
                                        &cxl->decoder_mr, 1);
}

void vfio_cxl_decoder_reset(VFIOCXL *cxl)
{
    cxl_hdm_block_reset(&cxl->block);
    if (cxl->vdev->cxl_hdm_commit == VFIO_CXL_COMMIT_FIRMWARE &&
        !cxl_hdm_block_program(&cxl->block, 0, cxl_hdm_path_base(cxl->path),
                               cxl->block.hdm_size, 0)) {
        g_assert_not_reached(); /* placement aligned it and checked the end */
    }
    decoder_update(cxl);
}
