/*
 * The CXL Type-2 devices to pose as
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/cxl/cxl_type2_model.h"

#define BAR_32 (PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_32)
#define BAR_64_NOPREF (PCI_BASE_ADDRESS_SPACE_MEMORY | \
                       PCI_BASE_ADDRESS_MEM_TYPE_64)
#define BAR_64 (PCI_BASE_ADDRESS_SPACE_MEMORY | \
                PCI_BASE_ADDRESS_MEM_TYPE_64 | \
                PCI_BASE_ADDRESS_MEM_PREFETCH)

static const CxlIdentity identities[] = {
    {
        .name = "sfc",
        .about = "network adapter with CXL memory, for Linux's sfc driver",
        .vendor = 0x1924,
        .device = 0x0b03,
        .sub_vendor = 0x1924,
        .sub_device = 0x8022,
        .class_code = 0x020000,
        .hdm_capacity = 256 * MiB,
        /* the driver takes its registers from BAR 0 */
        .bar[0] = { 1 * MiB, BAR_64 },
        .bar[2] = { 64 * KiB, BAR_64 },
        .bar[4] = { 64 * KiB, BAR_64 },
        .comp_bar = 4,
        .comp_offset = 0,
        .ras_offset = 0x80,
        .hdm_offset = 0x128,
        .msix_bar = 2,
        .msix_table = 0,
        .msix_pba = 0x8000,
        .msix_vectors = 16,
        .sfc_regs = true,
    }, {
        .name = "accel",
        .about = "generic accelerator with a copy engine, any memory size",
        /* see docs/specs/pci-ids.rst; no driver of Linux has this vendor */
        .vendor = 0x1b36,
        .device = 0x00f2,
        .sub_vendor = 0x1af4,
        .sub_device = 0x1100,
        .class_code = 0x120000,
        .revision = 1,
        .bar[0] = { 2 * MiB, BAR_64_NOPREF },
        .sram_offset = 1 * MiB,
        .bar[2] = { 128 * KiB, BAR_64 },
        .bar[4] = { 64 * KiB, BAR_32 },
        .comp_bar = 2,
        .comp_offset = 0x10000,
        .ras_offset = 0x400,
        .hdm_offset = 0x200,
        .hdm_first = true,
        .msix_bar = 4,
        .msix_table = 0x1000,
        .msix_pba = 0x2000,
        .msix_vectors = 4,
    },
};

const CxlIdentity *cxl_identity_nth(unsigned i)
{
    return i < ARRAY_SIZE(identities) ? &identities[i] : NULL;
}

const CxlIdentity *cxl_identity_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(identities); i++) {
        if (strcmp(identities[i].name, name) == 0) {
            return &identities[i];
        }
    }
    return NULL;
}
