/*
 * CXL device passthrough: which device gets its memory
 *
 * With cxl=auto a host kernel that starts to offer CXL must not keep a VM
 * from starting that has the device as a plain PCIe one.  Only a device on
 * the bus of a cxl-rp below a pxb-cxl was put there for its memory; there,
 * and with cxl=on everywhere, whatever is in the way of it is an error.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "hw/cxl/cxl_pci.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/vfio/vfio-cxl-abi.h"
#include "cxl.h"
#include "cxl-int.h"
#include "trace.h"

/* CXL r3.1 section 8.1.3.1: DVSEC CXL Capability */
#define DVSEC_CAP_CACHE (1 << 0)
#define DVSEC_CAP_MEM (1 << 2)

static bool machine_has_cxl(void)
{
    Object *machine = qdev_get_machine();

    return object_property_find(machine, "cxl") &&
           object_property_get_bool(machine, "cxl", NULL);
}

static bool below_cxl_bridge(const VFIOPCIDevice *vdev)
{
    PCIDevice *port = pci_bridge_get_device(pci_get_bus(PCI_DEVICE(vdev)));
    PCIBus *root;

    if (!port || !object_dynamic_cast(OBJECT(port), "cxl-rp")) {
        return false;
    }
    root = pci_get_bus(port);
    return pci_bus_is_root(root) && pci_bus_is_cxl(root);
}

/* A device that is offered as CXL device, in a place that is none for it */
static bool is_misplaced(const VFIOPCIDevice *vdev)
{
    return vdev->vbasedev.flags & VFIO_DEVICE_FLAGS_CXL &&
           vdev->cxl_mode == ON_OFF_AUTO_AUTO &&
           !(machine_has_cxl() && below_cxl_bridge(vdev));
}

bool vfio_cxl_is_plain(const VFIOPCIDevice *vdev)
{
    return vdev->cxl_mode == ON_OFF_AUTO_OFF || is_misplaced(vdev);
}

static void warn_misplaced(const VFIOPCIDevice *vdev)
{
    const char *name = vdev->vbasedev.name;

    if (machine_has_cxl()) {
        warn_report("vfio %s: CXL device used as a plain PCIe device, without "
                    "CXL memory, as bus '%s' does not belong to a cxl-rp of a "
                    "pxb-cxl: use bus= of one, or set cxl=off to get rid of "
                    "this warning", name,
                    BUS(pci_get_bus(PCI_DEVICE(vdev)))->name);
    } else {
        warn_report("vfio %s: CXL device used as a plain PCIe device, without "
                    "CXL memory, as the machine has cxl=off: add -machine "
                    "cxl=on and use bus= of a cxl-rp below a pxb-cxl, or set "
                    "cxl=off on the device to get rid of this warning", name);
    }
}

static uint16_t dvsec_cap(VFIOPCIDevice *vdev, uint16_t dvsec)
{
    return pci_get_word(PCI_DEVICE(vdev)->config + dvsec +
                        offsetof(CXLDVSECDevice, cap));
}

/* The host's driver has no CXL, or none for this device */
static bool admit_without_flag(VFIOPCIDevice *vdev, uint16_t dvsec,
                               Error **errp)
{
    if (vdev->cxl_mode == ON_OFF_AUTO_ON) {
        error_setg(errp, "cxl=on, but the device is not offered as CXL "
                   "device (device flags 0x%x lack 0x%x): check host "
                   "driver and device, or set cxl=auto",
                   vdev->vbasedev.flags, VFIO_DEVICE_FLAGS_CXL);
        return false;
    }
    if (dvsec && (dvsec_cap(vdev, dvsec) & DVSEC_CAP_MEM)) {
        /* Its ranges would show the host's base */
        vfio_cxl_dvsec_clear(vdev, dvsec,
                             offsetof(CXLDVSECDevice, range1_size_hi));
        info_report("vfio %s: not offered as CXL device by the host's "
                    "driver: passed through as plain PCIe device, without "
                    "its memory", vdev->vbasedev.name);
    }
    return true;
}

bool vfio_cxl_admit(VFIOPCIDevice *vdev, uint16_t *dvsec, Error **errp)
{
    PCIDevice *pdev = PCI_DEVICE(vdev);
    uint16_t pos;

    *dvsec = 0;
    if (vdev->cxl_mode == ON_OFF_AUTO_OFF) {
        return true;
    }
    pos = vfio_cxl_find_dvsec(pdev->config, MIN(pci_config_size(pdev),
                                                vdev->config_size));
    if (!(vdev->vbasedev.flags & VFIO_DEVICE_FLAGS_CXL)) {
        return admit_without_flag(vdev, pos, errp);
    }
    if (is_misplaced(vdev)) {
        warn_misplaced(vdev);
        return true;
    }

    if (!pos) {
        error_setg(errp, "device has the CXL flag, but not exactly 1 CXL "
                   "Device DVSEC (vendor 0x%x, id %d) of at least %zu bytes: "
                   "set cxl=off to use it as plain PCIe device",
                   CXL_VENDOR_ID, PCIE_CXL_DEVICE_DVSEC,
                   offsetof(CXLDVSECDevice, cap3));
        return false;
    }
    if (!(dvsec_cap(vdev, pos) & DVSEC_CAP_MEM)) {
        trace_vfio_cxl_no_mem(vdev->vbasedev.name);
        vfio_cxl_dvsec_clear(vdev, pos,
                             offsetof(CXLDVSECDevice, range1_size_hi));
        if (vdev->cxl_mode == ON_OFF_AUTO_ON) {
            error_setg(errp, "cxl=on, but the device's DVSEC does not claim "
                       "CXL.mem (capability 0x%04x lacks 0x%x), so it has no "
                       "memory to give: set cxl=auto", dvsec_cap(vdev, pos),
                       DVSEC_CAP_MEM);
            return false;
        }
        return true;
    }
    if (!(vdev->vbasedev.flags & VFIO_DEVICE_FLAGS_RESET)) {
        error_setg(errp, "device has the CXL flag, but cannot be reset (device "
                   "flags 0x%x lack 0x%x), and without a reset its memory "
                   "would pass from one user to the next: check the host's "
                   "driver, or set cxl=off to use it as plain PCIe device",
                   vdev->vbasedev.flags, VFIO_DEVICE_FLAGS_RESET);
        return false;
    }
    *dvsec = pos;
    return true;
}

bool vfio_cxl_has_cache(VFIOPCIDevice *vdev, uint16_t dvsec)
{
    return dvsec_cap(vdev, dvsec) & DVSEC_CAP_CACHE;
}
