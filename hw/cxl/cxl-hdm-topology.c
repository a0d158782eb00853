/*
 * Ports and endpoints of a CXL host bridge: which of them may have HDM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie_port.h"
#include "hw/pci-bridge/pci_expander_bridge.h"
#include "cxl-hdm-path-int.h"

static PCIBus *topology_root(const CXLHDMBridge *bridge)
{
    return PCI_HOST_BRIDGE(bridge->host)->bus;
}

/* A port of the bridge with this number, other than the given one */
static PCIDevice *topology_find_port(const CXLHDMBridge *bridge, uint8_t port,
                                     const PCIDevice *except)
{
    PCIBus *root = topology_root(bridge);
    int i;

    for (i = 0; i < ARRAY_SIZE(root->devices); i++) {
        PCIDevice *dev = root->devices[i];

        if (dev && dev != except &&
            object_dynamic_cast(OBJECT(dev), TYPE_PCIE_PORT) &&
            PCIE_PORT(dev)->port == port) {
            return dev;
        }
    }
    return NULL;
}

PCIDevice *cxl_hdm_topology_port(const CXLHDMBridge *bridge, uint8_t port)
{
    return topology_find_port(bridge, port, NULL);
}

/* The bridge's decoder names its target by port number alone */
static bool topology_check_port(const CXLHDMBridge *bridge, PCIDevice *rp,
                                Error **errp)
{
    uint8_t port = PCIE_PORT(rp)->port;
    PCIDevice *other = topology_find_port(bridge, port, rp);

    if (other) {
        error_setg(errp, "root ports '%s' and '%s' of host bridge '%s' "
                   "both have port number %u, which is the decoder's "
                   "target: give each its own port=N",
                   cxl_hdm_dev_name(rp), cxl_hdm_dev_name(other),
                   cxl_hdm_dev_name(bridge->pxb), port);
        return false;
    }
    return true;
}

/*
 * Walk from the endpoint to its host bridge.  Only one root port lies
 * between: each further level would need a decoder of its own, and the host
 * side supports directly attached devices only.
 */
static bool topology_find_bridge(CXLHDMPath *path, const char *opt_out_hint,
                                 Error **errp)
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
                   "on the bus of a %s below a %s%s%s", BUS(bus)->name,
                   TYPE_CXL_ROOT_PORT, TYPE_CXL_ROOT_PORT, TYPE_PXB_CXL_DEV,
                   opt_out_hint ? ", or set " : "",
                   opt_out_hint ? opt_out_hint : "");
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
    path->bridge = cxl_hdm_host_bridge(
        PXB_CXL_DEV(pci_bridge_get_device(root))->cxl_host_bridge);
    return topology_check_port(path->bridge, rp, errp);
}

/*
 * A second function would sit behind the same decoder, and a reset of one
 * would take the memory of the other away.
 */
static bool topology_check_alone(const CXLHDMPath *path, Error **errp)
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

static bool machine_has_cxl(void)
{
    Object *machine = qdev_get_machine();

    return object_property_find(machine, "cxl") &&
           object_property_get_bool(machine, "cxl", NULL);
}

bool cxl_hdm_topology_check(CXLHDMPath *path, const char *opt_out_hint,
                            Error **errp)
{
    if (!machine_has_cxl()) {
        error_setg(errp, "CXL device needs a machine with CXL enabled, but "
                   "cxl=off: add -machine cxl=on%s%s%s",
                   opt_out_hint ? ", or set " : "",
                   opt_out_hint ? opt_out_hint : "",
                   opt_out_hint ? " on the device" : "");
        return false;
    }
    return topology_find_bridge(path, opt_out_hint, errp) &&
           topology_check_alone(path, errp);
}

/* -- endpoints -- */

static bool is_endpoint(const CXLHDMBridge *bridge, const PCIDevice *dev)
{
    CXLHDMPath *path;

    QLIST_FOREACH(path, &bridge->paths, next) {
        if (path->endpoint == dev) {
            return true;
        }
    }
    return object_dynamic_cast(OBJECT(dev), INTERFACE_CXL_DEVICE) &&
           !IS_PCI_BRIDGE(dev);
}

bool cxl_hdm_topology_contains_endpoint(const CXLHDMBridge *bridge,
                                        const DeviceState *dev)
{
    const PCIDevice *pdev = (const PCIDevice *)
        object_dynamic_cast(OBJECT(dev), TYPE_PCI_DEVICE);

    return pdev && is_endpoint(bridge, pdev) &&
           pci_device_root_bus(pdev) == topology_root(bridge);
}

typedef struct EndpointSearch {
    const CXLHDMBridge *bridge;
    bool found;
} EndpointSearch;

static void search_device(PCIBus *bus, PCIDevice *dev, void *opaque)
{
    EndpointSearch *search = opaque;

    search->found |= is_endpoint(search->bridge, dev);
}

static void search_bus(PCIBus *bus, void *opaque)
{
    pci_for_each_device_under_bus(bus, search_device, opaque);
}

bool cxl_hdm_topology_has_endpoint(const CXLHDMBridge *bridge)
{
    EndpointSearch search = { .bridge = bridge };

    pci_for_each_bus(topology_root(bridge), search_bus, &search);
    return search.found;
}

/* -- ports -- */

static bool port_reserve(CXLHDMBridge *bridge, PCIDevice *rp, uint64_t size,
                         Error **errp)
{
    if (!machine_has_cxl()) {
        error_setg(errp, "hdm-reserve is set on root port '%s', but cxl=off: "
                   "add -machine cxl=on", cxl_hdm_dev_name(rp));
        return false;
    }
    if (size % CXL_HDM_DECODER_ALIGN) {
        error_setg(errp, "hdm-reserve=0x%" PRIx64 " of root port '%s' must be "
                   "a multiple of 256 MiB (0x%" PRIx64 "): use 0x%" PRIx64,
                   size, cxl_hdm_dev_name(rp),
                   (uint64_t)CXL_HDM_DECODER_ALIGN,
                   ROUND_DOWN(size, CXL_HDM_DECODER_ALIGN) +
                   CXL_HDM_DECODER_ALIGN);
        return false;
    }
    return topology_check_port(bridge, rp, errp) &&
           cxl_hdm_alloc_reserve(bridge, PCIE_PORT(rp)->port, size,
                                 cxl_hdm_dev_name(rp), errp);
}

bool cxl_hdm_port_realize(PCIDevice *rp, uint64_t reserve, Error **errp)
{
    PCIBus *root = pci_get_bus(rp);
    CXLHDMBridge *bridge;
    CXLHDMPath *path;

    if (!pci_bus_is_root(root) || !pci_bus_is_cxl(root)) {
        if (reserve) {
            error_setg(errp, "hdm-reserve is set on root port '%s' on bus "
                       "'%s', which does not belong to a %s: set its bus= to "
                       "the id of one", cxl_hdm_dev_name(rp),
                       BUS(root)->name, TYPE_PXB_CXL_DEV);
            return false;
        }
        return true;
    }

    bridge = cxl_hdm_host_bridge(
        PXB_CXL_DEV(pci_bridge_get_device(root))->cxl_host_bridge);
    if (reserve) {
        return port_reserve(bridge, rp, reserve, errp);
    }
    /* Ports that decoders do not name may have any number */
    QLIST_FOREACH(path, &bridge->paths, next) {
        if (path->port == PCIE_PORT(rp)->port) {
            return topology_check_port(bridge, rp, errp);
        }
    }
    return !cxl_hdm_alloc_find(bridge, PCIE_PORT(rp)->port) ||
           topology_check_port(bridge, rp, errp);
}
