/*
 * Emulated CXL Type-2 device: config space
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/range.h"
#include "hw/cxl/cxl_component.h"
#include "hw/cxl/cxl_pci.h"
#include "hw/pci/pci.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_aer.h"
#include "hw/pci/pcie_port.h"
#include "cxl-type2-int.h"

/* Where the capabilities stand; MSI-X is at 0x50 */
#define CAP_PM 0x40
#define CAP_EXP 0x60
#define EXT_AER 0x100
#define EXT_DSN 0x150
#define EXT_DVSEC 0x160

/*
 * CXL Device DVSEC, CXL r3.1 section 8.1.3.  Capability: cache, io, mem,
 * hardware init, one HDM range, write-back capable, reset capable within
 * 100 ms, memory clear on reset.
 */
#define DEVICE_CAP 0x09df
/* Control: io and mem enabled, and they stay so */
#define DEVICE_CTRL 0x0006
#define DEVICE_CTRL_WMASK 0x5ff9
/* Status: viral */
#define DEVICE_STATUS_W1C 0x4000
/* Control2: without the doorbells, which read 0 */
#define DEVICE_CTRL2_WMASK 0x0039
#define CTRL2_FLUSH (1 << 1)
#define CTRL2_MEM_CLEAR (1 << 3)
/* Status2: power management init done */
#define DEVICE_STATUS2 0x8000
#define STATUS2_INVALID (1 << 0)
#define STATUS2_RESET_DONE (1 << 1)
#define STATUS2_RESET_ERROR (1 << 2)
/* Capability2: 1 MiB of cache */
#define DEVICE_CAP2 0x0102
/* Range size: valid and active */
#define RANGE_STATE 0x3

/* Flex Bus Port, section 8.1.8: cache, io, mem, 68-byte flits */
#define FLEXBUS_MODES 0x27

static uint16_t dvsec_add(PCIDevice *pdev, uint16_t offset, uint16_t id,
                          uint8_t revision, uint16_t length)
{
    pcie_add_capability(pdev, PCI_EXT_CAP_ID_DVSEC, 1, offset, length);
    pci_set_long(pdev->config + offset + PCIE_DVSEC_HEADER1_OFFSET,
                 (uint32_t)length << 20 | revision << 16 | CXL_VENDOR_ID);
    pci_set_word(pdev->config + offset + PCIE_DVSEC_ID_OFFSET, id);
    return offset + length;
}

static void set_word(uint8_t *config, uint16_t dvsec, size_t reg,
                     uint16_t value)
{
    pci_set_word(config + dvsec + reg, value);
}

static void device_dvsec_init(CXLType2Dev *ct2)
{
    PCIDevice *pdev = PCI_DEVICE(ct2);
    uint64_t base = cxl_hdm_path_base(ct2->path);
    uint8_t *range = pdev->config + ct2->dvsec;

    set_word(pdev->config, ct2->dvsec, offsetof(CXLDVSECDevice, cap),
             DEVICE_CAP);
    set_word(pdev->wmask, ct2->dvsec, offsetof(CXLDVSECDevice, ctrl),
             DEVICE_CTRL_WMASK);
    set_word(pdev->w1cmask, ct2->dvsec, offsetof(CXLDVSECDevice, status),
             DEVICE_STATUS_W1C);
    set_word(pdev->wmask, ct2->dvsec, offsetof(CXLDVSECDevice, ctrl2),
             DEVICE_CTRL2_WMASK);
    set_word(pdev->config, ct2->dvsec, offsetof(CXLDVSECDevice, cap2),
             DEVICE_CAP2);
    pci_set_long(range + offsetof(CXLDVSECDevice, range1_size_hi),
                 ct2->hdm_size >> 32);
    pci_set_long(range + offsetof(CXLDVSECDevice, range1_size_lo),
                 (uint32_t)ct2->hdm_size | RANGE_STATE);
    pci_set_long(range + offsetof(CXLDVSECDevice, range1_base_hi),
                 base >> 32);
    pci_set_long(range + offsetof(CXLDVSECDevice, range1_base_lo),
                 (uint32_t)base);
}

void cxl_type2_config_reset(CXLType2Dev *ct2)
{
    uint8_t *config = PCI_DEVICE(ct2)->config;

    set_word(config, ct2->dvsec, offsetof(CXLDVSECDevice, ctrl), DEVICE_CTRL);
    set_word(config, ct2->dvsec, offsetof(CXLDVSECDevice, status), 0);
    set_word(config, ct2->dvsec, offsetof(CXLDVSECDevice, ctrl2), 0);
    set_word(config, ct2->dvsec, offsetof(CXLDVSECDevice, status2),
             DEVICE_STATUS2);
}

/* All that a single logical device needs, CXL r3.1 table 8-2 */
static void dvsecs_init(CXLType2Dev *ct2)
{
    PCIDevice *pdev = PCI_DEVICE(ct2);
    const CxlIdentity *id = ct2->id;
    uint16_t pos = EXT_DVSEC;
    uint16_t next;

    ct2->dvsec = pos;
    pos = dvsec_add(pdev, pos, PCIE_CXL_DEVICE_DVSEC,
                    PCIE_CXL31_DEVICE_DVSEC_REVID,
                    PCIE_CXL_DEVICE_DVSEC_LENGTH);
    device_dvsec_init(ct2);
    pos = QEMU_ALIGN_UP(pos, 0x10);

    next = dvsec_add(pdev, pos, PCIE_FLEXBUS_PORT_DVSEC,
                     PCIE_CXL3_FLEXBUS_PORT_DVSEC_REVID,
                     PCIE_CXL3_FLEXBUS_PORT_DVSEC_LENGTH);
    set_word(pdev->config, pos, offsetof(CXLDVSECPortFlexBus, cap),
             FLEXBUS_MODES);
    set_word(pdev->config, pos, offsetof(CXLDVSECPortFlexBus, ctrl),
             FLEXBUS_MODES);
    set_word(pdev->config, pos, offsetof(CXLDVSECPortFlexBus, status),
             FLEXBUS_MODES);

    /* One entry: the component block, section 8.1.9 */
    pos = next;
    next = dvsec_add(pdev, pos, REG_LOC_DVSEC, REG_LOC_DVSEC_REVID,
                     offsetof(CXLDVSECRegisterLocator, reg1_base_lo));
    pci_set_long(pdev->config + pos +
                 offsetof(CXLDVSECRegisterLocator, reg0_base_lo),
                 id->comp_offset | RBI_COMPONENT_REG | id->comp_bar);

    /* Nothing is to be saved at a power failure: the memory is volatile */
    pos = QEMU_ALIGN_UP(next, 0x10);
    dvsec_add(pdev, pos, GPF_DEVICE_DVSEC, GPF_DEVICE_DVSEC_REVID,
              GPF_DEVICE_DVSEC_LENGTH);
}

/*
 * Devices of one machine differ by default: chassis and slot of a root port
 * are different in the whole machine.
 */
static void serial_init(CXLType2Dev *ct2)
{
    PCIDevice *pdev = PCI_DEVICE(ct2);

    if (!ct2->serial) {
        PCIESlot *slot = PCIE_SLOT(pci_bridge_get_device(pci_get_bus(pdev)));

        ct2->serial = CXL_TYPE2_SERIAL(1, slot->chassis << 16 | slot->slot);
    }
    pcie_dev_ser_num_init(pdev, EXT_DSN, ct2->serial);
}

static void link_init(PCIDevice *pdev)
{
    const CxlLinkCap *cap;

    pcie_cap_fill_link_ep_usp(pdev, QEMU_PCI_EXP_LNK_X8,
                              QEMU_PCI_EXP_LNK_32GT);
    pci_set_word(pdev->config + CAP_EXP + PCI_EXP_LNKSTA2, CXL_TYPE2_LNKSTA2);

    for (unsigned i = 0; (cap = cxl_link_cap_nth(i)); i++) {
        pcie_add_capability(pdev, cap->id, 1, cap->offset, cap->size);
        for (unsigned r = 0; r < CXL_LINK_CAP_REGS && cap->reg[r].offset;
             r++) {
            pci_set_long(pdev->config + cap->offset + cap->reg[r].offset,
                         cap->reg[r].value);
        }
    }
}

bool cxl_type2_config_init(CXLType2Dev *ct2, Error **errp)
{
    PCIDevice *pdev = PCI_DEVICE(ct2);
    const CxlIdentity *id = ct2->id;
    uint8_t *config = pdev->config;

    pci_config_set_vendor_id(config, id->vendor);
    pci_config_set_device_id(config, id->device);
    pci_config_set_revision(config, id->revision);
    pci_config_set_class(config, id->class_code >> 8);
    pci_config_set_prog_interface(config, id->class_code & 0xff);
    pci_set_word(config + PCI_SUBSYSTEM_VENDOR_ID, id->sub_vendor);
    pci_set_word(config + PCI_SUBSYSTEM_ID, id->sub_device);

    if (pci_pm_init(pdev, CAP_PM, errp) < 0) {
        return false;
    }
    pci_set_word(config + CAP_PM + PCI_PM_PMC, 3);
    pci_set_word(config + CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
    pci_set_word(pdev->wmask + CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);
    pcie_endpoint_cap_init(pdev, CAP_EXP);
    pcie_cap_deverr_init(pdev);
    pcie_cap_flr_init(pdev);
    if (pcie_aer_init(pdev, PCI_ERR_VER, EXT_AER, PCI_ERR_SIZEOF, errp) < 0) {
        return false;
    }
    serial_init(ct2);
    dvsecs_init(ct2);
    link_init(pdev);
    cxl_type2_config_reset(ct2);
    return true;
}

void cxl_type2_config_exit(CXLType2Dev *ct2)
{
    PCIDevice *pdev = PCI_DEVICE(ct2);

    if (pdev->exp.aer_cap) {
        pcie_aer_exit(pdev);
    }
}

bool cxl_type2_config_mem_clear(const CXLType2Dev *ct2)
{
    return pci_get_word(PCI_DEVICE(ct2)->config + ct2->dvsec +
                        offsetof(CXLDVSECDevice, ctrl2)) & CTRL2_MEM_CLEAR;
}

static uint8_t *status2(CXLType2Dev *ct2)
{
    return PCI_DEVICE(ct2)->config + ct2->dvsec +
           offsetof(CXLDVSECDevice, status2);
}

void cxl_type2_config_reset_done(CXLType2Dev *ct2)
{
    pci_word_test_and_set_mask(status2(ct2), STATUS2_RESET_DONE);
}

/* The bits of a write that ring Control2's doorbells */
static uint8_t doorbells(const CXLType2Dev *ct2, uint32_t addr, uint32_t val,
                         int len)
{
    uint32_t pos = ct2->dvsec + offsetof(CXLDVSECDevice, ctrl2);

    return range_covers_byte(addr, len, pos) ? val >> (8 * (pos - addr)) : 0;
}

void cxl_type2_config_write(PCIDevice *pdev, uint32_t addr, uint32_t val,
                            int len)
{
    CXLType2Dev *ct2 = CXL_TYPE2(pdev);

    pci_default_write_config(pdev, addr, val, len);
    pcie_aer_write_config(pdev, addr, val, len);
    pcie_cap_flr_write_config(pdev, addr, val, len);
    if (doorbells(ct2, addr, val, len) & CTRL2_FLUSH) {
        /* There is no cache, so it is clean and invalid at once */
        pci_word_test_and_set_mask(status2(ct2), STATUS2_INVALID);
    }
    if (cxl_config_asks_reset(pdev, ct2->dvsec, addr, val, len)) {
        pci_word_test_and_clear_mask(status2(ct2), STATUS2_RESET_DONE |
                                     STATUS2_RESET_ERROR);
        cxl_type2_reset_start(ct2);
    }
    cxl_hdm_gate_update(&ct2->gate, pdev);
}
