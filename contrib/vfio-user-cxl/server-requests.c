/*
 * The requests of the vfio-user protocol
 *
 * Nothing in a request is trusted: lengths are checked against the payload
 * that really came, and every other field before it is used.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/vfio/vfio-cxl-abi.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "server-int.h"

/* Fixed parts of the payloads, where <linux/vfio.h> has no struct for them */
typedef struct ReqVersion {
    uint16_t major;
    uint16_t minor;
} ReqVersion;

typedef struct ReqDmaMap {
    uint32_t argsz;
    uint32_t flags;
    uint64_t offset;
    uint64_t iova;
    uint64_t size;
} ReqDmaMap;

typedef struct ReqDmaUnmap {
    uint32_t argsz;
    uint32_t flags;
    uint64_t iova;
    uint64_t size;
} ReqDmaUnmap;

typedef struct ReqInfo {
    uint32_t argsz;
    uint32_t flags;
    uint32_t num_regions;
    uint32_t num_irqs;
} ReqInfo;

typedef struct ReqRegion {
    uint64_t offset;
    uint32_t region;
    uint32_t count;
} ReqRegion;

typedef struct ReqWriteOne {
    ReqRegion where;
    uint8_t data[8];
} ReqWriteOne;

/* Copy the fixed part of the payload; false: it is not there */
static bool get_fixed(const CxlServer *s, void *req, size_t size)
{
    if (s->msg.len < size) {
        return false;
    }
    memcpy(req, s->msg.data, size);
    return true;
}

static void put(CxlReply *reply, const void *data, size_t size)
{
    g_byte_array_append(reply->data, data, size);
}

/*
 * The capabilities in the answer: ours, of those that the client named.
 * write_multiple is left out on purpose: QEMU 10.2 sets the wrong flags when
 * it is offered.  The message itself is served.
 */
static GString *version_caps(const QDict *theirs)
{
    static const struct {
        const char *name;
        int64_t val;
    } ours[] = {
        { "max_msg_fds", WIRE_MAX_FDS },
        { "max_data_xfer_size", WIRE_MAX_DATA },
        { "max_dma_maps", DMA_TABLE_MAX },
        { "pgsizes", 4096 },
    };
    g_autoptr(QDict) top = qdict_new();
    QDict *caps = qdict_new();

    for (unsigned i = 0; i < ARRAY_SIZE(ours); i++) {
        if (theirs && qdict_haskey(theirs, ours[i].name)) {
            qdict_put_int(caps, ours[i].name, ours[i].val);
        }
    }
    qdict_put(top, "capabilities", caps);
    return qobject_to_json(QOBJECT(top));
}

/* The largest transfer that the client allows; false: that is no number */
static bool get_max_xfer(CxlServer *s, const QDict *theirs)
{
    int64_t max = WIRE_MAX_DATA;

    if (theirs && qdict_haskey(theirs, "max_data_xfer_size")) {
        max = qdict_get_try_int(theirs, "max_data_xfer_size", 0);
    }
    s->max_xfer = max;
    return max > 0;
}

static int req_version(CxlServer *s, CxlReply *reply)
{
    ReqVersion req;
    QObject *obj = NULL;
    QDict *caps = NULL;
    g_autoptr(GString) json = NULL;

    if (s->version_done || !get_fixed(s, &req, sizeof(req))) {
        return -EINVAL;
    }
    if (req.major != 0) {
        return -ENOTSUP;
    }
    if (s->msg.len > sizeof(req)) {
        /* wire_recv() put a NUL behind the payload */
        obj = qobject_from_json((char *)s->msg.data + sizeof(req), NULL);
        if (!obj || qobject_type(obj) != QTYPE_QDICT) {
            qobject_unref(obj);
            return -EINVAL;
        }
        caps = qobject_to(QDict, qdict_get(qobject_to(QDict, obj),
                                           "capabilities"));
    }
    if (!get_max_xfer(s, caps)) {
        qobject_unref(obj);
        return -EINVAL;
    }
    json = version_caps(caps);
    qobject_unref(obj);
    req.minor = 0;
    put(reply, &req, sizeof(req));
    put(reply, json->str, json->len + 1);
    s->version_done = true;
    return 0;
}

static int req_dma_map(CxlServer *s)
{
    ReqDmaMap req;
    int ret;

    if (!get_fixed(s, &req, sizeof(req)) || s->msg.n_fds > 1 ||
        req.flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)) {
        return -EINVAL;
    }
    ret = dma_table_map(s->dma, req.iova, req.size, req.offset, req.flags,
                        s->msg.n_fds ? s->msg.fds[0] : -1);
    if (ret == 0 && s->msg.n_fds) {
        s->msg.fds[0] = -1;
    }
    return ret;
}

static int req_dma_unmap(CxlServer *s, CxlReply *reply)
{
    ReqDmaUnmap req;
    int ret = 0;

    if (!get_fixed(s, &req, sizeof(req)) ||
        req.flags & ~VFIO_DMA_UNMAP_FLAG_ALL) {
        return -EINVAL;
    }
    if (req.flags & VFIO_DMA_UNMAP_FLAG_ALL) {
        dma_table_clear(s->dma);
    } else {
        ret = dma_table_unmap(s->dma, req.iova, req.size);
    }
    put(reply, &req, sizeof(req));
    return ret;
}

static int req_get_info(CxlServer *s, CxlReply *reply)
{
    ReqInfo info = {
        .argsz = sizeof(info),
        .flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI |
                 VFIO_DEVICE_FLAGS_CXL,
        .num_regions = s->regions.count,
        .num_irqs = VFIO_PCI_NUM_IRQS,
    };
    uint32_t argsz;

    if (!get_fixed(s, &argsz, sizeof(argsz)) || argsz < sizeof(info)) {
        return -EINVAL;
    }
    if (s->config->faults->no_cxl_flag) {
        info.flags &= ~VFIO_DEVICE_FLAGS_CXL;
    }
    if (s->config->faults->no_reset_flag) {
        info.flags &= ~VFIO_DEVICE_FLAGS_RESET;
    }
    put(reply, &info, sizeof(info));
    return 0;
}

/*
 * A buffer too small for the capabilities gets the fixed part without any
 * and the size it needs; the descriptor comes with the full answer only.
 */
static int req_get_region_info(CxlServer *s, CxlReply *reply)
{
    struct vfio_region_info req, *info;
    bool grow;
    int ret;

    if (!get_fixed(s, &req, sizeof(req)) || req.argsz < sizeof(req)) {
        return -EINVAL;
    }
    ret = regions_info(&s->regions, req.index, reply->data, &reply->fd);
    if (ret < 0) {
        return ret;
    }
    info = (void *)reply->data->data;
    grow = s->config->faults->argsz_grow == req.index;
    if (grow) {
        info->argsz = req.argsz <= UINT32_MAX - 64 ? req.argsz + 64 :
                      UINT32_MAX;
    }
    if (grow || reply->data->len > req.argsz) {
        info->flags &= ~VFIO_REGION_INFO_FLAG_CAPS;
        info->cap_offset = 0;
        g_byte_array_set_size(reply->data, sizeof(*info));
        reply->fd = -1;
    }
    return 0;
}

static int req_get_irq_info(CxlServer *s, CxlReply *reply)
{
    struct vfio_irq_info info;

    if (!get_fixed(s, &info, sizeof(info)) || info.argsz < sizeof(info) ||
        irqs_info(&s->irqs, &info) < 0) {
        return -EINVAL;
    }
    put(reply, &info, sizeof(info));
    return 0;
}

static int req_set_irqs(CxlServer *s)
{
    struct vfio_irq_set set;

    if (!get_fixed(s, &set, sizeof(set))) {
        return -EINVAL;
    }
    return irqs_set(&s->irqs, &set, s->msg.data + sizeof(set),
                    s->msg.len - sizeof(set), s->msg.fds, s->msg.n_fds);
}

static int req_region_read(CxlServer *s, CxlReply *reply)
{
    ReqRegion req;
    int ret;

    if (!get_fixed(s, &req, sizeof(req)) || req.count > WIRE_MAX_DATA) {
        return -EINVAL;
    }
    stats_access(s->stats, regions_kind(&s->regions, req.region), false,
                 req.count);
    g_byte_array_set_size(reply->data, sizeof(req) + req.count);
    ret = regions_read(&s->regions, req.region, req.offset,
                       reply->data->data + sizeof(req), req.count);
    if (ret < 0) {
        return ret;
    }
    req.count = ret;
    memcpy(reply->data->data, &req, sizeof(req));
    g_byte_array_set_size(reply->data, sizeof(req) + ret);
    return 0;
}

static int do_write(CxlServer *s, const ReqRegion *req, const void *data)
{
    stats_access(s->stats, regions_kind(&s->regions, req->region), true,
                 req->count);
    return regions_write(&s->regions, req->region, req->offset, data,
                         req->count);
}

static int req_region_write(CxlServer *s, CxlReply *reply)
{
    ReqRegion req;
    int ret;

    if (!get_fixed(s, &req, sizeof(req)) || req.count > WIRE_MAX_DATA ||
        req.count > s->msg.len - sizeof(req)) {
        return -EINVAL;
    }
    ret = do_write(s, &req, s->msg.data + sizeof(req));
    if (ret < 0) {
        return ret;
    }
    req.count = ret;
    put(reply, &req, sizeof(req));
    return 0;
}

static int req_write_multi(CxlServer *s, CxlReply *reply)
{
    uint64_t count, done;

    if (!get_fixed(s, &count, sizeof(count)) ||
        count > (s->msg.len - sizeof(count)) / sizeof(ReqWriteOne)) {
        return -EINVAL;
    }
    for (done = 0; done < count; done++) {
        ReqWriteOne one;
        int ret;

        memcpy(&one, s->msg.data + sizeof(count) + done * sizeof(one),
               sizeof(one));
        if (one.where.count > sizeof(one.data)) {
            return -EINVAL;
        }
        ret = do_write(s, &one.where, one.data);
        if (ret < 0) {
            return ret;
        }
    }
    put(reply, &done, sizeof(done));
    return 0;
}

int server_request(CxlServer *s, CxlReply *reply)
{
    unsigned cmd = s->msg.hdr.command;

    if (s->msg.fds_lost) {
        return -E2BIG;
    }
    if (!s->version_done && cmd != CMD_VERSION) {
        return -EPROTO;
    }
    if (s->msg.n_fds && cmd != CMD_DMA_MAP && cmd != CMD_SET_IRQS) {
        return -EINVAL;
    }
    switch (cmd) {
    case CMD_VERSION:
        return req_version(s, reply);
    case CMD_DMA_MAP:
        return req_dma_map(s);
    case CMD_DMA_UNMAP:
        return req_dma_unmap(s, reply);
    case CMD_GET_INFO:
        return req_get_info(s, reply);
    case CMD_GET_REGION_INFO:
        return req_get_region_info(s, reply);
    case CMD_GET_IRQ_INFO:
        return req_get_irq_info(s, reply);
    case CMD_SET_IRQS:
        return req_set_irqs(s);
    case CMD_REGION_READ:
        return req_region_read(s, reply);
    case CMD_REGION_WRITE:
        return req_region_write(s, reply);
    case CMD_RESET:
        s->stats->resets++;
        return cxl_model_reset(s->model);
    case CMD_WRITE_MULTI:
        return req_write_multi(s, reply);
    default:
        return -ENOSYS;
    }
}
