/*
 * CXL Type-2 device passthrough: when the guest reaches the HDM
 *
 * The HDM is mapped where the decoder says.  While a reason closes the gate
 * the guest finds nothing there instead, and the host is not touched.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/log.h"
#include "qemu/range.h"
#include "hw/pci/pci.h"
#include "cxl.h"
#include "cxl-int.h"
#include "trace.h"

static const char *const gate_names[] = {
    [CXL_HDM_REASON_MEMORY_SPACE] = "Memory Space is off",
    [CXL_HDM_REASON_POWER] = "it is not in D0",
    [CXL_HDM_REASON_RESET] = "a reset is going on",
    [CXL_HDM_REASON_RESET_FAILED] = "its last reset failed",
    [CXL_HDM_REASON_MEMORY_ERROR] = "the host cannot reach its memory",
    [CXL_HDM_REASON_DEVICE_LOST] = "the device is gone",
};

static const char *gate_name(const VFIOCXL *cxl)
{
    return cxl->gates ? gate_names[ctz32(cxl->gates)] : "open";
}

static uint64_t gate_read(void *opaque, hwaddr addr, unsigned size)
{
    VFIOCXL *cxl = opaque;

    qemu_log_mask(LOG_GUEST_ERROR, "vfio %s: HDM read at offset 0x%"
                  HWADDR_PRIx " (%u bytes) gives all ones: %s\n",
                  cxl->vdev->vbasedev.name, addr, size, gate_name(cxl));
    return UINT64_MAX >> (64 - size * 8);
}

static void gate_write(void *opaque, hwaddr addr, uint64_t value,
                       unsigned size)
{
    VFIOCXL *cxl = opaque;

    qemu_log_mask(LOG_GUEST_ERROR, "vfio %s: HDM write at offset 0x%"
                  HWADDR_PRIx " (%u bytes) dropped: %s\n",
                  cxl->vdev->vbasedev.name, addr, size, gate_name(cxl));
}

static const MemoryRegionOps gate_ops = {
    .read = gate_read,
    .write = gate_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
};

void vfio_cxl_gate_setup(VFIOCXL *cxl, uint64_t hdm_size)
{
    Object *owner = OBJECT(cxl->vdev);
    const char *name = cxl->vdev->vbasedev.name;
    g_autofree char *root = g_strdup_printf("%s HDM window", name);
    g_autofree char *gate = g_strdup_printf("%s HDM gate", name);

    memory_region_init(&cxl->hdm_root, owner, root, hdm_size);
    memory_region_init_io(&cxl->gate_mr, owner, &gate_ops, cxl, gate,
                          hdm_size);
    memory_region_add_subregion(&cxl->hdm_root, 0, &cxl->gate_mr);
    memory_region_set_enabled(cxl->hdm.mem, false);
    memory_region_add_subregion_overlap(&cxl->hdm_root, 0, cxl->hdm.mem, 1);
    cxl->gates = VFIO_CXL_GATE_MEMORY_SPACE;
}

void vfio_cxl_gate_set(VFIOCXL *cxl, VFIOCXLGate why, bool closed)
{
    uint32_t gates = closed ? cxl->gates | why : cxl->gates & ~why;

    if (gates == cxl->gates) {
        return;
    }
    cxl->gates = gates;
    trace_vfio_cxl_gate(cxl->vdev->vbasedev.name, gates, gate_name(cxl));
    memory_region_set_enabled(cxl->hdm.mem, !gates);
    trace_vfio_cxl_hdm(cxl->vdev->vbasedev.name, !gates);
    if (cxl->path) {
        cxl_hdm_path_report(cxl->path, !gates, ctz32(why));
    }
}

void vfio_cxl_gate_update(VFIOCXL *cxl)
{
    PCIDevice *pdev = PCI_DEVICE(cxl->vdev);
    uint16_t cmd = pci_get_word(pdev->config + PCI_COMMAND);
    uint16_t power = 0;

    if (pdev->pm_cap) {
        power = pci_get_word(pdev->config + pdev->pm_cap + PCI_PM_CTRL) &
                PCI_PM_CTRL_STATE_MASK;
    }
    /* Close first: in between, the memory must not show */
    if (power) {
        vfio_cxl_gate_set(cxl, VFIO_CXL_GATE_POWER, true);
    }
    vfio_cxl_gate_set(cxl, VFIO_CXL_GATE_MEMORY_SPACE,
                      !(cmd & PCI_COMMAND_MEMORY));
    vfio_cxl_gate_set(cxl, VFIO_CXL_GATE_POWER, power);
}

/* -- configuration writes -- */

static bool asks_flr(PCIDevice *pdev, uint32_t addr, uint32_t val, int len)
{
    uint32_t pos = pdev->exp.exp_cap + PCI_EXP_DEVCTL + 1;

    return pdev->exp.exp_cap &&
           (pci_get_long(pdev->config + pdev->exp.exp_cap + PCI_EXP_DEVCAP) &
            PCI_EXP_DEVCAP_FLR) &&
           range_covers_byte(addr, len, pos) &&
           ((val >> (8 * (pos - addr))) & (PCI_EXP_DEVCTL_BCR_FLR >> 8));
}

/* Which states the new values bring about, before the device sees them */
void vfio_cxl_config_prepare(VFIOPCIDevice *vdev, uint32_t addr, uint32_t val,
                             int len)
{
    VFIOCXL *cxl = vdev->cxl;
    PCIDevice *pdev = PCI_DEVICE(vdev);
    uint32_t pm;

    if (!cxl) {
        return;
    }
    if (asks_flr(pdev, addr, val, len) ||
        vfio_cxl_dvsec_asks_reset(cxl, addr, val, len)) {
        vfio_cxl_gate_set(cxl, VFIO_CXL_GATE_RESET, true);
    }
    if (range_covers_byte(addr, len, PCI_COMMAND) &&
        !((val >> (8 * (PCI_COMMAND - addr))) & PCI_COMMAND_MEMORY)) {
        vfio_cxl_gate_set(cxl, VFIO_CXL_GATE_MEMORY_SPACE, true);
    }
    pm = pdev->pm_cap + PCI_PM_CTRL;
    if (pdev->pm_cap && range_covers_byte(addr, len, pm) &&
        ((val >> (8 * (pm - addr))) & PCI_PM_CTRL_STATE_MASK)) {
        vfio_cxl_gate_set(cxl, VFIO_CXL_GATE_POWER, true);
    }
}

void vfio_cxl_config_written(VFIOPCIDevice *vdev, uint32_t addr, uint32_t val,
                             int len)
{
    VFIOCXL *cxl = vdev->cxl;

    if (!cxl) {
        return;
    }
    if (vfio_cxl_dvsec_asks_reset(cxl, addr, val, len)) {
        vfio_cxl_initiate_reset(cxl);
    } else if (asks_flr(PCI_DEVICE(vdev), addr, val, len)) {
        vfio_cxl_flr_done(cxl);
    }
    vfio_cxl_gate_update(cxl);
}
