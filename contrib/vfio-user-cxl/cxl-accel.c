/*
 * The generic accelerator: registers, copy engine and on-board memory (see
 * README.md for the table)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/pci_regs.h"
#include "hdm-mem.h"
#include "cxl-model-int.h"

#define ACCEL_ID 0x00
#define ACCEL_VERSION 0x04
#define ACCEL_CAPACITY 0x08
#define ACCEL_DOORBELL 0x10
#define ACCEL_RINGS 0x14
#define ACCEL_SCRATCH 0x18
#define ACCEL_VECTORS 0x20

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

bool cxl_accel_init(CxlModel *m, Error **errp)
{
    CxlCopyConfig config = {
        .hdm_size = m->config.hdm_size,
        .vectors = m->id->msix_vectors,
        .chunk = CXL_ACCEL_COPY_CHUNK,
        .die_in = m->config.die_in_copy,
        .no_irq = m->config.no_completion,
    };

    cxl_copy_init(&m->copy, &config, &copy_ops, m);
    cxl_accel_reset(m);
    if (m->id->sram_offset) {
        /* offsets in the file are those in the BAR */
        m->sram_fd = hdm_mem_anon("cxl-sram", m->id->bar[0].size, errp);
        return m->sram_fd >= 0;
    }
    return true;
}

void cxl_accel_cleanup(CxlModel *m)
{
    if (m->copy.buf) {
        cxl_copy_cleanup(&m->copy);
    }
    if (m->sram_fd >= 0) {
        close(m->sram_fd);
    }
}

void cxl_accel_reset(CxlModel *m)
{
    memset(m->accel, 0, sizeof(m->accel));
    m->accel_rings = 0;
    memcpy(m->accel + ACCEL_ID, "CXT2", 4);
    stl_le_p(m->accel + ACCEL_VERSION, 0x00020000);
    stq_le_p(m->accel + ACCEL_CAPACITY, m->config.capacity_set ?
             m->config.capacity : m->config.hdm_size);
    stl_le_p(m->accel + ACCEL_VECTORS, m->id->msix_vectors);
    cxl_copy_reset(&m->copy);
    if (m->sram_fd >= 0) {
        hdm_mem_clear(m->sram_fd, m->id->bar[0].size);
    }
}

int cxl_accel_read(CxlModel *m, uint64_t off, uint8_t *buf, uint32_t len)
{
    uint64_t sram = m->id->sram_offset;

    if (off >= sram) {
        return hdm_mem_read(m->sram_fd, off, buf, len);
    }
    /* an access that reaches the memory ends before it */
    len = MIN(len, sram - off);
    memset(buf, 0, len);
    if (off < sizeof(m->accel)) {
        memcpy(buf, m->accel + off, MIN(len, sizeof(m->accel) - off));
    }
    if (off >= CXL_ACCEL_COPY) {
        cxl_copy_read(&m->copy, off - CXL_ACCEL_COPY, buf, len);
    } else if (off + len > CXL_ACCEL_COPY) {
        uint32_t skip = CXL_ACCEL_COPY - off;

        cxl_copy_read(&m->copy, 0, buf + skip, len - skip);
    }
    return len;
}

static void accel_ring(CxlModel *m, uint32_t vector)
{
    if (vector >= m->id->msix_vectors) {
        return;
    }
    stl_le_p(m->accel + ACCEL_RINGS, ++m->accel_rings);
    raise_vector(m, vector);
}

int cxl_accel_write(CxlModel *m, uint64_t off, const uint8_t *buf,
                    uint32_t len)
{
    uint64_t sram = m->id->sram_offset;
    uint64_t end;

    if (off >= sram) {
        return hdm_mem_write(m->sram_fd, off, buf, len);
    }
    len = MIN(len, sram - off);
    end = off + len;
    for (uint64_t i = MAX(off, ACCEL_SCRATCH);
         i < MIN(end, ACCEL_SCRATCH + 8); i++) {
        m->accel[i] = buf[i - off];
    }
    /* the doorbell wants its whole dword in one access */
    if (off <= ACCEL_DOORBELL && end >= ACCEL_DOORBELL + 4) {
        accel_ring(m, ldl_le_p(buf + (ACCEL_DOORBELL - off)));
    }
    if (off >= CXL_ACCEL_COPY) {
        cxl_copy_write(&m->copy, off - CXL_ACCEL_COPY, buf, len);
    } else if (end > CXL_ACCEL_COPY) {
        uint32_t skip = CXL_ACCEL_COPY - off;

        cxl_copy_write(&m->copy, 0, buf + skip, len - skip);
    }
    return len;
}

void cxl_model_set_dma(CxlModel *m, const CxlDmaOps *ops, void *opaque)
{
    m->dma = ops;
    m->dma_opaque = opaque;
}

bool cxl_model_copy_runnable(const CxlModel *m)
{
    return cxl_copy_runnable(&m->copy);
}

void cxl_model_copy_run(CxlModel *m)
{
    cxl_copy_run(&m->copy);
}

void cxl_model_copy_dma_done(CxlModel *m, bool ok)
{
    cxl_copy_dma_done(&m->copy, ok);
}

const CxlCopyStats *cxl_model_copy_stats(const CxlModel *m)
{
    return &m->copy.stats;
}

bool cxl_model_dead(const CxlModel *m)
{
    return m->copy.dead;
}

void cxl_model_close(CxlModel *m)
{
    cxl_copy_reset(&m->copy);
}
