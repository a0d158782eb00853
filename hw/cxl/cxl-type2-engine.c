/*
 * Emulated CXL Type-2 device: BAR 0 and the copy engine
 *
 * The engine itself is plain data.  Here it gets its ways: to guest memory
 * through the device's address space, where an IOMMU may translate, and to
 * HDM.  Each step is a bottom half, so that a long copy blocks nobody.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/rcu.h"
#include "qemu/main-loop.h"
#include "hw/pci/msix.h"
#include "system/runstate.h"
#include "cxl-type2-int.h"
#include "trace.h"

/*
 * A request is checked before it starts, but not more pieces of its range
 * than these: behind an IOMMU a piece may be as small as a page.
 */
#define CHECK_PIECES 16384

/* -- guest memory -- */

/*
 * What is at a DMA address: memory or, for reasons of safety, nothing.  A
 * device's registers are no target: they may be this device's own.
 */
static MemoryRegion *dma_find(CXLType2Dev *ct2, bool write, uint64_t addr,
                              hwaddr *offset, hwaddr *len)
{
    MemTxAttrs attrs = MEMTXATTRS_UNSPECIFIED;
    MemoryRegion *mr = address_space_translate(
        pci_get_address_space(PCI_DEVICE(ct2)), addr, offset, len, write,
        attrs);

    return memory_access_is_direct(mr, write, attrs) ? mr : NULL;
}

static CxlCopyError engine_check(void *opaque, bool write, uint64_t addr,
                                 uint64_t len, uint64_t hdm)
{
    CXLType2Dev *ct2 = opaque;

    uint64_t done = 0;

    RCU_READ_LOCK_GUARD();
    for (int i = 0; done < len && i < CHECK_PIECES; i++) {
        hwaddr offset, piece = len - done;
        MemoryRegion *mr = dma_find(ct2, write, addr + done, &offset, &piece);

        if (!mr) {
            return CXL_COPY_E_DMA;
        }
        if (mr == ct2->hdm && offset < hdm + len && hdm < offset + piece) {
            return CXL_COPY_E_OVERLAP;
        }
        done += piece;
    }
    return CXL_COPY_NO_ERROR;
}

static CxlDmaWay engine_way(void *opaque, bool write, uint64_t addr,
                            uint32_t *len, void **ptr)
{
    CXLType2Dev *ct2 = opaque;
    hwaddr offset, piece = *len;

    RCU_READ_LOCK_GUARD();
    if (!dma_find(ct2, write, addr, &offset, &piece)) {
        return CXL_DMA_NONE;
    }
    *len = piece;
    return CXL_DMA_MESSAGE;
}

/* The answer is here at once; engine_step() tells the engine */
static bool engine_start(void *opaque, bool write, uint64_t addr,
                         uint8_t *buf, uint32_t len)
{
    CXLType2Dev *ct2 = opaque;
    PCIDevice *pdev = PCI_DEVICE(ct2);
    MemTxResult result = write ? pci_dma_write(pdev, addr, buf, len) :
                         pci_dma_read(pdev, addr, buf, len);

    trace_cxl_type2_dma(cxl_type2_name(ct2), write, addr, len, result);
    ct2->dma_done = result == MEMTX_OK;
    return ct2->dma_done;
}

static void engine_cancel(void *opaque)
{
    /* no request outlives its step */
}

/* -- HDM and interrupts -- */

static bool engine_hdm_enabled(void *opaque)
{
    CXLType2Dev *ct2 = opaque;

    return !ct2->gate.reasons;
}

static int engine_hdm(void *opaque, bool write, uint64_t off, void *buf,
                      uint32_t len)
{
    CXLType2Dev *ct2 = opaque;

    if (!engine_hdm_enabled(ct2) ||
        address_space_rw(&ct2->hdm_as, off, MEMTXATTRS_UNSPECIFIED, buf, len,
                         write) != MEMTX_OK) {
        return -EIO;
    }
    return 0;
}

static void engine_irq(void *opaque, unsigned vector)
{
    msix_notify(PCI_DEVICE(opaque), vector);
}

static const CxlCopyOps engine_ops = {
    .dma = {
        .check = engine_check,
        .way = engine_way,
        .start = engine_start,
        .cancel = engine_cancel,
    },
    .hdm = engine_hdm,
    .hdm_enabled = engine_hdm_enabled,
    .irq = engine_irq,
};

static void engine_kick(CXLType2Dev *ct2)
{
    if (cxl_copy_runnable(&ct2->accel.copy)) {
        qemu_bh_schedule(ct2->engine);
    }
}

static void engine_run_state(void *opaque, bool running, RunState state)
{
    if (running) {
        engine_kick(opaque);
    }
}

static void engine_step(void *opaque)
{
    CXLType2Dev *ct2 = opaque;

    if (!runstate_is_running()) {
        return; /* engine_run_state() goes on with it */
    }
    ct2->dma_done = false;
    cxl_copy_run(&ct2->accel.copy);
    if (ct2->dma_done) {
        cxl_copy_dma_done(&ct2->accel.copy, true);
    }
    engine_kick(ct2);
}

/* -- BAR 0 -- */

static uint64_t func_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLType2Dev *ct2 = opaque;
    uint8_t buf[8];

    if (ct2->id->sfc_regs) {
        cxl_sfc_read(&ct2->sfc, addr, buf, size);
    } else {
        cxl_accel_read(&ct2->accel, addr, buf, size);
    }
    return ldn_le_p(buf, size);
}

static void func_write(void *opaque, hwaddr addr, uint64_t value,
                       unsigned size)
{
    CXLType2Dev *ct2 = opaque;
    uint8_t buf[8];

    if (!ct2->engine) {
        return; /* a processor was on its way here while the device went */
    }
    if (ct2->id->sfc_regs) {
        cxl_sfc_write(&ct2->sfc);
    } else {
        stn_le_p(buf, size, value);
        cxl_accel_write(&ct2->accel, addr, buf, size);
        engine_kick(ct2);
    }
}

static const MemoryRegionOps func_ops = {
    .read = func_read,
    .write = func_write,
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

bool cxl_type2_engine_init(CXLType2Dev *ct2, Error **errp)
{
    const CxlIdentity *id = ct2->id;
    CxlCopyConfig config = {
        .hdm_size = ct2->hdm_size,
        .vectors = id->msix_vectors,
    };

    memory_region_init_io(&ct2->func_mr, OBJECT(ct2), &func_ops, ct2,
                          "cxl-type2-function", id->bar[0].size);
    if (id->sram_offset) {
        if (!memory_region_init_ram(&ct2->sram, OBJECT(ct2),
                                    "cxl-type2-sram",
                                    id->bar[0].size - id->sram_offset,
                                    errp)) {
            return false;
        }
        memory_region_add_subregion(&ct2->func_mr, id->sram_offset,
                                    &ct2->sram);
    }
    cxl_accel_init(&ct2->accel, &config, ct2->hdm_size, &engine_ops, ct2);
    cxl_sfc_reset(&ct2->sfc);
    ct2->engine = qemu_bh_new_guarded(engine_step, ct2,
                                      &DEVICE(ct2)->mem_reentrancy_guard);
    ct2->run_state = qdev_add_vm_change_state_handler(DEVICE(ct2),
                                                      engine_run_state, NULL,
                                                      ct2);
    pci_register_bar(PCI_DEVICE(ct2), 0, id->bar[0].type, &ct2->func_mr);
    return true;
}

void cxl_type2_engine_exit(CXLType2Dev *ct2)
{
    if (ct2->engine) {
        qemu_del_vm_change_state_handler(ct2->run_state);
        qemu_bh_delete(ct2->engine);
        ct2->engine = NULL;
        cxl_accel_cleanup(&ct2->accel);
    }
}

void cxl_type2_engine_reset(CXLType2Dev *ct2)
{
    cxl_accel_reset(&ct2->accel);
    cxl_sfc_reset(&ct2->sfc);
    if (ct2->id->sram_offset) {
        /* Not marked dirty: TCG has to go on watching pages with code */
        memset(memory_region_get_ram_ptr(&ct2->sram), 0,
               memory_region_size(&ct2->sram));
    }
}
