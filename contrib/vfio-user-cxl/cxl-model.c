/*
 * Model of a CXL Type-2 device: life cycle, BARs and device memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/memfd.h"
#include "hdm-mem.h"
#include "cxl-model-int.h"

bool cxl_model_check(const CxlModelConfig *c, Error **errp)
{
    g_autofree char *size = size_to_str(c->hdm_size);

    if (!c->hdm_size || c->hdm_size % CXL_MODEL_HDM_ALIGN ||
        c->hdm_size > CXL_MODEL_HDM_MAX) {
        error_setg(errp, "HDM size 0x%" PRIx64 " (%s) must be a multiple of "
                   "256 MiB from 256 MiB to 1 TiB", c->hdm_size, size);
        return false;
    }
    if (c->host_base % CXL_MODEL_HDM_ALIGN ||
        c->host_base > UINT64_MAX - c->hdm_size) {
        error_setg(errp, "host base 0x%" PRIx64 " must be a multiple of "
                   "256 MiB with room for 0x%" PRIx64 " bytes above it",
                   c->host_base, c->hdm_size);
        return false;
    }
    return true;
}

/*
 * The component BAR may be mapped by the user, so its memory is a file.  A
 * size of whole host pages is needed for that (64 KiB at the most).
 */
static bool comp_bar_alloc(CxlModel *m, Error **errp)
{
    uint64_t size = m->id->bar[m->id->comp_bar].size;
    void *mem;

    m->bar_fd = hdm_mem_anon("cxl-comp-bar", size, errp);
    if (m->bar_fd < 0) {
        return false;
    }
    mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->bar_fd, 0);
    if (mem == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map %" PRIu64 " bytes for the "
                         "component BAR", size);
        return false;
    }
    m->bar_mem = mem;
    return true;
}

CxlModel *cxl_model_new(const CxlModelConfig *config, Error **errp)
{
    CxlModel *m = g_new0(CxlModel, 1);

    m->config = *config;
    m->id = config->identity;
    m->bar_fd = -1;
    m->sram_fd = -1;
    cxl_regs_init(&m->cfg, CXL_MODEL_CFG_SIZE);
    cxl_regs_init(&m->cm, CXL_TYPE2_CM_SIZE);
    m->msix = g_malloc0(m->id->bar[m->id->msix_bar].size);
    if (!comp_bar_alloc(m, errp) || !cxl_model_accel_init(m, errp)) {
        cxl_model_free(m);
        return NULL;
    }
    cxl_cfg_init(m);
    cxl_comp_init(m);
    cxl_model_accel_reset(m);
    cxl_sfc_reset(&m->sfc);
    return m;
}

void cxl_model_free(CxlModel *m)
{
    if (!m) {
        return;
    }
    if (m->bar_mem) {
        munmap(m->bar_mem, m->id->bar[m->id->comp_bar].size);
    }
    if (m->bar_fd >= 0) {
        close(m->bar_fd);
    }
    cxl_model_accel_cleanup(m);
    cxl_regs_free(&m->cfg);
    cxl_regs_free(&m->cm);
    g_free(m->msix);
    g_free(m);
}

const CxlIdentity *cxl_model_identity(const CxlModel *m)
{
    return m->id;
}

void cxl_model_set_irq(CxlModel *m, CxlModelIrqFn *fn, void *opaque)
{
    m->irq = fn;
    m->irq_opaque = opaque;
}

/* Everything that a function reset clears */
static int device_clear(CxlModel *m)
{
    int ret = hdm_mem_clear(m->config.mem_fd, m->config.hdm_size);

    cxl_comp_init(m);
    cxl_model_accel_reset(m);
    cxl_sfc_reset(&m->sfc);
    memset(m->bar_mem, 0, m->id->bar[m->id->comp_bar].size);
    m->reset_failed = ret < 0;
    return ret;
}

int cxl_model_open(CxlModel *m)
{
    cxl_cfg_init(m);
    memset(m->msix, 0, m->id->bar[m->id->msix_bar].size);
    return device_clear(m);
}

int cxl_model_reset(CxlModel *m)
{
    m->resets++;
    g_usleep(m->config.reset_ms * 1000);
    if (m->config.reset_fails || m->resets == m->config.fail_reset) {
        m->reset_failed = true;
        return -EIO;
    }
    return device_clear(m);
}

uint64_t cxl_model_bar_size(const CxlModel *m, int bar)
{
    return bar >= 0 && bar < CXL_MODEL_BARS ? m->id->bar[bar].size : 0;
}

/*
 * The hole for the decoder block and the registers beside it grows to whole
 * host pages; what is left on both sides is mappable.
 */
int cxl_model_bar_fd(const CxlModel *m, int bar, CxlModelArea *areas,
                     unsigned *n_areas)
{
    uint64_t page = qemu_real_host_page_size();
    uint64_t cm = m->id->comp_offset + CXL_TYPE2_CM_OFFSET;
    uint64_t start = QEMU_ALIGN_DOWN(cm, page);
    uint64_t end = QEMU_ALIGN_UP(cm + CXL_TYPE2_CM_SIZE, page);
    uint64_t size = cxl_model_bar_size(m, bar);

    *n_areas = 0;
    if (bar == 0 && m->sram_fd >= 0) {
        areas[(*n_areas)++] = (CxlModelArea) {
            m->id->sram_offset, size - m->id->sram_offset
        };
        return m->sram_fd;
    }
    if (bar != m->id->comp_bar) {
        return -1;
    }
    if (start) {
        areas[(*n_areas)++] = (CxlModelArea) { 0, start };
    }
    if (end < size) {
        areas[(*n_areas)++] = (CxlModelArea) { end, size - end };
    }
    return m->bar_fd;
}

/* Clip [off, off + *len) to @size; false: nothing of it is inside */
static bool clip(uint64_t size, uint64_t off, uint32_t *len)
{
    if (off >= size) {
        return false;
    }
    *len = MIN(*len, size - off);
    return true;
}

int cxl_model_bar_read(CxlModel *m, int bar, uint64_t off, void *buf,
                       uint32_t len)
{
    if (!clip(cxl_model_bar_size(m, bar), off, &len)) {
        return -EINVAL;
    }
    if (bar == m->id->comp_bar) {
        cxl_comp_read(m, off, buf, len);
    } else if (bar == m->id->msix_bar) {
        memcpy(buf, m->msix + off, len);
    } else if (m->id->sfc_regs) {
        cxl_sfc_read(&m->sfc, off, buf, len);
    } else {
        return cxl_model_accel_read(m, off, buf, len);
    }
    return len;
}

int cxl_model_bar_write(CxlModel *m, int bar, uint64_t off, const void *buf,
                        uint32_t len)
{
    if (!clip(cxl_model_bar_size(m, bar), off, &len)) {
        return -EINVAL;
    }
    if (bar == m->id->comp_bar) {
        cxl_comp_write(m, off, buf, len);
    } else if (bar == m->id->msix_bar) {
        /* the pending bits are the device's own */
        uint64_t table_end = m->id->msix_table + 16 * m->id->msix_vectors;

        for (uint64_t i = MAX(off, m->id->msix_table);
             i < MIN(off + len, table_end); i++) {
            m->msix[i] = ((const uint8_t *)buf)[i - off];
        }
    } else if (m->id->sfc_regs) {
        cxl_sfc_write(&m->sfc);
    } else {
        return cxl_model_accel_write(m, off, buf, len);
    }
    return len;
}

int cxl_model_hdm_read(CxlModel *m, uint64_t off, void *buf, uint32_t len)
{
    if (!clip(m->config.hdm_size, off, &len)) {
        return -EINVAL;
    }
    if (!cxl_model_mem_enabled(m)) {
        return -EIO;
    }
    return hdm_mem_read(m->config.mem_fd, off, buf, len);
}

int cxl_model_hdm_write(CxlModel *m, uint64_t off, const void *buf,
                        uint32_t len)
{
    if (!clip(m->config.hdm_size, off, &len)) {
        return -EINVAL;
    }
    if (!cxl_model_mem_enabled(m)) {
        return -EIO;
    }
    return hdm_mem_write(m->config.mem_fd, off, buf, len);
}
