/*
 * QMP command x-query-cxl: the CXL topology of the machine
 *
 * It reads what there is and changes nothing.  Emulated devices and switches
 * are known by their types, all others by TYPE_CXL_HDM_DEVICE.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl.h"
#include "hw/boards.h"
#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_hdm_component.h"
#include "hw/cxl/cxl_hdm_device.h"
#include "hw/cxl/cxl_host.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie_port.h"
#include "hw/pci-bridge/pci_expander_bridge.h"
#include "hw/qdev-core.h"
#include "cxl-hdm-path-int.h"
#include "cxl-hdm-window.h"

/* Where the lists of the answer are continued */
typedef struct CXLQuery {
    CxlPortList **ports;
    CxlSwitchList **switches;
    CxlDeviceList **devices;
} CXLQuery;

static char *qom_path(const void *obj)
{
    return object_get_canonical_path(OBJECT(obj));
}

static CxlPciAddress *query_address(const PCIDevice *dev)
{
    CxlPciAddress *address = g_new(CxlPciAddress, 1);

    *address = (CxlPciAddress) {
        .bus = pci_dev_bus_num(dev),
        .slot = PCI_SLOT(dev->devfn),
        .function = PCI_FUNC(dev->devfn),
    };
    return address;
}

/* -- decoders -- */

/* The guest may have written a reserved code: that is 0 ways */
static unsigned int decoder_ways(const CXLHDMDecoder *d)
{
    return cxl_interleave_ways_dec(FIELD_EX32(d->control,
                                              CXL_HDM_DECODER0_CTRL, IW),
                                   NULL);
}

static uint64_t decoder_granularity(const CXLHDMDecoder *d)
{
    return cxl_decode_ig(FIELD_EX32(d->control, CXL_HDM_DECODER0_CTRL, IG));
}

static CxlHdmDecoder *query_decoder(const CXLHDMBlock *block,
                                    unsigned int index, bool endpoint)
{
    const CXLHDMDecoder *d = &block->decoder[index];
    CxlHdmDecoder *decoder = g_new0(CxlHdmDecoder, 1);
    unsigned int i;

    decoder->index = index;
    decoder->base = d->base;
    decoder->size = d->size;
    decoder->committed = cxl_hdm_block_committed(block, index);
    decoder->locked = decoder->committed &&
                      FIELD_EX32(d->control, CXL_HDM_DECODER0_CTRL,
                                 LOCK_ON_COMMIT);
    decoder->error = FIELD_EX32(d->control, CXL_HDM_DECODER0_CTRL, ERR);
    decoder->host_only = FIELD_EX32(d->control, CXL_HDM_DECODER0_CTRL, TYPE);
    decoder->interleave_ways = decoder_ways(d);
    decoder->interleave_granularity = decoder_granularity(d);
    if (endpoint) {
        decoder->has_dpa_skip = true;
        decoder->dpa_skip = d->target;
    } else {
        uint8List **tail = &decoder->targets;

        /* The list has room for eight */
        decoder->has_targets = true;
        for (i = 0; i < MIN(decoder->interleave_ways, 8); i++) {
            QAPI_LIST_APPEND(tail, extract64(d->target, i * 8, 8));
        }
    }
    return decoder;
}

static CxlHdmDecoderList *query_decoders(const CXLHDMBlock *block,
                                         bool endpoint)
{
    CxlHdmDecoderList *list = NULL, **tail = &list;
    unsigned int i;

    for (i = 0; i < block->count; i++) {
        QAPI_LIST_APPEND(tail, query_decoder(block, i, endpoint));
    }
    return list;
}

/* What all components have in common */
static void query_component(CxlComponent *component, const void *dev,
                            const CXLHDMBlock *block, bool endpoint)
{
    component->qom_path = qom_path(dev);
    component->id = g_strdup(DEVICE(dev)->id);
    component->hdm_enabled = FIELD_EX32(block->global_control,
                                        CXL_HDM_DECODER_GLOBAL_CONTROL,
                                        HDM_DECODER_ENABLE);
    component->decoders = query_decoders(block, endpoint);
}

/* -- devices -- */

static CXLFixedWindow *window_around(uint64_t base, uint64_t size)
{
    g_autoptr(GSList) windows = cxl_fmws_get_all_sorted();
    CXLHDMRange range = { base, size };
    GSList *iter;

    for (iter = windows; iter; iter = iter->next) {
        CXLFixedWindow *fw = CXL_FMW(iter->data);

        if (memory_region_is_mapped(&fw->mr) &&
            cxl_hdm_window_contains(fw, &range)) {
            return fw;
        }
    }
    return NULL;
}

static CxlHdmRange *query_range(uint64_t base, uint64_t size,
                                const CXLFixedWindow *fw, bool reachable)
{
    CxlHdmRange *range = g_new0(CxlHdmRange, 1);

    range->base = base;
    range->size = size;
    range->has_window = fw;
    range->window = fw ? fw->index : 0;
    range->reachable = reachable;
    return range;
}

/* A device whose memory is placed and mapped by a path */
static void query_placed(CxlDevice *device, const CXLHDMDeviceInfo *info)
{
    const CXLHDMPath *path = info->path;
    CxlHdmReasonList **blocked = &device->blocked;
    unsigned int i;

    device->backing = info->backing;
    device->source = info->source;
    device->commit = path->guest ? CXL_HDM_COMMIT_GUEST :
                                   CXL_HDM_COMMIT_FIRMWARE;
    device->hdm_size = path->range.size;
    device->reachable = path->mapped && !info->gates;
    if (path->fw) {
        QAPI_LIST_PREPEND(device->ranges,
                          query_range(path->range.base, path->range.size,
                                      path->fw, device->reachable));
    }
    if (!path->mapped) {
        QAPI_LIST_APPEND(blocked, CXL_HDM_REASON_DECODER);
    }
    for (i = 0; i < CXL_HDM_REASON__MAX; i++) {
        if (info->gates & (1u << i)) {
            QAPI_LIST_APPEND(blocked, i);
        }
    }
}

/* Does some way of a committed range come out at this device? */
static bool emulated_reached(PCIDevice *dev, const CXLHDMDecoder *d,
                             CXLFixedWindow *fw)
{
    uint64_t step = decoder_granularity(d);
    unsigned int i, ways = decoder_ways(d);

    for (i = 0; i < ways; i++) {
        if (cxl_fmw_find_device(fw, d->base - fw->base + i * step) == dev) {
            return true;
        }
    }
    return false;
}

/* A device of QEMU's own, for which each access to a window is looked up */
static void query_emulated(CxlDevice *device, PCIDevice *dev,
                           const CXLHDMBlock *block)
{
    CxlHdmRangeList **ranges = &device->ranges;
    unsigned int i;

    device->backing = CXL_DEVICE_BACKING_EMULATED;
    device->commit = CXL_HDM_COMMIT_GUEST;
    device->hdm_size = block->hdm_size;
    for (i = 0; i < block->count; i++) {
        const CXLHDMDecoder *d = &block->decoder[i];
        CXLFixedWindow *fw;
        bool reached;

        if (!cxl_hdm_block_committed(block, i)) {
            continue;
        }
        fw = window_around(d->base, d->size);
        reached = fw && emulated_reached(dev, d, fw);
        device->reachable = reached && (device->reachable || !device->ranges);
        QAPI_LIST_APPEND(ranges, query_range(d->base, d->size, fw, reached));
    }
    if (!device->reachable) {
        QAPI_LIST_PREPEND(device->blocked, CXL_HDM_REASON_DECODER);
    }
}

static void query_device(CXLQuery *q, PCIDevice *dev, const char *port)
{
    Object *obj = OBJECT(dev);
    CXLHDMDeviceInfo info = { 0 };
    CXLHDMBlock block;
    CxlDevice *device;

    if (object_dynamic_cast(obj, TYPE_CXL_HDM_DEVICE)) {
        if (!CXL_HDM_DEVICE_GET_CLASS(obj)->describe(CXL_HDM_DEVICE(obj),
                                                     &info)) {
            return;
        }
        block = *info.block;
    } else if (object_dynamic_cast(obj, TYPE_CXL_TYPE3)) {
        CXLType3Dev *ct3d = CXL_TYPE3(dev);

        cxl_hdm_component_load(ct3d->cxl_cstate.crb.cache_mem_registers,
                               &block);
        block.hdm_size = ct3d->cxl_dstate.static_mem_size +
                         ct3d->dc.total_capacity;
    } else {
        return;
    }

    device = g_new0(CxlDevice, 1);
    query_component(qapi_CxlDevice_base(device), dev, &block, true);
    device->type = g_strdup(object_get_typename(obj));
    device->port = g_strdup(port);
    device->address = query_address(dev);
    if (info.path) {
        query_placed(device, &info);
    } else {
        query_emulated(device, dev, &block);
    }
    QAPI_LIST_APPEND(q->devices, device);
}

/* -- ports and switches -- */

static void query_port(CXLQuery *q, PCIDevice *dev, const char *parent)
{
    CxlPort *port = g_new0(CxlPort, 1);

    port->qom_path = qom_path(dev);
    port->id = g_strdup(DEVICE(dev)->id);
    port->parent = g_strdup(parent);
    port->number = PCIE_PORT(dev)->port;
    port->address = query_address(dev);
    QAPI_LIST_APPEND(q->ports, port);
}

static void query_switch(CXLQuery *q, PCIDevice *dev, const char *port)
{
    CxlSwitch *sw = g_new0(CxlSwitch, 1);
    CXLHDMBlock block;

    cxl_hdm_component_load(cxl_usp_to_cstate(CXL_USP(dev))->
                           crb.cache_mem_registers, &block);
    query_component(qapi_CxlSwitch_base(sw), dev, &block, false);
    sw->port = g_strdup(port);
    sw->address = query_address(dev);
    QAPI_LIST_APPEND(q->switches, sw);
}

/* All that is on a bus and below it */
static void query_bus(CXLQuery *q, PCIBus *bus, const char *parent)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(bus->devices); i++) {
        PCIDevice *dev = bus->devices[i];
        g_autofree char *path = dev ? qom_path(dev) : NULL;

        if (!dev || !DEVICE(dev)->realized) {
            continue;
        }
        if (!IS_PCI_BRIDGE(dev)) {
            query_device(q, dev, parent);
            continue;
        }
        if (object_dynamic_cast(OBJECT(dev), TYPE_CXL_USP)) {
            query_switch(q, dev, parent);
        } else if (object_dynamic_cast(OBJECT(dev), TYPE_PCIE_PORT)) {
            query_port(q, dev, parent);
        }
        query_bus(q, pci_bridge_get_sec_bus(PCI_BRIDGE(dev)), path);
    }
}

/* -- host bridges -- */

static int collect_bridge(Object *obj, void *opaque)
{
    GSList **list = opaque;

    if (object_dynamic_cast(obj, TYPE_PXB_CXL_DEV) && DEVICE(obj)->realized) {
        *list = g_slist_prepend(*list, obj);
    }
    return 0;
}

static gint compare_bridges(gconstpointer a, gconstpointer b, gpointer unused)
{
    return PXB_DEV(a)->bus_nr - PXB_DEV(b)->bus_nr;
}

static CxlHdmAllocation *query_allocation(const CXLHDMBridge *bridge,
                                          const CXLHDMAlloc *alloc)
{
    CxlHdmAllocation *allocation = g_new0(CxlHdmAllocation, 1);

    allocation->base = alloc->range.base;
    allocation->size = alloc->range.size;
    allocation->window = alloc->fw->index;
    allocation->port = qom_path(cxl_hdm_topology_port(bridge, alloc->port));
    allocation->reserved = alloc->reserved;
    allocation->has_decoder = alloc->decoder >= 0;
    allocation->decoder = alloc->decoder;
    if (alloc->path) {
        allocation->device = qom_path(alloc->path->endpoint);
    }
    return allocation;
}

static CxlHdmAllocationList *query_allocations(CXLHost *host)
{
    const CXLHDMBridge *bridge = cxl_hdm_host_bridge(host);
    CxlHdmAllocationList *list = NULL, **tail = &list;
    const CXLHDMAlloc *alloc;

    QLIST_FOREACH(alloc, &bridge->allocs, next) {
        QAPI_LIST_APPEND(tail, query_allocation(bridge, alloc));
    }
    return list;
}

static CxlHostBridge *query_bridge(PXBCXLDev *pxb)
{
    CXLHost *host = pxb->cxl_host_bridge;
    MemoryRegion *mr = SYS_BUS_DEVICE(host)->mmio[0].memory;
    CxlHostBridge *bridge = g_new0(CxlHostBridge, 1);
    CXLHDMBlock block;

    cxl_hdm_component_load(host->cxl_cstate.crb.cache_mem_registers, &block);
    if (host->passthrough) {
        block.count = 0;
    }
    query_component(qapi_CxlHostBridge_base(bridge), pxb, &block, false);
    bridge->bus = PXB_DEV(pxb)->bus_nr;
    bridge->has_registers = mr->container && mr->container->container;
    if (bridge->has_registers) {
        bridge->registers = mr->container->addr + mr->addr;
    }
    bridge->registers_size = memory_region_size(mr);
    bridge->shows_decoders = !host->passthrough;
    bridge->allocations = query_allocations(host);
    return bridge;
}

static CxlHostBridgeList *query_bridges(CXLQuery *q)
{
    CxlHostBridgeList *list = NULL, **tail = &list;
    g_autoptr(GSList) bridges = NULL;
    GSList *iter;

    object_child_foreach_recursive(object_get_root(), collect_bridge,
                                   &bridges);
    bridges = g_slist_sort_with_data(bridges, compare_bridges, NULL);
    for (iter = bridges; iter; iter = iter->next) {
        PXBCXLDev *pxb = PXB_CXL_DEV(iter->data);
        CxlHostBridge *bridge = query_bridge(pxb);

        QAPI_LIST_APPEND(tail, bridge);
        query_bus(q, PCI_HOST_BRIDGE(pxb->cxl_host_bridge)->bus,
                  bridge->qom_path);
    }
    return list;
}

/* -- windows -- */

static CxlWindow *query_window(CXLFixedWindow *fw)
{
    CxlWindow *window = g_new0(CxlWindow, 1);
    strList **targets = &window->targets;
    CxlWindowRestrictionList **restrictions = &window->restrictions;
    int i;

    window->index = fw->index;
    window->has_base = memory_region_is_mapped(&fw->mr);
    window->base = window->has_base ? fw->base : 0;
    window->size = fw->size;
    window->interleave_ways = fw->num_targets;
    window->interleave_granularity = cxl_decode_ig(fw->enc_int_gran);
    for (i = 0; i < fw->num_targets; i++) {
        QAPI_LIST_APPEND(targets, qom_path(fw->target_hbs[i]));
    }
    for (i = 0; i < CXL_WINDOW_RESTRICTION__MAX; i++) {
        if (CXL_FMW_RESTRICTIONS & (1u << i)) {
            QAPI_LIST_APPEND(restrictions, i);
        }
    }
    return window;
}

static CxlWindowList *query_windows(void)
{
    CxlWindowList *list = NULL, **tail = &list;
    g_autoptr(GSList) windows = cxl_fmws_get_all_sorted();
    GSList *iter;

    for (iter = windows; iter; iter = iter->next) {
        QAPI_LIST_APPEND(tail, query_window(CXL_FMW(iter->data)));
    }
    return list;
}

CxlInfo *qmp_x_query_cxl(Error **errp)
{
    Object *machine = qdev_get_machine();
    CxlInfo *info = g_new0(CxlInfo, 1);
    CXLQuery q = {
        .ports = &info->ports,
        .switches = &info->switches,
        .devices = &info->devices,
    };

    info->enabled = object_property_find(machine, "cxl") &&
                    object_property_get_bool(machine, "cxl", NULL);
    if (info->enabled) {
        info->windows = query_windows();
        info->host_bridges = query_bridges(&q);
    }
    return info;
}
