/*
 * What a root port shows of the link to a CXL device
 *
 * CXL r3.1 section 8.1.8: PCIe DVSEC for Flex Bus Port
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_hdm_port.h"
#include "hw/cxl/cxl_pci.h"
#include "hw/pci/pci_bridge.h"

#define FLEXBUS_CACHE (1 << 0)

/* The chain is QEMU's own, so it ends */
static uint16_t find_flexbus(const PCIDevice *port)
{
    uint16_t pos = PCI_CONFIG_SPACE_SIZE;

    while (pos) {
        const uint8_t *cap = port->config + pos;
        uint32_t header = pci_get_long(cap);

        if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_DVSEC &&
            pci_get_word(cap + PCIE_DVSEC_HEADER1_OFFSET) == CXL_VENDOR_ID &&
            pci_get_word(cap + PCIE_DVSEC_ID_OFFSET) ==
            PCIE_FLEXBUS_PORT_DVSEC) {
            break;
        }
        pos = PCI_EXT_CAP_NEXT(header);
    }
    return pos;
}

void cxl_hdm_port_set_cache(PCIDevice *endpoint, bool on)
{
    PCIDevice *port = pci_bridge_get_device(pci_get_bus(endpoint));
    uint16_t pos = port ? find_flexbus(port) : 0;
    uint8_t *reg;

    if (!pos) {
        return;
    }
    reg = port->config + pos;
    if (on) {
        pci_word_test_and_set_mask(reg + offsetof(CXLDVSECPortFlexBus, ctrl),
                                   FLEXBUS_CACHE);
        pci_word_test_and_set_mask(reg + offsetof(CXLDVSECPortFlexBus, status),
                                   FLEXBUS_CACHE);
    } else {
        pci_word_test_and_clear_mask(reg + offsetof(CXLDVSECPortFlexBus, ctrl),
                                     FLEXBUS_CACHE);
        pci_word_test_and_clear_mask(reg +
                                     offsetof(CXLDVSECPortFlexBus, status),
                                     FLEXBUS_CACHE);
    }
}
