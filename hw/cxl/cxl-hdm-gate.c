/*
 * When a guest reaches the HDM of a CXL endpoint
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/log.h"
#include "qemu/range.h"
#include "hw/cxl/cxl_hdm_gate.h"
#include "hw/cxl/cxl_pci.h"
#include "hw/pci/pci.h"
#include "trace.h"

/* CXL r3.1 section 8.1.3.1: Capability, section 8.1.3.4: Control2 */
#define DVSEC_CAP_RESET (1 << 7)
#define DVSEC_CTRL2_RESET (1 << 2)

static const char *const gate_names[] = {
    [CXL_HDM_REASON_MEMORY_SPACE] = "Memory Space is off",
    [CXL_HDM_REASON_POWER] = "it is not in D0",
    [CXL_HDM_REASON_RESET] = "a reset is going on",
    [CXL_HDM_REASON_RESET_FAILED] = "its last reset failed",
    [CXL_HDM_REASON_MEMORY_ERROR] = "the host cannot reach its memory",
    [CXL_HDM_REASON_DEVICE_LOST] = "the device is gone",
};

static const char *gate_name(const CXLHDMGate *gate)
{
    return gate->reasons ? gate_names[ctz32(gate->reasons)] : "open";
}

static uint64_t gate_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLHDMGate *gate = opaque;

    qemu_log_mask(LOG_GUEST_ERROR, "%s: HDM read at offset 0x%" HWADDR_PRIx
                  " (%u bytes) gives all ones: %s\n", gate->name, addr, size,
                  gate_name(gate));
    return UINT64_MAX >> (64 - size * 8);
}

static void gate_write(void *opaque, hwaddr addr, uint64_t value,
                       unsigned size)
{
    CXLHDMGate *gate = opaque;

    qemu_log_mask(LOG_GUEST_ERROR, "%s: HDM write at offset 0x%" HWADDR_PRIx
                  " (%u bytes) dropped: %s\n", gate->name, addr, size,
                  gate_name(gate));
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

void cxl_hdm_gate_init(CXLHDMGate *gate, Object *owner, const char *name,
                       MemoryRegion *hdm, uint64_t size, CXLHDMPath *path)
{
    g_autofree char *root = g_strdup_printf("%s HDM window", name);
    g_autofree char *closed = g_strdup_printf("%s HDM gate", name);

    gate->name = g_strdup(name);
    gate->hdm = hdm;
    gate->path = path;
    gate->reasons = CXL_HDM_GATE_MEMORY_SPACE;
    memory_region_init(&gate->root, owner, root, size);
    memory_region_init_io(&gate->closed, owner, &gate_ops, gate, closed,
                          size);
    memory_region_add_subregion(&gate->root, 0, &gate->closed);
    memory_region_set_enabled(hdm, false);
    memory_region_add_subregion_overlap(&gate->root, 0, hdm, 1);
}

void cxl_hdm_gate_exit(CXLHDMGate *gate)
{
    if (gate->hdm) {
        memory_region_del_subregion(&gate->root, gate->hdm);
        gate->hdm = NULL;
        gate->path = NULL;
    }
}

void cxl_hdm_gate_finalize(CXLHDMGate *gate)
{
    g_clear_pointer(&gate->name, g_free);
}

void cxl_hdm_gate_set(CXLHDMGate *gate, CXLHDMGateReason why, bool closed)
{
    uint32_t reasons = closed ? gate->reasons | why : gate->reasons & ~why;

    if (reasons == gate->reasons) {
        return;
    }
    gate->reasons = reasons;
    trace_cxl_hdm_gate(gate->name, reasons, gate_name(gate));
    if (gate->hdm) {
        memory_region_set_enabled(gate->hdm, !reasons);
        trace_cxl_hdm_gate_open(gate->name, !reasons);
        cxl_hdm_path_report(gate->path, !reasons, ctz32(why));
    }
}

void cxl_hdm_gate_update(CXLHDMGate *gate, const PCIDevice *pdev)
{
    uint16_t cmd = pci_get_word(pdev->config + PCI_COMMAND);
    uint16_t power = 0;

    if (pdev->pm_cap) {
        power = pci_get_word(pdev->config + pdev->pm_cap + PCI_PM_CTRL) &
                PCI_PM_CTRL_STATE_MASK;
    }
    /* Close first: in between, the memory must not show */
    if (power) {
        cxl_hdm_gate_set(gate, CXL_HDM_GATE_POWER, true);
    }
    cxl_hdm_gate_set(gate, CXL_HDM_GATE_MEMORY_SPACE,
                     !(cmd & PCI_COMMAND_MEMORY));
    cxl_hdm_gate_set(gate, CXL_HDM_GATE_POWER, power);
}

bool cxl_config_asks_flr(const PCIDevice *pdev, uint32_t addr, uint32_t val,
                         int len)
{
    uint32_t pos = pdev->exp.exp_cap + PCI_EXP_DEVCTL + 1;

    return pdev->exp.exp_cap &&
           (pci_get_long(pdev->config + pdev->exp.exp_cap + PCI_EXP_DEVCAP) &
            PCI_EXP_DEVCAP_FLR) &&
           range_covers_byte(addr, len, pos) &&
           ((val >> (8 * (pos - addr))) & (PCI_EXP_DEVCTL_BCR_FLR >> 8));
}

bool cxl_config_asks_reset(const PCIDevice *pdev, uint16_t dvsec,
                           uint32_t addr, uint32_t val, int len)
{
    const uint32_t pos = dvsec + offsetof(CXLDVSECDevice, ctrl2);
    uint16_t cap = pci_get_word(pdev->config + dvsec +
                                offsetof(CXLDVSECDevice, cap));

    return (cap & DVSEC_CAP_RESET) && range_covers_byte(addr, len, pos) &&
           ((val >> (8 * (pos - addr))) & DVSEC_CTRL2_RESET);
}
