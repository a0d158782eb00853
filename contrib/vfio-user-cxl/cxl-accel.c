/*
 * The generic accelerator: how it is in the model, and its
 * on-board memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/pci_regs.h"
#include "hdm-mem.h"
#include "cxl-model-int.h"

static void raise_vector(void *opaque, unsigned vector)
{
    CxlModel *m = opaque;

    if (m->irq) {
        m->irq(m->irq_opaque, vector);
    }
}

static bool dma_enabled(const CxlModel *m)
{
    return m->dma && (m->cfg.val[PCI_COMMAND] & PCI_COMMAND_MASTER);
}

static CxlCopyError copy_check(void *opaque, bool write, uint64_t addr,
                               uint64_t len, uint64_t hdm)
{
    CxlModel *m = opaque;

    return dma_enabled(m) ?
           m->dma->check(m->dma_opaque, write, addr, len, hdm) :
           CXL_COPY_E_DMA;
}

static CxlDmaWay copy_way(void *opaque, bool write, uint64_t addr,
                          uint32_t *len, void **ptr)
{
    CxlModel *m = opaque;

    return dma_enabled(m) ?
           m->dma->way(m->dma_opaque, write, addr, len, ptr) : CXL_DMA_NONE;
}

static bool copy_start(void *opaque, bool write, uint64_t addr, uint8_t *buf,
                       uint32_t len)
{
    CxlModel *m = opaque;

    return m->dma->start(m->dma_opaque, write, addr, buf, len);
}

static void copy_cancel(void *opaque)
{
    CxlModel *m = opaque;

    if (m->dma) {
        m->dma->cancel(m->dma_opaque);
    }
}

static int copy_hdm(void *opaque, bool write, uint64_t off, void *buf,
                    uint32_t len)
{
    int ret = write ? cxl_model_hdm_write(opaque, off, buf, len) :
              cxl_model_hdm_read(opaque, off, buf, len);

    return MIN(ret, 0);
}

static bool copy_hdm_enabled(void *opaque)
{
    return cxl_model_mem_enabled(opaque);
}

static const CxlCopyOps copy_ops = {
    .dma = {
        .check = copy_check,
        .way = copy_way,
        .start = copy_start,
        .cancel = copy_cancel,
    },
    .hdm = copy_hdm,
    .hdm_enabled = copy_hdm_enabled,
    .irq = raise_vector,
};

bool cxl_model_accel_init(CxlModel *m, Error **errp)
{
    CxlCopyConfig config = {
        .hdm_size = m->config.hdm_size,
        .vectors = m->id->msix_vectors,
        .die_in = m->config.die_in_copy,
        .no_irq = m->config.no_completion,
    };

    cxl_accel_init(&m->accel, &config, m->config.capacity_set ?
                   m->config.capacity : m->config.hdm_size, &copy_ops, m);
    if (m->id->sram_offset) {
        /* offsets in the file are those in the BAR */
        m->sram_fd = hdm_mem_anon("cxl-sram", m->id->bar[0].size, errp);
        return m->sram_fd >= 0;
    }
    return true;
}

void cxl_model_accel_cleanup(CxlModel *m)
{
    cxl_accel_cleanup(&m->accel);
    if (m->sram_fd >= 0) {
        close(m->sram_fd);
    }
}

void cxl_model_accel_reset(CxlModel *m)
{
    cxl_accel_reset(&m->accel);
    if (m->sram_fd >= 0) {
        hdm_mem_clear(m->sram_fd, m->id->bar[0].size);
    }
}

int cxl_model_accel_read(CxlModel *m, uint64_t off, uint8_t *buf,
                         uint32_t len)
{
    uint64_t sram = m->id->sram_offset;

    if (off >= sram) {
        return hdm_mem_read(m->sram_fd, off, buf, len);
    }
    /* an access that reaches the memory ends before it */
    len = MIN(len, sram - off);
    cxl_accel_read(&m->accel, off, buf, len);
    return len;
}

int cxl_model_accel_write(CxlModel *m, uint64_t off, const uint8_t *buf,
                          uint32_t len)
{
    uint64_t sram = m->id->sram_offset;

    if (off >= sram) {
        return hdm_mem_write(m->sram_fd, off, buf, len);
    }
    len = MIN(len, sram - off);
    cxl_accel_write(&m->accel, off, buf, len);
    return len;
}

void cxl_model_set_dma(CxlModel *m, const CxlDmaOps *ops, void *opaque)
{
    m->dma = ops;
    m->dma_opaque = opaque;
}

bool cxl_model_copy_runnable(const CxlModel *m)
{
    return cxl_copy_runnable(&m->accel.copy);
}

void cxl_model_copy_run(CxlModel *m)
{
    cxl_copy_run(&m->accel.copy);
}

void cxl_model_copy_dma_done(CxlModel *m, bool ok)
{
    cxl_copy_dma_done(&m->accel.copy, ok);
}

const CxlCopyStats *cxl_model_copy_stats(const CxlModel *m)
{
    return &m->accel.copy.stats;
}

bool cxl_model_dead(const CxlModel *m)
{
    return m->accel.copy.dead;
}

void cxl_model_close(CxlModel *m)
{
    cxl_copy_reset(&m->accel.copy);
}
