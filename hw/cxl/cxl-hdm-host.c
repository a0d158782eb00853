/*
 * The decoders of a CXL host bridge with HDM below it
 *
 * A bridge with a Type-2 device below it, or a port that HDM is reserved for,
 * has decoders with rules: those of the decoder block, and that what they
 * decode lies in a window.  A bridge without stays as it was.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qapi/error.h"
#include "hw/cxl/cxl_hdm_component.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "cxl-hdm-path-int.h"
#include "cxl-hdm-window.h"
#include "trace.h"

static uint32_t *bridge_regs(const CXLHDMBridge *bridge)
{
    return bridge->host->cxl_cstate.crb.cache_mem_registers;
}

void cxl_hdm_host_load(const CXLHDMBridge *bridge, CXLHDMBlock *block)
{
    cxl_hdm_component_load(bridge_regs(bridge), block);
}

static void bridge_update_paths(CXLHDMBridge *bridge)
{
    CXLHDMPath *path;

    QLIST_FOREACH(path, &bridge->paths, next) {
        cxl_hdm_path_update(path);
        cxl_hdm_path_report(path, path->open, CXL_HDM_REASON_DECODER);
    }
}

/* -- the guest's writes to the bridge -- */

static const char *bridge_check_range(void *opaque, unsigned int decoder,
                                      uint64_t base, uint64_t size)
{
    CXLHDMBridge *bridge = opaque;
    CXLHDMRange range = { base, size };

    return cxl_hdm_window_find(bridge->pxb, &range) ? NULL :
           "range is in no window of the host bridge";
}

static void bridge_write(void *opaque, hwaddr offset, uint64_t value,
                         unsigned int size)
{
    CXLComponentState *cstate = opaque;
    CXLHDMBridge *bridge = container_of(cstate, CXLHost, cxl_cstate)->hdm;
    const char *name = cxl_hdm_dev_name(bridge->pxb);
    CXLHDMBlock block;
    CXLHDMEvent event;

    if (offset < A_CXL_HDM_DECODER_CAPABILITY ||
        offset > A_CXL_HDM_DECODER3_TARGET_LIST_HI) {
        cstate->crb.cache_mem_registers[offset / 4] = value;
        return;
    }

    cxl_hdm_host_load(bridge, &block);
    block.accept = bridge_check_range;
    block.opaque = bridge;
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
    cxl_hdm_component_store(bridge_regs(bridge), &block);
    if (event == CXL_HDM_CHANGED) {
        bridge_update_paths(bridge);
    }
}

/* The field for them is not const, so they are the bridge's own */
static void bridge_install_writes(CXLHDMBridge *bridge)
{
    ComponentRegisters *crb = &bridge->host->cxl_cstate.crb;

    if (!crb->special_ops) {
        crb->special_ops = g_new0(MemoryRegionOps, 1);
        crb->special_ops->write = bridge_write;
    }
}

/* -- QEMU as firmware -- */

bool cxl_hdm_host_commit(CXLHDMBridge *bridge, CXLHDMAlloc *alloc,
                         int decoder, Error **errp)
{
    CXLHDMBlock block;

    cxl_hdm_host_load(bridge, &block);
    if (!cxl_hdm_block_program(&block, decoder, alloc->range.base,
                               alloc->range.size, alloc->port)) {
        error_setg(errp, "decoder %d of host bridge '%s' cannot decode 0x%"
                   PRIx64 " with size 0x%" PRIx64 ": %s; what the guest "
                   "committed is in the way until the next reset", decoder,
                   cxl_hdm_dev_name(bridge->pxb), alloc->range.base,
                   alloc->range.size, block.refused);
        return false;
    }
    cxl_hdm_component_store(bridge_regs(bridge), &block);
    alloc->decoder = decoder;
    cxl_hdm_vacant_map(bridge, alloc);
    bridge_install_writes(bridge);
    trace_cxl_hdm_path_commit(cxl_hdm_dev_name(bridge->pxb), decoder,
                              alloc->port, alloc->range.base,
                              alloc->range.size);
    return true;
}

void cxl_hdm_host_uncommit(CXLHDMBridge *bridge, CXLHDMAlloc *alloc)
{
    CXLHDMBlock block;

    cxl_hdm_host_load(bridge, &block);
    cxl_hdm_block_release(&block, alloc->decoder);
    cxl_hdm_component_store(bridge_regs(bridge), &block);
    cxl_hdm_vacant_unmap(bridge, alloc);
    trace_cxl_hdm_path_release(cxl_hdm_dev_name(bridge->pxb), alloc->decoder);
    alloc->decoder = -1;
}

/* The registers have their reset values: what nobody needs is over */
static void bridge_drop_decoders(CXLHDMBridge *bridge)
{
    CXLHDMAlloc *alloc, *after;

    QLIST_FOREACH_SAFE(alloc, &bridge->allocs, next, after) {
        if (alloc->decoder >= 0) {
            cxl_hdm_vacant_unmap(bridge, alloc);
            alloc->decoder = -1;
        }
        if (!alloc->path && !alloc->reserved) {
            trace_cxl_hdm_path_drop(cxl_hdm_dev_name(bridge->pxb), alloc->port,
                               alloc->range.base, alloc->range.size);
            cxl_hdm_alloc_free(alloc);
        }
    }
}

void cxl_hdm_host_reset(CXLHost *host)
{
    CXLHDMBridge *bridge = cxl_hdm_host_bridge(host);
    CXLHDMAlloc *alloc;
    int decoder = 0;

    /* In one transaction: what comes back to its place never went away */
    memory_region_transaction_begin();
    bridge_drop_decoders(bridge);
    bridge->had_endpoint = cxl_hdm_topology_has_endpoint(bridge);
    if (!QLIST_EMPTY(&bridge->allocs)) {
        host->passthrough = false;
        cxl_hdm_component_enable(bridge_regs(bridge));
    } else if (QLIST_EMPTY(&bridge->paths)) {
        g_clear_pointer(&host->cxl_cstate.crb.special_ops, g_free);
    }
    QLIST_FOREACH(alloc, &bridge->allocs, next) {
        /* Ascending, in a window and at most four: nothing is in the way */
        cxl_hdm_host_commit(bridge, alloc, decoder++, &error_abort);
        alloc->shown = true;
    }
    bridge_update_paths(bridge);
    memory_region_transaction_commit();
}

/* -- devices -- */

/* The realize of an endpoint was successful, so that a guest may find it */
static void bridge_see_endpoint(DeviceListener *listener, DeviceState *dev)
{
    CXLHDMBridge *bridge = container_of(listener, CXLHDMBridge, listener);
    CXLHDMAlloc *alloc;

    if (!cxl_hdm_topology_contains_endpoint(bridge, dev)) {
        return;
    }
    bridge->had_endpoint = true;
    QLIST_FOREACH(alloc, &bridge->allocs, next) {
        if (alloc->decoder >= 0) {
            alloc->shown = true;
        }
    }
}

CXLHDMBridge *cxl_hdm_host_bridge(CXLHost *host)
{
    CXLHDMBridge *bridge = host->hdm;

    if (!bridge) {
        PCIBus *root = PCI_HOST_BRIDGE(host)->bus;

        bridge = host->hdm = g_new0(CXLHDMBridge, 1);
        bridge->host = host;
        bridge->pxb = PXB_CXL_DEV(pci_bridge_get_device(root));
        bridge->listener.realize = bridge_see_endpoint;
        cxl_hdm_vacant_init(bridge);
        device_listener_register(&bridge->listener);
    }
    return bridge;
}

void cxl_hdm_host_add(CXLHDMPath *path)
{
    bridge_install_writes(path->bridge);
    QLIST_INSERT_HEAD(&path->bridge->paths, path, next);
}

void cxl_hdm_host_remove(CXLHDMPath *path)
{
    QLIST_REMOVE(path, next);
}
