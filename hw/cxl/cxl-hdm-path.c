/*
 * Path to a CXL endpoint's HDM: who has one, and what its guest may reach
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-cxl.h"
#include "hw/cxl/cxl_hdm_component.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci-bridge/pci_expander_bridge.h"
#include "cxl-hdm-path-int.h"
#include "cxl-hdm-window.h"
#include "trace.h"

/* PCIe gives a port's one neighbour slot 0, and guests look at no other */
#define OTHER_SLOTS (~1u)

const char *cxl_hdm_dev_name(const void *dev)
{
    const char *id = DEVICE(dev)->id;

    return id ? id : object_get_typename(OBJECT(dev));
}

CXLHDMPath *cxl_hdm_path_new(PCIDevice *endpoint, const CXLHDMWish *wish,
                             Error **errp)
{
    g_autofree CXLHDMPath *path = g_new0(CXLHDMPath, 1);

    path->endpoint = endpoint;
    path->range.size = wish->size;
    path->guest = wish->guest;

    if (wish->guest && wish->offset != CXL_HDM_OFFSET_AUTO) {
        error_setg(errp, "cxl-hdm-offset=0x%" PRIx64 " is set with "
                   "cxl-hdm-commit=guest, but then the guest chooses the "
                   "place: leave one of them out", wish->offset);
        return NULL;
    }
    if (!cxl_hdm_topology_check(path, wish->instead, errp) ||
        !cxl_hdm_alloc_claim(path, wish->offset, errp)) {
        return NULL;
    }

    cxl_hdm_host_add(path);
    pci_bus_set_slot_reserved_mask(pci_get_bus(endpoint), OTHER_SLOTS);
    return g_steal_pointer(&path);
}

void cxl_hdm_path_free(CXLHDMPath *path)
{
    if (path) {
        assert(!path->mr);
        pci_bus_clear_slot_reserved_mask(pci_get_bus(path->endpoint),
                                         OTHER_SLOTS);
        cxl_hdm_path_report(path, false, CXL_HDM_REASON_UNPLUG);
        cxl_hdm_alloc_release(path);
        cxl_hdm_host_remove(path);
        g_free(path);
    }
}

hwaddr cxl_hdm_path_base(const CXLHDMPath *path)
{
    return path->fw ? path->range.base : 0;
}

/* -- what the guest may reach -- */

static bool path_is_routed(const CXLHDMPath *path)
{
    CXLHost *host = path->bridge->host;
    CXLHDMBlock block;

    if (host->passthrough) {
        return true; /* no decoders: all that comes goes to the only port */
    }
    cxl_hdm_component_load(host->cxl_cstate.crb.cache_mem_registers, &block);
    return cxl_hdm_block_routes(&block, path->port, path->range.base,
                                path->range.size);
}

void cxl_hdm_path_update(CXLHDMPath *path)
{
    bool map = path->mr && path_is_routed(path);

    if (map == path->mapped) {
        return;
    }
    path->mapped = map;
    trace_cxl_hdm_path_map(cxl_hdm_dev_name(path->endpoint), map,
                           path->range.base, path->range.size);
    if (map) {
        /* Above what is there without a device, and the window's handler */
        memory_region_add_subregion_overlap(&path->fw->mr,
                                            path->range.base - path->fw->base,
                                            path->mr, 2);
    } else {
        memory_region_del_subregion(&path->fw->mr, path->mr);
    }
}

static const char *path_check_others(const CXLHDMPath *path, uint64_t base,
                                     uint64_t last)
{
    const CXLHDMAlloc *alloc;
    const CXLHDMPath *other;

    QLIST_FOREACH(other, &path->bridge->paths, next) {
        if (other != path && other->fw &&
            base <= other->range.base + (other->range.size - 1) &&
            other->range.base <= last) {
            return "range is another device's";
        }
    }
    QLIST_FOREACH(alloc, &path->bridge->allocs, next) {
        if (base <= alloc->range.base + (alloc->range.size - 1) &&
            alloc->range.base <= last) {
            return "range is kept for another port";
        }
    }
    return NULL;
}

const char *cxl_hdm_path_refuse(const CXLHDMPath *path, uint64_t base,
                                uint64_t size)
{
    CXLHDMPath want = *path;
    const char *why;

    want.range = (CXLHDMRange) { base, size };
    want.fw = cxl_hdm_window_find(path->bridge->pxb, &want.range);
    if (!want.fw) {
        return "range is in no window of the host bridge";
    }
    if (want.fw->num_targets != 1) {
        return "range is in a window with more than one target";
    }
    why = path_check_others(path, base, base + (size - 1));
    if (why) {
        return why;
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
        path->fw = cxl_hdm_window_find(path->bridge->pxb, &path->range);
    }
    assert(path->fw && path->range.base == base);
    path->mr = mr;
    cxl_hdm_path_update(path);
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

/* -- what QMP is told -- */

static void path_send_event(const CXLHDMPath *path, bool reachable,
                            const CXLHDMRange *range, CxlHdmReason reason)
{
    const char *id = DEVICE(path->endpoint)->id;
    g_autofree char *name = object_get_canonical_path(OBJECT(path->endpoint));

    trace_cxl_hdm_path_report(cxl_hdm_dev_name(path->endpoint), reachable,
                              range->base, range->size,
                              CxlHdmReason_str(reason));
    qapi_event_send_cxl_hdm_change(id, name, reachable, range->base,
                                   range->size, reason);
}

void cxl_hdm_path_report(CXLHDMPath *path, bool open, CxlHdmReason reason)
{
    CXLHDMRange now = { 0 };

    path->open = open;
    if (path->mapped && open) {
        now = path->range;
    }
    if (now.size == path->reported.size && now.base == path->reported.base) {
        return;
    }
    if (path->reported.size) {
        path_send_event(path, false, &path->reported, reason);
    }
    if (now.size) {
        path_send_event(path, true, &now, reason);
    }
    path->reported = now;
}
