/*
 * Component registers of the CXL Type-2 device model
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "cxl-model-int.h"

/* HDM decoder capability, CXL r3.1 8.2.4.20 */
#define HDM_GLOBAL_ENABLE (1 << 1)
#define HDM_CTRL_COMMITTED (1 << 10)
#define HDM_CTRL_COMMIT (1 << 9)
#define HDM_CTRL_IW_2 (1 << 4)
#define HDM_CTRL_ERROR (1 << 11)
#define HDM_CTRL_HOST_ONLY (1 << 12)
#define HDM_CTRL_BI (1 << 13)
/* capability: the coherency model that is supported */
#define HDM_CAP_HOST_ONLY (2 << 21)

unsigned cxl_hdm_decoders(unsigned code)
{
    if (code == 0) {
        return 1;
    }
    return code <= 8 ? code * 2 : MIN(20 + (code - 9) * 4, 32);
}

static void hdm_init(CxlModel *m)
{
    const CxlModelConfig *c = &m->config;
    uint64_t size = c->decoder_size_set ? c->decoder_size : c->hdm_size;
    uint32_t ctrl = HDM_CTRL_COMMIT | HDM_CTRL_COMMITTED;
    /* interleave address bits 8 to 11 and 12 to 14 */
    uint32_t cap = 0x300 | c->decoder_count_code;
    uint8_t *h = m->hdm;

    if (c->not_committed) {
        ctrl = 0;
    }
    if (c->decoder_error) {
        ctrl = HDM_CTRL_COMMIT | HDM_CTRL_ERROR;
    }
    if (c->interleave) {
        ctrl |= HDM_CTRL_IW_2;
    }
    if (c->coherency == CXL_MODEL_HDM_H) {
        ctrl |= HDM_CTRL_HOST_ONLY;
        cap |= HDM_CAP_HOST_ONLY;
    } else if (c->coherency == CXL_MODEL_HDM_DB) {
        ctrl |= HDM_CTRL_BI;
    }
    memset(m->hdm, 0, sizeof(m->hdm));
    m->hdm_len = CXL_HDM_LEN(cxl_hdm_decoders(c->decoder_count_code));
    stl_le_p(h, cap);
    stl_le_p(h + 0x04, HDM_GLOBAL_ENABLE);
    stl_le_p(h + 0x10, (uint32_t)c->host_base);
    stl_le_p(h + 0x14, c->host_base >> 32);
    stl_le_p(h + 0x18, (uint32_t)size);
    stl_le_p(h + 0x1c, size >> 32);
    stl_le_p(h + 0x20, ctrl);
}

void cxl_comp_init(CxlModel *m)
{
    cxl_cm_init(&m->cm, m->id);
    hdm_init(m);
}

uint32_t cxl_model_decoder_len(const CxlModel *m)
{
    return m->hdm_len;
}

uint64_t cxl_model_decoder_offset(const CxlModel *m)
{
    return m->id->comp_offset + CXL_TYPE2_CM_OFFSET + m->id->hdm_offset;
}

/* Decoder block: hidden; CM part: registers; the rest: plain memory */
static bool in_decoder(const CxlModel *m, uint64_t off)
{
    uint64_t start = cxl_model_decoder_offset(m);

    return off >= start && off - start < m->hdm_len;
}

static bool in_cm(const CxlModel *m, uint64_t off)
{
    uint64_t start = m->id->comp_offset + CXL_TYPE2_CM_OFFSET;

    return off >= start && off - start < CXL_TYPE2_CM_SIZE;
}

void cxl_comp_read(CxlModel *m, uint64_t off, uint8_t *buf, uint32_t len)
{
    uint64_t cm = m->id->comp_offset + CXL_TYPE2_CM_OFFSET;

    for (uint32_t i = 0; i < len; i++, off++) {
        if (in_decoder(m, off)) {
            buf[i] = 0xff;
        } else if (in_cm(m, off)) {
            buf[i] = m->cm.val[off - cm];
        } else {
            buf[i] = m->bar_mem[off];
        }
    }
}

void cxl_comp_write(CxlModel *m, uint64_t off, const uint8_t *buf,
                    uint32_t len)
{
    uint64_t cm = m->id->comp_offset + CXL_TYPE2_CM_OFFSET;

    for (uint32_t i = 0; i < len; i++, off++) {
        if (in_decoder(m, off)) {
            continue;
        } else if (in_cm(m, off)) {
            cxl_regs_write_byte(&m->cm, off - cm, buf[i]);
        } else {
            m->bar_mem[off] = buf[i];
        }
    }
}

int cxl_model_decoder_read(CxlModel *m, uint64_t off, void *buf, uint32_t len)
{
    if (off >= m->hdm_len || off % 4 || len % 4) {
        return -EINVAL;
    }
    if (m->config.decoder_eio || !cxl_model_mem_enabled(m)) {
        return -EIO;
    }
    len = MIN(len, m->hdm_len - off);
    memcpy(buf, m->hdm + off, len);
    return len;
}

int cxl_model_decoder_write(CxlModel *m, uint64_t off, const void *buf,
                            uint32_t len)
{
    if (off >= m->hdm_len || off % 4 || len % 4) {
        return -EINVAL;
    }
    return MIN(len, m->hdm_len - off);
}
