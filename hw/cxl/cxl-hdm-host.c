/*
 * The host bridge's side of the paths to HDM
 *
 * A bridge with a Type-2 device below it has decoders with rules:
 * those of the decoder block, and that what they decode lies in a window.
 * A bridge without one stays as it was.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qapi/error.h"
#include "qapi/qapi-events-cxl.h"
#include "hw/cxl/cxl.h"
#include "hw/pci-bridge/pci_expander_bridge.h"
#include "hw/qdev-core.h"
#include "cxl-hdm-bridge.h"
#include "cxl-hdm-path-int.h"
#include "cxl-hdm-window.h"
#include "trace.h"

const char *cxl_hdm_dev_name(const void *dev)
{
    const char *id = DEVICE(dev)->id;

    return id ? id : object_get_typename(OBJECT(dev));
}

/* -- what the guest may reach -- */

static bool path_is_routed(const CXLHDMPath *path)
{
    CXLHDMBlock block;

    if (path->host->passthrough) {
        return true; /* no decoders: all that comes goes to the only port */
    }
    cxl_hdm_bridge_load(path->host, &block);
    return cxl_hdm_bridge_routes(&block, path->port, &path->range);
}

static void path_update(CXLHDMPath *path)
{
    bool map = path->mr && path_is_routed(path);

    if (map == path->mapped) {
        return;
    }
    path->mapped = map;
    trace_cxl_hdm_path_map(cxl_hdm_dev_name(path->endpoint), map,
                           path->range.base, path->range.size);
    if (map) {
        /* Above the window's own handler, which knows emulated devices only */
        memory_region_add_subregion_overlap(&path->fw->mr,
                                            path->range.base - path->fw->base,
                                            path->mr, 1);
    } else {
        memory_region_del_subregion(&path->fw->mr, path->mr);
    }
}

static void path_tell(const CXLHDMPath *path, bool mapped,
                      const CXLHDMRange *range, CxlHdmReason reason)
{
    const char *id = DEVICE(path->endpoint)->id;
    g_autofree char *name = object_get_canonical_path(OBJECT(path->endpoint));

    trace_cxl_hdm_path_report(cxl_hdm_dev_name(path->endpoint), mapped,
                              range->base, range->size,
                              CxlHdmReason_str(reason));
    qapi_event_send_cxl_hdm_change(id, name, mapped, range->base, range->size,
                                   reason);
}

void cxl_hdm_path_report(CXLHDMPath *path, bool open, CxlHdmReason reason)
{
    CXLHDMRange now = { 0 };

    path->open = open;
    if (path->mapped && open) {
        now = path->range;
    }
    if (now.size == path->told.size && now.base == path->told.base) {
        return;
    }
    if (path->told.size) {
        path_tell(path, false, &path->told, reason);
    }
    if (now.size) {
        path_tell(path, true, &now, reason);
    }
    path->told = now;
}

static void host_update(CXLHost *host)
{
    CXLHDMPath *path;

    QLIST_FOREACH(path, &host->hdm_paths, next) {
        path_update(path);
        cxl_hdm_path_report(path, path->open, CXL_HDM_REASON_DECODER);
    }
}

hwaddr cxl_hdm_path_base(const CXLHDMPath *path)
{
    return path->fw ? path->range.base : 0;
}

const char *cxl_hdm_path_refuse(const CXLHDMPath *path, uint64_t base,
                                uint64_t size)
{
    CXLHDMPath want = *path;
    CXLHDMPath *other;

    want.range = (CXLHDMRange) { base, size };
    want.fw = cxl_hdm_window_find(path->pxb, &want.range);
    if (!want.fw) {
        return "range is in no window of the host bridge";
    }
    if (want.fw->num_targets != 1) {
        return "range is in a window with more than one target";
    }
    QLIST_FOREACH(other, &path->host->hdm_paths, next) {
        if (other != path && other->fw &&
            base <= other->range.base + (other->range.size - 1) &&
            other->range.base <= base + (size - 1)) {
            return "range is another device's";
        }
    }
    if (!path_is_routed(&want)) {
        return "no committed decoder of the host bridge leads all of the "
               "range to the device's port";
    }
    return NULL;
}

void cxl_hdm_path_map(CXLHDMPath *path, uint64_t base, MemoryRegion *mr)
{
    assert(!path->mr);
    assert(memory_region_size(mr) == path->range.size);
    if (path->guest) {
        path->range.base = base;
        path->fw = cxl_hdm_window_find(path->pxb, &path->range);
    }
    assert(path->fw && path->range.base == base);
    path->mr = mr;
    path_update(path);
}

void cxl_hdm_path_unmap(CXLHDMPath *path)
{
    if (path->mapped) {
        path->mapped = false;
        trace_cxl_hdm_path_map(cxl_hdm_dev_name(path->endpoint), false,
                               path->range.base, path->range.size);
        memory_region_del_subregion(&path->fw->mr, path->mr);
    }
    path->mr = NULL;
    if (path->guest) {
        path->fw = NULL;
        path->range.base = 0;
    }
}

bool cxl_hdm_path_mapped(const CXLHDMPath *path)
{
    return path->mapped;
}

/* -- the guest's writes to the bridge -- */

static const char *host_accept(void *opaque, unsigned int decoder,
                               uint64_t base, uint64_t size)
{
    CXLHDMPath *path = QLIST_FIRST(&((CXLHost *)opaque)->hdm_paths);
    CXLHDMRange range = { base, size };

    return cxl_hdm_window_find(path->pxb, &range) ? NULL :
           "range is in no window of the host bridge";
}

static void host_write(void *opaque, hwaddr offset, uint64_t value,
                       unsigned int size)
{
    CXLComponentState *cstate = opaque;
    CXLHost *host = container_of(cstate, CXLHost, cxl_cstate);
    const char *name =
        cxl_hdm_dev_name(QLIST_FIRST(&host->hdm_paths)->pxb);
    CXLHDMBlock block;
    CXLHDMEvent event;

    if (offset < A_CXL_HDM_DECODER_CAPABILITY ||
        offset > A_CXL_HDM_DECODER3_TARGET_LIST_HI) {
        cstate->crb.cache_mem_registers[offset / 4] = value;
        return;
    }

    cxl_hdm_bridge_load(host, &block);
    block.accept = host_accept;
    block.opaque = host;
    event = cxl_hdm_block_write(&block, offset - A_CXL_HDM_DECODER_CAPABILITY,
                                value, size);
    trace_cxl_hdm_bridge_write(name, offset, value, event);
    if (event == CXL_HDM_IGNORED) {
        qemu_log_mask(LOG_GUEST_ERROR, "%s: HDM decoder write of 0x%" PRIx64
                      " at offset 0x%" HWADDR_PRIx " ignored: the decoder is "
                      "committed or locked, or the register read-only\n",
                      name, value, offset);
        return;
    }
    if (event == CXL_HDM_REFUSED) {
        qemu_log_mask(LOG_GUEST_ERROR, "%s: HDM decoder commit at offset 0x%"
                      HWADDR_PRIx " refused: %s\n", name, offset,
                      block.refused);
    }
    cxl_hdm_bridge_store(host, &block);
    if (event == CXL_HDM_CHANGED) {
        host_update(host);
    }
}

/* The field for them is not const, so they are the bridge's own */
static void host_take_writes(CXLHost *host, bool take)
{
    ComponentRegisters *crb = &host->cxl_cstate.crb;

    if (take && !crb->special_ops) {
        crb->special_ops = g_new0(MemoryRegionOps, 1);
        crb->special_ops->write = host_write;
    } else if (!take) {
        g_clear_pointer(&crb->special_ops, g_free);
    }
}

/* -- QEMU as firmware -- */

bool cxl_hdm_host_commit(CXLHDMPath *path, int decoder, Error **errp)
{
    CXLHDMBlock block;

    cxl_hdm_bridge_load(path->host, &block);
    if (!cxl_hdm_block_program(&block, decoder, path->range.base,
                               path->range.size, path->port)) {
        error_setg(errp, "decoder %d of host bridge '%s' cannot decode 0x%"
                   PRIx64 " with size 0x%" PRIx64 ": %s; what the guest "
                   "committed is in the way until the next reset", decoder,
                   cxl_hdm_dev_name(path->pxb), path->range.base,
                   path->range.size, block.refused);
        return false;
    }
    cxl_hdm_bridge_store(path->host, &block);
    path->decoder = decoder;
    trace_cxl_hdm_path_commit(cxl_hdm_dev_name(path->pxb), decoder,
                              path->port, path->range.base, path->range.size);
    path_update(path);
    return true;
}

void cxl_hdm_host_reset(CXLHost *host)
{
    CXLHDMPath *path;
    int decoder = 0;

    QLIST_FOREACH(path, &host->hdm_paths, next) {
        if (!path->guest) {
            cxl_hdm_bridge_enable(host);
            /* Nothing is in the way: all others are as after a reset */
            cxl_hdm_host_commit(path, decoder++, &error_abort);
        }
    }
    host_update(host);
}

/* Decoders must be committed in ascending order of address, so keep it */
void cxl_hdm_host_add(CXLHDMPath *path)
{
    CXLHDMPath *iter, *below = NULL;

    host_take_writes(path->host, true);
    QLIST_FOREACH(iter, &path->host->hdm_paths, next) {
        if (!iter->guest && iter->range.base > path->range.base) {
            break;
        }
        below = iter;
    }
    if (below) {
        QLIST_INSERT_AFTER(below, path, next);
    } else {
        QLIST_INSERT_HEAD(&path->host->hdm_paths, path, next);
    }
}

void cxl_hdm_host_remove(CXLHDMPath *path)
{
    CXLHDMBlock block;

    assert(!path->mr);
    cxl_hdm_path_report(path, false, CXL_HDM_REASON_UNPLUG);
    if (path->decoder >= 0) {
        cxl_hdm_bridge_load(path->host, &block);
        cxl_hdm_block_release(&block, path->decoder);
        trace_cxl_hdm_path_release(cxl_hdm_dev_name(path->pxb),
                                   path->decoder);
        cxl_hdm_bridge_store(path->host, &block);
    }
    QLIST_REMOVE(path, next);
    if (QLIST_EMPTY(&path->host->hdm_paths)) {
        host_take_writes(path->host, false);
    }
}
