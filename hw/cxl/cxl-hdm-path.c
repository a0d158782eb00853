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
#include "trace.h"

#define TYPE_CXL_ROOT_PORT "cxl-rp"

struct CXLHDMPath {
    PCIDevice *endpoint;
    CXLHost *host;
    PXBCXLDev *pxb;
    CXLFixedWindow *fw;
    CXLHDMRange range;
    uint8_t port;               /* of the root port: the decoder's target */
    int decoder;                /* index in the bridge, -1: not committed */
    CXLHDMUnlocked unlocked;
    MemoryRegion *mr;
    QLIST_ENTRY(CXLHDMPath) next;
};

/* How to call a device in a message: by the name that the user gave it */
static const char *path_dev_name(const void *dev)
{
    const char *id = DEVICE(dev)->id;

    return id ? id : object_get_typename(OBJECT(dev));
}

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
                       path_dev_name(rp), path_dev_name(other),
                       path_dev_name(path->pxb), path->port);
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
                   "a %s", path_dev_name(rp), TYPE_CXL_ROOT_PORT);
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
                   path_dev_name(rp), BUS(root)->name, TYPE_PXB_CXL_DEV,
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
                   path_dev_name(pci_bridge_get_device(bus)),
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

/*
 * The machine resolves the names of a window's targets after the cold-plugged
 * devices are realized, which is too late to fail properly.  This endpoint's
 * bridge exists already, so a name that does not resolve is another bridge.
 */
static bool window_targets(const CXLFixedWindow *fw, const PXBCXLDev *pxb)
{
    int i;

    for (i = 0; i < fw->num_targets; i++) {
        if (object_resolve_path_type(fw->targets[i], TYPE_PXB_CXL_DEV,
                                     NULL) == OBJECT(pxb)) {
            return true;
        }
    }
    return false;
}

/* Does the window have a range?  If not, @base still tells where one began */
static bool window_find_range(const CXLFixedWindow *fw, const CXLHost *host,
                              uint64_t size, uint64_t from, uint64_t to,
                              uint64_t *base)
{
    CXLHDMRange used[CXL_HDM_DECODER_COUNT];
    unsigned int n = 0;
    CXLHDMPath *other;

    QLIST_FOREACH(other, &host->hdm_paths, next) {
        assert(n < ARRAY_SIZE(used));
        used[n++] = other->range;
    }
    *base = cxl_hdm_first_free(MAX(fw->base, from), used, n, size);
    to = MIN(to, fw->base + fw->size);
    return *base <= to && size <= to - *base;
}

/*
 * Before the guest runs all decoders are programmed in order of address, so
 * any range will do.  Later the choice of the decoder limits it.
 */
static bool path_fit_window(CXLHDMPath *path, const CXLFixedWindow *fw,
                            uint64_t *base, int *decoder)
{
    uint64_t from, to;
    int i;

    *decoder = -1;
    if (!DEVICE(path->endpoint)->hotplugged) {
        return window_find_range(fw, path->host, path->range.size, 0,
                                 UINT64_MAX, base);
    }
    *base = fw->base;
    for (i = 0; i < CXL_HDM_DECODER_COUNT; i++) {
        if (cxl_hdm_bridge_room(path->host, i, &from, &to) &&
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
        if (!window_targets(fw, path->pxb)) {
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
    const char *bridge = path_dev_name(path->pxb);
    PathSearch found = { 0 };

    path_search(path, &found);
    if (found.fit) {
        trace_cxl_hdm_path_place(path_dev_name(path->endpoint), bridge,
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

/* Decoders must be committed in ascending order of address, so keep it */
static void path_insert_sorted(CXLHDMPath *path)
{
    CXLHDMPath *iter, *below = NULL;

    QLIST_FOREACH(iter, &path->host->hdm_paths, next) {
        if (iter->range.base > path->range.base) {
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

static void path_commit(CXLHDMPath *path, int decoder)
{
    cxl_hdm_bridge_commit(path->host, decoder, &path->range, path->port,
                          &path->unlocked);
    path->decoder = decoder;
    trace_cxl_hdm_path_commit(path_dev_name(path->pxb), decoder, path->port,
                              path->range.base, path->range.size);
}

void cxl_hdm_host_reset(CXLHost *host)
{
    CXLHDMPath *path;
    int decoder = 0;

    if (QLIST_EMPTY(&host->hdm_paths)) {
        return;
    }
    /*
     * A bridge with one root port may do without decoders, but then no guest
     * can follow a committed endpoint decoder up to the window.
     */
    cxl_hdm_bridge_enable(host);
    QLIST_FOREACH(path, &host->hdm_paths, next) {
        path_commit(path, decoder++);
    }
}

static bool path_check_decoders(CXLHDMPath *path, Error **errp)
{
    CXLHDMRange range;
    CXLHDMPath *other;
    int n = 0;

    if (DEVICE(path->endpoint)->hotplugged) {
        while (n < CXL_HDM_DECODER_COUNT &&
               cxl_hdm_bridge_range(path->host, n, &range)) {
            n++;
        }
    } else {
        QLIST_FOREACH(other, &path->host->hdm_paths, next) {
            n++;
        }
    }
    if (n == CXL_HDM_DECODER_COUNT) {
        error_setg(errp, "host bridge '%s' has %d HDM decoders and all are "
                   "taken: put the device below another %s",
                   path_dev_name(path->pxb), CXL_HDM_DECODER_COUNT,
                   TYPE_PXB_CXL_DEV);
        return false;
    }
    return true;
}

CXLHDMPath *cxl_hdm_path_new(PCIDevice *endpoint, uint64_t size, Error **errp)
{
    g_autofree CXLHDMPath *path = g_new0(CXLHDMPath, 1);

    path->endpoint = endpoint;
    path->range.size = size;
    path->decoder = -1;

    if (!path_check_machine(errp) ||
        !path_find_bridge(path, errp) ||
        !path_check_alone(path, errp) ||
        !path_check_decoders(path, errp) ||
        !path_place(path, errp)) {
        return NULL;
    }

    path_insert_sorted(path);
    if (DEVICE(endpoint)->hotplugged) {
        /* No reset of the bridge comes before the guest sees the device */
        cxl_hdm_bridge_enable(path->host);
        path_commit(path, path->decoder);
    }
    return g_steal_pointer(&path);
}

void cxl_hdm_path_free(CXLHDMPath *path)
{
    if (path) {
        assert(!path->mr);
        if (path->decoder >= 0) {
            cxl_hdm_bridge_uncommit(path->host, path->decoder,
                                    &path->unlocked);
        }
        QLIST_REMOVE(path, next);
        g_free(path);
    }
}

hwaddr cxl_hdm_path_base(const CXLHDMPath *path)
{
    return path->range.base;
}

void cxl_hdm_path_map(CXLHDMPath *path, MemoryRegion *mr)
{
    assert(!path->mr);
    assert(memory_region_size(mr) == path->range.size);
    /* Above the window's own handler, which knows emulated devices only */
    memory_region_add_subregion_overlap(&path->fw->mr,
                                        path->range.base - path->fw->base,
                                        mr, 1);
    path->mr = mr;
}

void cxl_hdm_path_unmap(CXLHDMPath *path)
{
    if (path->mr) {
        memory_region_del_subregion(&path->fw->mr, path->mr);
        path->mr = NULL;
    }
}
