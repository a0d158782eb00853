/*
 * The device's way to guest memory
 *
 * Memory that the client shares is mapped.  The rest, and all of it on
 * request, is moved by messages to the client, of which one is on its way
 * at a time; nothing here waits for its answer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "server-int.h"

/* In front of the data, in requests and replies */
typedef struct DmaAccess {
    uint64_t addr;
    uint64_t count;
} DmaAccess;

static CxlCopyError dma_check(void *opaque, bool write, uint64_t addr,
                              uint64_t len, uint64_t hdm)
{
    CxlServer *s = opaque;

    if (!dma_table_covers(s->dma, addr, len, write)) {
        return CXL_COPY_E_DMA;
    }
    return dma_table_reaches_file(s->dma, addr, len, s->config->hdm_fd, hdm) ?
           CXL_COPY_E_OVERLAP : CXL_COPY_NO_ERROR;
}

static CxlDmaWay dma_way(void *opaque, bool write, uint64_t addr,
                         uint32_t *len, void **ptr)
{
    CxlServer *s = opaque;
    bool map = s->config->dma != CXL_DMA_BY_MESSAGE;

    *ptr = NULL;
    if (!dma_table_find(s->dma, addr, write, len, map ? ptr : NULL)) {
        return CXL_DMA_NONE;
    }
    if (*ptr) {
        stats_dma(s->stats, STATS_DMA_SHARED, write, *len);
        return CXL_DMA_DIRECT;
    }
    if (s->config->dma == CXL_DMA_SHARED) {
        return CXL_DMA_NONE;
    }
    *len = MIN(*len, s->max_xfer);
    return CXL_DMA_MESSAGE;
}

static bool dma_start(void *opaque, bool write, uint64_t addr, uint8_t *buf,
                      uint32_t len)
{
    CxlServer *s = opaque;
    DmaAccess access = { .addr = addr, .count = len };
    WireHdr hdr = {
        .id = ++s->dma_id,
        .command = write ? CMD_DMA_WRITE : CMD_DMA_READ,
        .flags = WIRE_TYPE_REQUEST,
    };
    g_autoptr(GByteArray) data = g_byte_array_new();

    g_byte_array_append(data, (void *)&access, sizeof(access));
    if (write) {
        g_byte_array_append(data, buf, len);
    }
    hdr.size = sizeof(hdr) + data->len;
    stats_dma(s->stats, STATS_DMA_MESSAGE, write, len);
    s->dma_req = (CxlDmaRequest) {
        .sent = true,
        .id = hdr.id,
        .command = hdr.command,
        .addr = addr,
        .len = len,
        .buf = buf,
    };
    if (!wire_send(s->client, &s->out, &hdr, data->data, data->len, -1)) {
        s->dma_req.sent = false;
        return false;
    }
    return true;
}

static void dma_cancel(void *opaque)
{
    CxlServer *s = opaque;

    s->dma_req.sent = false;
}

const CxlDmaOps server_dma_ops = {
    .check = dma_check,
    .way = dma_way,
    .start = dma_start,
    .cancel = dma_cancel,
};

/*
 * All bytes have moved, says the reply.  To a write some clients send no
 * more than the header.
 */
static bool reply_ok(const WireMsg *msg, const CxlDmaRequest *req)
{
    DmaAccess access;

    if (msg->hdr.flags & WIRE_ERROR) {
        return false;
    }
    if (req->command == CMD_DMA_WRITE) {
        return true;
    }
    if (msg->len != sizeof(access) + req->len) {
        return false;
    }
    memcpy(&access, msg->data, sizeof(access));
    return access.addr == req->addr && access.count == req->len;
}

void server_dma_reply(CxlServer *s)
{
    CxlDmaRequest *req = &s->dma_req;
    const WireMsg *msg = &s->msg;
    bool ok;

    /* the answer to a request that was cancelled meanwhile is of no use */
    if (!req->sent || msg->hdr.id != req->id ||
        msg->hdr.command != req->command) {
        return;
    }
    ok = reply_ok(msg, req);
    if (ok && req->command == CMD_DMA_READ) {
        memcpy(req->buf, msg->data + sizeof(DmaAccess), req->len);
    }
    if (!ok) {
        s->stats->dma_errors++;
    }
    req->sent = false;
    cxl_model_copy_dma_done(s->model, ok);
}
