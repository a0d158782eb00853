/*
 * Which range each port of a CXL host bridge has
 *
 * Linux reads the decoders of a bridge once, when the first endpoint below it
 * appears, and a region needs a decoder that equals the endpoint's range.  So
 * what a guest can use of a hot-plugged device is a decoder that was there
 * before, of exactly its size, or one of a bridge that was never read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/cxl/cxl_hdm_component.h"
#include "hw/pci/pci_bridge.h"
#include "cxl-hdm-path-int.h"

static const char *port_name(const CXLHDMBridge *bridge, uint8_t port)
{
    return cxl_hdm_dev_name(cxl_hdm_topology_port(bridge, port));
}

/* Decoders are committed in ascending order of address, so keep it */
static void alloc_insert(CXLHDMBridge *bridge, CXLHDMAlloc *alloc)
{
    CXLHDMAlloc *iter, *below = NULL;

    QLIST_FOREACH(iter, &bridge->allocs, next) {
        if (iter->range.base > alloc->range.base) {
            break;
        }
        below = iter;
    }
    if (below) {
        QLIST_INSERT_AFTER(below, alloc, next);
    } else {
        QLIST_INSERT_HEAD(&bridge->allocs, alloc, next);
    }
}

static CXLHDMAlloc *alloc_new(CXLHDMBridge *bridge, uint8_t port,
                              const CXLHDMPlace *place)
{
    CXLHDMAlloc *alloc = g_new0(CXLHDMAlloc, 1);

    alloc->port = port;
    alloc->fw = place->fw;
    alloc->range = (CXLHDMRange) { place->base, place->size };
    alloc->decoder = -1;
    alloc_insert(bridge, alloc);
    return alloc;
}

void cxl_hdm_alloc_free(CXLHDMAlloc *alloc)
{
    QLIST_REMOVE(alloc, next);
    g_free(alloc);
}

CXLHDMAlloc *cxl_hdm_alloc_find(const CXLHDMBridge *bridge, uint8_t port)
{
    CXLHDMAlloc *alloc;

    QLIST_FOREACH(alloc, &bridge->allocs, next) {
        if (alloc->port == port) {
            return alloc;
        }
    }
    return NULL;
}

static void decoders_taken(const CXLHDMBridge *bridge, Error **errp)
{
    error_setg(errp, "host bridge '%s' has %d HDM decoders and all are taken: "
               "use another %s", cxl_hdm_dev_name(bridge->pxb),
               CXL_HDM_DECODER_COUNT, TYPE_PXB_CXL_DEV);
}

/* Before the guest runs: the bridge's reset puts all in order */
static bool alloc_place_cold(CXLHDMPlace *place, uint64_t offset,
                             Error **errp)
{
    CXLHDMAlloc *alloc;
    unsigned int n = 0;

    QLIST_FOREACH(alloc, &place->bridge->allocs, next) {
        n++;
    }
    if (n >= CXL_HDM_DECODER_COUNT) {
        decoders_taken(place->bridge, errp);
        return false;
    }
    return cxl_hdm_place(place, offset, errp);
}

bool cxl_hdm_alloc_reserve(CXLHDMBridge *bridge, uint8_t port, uint64_t size,
                           const char *name, Error **errp)
{
    CXLHDMPlace place = { .bridge = bridge, .name = name, .size = size };

    if (!alloc_place_cold(&place, CXL_HDM_OFFSET_AUTO, errp)) {
        return false;
    }
    alloc_new(bridge, port, &place)->reserved = true;
    return true;
}

/* -- a port that has a range already -- */

static bool alloc_check_size(const CXLHDMPath *path, const CXLHDMAlloc *alloc,
                             Error **errp)
{
    const char *port = port_name(path->bridge, alloc->port);

    if (path->guest) {
        if (alloc->reserved) {
            error_setg(errp, "cxl-hdm-commit=guest, but port '%s' has "
                       "hdm-reserve=%" PRIu64 "M, which QEMU commits: leave "
                       "one of them out", port, alloc->range.size / MiB);
        } else {
            error_setg(errp, "cxl-hdm-commit=guest, but decoder %d of host "
                       "bridge '%s' is locked to port '%s' until the next "
                       "reset: reset the machine first", alloc->decoder,
                       cxl_hdm_dev_name(path->bridge->pxb), port);
        }
        return false;
    }
    if (alloc->range.size == path->range.size) {
        return true;
    }
    if (alloc->reserved) {
        error_setg(errp, "port '%s' has hdm-reserve=%" PRIu64 "M, but the "
                   "device has %" PRIu64 "M of HDM, and both must be equal: "
                   "set hdm-reserve=%" PRIu64 "M", port,
                   alloc->range.size / MiB, path->range.size / MiB,
                   path->range.size / MiB);
    } else {
        error_setg(errp, "decoder %d of host bridge '%s' is locked to %" PRIu64
                   "M of HDM for port '%s' until the next reset, but the "
                   "device has %" PRIu64 "M: reset the machine first, or plug "
                   "a device of that size", alloc->decoder,
                   cxl_hdm_dev_name(path->bridge->pxb),
                   alloc->range.size / MiB, port, path->range.size / MiB);
    }
    return false;
}

/* The user wants it elsewhere */
static bool alloc_move(CXLHDMPath *path, CXLHDMAlloc *alloc, uint64_t offset,
                       Error **errp)
{
    CXLHDMPlace place = {
        .bridge = path->bridge,
        .name = cxl_hdm_dev_name(path->endpoint),
        .size = path->range.size,
    };
    bool ok;

    QLIST_REMOVE(alloc, next); /* it is not in its own way */
    ok = cxl_hdm_place(&place, offset, errp);
    if (ok && alloc->decoder >= 0 && place.base != alloc->range.base) {
        error_setg(errp, "cxl-hdm-offset=0x%" PRIx64 ", but decoder %d of "
                   "host bridge '%s' is locked to 0x%" PRIx64 " for port '%s' "
                   "until the next reset: leave it out", offset,
                   alloc->decoder, cxl_hdm_dev_name(path->bridge->pxb),
                   alloc->range.base, port_name(path->bridge, alloc->port));
        ok = false;
    }
    if (ok) {
        alloc->fw = place.fw;
        alloc->range.base = place.base;
    }
    alloc_insert(path->bridge, alloc);
    return ok;
}

/* -- a port that has none -- */

/* One that nobody uses, which this device could */
static const CXLHDMAlloc *bridge_find_vacant(const CXLHDMBridge *bridge,
                                             uint64_t size)
{
    const CXLHDMAlloc *alloc;

    QLIST_FOREACH(alloc, &bridge->allocs, next) {
        if (!alloc->path && alloc->range.size == size) {
            return alloc;
        }
    }
    return NULL;
}

/* Would a guest that reads the bridge's decoders now find a new one? */
static bool alloc_check_plug(const CXLHDMPath *path, Error **errp)
{
    const CXLHDMBridge *bridge = path->bridge;
    const char *name = cxl_hdm_dev_name(bridge->pxb);
    const char *port = port_name(bridge, path->port);
    const CXLHDMAlloc *vacant;

    if (bridge->host->passthrough) {
        error_setg(errp, "host bridge '%s' has 1 root port and shows no HDM "
                   "decoders until the next reset, so that no guest can use "
                   "HDM which is plugged now: start with hdm-reserve=%" PRIu64
                   "M on port '%s', or with hdm_for_passthrough=on on the "
                   "%s", name, path->range.size / MiB, port,
                   TYPE_PXB_CXL_DEV);
        return false;
    }
    if (!bridge->had_endpoint) {
        return true;
    }
    vacant = bridge_find_vacant(bridge, path->range.size);
    if (vacant) {
        error_setg(errp, "host bridge '%s' has had a CXL device since its "
                   "reset, and guests read decoders only then: plug the "
                   "device below port '%s', which decoder %d leads to with "
                   "%" PRIu64 "M, or start with hdm-reserve=%" PRIu64 "M on "
                   "port '%s'", name, port_name(bridge, vacant->port),
                   vacant->decoder, vacant->range.size / MiB,
                   path->range.size / MiB, port);
    } else {
        error_setg(errp, "host bridge '%s' has had a CXL device since its "
                   "reset, and guests read decoders only then: start with "
                   "hdm-reserve=%" PRIu64 "M on port '%s', or plug the device "
                   "below a %s without any", name, path->range.size / MiB,
                   port, TYPE_PXB_CXL_DEV);
    }
    return false;
}

static bool alloc_commit_new(CXLHDMPath *path, uint64_t offset, Error **errp)
{
    CXLHDMPlace place = {
        .bridge = path->bridge,
        .name = cxl_hdm_dev_name(path->endpoint),
        .size = path->range.size,
    };
    CXLHDMBlock block;
    int decoder;

    if (!alloc_check_plug(path, errp)) {
        return false;
    }
    cxl_hdm_host_load(path->bridge, &block);
    decoder = cxl_hdm_block_next(&block, &place.from);
    if (decoder < 0) {
        decoders_taken(path->bridge, errp);
        return false;
    }
    if (!cxl_hdm_place(&place, offset, errp)) {
        return false;
    }
    path->alloc = alloc_new(path->bridge, path->port, &place);
    /* No reset of the bridge comes before the guest sees the device */
    if (!cxl_hdm_host_commit(path->bridge, path->alloc, decoder, errp)) {
        cxl_hdm_alloc_free(g_steal_pointer(&path->alloc));
        return false;
    }
    return true;
}

static bool alloc_new_cold(CXLHDMPath *path, uint64_t offset, Error **errp)
{
    CXLHDMPlace place = {
        .bridge = path->bridge,
        .name = cxl_hdm_dev_name(path->endpoint),
        .size = path->range.size,
    };

    if (!alloc_place_cold(&place, offset, errp)) {
        return false;
    }
    path->alloc = alloc_new(path->bridge, path->port, &place);
    return true;
}

/* Whether there is any place, when the guest is the one to choose it */
static bool alloc_check_window(const CXLHDMPath *path, Error **errp)
{
    CXLHDMPlace place = {
        .bridge = path->bridge,
        .name = cxl_hdm_dev_name(path->endpoint),
        .size = path->range.size,
    };

    return cxl_hdm_place(&place, CXL_HDM_OFFSET_AUTO, errp);
}

bool cxl_hdm_alloc_claim(CXLHDMPath *path, uint64_t offset, Error **errp)
{
    CXLHDMAlloc *alloc = cxl_hdm_alloc_find(path->bridge, path->port);

    if (alloc) {
        assert(!alloc->path);
        if (!alloc_check_size(path, alloc, errp) ||
            (offset != CXL_HDM_OFFSET_AUTO &&
             !alloc_move(path, alloc, offset, errp))) {
            return false;
        }
        path->alloc = alloc;
    } else if (path->guest) {
        return alloc_check_window(path, errp);
    } else if (DEVICE(path->endpoint)->hotplugged ?
               !alloc_commit_new(path, offset, errp) :
               !alloc_new_cold(path, offset, errp)) {
        return false;
    }
    path->alloc->path = path;
    path->fw = path->alloc->fw;
    path->range = path->alloc->range;
    return true;
}

void cxl_hdm_alloc_release(CXLHDMPath *path)
{
    CXLHDMAlloc *alloc = g_steal_pointer(&path->alloc);

    if (!alloc) {
        return;
    }
    alloc->path = NULL;
    if (!alloc->reserved && !alloc->shown) {
        if (alloc->decoder >= 0) {
            cxl_hdm_host_uncommit(path->bridge, alloc);
        }
        cxl_hdm_alloc_free(alloc);
    }
}
