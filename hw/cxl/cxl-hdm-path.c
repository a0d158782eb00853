/*
 * Placement and commit of the decoder path to a CXL endpoint's HDM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_hdm_decoder.h"
#include "hw/cxl/cxl_hdm_path.h"
#include "hw/cxl/cxl_host.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie_port.h"
#include "hw/pci-bridge/pci_expander_bridge.h"
#include "hw/qdev-core.h"
#include "cxl-hdm-bridge.h"
#include "cxl-hdm-path-int.h"
#include "cxl-hdm-window.h"
#include "trace.h"

#define TYPE_CXL_ROOT_PORT "cxl-rp"

/* PCIe gives a port's one neighbour slot 0, and guests look at no other */
#define OTHER_SLOTS (~1u)

/* The bridge's decoder names its target by port number alone */
static bool path_check_port(CXLHDMPath *path, PCIDevice *rp, Error **errp)
{
    PCIBus *root = pci_get_bus(rp);
    int i;

    for (i = 0; i < ARRAY_SIZE(root->devices); i++) {
        PCIDevice *other = root->devices[i];

        if (other && other != rp &&
            object_dynamic_cast(OBJECT(other), TYPE_PCIE_PORT) &&
            PCIE_PORT(other)->port == path->port) {
            error_setg(errp, "root ports '%s' and '%s' of host bridge '%s' "
                       "both have port number %u, which is the decoder's "
                       "target: give each its own port=N",
                       cxl_hdm_dev_name(rp), cxl_hdm_dev_name(other),
                       cxl_hdm_dev_name(path->pxb), path->port);
            return false;
        }
    }
    return true;
}

/*
 * Walk from the endpoint to its host bridge.  Only one root port lies
 * between: each further level would need a decoder of its own, and the host
 * side supports directly attached devices only.
 */
static bool path_find_bridge(CXLHDMPath *path, Error **errp)
{
    PCIBus *bus = pci_get_bus(path->endpoint);
    PCIDevice *rp = pci_bridge_get_device(bus);
    PCIBus *root;

    if (rp && object_dynamic_cast(OBJECT(rp), TYPE_CXL_DSP)) {
        error_setg(errp, "CXL device is behind port '%s' of a CXL switch; "
                   "0 switches are allowed on its path: put it on the bus of "
                   "a %s", cxl_hdm_dev_name(rp), TYPE_CXL_ROOT_PORT);
        return false;
    }
    if (!rp || !object_dynamic_cast(OBJECT(rp), TYPE_CXL_ROOT_PORT)) {
        error_setg(errp, "CXL device is on bus '%s', which is no %s's: put it "
                   "on the bus of a %s below a %s, or set cxl=off",
                   BUS(bus)->name, TYPE_CXL_ROOT_PORT, TYPE_CXL_ROOT_PORT,
                   TYPE_PXB_CXL_DEV);
        return false;
    }

    root = pci_get_bus(rp);
    if (!pci_bus_is_root(root) || !pci_bus_is_cxl(root)) {
        error_setg(errp, "root port '%s' of the CXL device is on bus '%s', "
                   "which is no %s's: put the port on the bus of a %s",
                   cxl_hdm_dev_name(rp), BUS(root)->name, TYPE_PXB_CXL_DEV,
                   TYPE_PXB_CXL_DEV);
        return false;
    }

    path->port = PCIE_PORT(rp)->port;
    path->pxb = PXB_CXL_DEV(pci_bridge_get_device(root));
    path->host = path->pxb->cxl_host_bridge;
    return path_check_port(path, rp, errp);
}

/*
 * A second function would sit behind the same decoder, and a reset of one
 * would take the memory of the other away.
 */
static bool path_check_alone(CXLHDMPath *path, Error **errp)
{
    PCIBus *bus = pci_get_bus(path->endpoint);
    unsigned int i, functions = 0;

    /* From here on the PCI core keeps any other function away */
    if (path->endpoint->devfn ||
        path->endpoint->cap_present & QEMU_PCI_CAP_MULTIFUNCTION) {
        error_setg(errp, "CXL device is function %02x.%x%s: it must be the "
                   "only function, 00.0, below its %s, without multifunction",
                   PCI_SLOT(path->endpoint->devfn),
                   PCI_FUNC(path->endpoint->devfn),
                   path->endpoint->cap_present & QEMU_PCI_CAP_MULTIFUNCTION ?
                   " with multifunction=on" : "", TYPE_CXL_ROOT_PORT);
        return false;
    }
    for (i = 0; i < ARRAY_SIZE(bus->devices); i++) {
        functions += bus->devices[i] != NULL;
    }
    if (functions > 1) {
        error_setg(errp, "CXL device is one of %u functions below root port "
                   "'%s'; 1 is allowed: give each its own %s", functions,
                   cxl_hdm_dev_name(pci_bridge_get_device(bus)),
                   TYPE_CXL_ROOT_PORT);
        return false;
    }
    return true;
}

static bool path_check_machine(Error **errp)
{
    Object *machine = qdev_get_machine();

    if (!object_property_find(machine, "cxl") ||
        !object_property_get_bool(machine, "cxl", NULL)) {
        error_setg(errp, "CXL device needs a machine with CXL enabled, but "
                   "cxl=off: add -machine cxl=on, or set cxl=off on the "
                   "device");
        return false;
    }
    return true;
}

/* A device whose HDM is in the way of a range, or NULL */
static CXLHDMPath *host_find_conflict(const CXLHost *host,
                                      const CXLHDMRange *range)
{
    CXLHDMPath *other;

    QLIST_FOREACH(other, &host->hdm_paths, next) {
        if (other->fw &&
            range->base < other->range.base + other->range.size &&
            other->range.base < range->base + range->size) {
            return other;
        }
    }
    return NULL;
}

/* Does the window have a range?  If not, @base still tells where one began */
static bool window_find_range(const CXLFixedWindow *fw, const CXLHost *host,
                              uint64_t size, uint64_t from, uint64_t to,
                              uint64_t *base)
{
    g_autoptr(GArray) used = g_array_new(false, false, sizeof(CXLHDMRange));
    CXLHDMPath *other;

    QLIST_FOREACH(other, &host->hdm_paths, next) {
        if (other->fw) {
            g_array_append_val(used, other->range);
        }
    }
    *base = cxl_hdm_first_free(MAX(fw->base, from),
                               (const CXLHDMRange *)used->data, used->len,
                               size);
    to = MIN(to, fw->base + fw->size);
    return *base <= to && size <= to - *base;
}

/* Decoders decode ascending addresses: one that is free and may have this */
static int host_find_decoder(const CXLHost *host, const CXLHDMRange *range)
{
    CXLHDMBlock block;
    uint64_t from, to;
    unsigned int i;

    cxl_hdm_bridge_load(host, &block);
    for (i = 0; i < block.count; i++) {
        if (cxl_hdm_bridge_room(&block, i, &from, &to) &&
            range->base >= from && range->base <= to &&
            range->size <= to - range->base) {
            return i;
        }
    }
    return -1;
}

/*
 * Before the guest runs all decoders are programmed in order of address, so
 * any range will do.  Later the choice of the decoder limits it.
 */
static bool path_fit_window(CXLHDMPath *path, const CXLFixedWindow *fw,
                            uint64_t *base, int *decoder)
{
    CXLHDMBlock block;
    uint64_t from, to;
    unsigned int i;

    *decoder = -1;
    if (!DEVICE(path->endpoint)->hotplugged) {
        return window_find_range(fw, path->host, path->range.size, 0,
                                 UINT64_MAX, base);
    }
    *base = fw->base;
    cxl_hdm_bridge_load(path->host, &block);
    for (i = 0; i < block.count; i++) {
        if (cxl_hdm_bridge_room(&block, i, &from, &to) &&
            window_find_range(fw, path->host, path->range.size, from, to,
                              base)) {
            *decoder = i;
            return true;
        }
    }
    return false;
}

/* What the search for a place saw */
typedef struct PathSearch {
    unsigned int windows;       /* that there are */
    unsigned int fit;           /* that have a range */
    CXLFixedWindow *shared;     /* has the bridge among several targets */
    CXLFixedWindow *small;      /* has no range ... */
    uint64_t needed;            /* ... but would with this size */
} PathSearch;

static void path_search(CXLHDMPath *path, PathSearch *found)
{
    g_autoptr(GSList) windows = cxl_fmws_get_all_sorted();
    GSList *iter;

    for (iter = windows; iter; iter = iter->next) {
        CXLFixedWindow *fw = CXL_FMW(iter->data);
        uint64_t base;
        int decoder;

        found->windows++;
        if (!cxl_hdm_window_targets(fw, path->pxb)) {
            continue;
        }
        if (fw->num_targets > 1) {
            found->shared = found->shared ? found->shared : fw;
        } else if (path_fit_window(path, fw, &base, &decoder)) {
            if (!found->fit++) {
                path->fw = fw;
                path->range.base = base;
                path->decoder = decoder;
            }
        } else if (!found->small) {
            found->small = fw;
            found->needed = base - fw->base + path->range.size;
        }
    }
}

static bool path_place(CXLHDMPath *path, Error **errp)
{
    g_autofree char *size = size_to_str(path->range.size);
    const char *bridge = cxl_hdm_dev_name(path->pxb);
    PathSearch found = { 0 };

    path_search(path, &found);
    if (found.fit) {
        trace_cxl_hdm_path_place(cxl_hdm_dev_name(path->endpoint), bridge,
                                 path->fw->index, found.fit,
                                 path->range.base, path->range.size);
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
                   "HDM of a passed-through device needs a window with 1: "
                   "add cxl-fmw.%u.targets.0=%s,cxl-fmw.%u.size=%" PRIu64
                   "M to -machine", found.shared->index,
                   found.shared->num_targets, found.windows, bridge,
                   found.windows, path->range.size / MiB);
    } else {
        error_setg(errp, "none of %u CXL fixed memory windows has host bridge "
                   "'%s' as its target, so there is no place for %s of HDM: "
                   "add cxl-fmw.%u.targets.0=%s,cxl-fmw.%u.size=%" PRIu64
                   "M to -machine", found.windows, bridge, size,
                   found.windows, bridge, found.windows,
                   path->range.size / MiB);
    }
    return false;
}

/* The user asks for a place: then it is that place or none */
static bool path_place_at(CXLHDMPath *path, uint64_t offset, Error **errp)
{
    g_autoptr(GSList) windows = cxl_fmws_get_all_sorted();
    const char *name = cxl_hdm_dev_name(path->pxb);
    CXLFixedWindow *fw = NULL;
    CXLHDMPath *other;
    GSList *iter;

    if (offset % CXL_HDM_DECODER_ALIGN) {
        error_setg(errp, "cxl-hdm-offset=0x%" PRIx64 " must be a multiple of "
                   "256 MiB (0x%" PRIx64 "): use 0x%" PRIx64, offset,
                   (uint64_t)CXL_HDM_DECODER_ALIGN,
                   ROUND_DOWN(offset, CXL_HDM_DECODER_ALIGN));
        return false;
    }
    for (iter = windows; iter && !fw; iter = iter->next) {
        CXLFixedWindow *w = CXL_FMW(iter->data);

        if (w->num_targets == 1 && cxl_hdm_window_targets(w, path->pxb)) {
            fw = w;
        }
    }
    if (!fw) {
        return path_place(path, errp); /* which tells what is missing */
    }
    if (offset > fw->size || path->range.size > fw->size - offset) {
        error_setg(errp, "cxl-hdm-offset=0x%" PRIx64 " leaves no 0x%" PRIx64
                   " bytes for the HDM in CXL fixed memory window %d of 0x%"
                   PRIx64 " bytes, the first one of host bridge '%s': use a "
                   "lower offset or set cxl-fmw.%d.size=%" PRIu64 "M or more",
                   offset, path->range.size, fw->index, (uint64_t)fw->size,
                   name, fw->index,
                   (uint64_t)DIV_ROUND_UP(offset + path->range.size, MiB));
        return false;
    }
    path->range.base = fw->base + offset;
    other = host_find_conflict(path->host, &path->range);
    if (other) {
        error_setg(errp, "cxl-hdm-offset=0x%" PRIx64 " is in the HDM of "
                   "device '%s', at offset 0x%" PRIx64 " of window %d with 0x%"
                   PRIx64 " bytes: choose another, or set one for that device "
                   "too", offset, cxl_hdm_dev_name(other->endpoint),
                   other->range.base - other->fw->base, other->fw->index,
                   other->range.size);
        return false;
    }
    if (DEVICE(path->endpoint)->hotplugged) {
        path->decoder = host_find_decoder(path->host, &path->range);
        if (path->decoder < 0) {
            error_setg(errp, "cxl-hdm-offset=0x%" PRIx64 ": no free decoder "
                       "of host bridge '%s' can decode it, as decoders must "
                       "decode ascending addresses: choose a higher offset",
                       offset, name);
            return false;
        }
    }
    path->fw = fw;
    trace_cxl_hdm_path_place(cxl_hdm_dev_name(path->endpoint), name,
                             fw->index, 1, path->range.base,
                             path->range.size);
    return true;
}

static bool path_check_decoders(CXLHDMPath *path, Error **errp)
{
    CXLHDMBlock block;
    CXLHDMPath *other;
    unsigned int i, n = 0;

    if (DEVICE(path->endpoint)->hotplugged) {
        cxl_hdm_bridge_load(path->host, &block);
        for (i = 0; i < block.count; i++) {
            n += cxl_hdm_block_committed(&block, i);
        }
    } else {
        QLIST_FOREACH(other, &path->host->hdm_paths, next) {
            n += !other->guest;
        }
    }
    if (n == CXL_HDM_DECODER_COUNT) {
        error_setg(errp, "host bridge '%s' has %d HDM decoders and all are "
                   "taken: put the device below another %s",
                   cxl_hdm_dev_name(path->pxb), CXL_HDM_DECODER_COUNT,
                   TYPE_PXB_CXL_DEV);
        return false;
    }
    return true;
}

static bool path_reserve(CXLHDMPath *path, uint64_t offset, Error **errp)
{
    return path_check_decoders(path, errp) &&
           (offset == CXL_HDM_OFFSET_AUTO ?
            path_place(path, errp) : path_place_at(path, offset, errp));
}

/* Whether there is any place, when the guest is the one to choose it */
static bool path_check_window(CXLHDMPath *path, Error **errp)
{
    bool ok = path_place(path, errp);

    path->fw = NULL;
    path->range.base = 0;
    path->decoder = -1;
    return ok;
}

CXLHDMPath *cxl_hdm_path_new(PCIDevice *endpoint, const CXLHDMWish *wish,
                             Error **errp)
{
    g_autofree CXLHDMPath *path = g_new0(CXLHDMPath, 1);

    path->endpoint = endpoint;
    path->range.size = wish->size;
    path->guest = wish->guest;
    path->decoder = -1;

    if (!path_check_machine(errp) ||
        !path_find_bridge(path, errp) ||
        !path_check_alone(path, errp)) {
        return NULL;
    }
    if (path->guest ? !path_check_window(path, errp) :
                      !path_reserve(path, wish->offset, errp)) {
        return NULL;
    }

    cxl_hdm_host_add(path);
    pci_bus_set_slot_reserved_mask(pci_get_bus(endpoint), OTHER_SLOTS);
    if (!path->guest && DEVICE(endpoint)->hotplugged) {
        int decoder = path->decoder;

        /* No reset of the bridge comes before the guest sees the device */
        path->decoder = -1;
        if (!cxl_hdm_host_commit(path, decoder, errp)) {
            cxl_hdm_path_free(g_steal_pointer(&path));
            return NULL;
        }
        cxl_hdm_bridge_enable(path->host);
    }
    return g_steal_pointer(&path);
}

void cxl_hdm_path_free(CXLHDMPath *path)
{
    if (path) {
        pci_bus_clear_slot_reserved_mask(pci_get_bus(path->endpoint),
                                         OTHER_SLOTS);
        cxl_hdm_host_remove(path);
        g_free(path);
    }
}
