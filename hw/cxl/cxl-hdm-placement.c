/*
 * Choice of a range for HDM inside a CXL Fixed Memory Window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "hw/cxl/cxl_host.h"
#include "hw/pci-bridge/pci_expander_bridge.h"
#include "cxl-hdm-path-int.h"
#include "cxl-hdm-window.h"
#include "trace.h"

/* All ranges of a bridge: QEMU's, and those that guests chose for devices */
static GArray *bridge_collect_ranges(const CXLHDMBridge *bridge)
{
    GArray *used = g_array_new(false, false, sizeof(CXLHDMRange));
    CXLHDMAlloc *alloc;
    CXLHDMPath *path;

    QLIST_FOREACH(alloc, &bridge->allocs, next) {
        g_array_append_val(used, alloc->range);
    }
    QLIST_FOREACH(path, &bridge->paths, next) {
        if (path->guest && path->fw) {
            g_array_append_val(used, path->range);
        }
    }
    return used;
}

/* Does the window have a range?  If not, base still tells where one began */
static bool window_find_range(const CXLFixedWindow *fw,
                              const CXLHDMPlace *place, uint64_t *base)
{
    g_autoptr(GArray) used = bridge_collect_ranges(place->bridge);
    uint64_t end = fw->base + fw->size;

    *base = cxl_hdm_first_free(MAX(fw->base, place->from),
                               (const CXLHDMRange *)used->data, used->len,
                               place->size);
    return *base <= end && place->size <= end - *base;
}

/* What the search for a place saw */
typedef struct PlaceSearch {
    unsigned int windows;       /* that there are */
    unsigned int fit;           /* that have a range */
    CXLFixedWindow *shared;     /* has the bridge among several targets */
    CXLFixedWindow *small;      /* has no range ... */
    uint64_t needed;            /* ... but would with this size */
} PlaceSearch;

static void place_search(CXLHDMPlace *place, PlaceSearch *found)
{
    g_autoptr(GSList) windows = cxl_fmws_get_all_sorted();
    GSList *iter;

    for (iter = windows; iter; iter = iter->next) {
        CXLFixedWindow *fw = CXL_FMW(iter->data);
        uint64_t base;

        found->windows++;
        if (!cxl_hdm_window_targets(fw, place->bridge->pxb)) {
            continue;
        }
        if (fw->num_targets > 1) {
            found->shared = found->shared ? found->shared : fw;
        } else if (window_find_range(fw, place, &base)) {
            if (!found->fit++) {
                place->fw = fw;
                place->base = base;
            }
        } else if (!found->small) {
            found->small = fw;
            found->needed = base - fw->base + place->size;
        }
    }
}

static bool place_anywhere(CXLHDMPlace *place, Error **errp)
{
    g_autofree char *size = size_to_str(place->size);
    const char *bridge = cxl_hdm_dev_name(place->bridge->pxb);
    PlaceSearch found = { 0 };

    place_search(place, &found);
    if (found.fit) {
        trace_cxl_hdm_path_place(place->name, bridge, place->fw->index,
                                 found.fit, place->base, place->size);
        return true;
    }

    if (found.small) {
        g_autofree char *have = size_to_str(found.small->size);

        error_setg(errp, "CXL fixed memory window %d (size %s) has no free "
                   "range for %s of HDM: set cxl-fmw.%d.size=%" PRIu64 "M or "
                   "more", found.small->index, have, size,
                   found.small->index, found.needed / MiB);
    } else if (found.shared) {
        error_setg(errp, "CXL fixed memory window %d has %d targets, but the "
                   "HDM of a Type-2 device needs a window with 1: add "
                   "cxl-fmw.%u.targets.0=%s,cxl-fmw.%u.size=%" PRIu64
                   "M to -machine", found.shared->index,
                   found.shared->num_targets, found.windows, bridge,
                   found.windows, place->size / MiB);
    } else {
        error_setg(errp, "none of %u CXL fixed memory windows has host bridge "
                   "'%s' as its target, so there is no place for %s of HDM: "
                   "add cxl-fmw.%u.targets.0=%s,cxl-fmw.%u.size=%" PRIu64
                   "M to -machine", found.windows, bridge, size,
                   found.windows, bridge, found.windows,
                   place->size / MiB);
    }
    return false;
}

/* -- at a place that the user asks for -- */

/* The window that offsets count in, NULL if no window is the bridge's alone */
static CXLFixedWindow *bridge_first_window(const CXLHDMBridge *bridge)
{
    g_autoptr(GSList) windows = cxl_fmws_get_all_sorted();
    GSList *iter;

    for (iter = windows; iter; iter = iter->next) {
        CXLFixedWindow *fw = CXL_FMW(iter->data);

        if (fw->num_targets == 1 &&
            cxl_hdm_window_targets(fw, bridge->pxb)) {
            return fw;
        }
    }
    return NULL;
}

static bool place_check_offset(const CXLHDMPlace *place,
                               const CXLFixedWindow *fw, uint64_t offset,
                               Error **errp)
{
    if (offset % CXL_HDM_DECODER_ALIGN) {
        error_setg(errp, "cxl-hdm-offset=0x%" PRIx64 " must be a multiple of "
                   "256 MiB (0x%" PRIx64 "): use 0x%" PRIx64, offset,
                   (uint64_t)CXL_HDM_DECODER_ALIGN,
                   ROUND_DOWN(offset, CXL_HDM_DECODER_ALIGN));
        return false;
    }
    if (offset > fw->size || place->size > fw->size - offset) {
        error_setg(errp, "cxl-hdm-offset=0x%" PRIx64 " leaves no 0x%" PRIx64
                   " bytes for the HDM in CXL fixed memory window %d of 0x%"
                   PRIx64 " bytes, the first one of host bridge '%s': use a "
                   "lower offset or set cxl-fmw.%d.size=%" PRIu64 "M or more",
                   offset, place->size, fw->index, (uint64_t)fw->size,
                   cxl_hdm_dev_name(place->bridge->pxb), fw->index,
                   (uint64_t)DIV_ROUND_UP(offset + place->size, MiB));
        return false;
    }
    if (fw->base + offset < place->from) {
        error_setg(errp, "cxl-hdm-offset=0x%" PRIx64 ": no free decoder of "
                   "host bridge '%s' can decode it, as decoders must decode "
                   "ascending addresses: choose 0x%" PRIx64 " or a higher "
                   "offset", offset, cxl_hdm_dev_name(place->bridge->pxb),
                   place->from - fw->base);
        return false;
    }
    return true;
}

static bool ranges_meet(const CXLHDMRange *range, const CXLHDMPlace *place)
{
    return range->base < place->base + place->size &&
           place->base < range->base + range->size;
}

static bool place_check_free(const CXLHDMPlace *place,
                             const CXLFixedWindow *fw, uint64_t offset,
                             Error **errp)
{
    const CXLHDMRange *in_use = NULL;
    const char *kind = "port", *name = NULL;
    CXLHDMAlloc *alloc;
    CXLHDMPath *path;

    QLIST_FOREACH(alloc, &place->bridge->allocs, next) {
        if (ranges_meet(&alloc->range, place)) {
            in_use = &alloc->range;
            name = cxl_hdm_dev_name(cxl_hdm_topology_port(place->bridge,
                                                          alloc->port));
        }
    }
    QLIST_FOREACH(path, &place->bridge->paths, next) {
        if (path->fw && ranges_meet(&path->range, place)) {
            in_use = &path->range;
            kind = "device";
            name = cxl_hdm_dev_name(path->endpoint);
        }
    }
    if (in_use) {
        error_setg(errp, "cxl-hdm-offset=0x%" PRIx64 " is in the HDM of "
                   "%s '%s', at offset 0x%" PRIx64 " of window %d with 0x%"
                   PRIx64 " bytes: choose another", offset, kind, name,
                   in_use->base - fw->base, fw->index, in_use->size);
        return false;
    }
    return true;
}

bool cxl_hdm_place(CXLHDMPlace *place, uint64_t offset, Error **errp)
{
    CXLFixedWindow *fw = bridge_first_window(place->bridge);

    if (offset == CXL_HDM_OFFSET_AUTO || !fw) {
        return place_anywhere(place, errp); /* or tells what is missing */
    }
    if (!place_check_offset(place, fw, offset, errp)) {
        return false;
    }
    place->base = fw->base + offset;
    if (!place_check_free(place, fw, offset, errp)) {
        return false;
    }
    place->fw = fw;
    trace_cxl_hdm_path_place(place->name,
                             cxl_hdm_dev_name(place->bridge->pxb), fw->index,
                             1, place->base, place->size);
    return true;
}
