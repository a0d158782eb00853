/*
 * The HDM decoder of an endpoint, as its guest finds it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "hw/cxl/cxl_hdm_regs.h"
#include "trace.h"

static uint64_t regs_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLHDMRegs *regs = opaque;
    uint64_t value = cxl_hdm_block_read(&regs->block, addr, size);

    trace_cxl_hdm_regs_read(regs->gate->name, addr, size, value);
    return value;
}

/* Let the window show what the decoder says */
static void regs_update(CXLHDMRegs *regs)
{
    uint64_t base = regs->block.decoder[0].base;
    uint64_t size = regs->block.hdm_size;
    const char *name = regs->gate->name;

    /* In one transaction: what comes back to its place never went away */
    memory_region_transaction_begin();
    cxl_hdm_path_unmap(regs->path);
    if (cxl_hdm_block_decodes(&regs->block, 0)) {
        trace_cxl_hdm_regs_commit(name, base, size);
        cxl_hdm_path_map(regs->path, base, &regs->gate->root);
    } else {
        trace_cxl_hdm_regs_uncommit(name);
    }
    memory_region_transaction_commit();
    if (cxl_hdm_path_mapped(regs->path)) {
        trace_cxl_hdm_regs_map(name, base, size);
    }
    cxl_hdm_path_report(regs->path, !regs->gate->reasons,
                        CXL_HDM_REASON_DECODER);
}

static void regs_write(void *opaque, hwaddr addr, uint64_t value,
                       unsigned size)
{
    CXLHDMRegs *regs = opaque;
    const char *name = regs->gate->name;

    trace_cxl_hdm_regs_write(name, addr, size, value);
    if (!regs->path) {
        return; /* a processor was on its way here while the device went */
    }
    switch (cxl_hdm_block_write(&regs->block, addr, value, size)) {
    case CXL_HDM_IGNORED:
        qemu_log_mask(LOG_GUEST_ERROR, "%s: HDM decoder write of 0x%" PRIx64
                      " (%u bytes) at offset 0x%" HWADDR_PRIx " ignored: "
                      "committed, locked, read-only or not 4 bytes\n", name,
                      value, size, addr);
        break;
    case CXL_HDM_REFUSED:
        trace_cxl_hdm_regs_refuse(name, regs->block.decoder[0].base,
                                  regs->block.decoder[0].size,
                                  regs->block.refused);
        qemu_log_mask(LOG_GUEST_ERROR, "%s: HDM decoder commit refused: %s; "
                      "base 0x%" PRIx64 " size 0x%" PRIx64 "\n", name,
                      regs->block.refused, regs->block.decoder[0].base,
                      regs->block.decoder[0].size);
        break;
    case CXL_HDM_CHANGED:
        regs_update(regs);
        break;
    default:
        break;
    }
}

/* All widths get here, so that a wrong one is logged and no bus error */
static const MemoryRegionOps regs_ops = {
    .read = regs_read,
    .write = regs_write,
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

static const char *regs_accept(void *opaque, unsigned int decoder,
                               uint64_t base, uint64_t size)
{
    CXLHDMRegs *regs = opaque;

    return cxl_hdm_path_refuse(regs->path, base, size);
}

void cxl_hdm_regs_init(CXLHDMRegs *regs, Object *owner, uint64_t size,
                       uint64_t hdm_size, uint32_t capability)
{
    g_autofree char *name = g_strdup_printf("%s HDM decoder",
                                            regs->gate->name);

    cxl_hdm_endpoint_init(&regs->block, hdm_size, capability);
    if (regs->guest) {
        regs->block.accept = regs_accept;
        regs->block.opaque = regs;
    }
    memory_region_init_io(&regs->mr, owner, &regs_ops, regs, name, size);
}

void cxl_hdm_regs_exit(CXLHDMRegs *regs)
{
    regs->path = NULL;
}

void cxl_hdm_regs_reset(CXLHDMRegs *regs)
{
    cxl_hdm_block_reset(&regs->block);
    if (!regs->guest &&
        !cxl_hdm_block_program(&regs->block, 0, cxl_hdm_path_base(regs->path),
                               regs->block.hdm_size, 0)) {
        g_assert_not_reached(); /* placement aligned it and checked the end */
    }
    regs_update(regs);
}
