/*
 * Copy engine of a generic CXL accelerator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/cxl/cxl_accel_copy.h"

void cxl_copy_init(CxlCopy *c, const CxlCopyConfig *config,
                   const CxlCopyOps *ops, void *opaque)
{
    memset(c, 0, sizeof(*c));
    c->config = *config;
    c->ops = ops;
    c->opaque = opaque;
    c->buf = g_malloc(config->chunk);
}

void cxl_copy_cleanup(CxlCopy *c)
{
    cxl_copy_reset(c);
    g_clear_pointer(&c->buf, g_free);
}

void cxl_copy_reset(CxlCopy *c)
{
    if (c->step) {
        c->ops->dma.cancel(c->opaque);
    }
    memset(c->regs, 0, sizeof(c->regs));
    c->state = CXL_COPY_IDLE;
    c->error = CXL_COPY_NO_ERROR;
    c->refused = false;
    c->aborting = false;
    c->done = 0;
    c->count = 0;
    c->step = 0;
}

static void copy_end(CxlCopy *c, CxlCopyError error)
{
    unsigned vector = (c->control >> CXL_COPY_VECTOR_SHIFT) & 0xff;

    c->error = error;
    c->state = error ? CXL_COPY_FAILED : CXL_COPY_OK;
    c->aborting = false;
    c->step = 0;
    c->count++;
    c->stats.failed += error != CXL_COPY_NO_ERROR;
    if (c->control & CXL_COPY_IRQ && vector < c->config.vectors &&
        !c->config.no_irq) {
        c->ops->irq(c->opaque, vector);
    }
}

/* Ranges of @len bytes, both known not to wrap */
static bool ranges_overlap(uint64_t a, uint64_t b, uint64_t len)
{
    return a < b ? b - a < len : a - b < len;
}

static CxlCopyError check_hdm(const CxlCopy *c, uint64_t off)
{
    if (off >= c->config.hdm_size) {
        return CXL_COPY_E_HDM_START;
    }
    return c->len > c->config.hdm_size - off ? CXL_COPY_E_HDM_END :
           CXL_COPY_NO_ERROR;
}

static CxlCopyError check_dma(const CxlCopy *c, bool write, uint64_t addr,
                              uint64_t hdm)
{
    /* the last byte may be the last of the address space */
    if (addr + (c->len - 1) < addr) {
        return CXL_COPY_E_DMA;
    }
    return c->ops->dma.check(c->opaque, write, addr, c->len, hdm);
}

static CxlCopyError check_request(const CxlCopy *c)
{
    unsigned op = c->control & CXL_COPY_OP_MASK;
    unsigned vector = (c->control >> CXL_COPY_VECTOR_SHIFT) & 0xff;
    CxlCopyError error = CXL_COPY_NO_ERROR;

    if (op < CXL_COPY_OP_TO_HDM || op > CXL_COPY_OP_HDM) {
        return CXL_COPY_E_OP;
    }
    if (!c->len) {
        return CXL_COPY_E_LENGTH;
    }
    if (c->control & CXL_COPY_IRQ && vector >= c->config.vectors) {
        return CXL_COPY_E_VECTOR;
    }
    if (op == CXL_COPY_OP_FROM_HDM || op == CXL_COPY_OP_HDM) {
        error = check_hdm(c, c->src);
    }
    if (!error && op != CXL_COPY_OP_FROM_HDM) {
        error = check_hdm(c, c->dst);
    }
    if (error) {
        return error;
    }
    if (op == CXL_COPY_OP_HDM && ranges_overlap(c->src, c->dst, c->len)) {
        return CXL_COPY_E_OVERLAP;
    }
    if (!c->ops->hdm_enabled(c->opaque)) {
        return CXL_COPY_E_GATED;
    }
    return op == CXL_COPY_OP_TO_HDM ? check_dma(c, false, c->src, c->dst) :
           op == CXL_COPY_OP_FROM_HDM ? check_dma(c, true, c->dst, c->src) :
           CXL_COPY_NO_ERROR;
}

static void copy_start(CxlCopy *c)
{
    CxlCopyError error;

    if (c->state == CXL_COPY_BUSY) {
        c->refused = true;
        return;
    }
    c->src = ldq_le_p(c->regs + CXL_COPY_SRC);
    c->dst = ldq_le_p(c->regs + CXL_COPY_DST);
    c->len = ldq_le_p(c->regs + CXL_COPY_LEN);
    c->control = ldl_le_p(c->regs + CXL_COPY_CONTROL);
    c->refused = false;
    c->done = 0;
    c->error = CXL_COPY_NO_ERROR;
    c->state = CXL_COPY_BUSY;
    c->stats.started++;
    error = check_request(c);
    if (error) {
        copy_end(c, error);
    }
}

/*
 * What a message moves may still be on its way, so the end is reported only
 * when its answer is here: then the guest may use its memory again.
 */
static void copy_abort(CxlCopy *c)
{
    if (c->state != CXL_COPY_BUSY) {
        return;
    }
    if (c->step) {
        c->aborting = true;
    } else {
        copy_end(c, CXL_COPY_E_ABORTED);
    }
}

static void put_reg(uint8_t *block, uint32_t at, uint64_t val, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        block[at + i] = val >> (8 * i);
    }
}

void cxl_copy_read(const CxlCopy *c, uint32_t off, uint8_t *buf,
                   uint32_t len)
{
    uint8_t block[CXL_COPY_REGS] = { };

    memcpy(block, c->regs, sizeof(c->regs));
    put_reg(block, CXL_COPY_STATUS,
            c->state | (c->refused ? CXL_COPY_REFUSED : 0), 4);
    put_reg(block, CXL_COPY_ERROR, c->error, 4);
    put_reg(block, CXL_COPY_DONE, c->done, 8);
    put_reg(block, CXL_COPY_COUNT, c->count, 4);
    memset(buf, 0, len);
    if (off < sizeof(block)) {
        memcpy(buf, block + off, MIN(len, sizeof(block) - off));
    }
}

void cxl_copy_write(CxlCopy *c, uint32_t off, const uint8_t *buf,
                    uint32_t len)
{
    uint32_t command;

    if (off < sizeof(c->regs) && c->state != CXL_COPY_BUSY) {
        memcpy(c->regs + off, buf, MIN(len, sizeof(c->regs) - off));
    }
    if (off > CXL_COPY_COMMAND || off + len < CXL_COPY_COMMAND + 4) {
        return;
    }
    command = ldl_le_p(buf + (CXL_COPY_COMMAND - off));
    if (command == CXL_COPY_START) {
        copy_start(c);
    } else if (command == CXL_COPY_ABORT) {
        copy_abort(c);
    }
}

/* @len bytes are there: count them, and end the request after the last */
static void copy_advance(CxlCopy *c, uint32_t len)
{
    c->step = 0;
    c->done += len;
    c->stats.bytes += len;
    if (c->done == c->len) {
        copy_end(c, CXL_COPY_NO_ERROR);
    }
}

/* Move @len bytes between HDM at @off and @mem, the guest's or our own */
static bool copy_hdm(CxlCopy *c, bool write, uint64_t off, void *mem,
                     uint32_t len)
{
    int ret = c->ops->hdm(c->opaque, write, off, mem, len);

    if (ret < 0) {
        copy_end(c, ret == -EFAULT ? CXL_COPY_E_DMA : CXL_COPY_E_GATED);
        return false;
    }
    return true;
}

/* One step between HDM at @hdm and the guest's memory at @addr */
static void step_dma(CxlCopy *c, bool write, uint64_t addr, uint64_t hdm,
                     uint32_t len)
{
    void *ptr = NULL;

    switch (c->ops->dma.way(c->opaque, write, addr, &len, &ptr)) {
    case CXL_DMA_DIRECT:
        if (copy_hdm(c, !write, hdm, ptr, len)) {
            copy_advance(c, len);
        }
        return;
    case CXL_DMA_MESSAGE:
        if (write && !copy_hdm(c, false, hdm, c->buf, len)) {
            return;
        }
        if (c->ops->dma.start(c->opaque, write, addr, c->buf, len)) {
            c->step = len;
            return;
        }
        break;
    default:
        break;
    }
    copy_end(c, CXL_COPY_E_DMA);
}

static void step_fill(CxlCopy *c, uint32_t len)
{
    /* each step starts at a multiple of 8 bytes from the first byte */
    for (uint32_t i = 0; i < len; i++) {
        c->buf[i] = c->regs[CXL_COPY_PATTERN + i % 8];
    }
    if (copy_hdm(c, true, c->dst + c->done, c->buf, len)) {
        copy_advance(c, len);
    }
}

static void step_hdm(CxlCopy *c, uint32_t len)
{
    if (copy_hdm(c, false, c->src + c->done, c->buf, len) &&
        copy_hdm(c, true, c->dst + c->done, c->buf, len)) {
        copy_advance(c, len);
    }
}

bool cxl_copy_runnable(const CxlCopy *c)
{
    return c->state == CXL_COPY_BUSY && !c->step && !c->dead;
}

void cxl_copy_run(CxlCopy *c)
{
    uint64_t len = MIN(c->len - c->done, c->config.chunk);

    if (!cxl_copy_runnable(c)) {
        return;
    }
    if (c->stats.started == c->config.die_in) {
        if (c->done >= c->len / 2) {
            c->dead = true;
            return;
        }
        /* no step past the middle */
        len = MIN(len, c->len / 2 - c->done);
    }
    switch (c->control & CXL_COPY_OP_MASK) {
    case CXL_COPY_OP_TO_HDM:
        step_dma(c, false, c->src + c->done, c->dst + c->done, len);
        break;
    case CXL_COPY_OP_FROM_HDM:
        step_dma(c, true, c->dst + c->done, c->src + c->done, len);
        break;
    case CXL_COPY_OP_FILL:
        step_fill(c, len);
        break;
    case CXL_COPY_OP_HDM:
        step_hdm(c, len);
        break;
    }
}

void cxl_copy_dma_done(CxlCopy *c, bool ok)
{
    uint32_t len = c->step;

    if (!len) {
        return;
    }
    if (!ok) {
        copy_end(c, c->aborting ? CXL_COPY_E_ABORTED : CXL_COPY_E_DMA);
        return;
    }
    if ((c->control & CXL_COPY_OP_MASK) == CXL_COPY_OP_TO_HDM) {
        if (c->aborting) {
            copy_end(c, CXL_COPY_E_ABORTED);
            return;
        }
        if (!copy_hdm(c, true, c->dst + c->done, c->buf, len)) {
            return;
        }
    }
    copy_advance(c, len);
    if (c->aborting) {
        copy_end(c, CXL_COPY_E_ABORTED);
    }
}
