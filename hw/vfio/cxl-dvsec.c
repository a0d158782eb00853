/*
 * CXL Type-2 device passthrough: the CXL Device DVSEC that the guest sees
 *
 * CXL r3.1 section 8.1.3: PCIe DVSEC for CXL Devices
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_pci.h"
#include "cxl.h"
#include "cxl-int.h"

/* Section 8.1.3.5: Status2 */
#define DVSEC_STATUS2_RESET_COMPLETE (1 << 1)
#define DVSEC_STATUS2_RESET_ERROR (1 << 2)

static void emulate_long(VFIOPCIDevice *vdev, int pos, uint32_t value)
{
    PCIDevice *pdev = PCI_DEVICE(vdev);

    pci_set_long(pdev->config + pos, value);
    pci_set_long(pdev->wmask + pos, 0);
    pci_set_long(vdev->emulated_config_bits + pos, ~0);
}

void vfio_cxl_dvsec_clear(VFIOPCIDevice *vdev, uint16_t dvsec,
                          unsigned int first)
{
    unsigned int reg;

    for (reg = first; reg < offsetof(CXLDVSECDevice, cap3) &&
         dvsec + reg + 4 <= vdev->config_size; reg += 4) {
        emulate_long(vdev, dvsec + reg, 0);
    }
}

/*
 * The ranges are the decoder's older twin and hold the host's base as well:
 * sections 8.1.3.8 and 8.1.3.9.  A base that the guest commits is not
 * reflected in them, as it is not on hardware.
 */
void vfio_cxl_dvsec_setup(VFIOCXL *cxl)
{
    VFIOPCIDevice *vdev = cxl->vdev;
    uint64_t base = cxl_hdm_path_base(cxl->path);
    uint64_t size = cxl->regs.block.hdm_size;
    const int range = cxl->dvsec;
    const int size_lo = range + offsetof(CXLDVSECDevice, range1_size_lo);
    uint32_t attributes = pci_get_long(PCI_DEVICE(vdev)->config + size_lo) &
                          ~0xf0000000;

    emulate_long(vdev, range + offsetof(CXLDVSECDevice, range1_size_hi),
                 size >> 32);
    emulate_long(vdev, size_lo, (uint32_t)size | attributes);
    emulate_long(vdev, range + offsetof(CXLDVSECDevice, range1_base_hi),
                 base >> 32);
    emulate_long(vdev, range + offsetof(CXLDVSECDevice, range1_base_lo),
                 (uint32_t)base);
    /* One decoder, one range */
    vfio_cxl_dvsec_clear(vdev, range,
                         offsetof(CXLDVSECDevice, range2_size_hi));
}

/*
 * Without the memory, a CXL driver in the guest would only fail.  Dropped
 * from the chain, the DVSEC can still be read by who knows its place.
 */
bool vfio_cxl_hides_dvsec(VFIOPCIDevice *vdev, uint16_t pos)
{
    const uint8_t *dvsec = PCI_DEVICE(vdev)->config + pos;

    if (!vfio_cxl_is_plain(vdev) ||
        pos + sizeof(DVSECHeader) > vdev->config_size ||
        pci_get_word(dvsec + PCIE_DVSEC_HEADER1_OFFSET) != CXL_VENDOR_ID) {
        return false;
    }
    if (pci_get_word(dvsec + PCIE_DVSEC_ID_OFFSET) == PCIE_CXL_DEVICE_DVSEC) {
        vfio_cxl_dvsec_clear(vdev, pos,
                             offsetof(CXLDVSECDevice, range1_size_hi));
    }
    return true;
}

/*
 * The host pretends that the reset which the guest initiates is complete at
 * once.  When the one that QEMU does for it fails, the guest has to know.
 */
void vfio_cxl_dvsec_set_reset_error(VFIOCXL *cxl, bool error)
{
    const uint32_t pos = cxl->dvsec + offsetof(CXLDVSECDevice, status2);
    VFIOPCIDevice *vdev = cxl->vdev;
    const uint16_t bits = DVSEC_STATUS2_RESET_COMPLETE |
                          DVSEC_STATUS2_RESET_ERROR;

    if (error) {
        pci_word_test_and_clear_mask(PCI_DEVICE(vdev)->config + pos, bits);
        pci_word_test_and_set_mask(PCI_DEVICE(vdev)->config + pos,
                                   DVSEC_STATUS2_RESET_ERROR);
        pci_word_test_and_clear_mask(PCI_DEVICE(vdev)->wmask + pos, bits);
        pci_word_test_and_set_mask(vdev->emulated_config_bits + pos, bits);
    } else {
        pci_word_test_and_clear_mask(vdev->emulated_config_bits + pos, bits);
    }
}
