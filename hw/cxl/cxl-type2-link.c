/*
 * What a PCIe function shows of a link at 32 GT/s with eight lanes
 *
 * CXL 1.1 to 2.0 runs on such links only (68-byte flits).  PCIe 5.0 demands
 * these capabilities for the speed; the link is up and equalized.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/cxl/cxl_type2_model.h"

/* PCIe 5.0 section 7.7.8; pci_regs.h has no name for it */
#define EXT_CAP_ID_MARGINING 0x27

/* Of registers that hold one field for each lane */
#define PER_LANE(bytes) ((bytes) * CXL_TYPE2_LANES)

/* "No Command", which is what a lane's control shows after a reset */
#define LANE_NO_COMMAND 0x9c38

/* Status of 16 and 32 GT/s: equalization and its three phases are through */
#define EQUALIZED 0xf

/* 32 GT/s: modified training sets for PCIe and for another protocol */
#define TS_USAGE_PCIE (1 << 8)
#define TS_USAGE_ALTERNATE (1 << 10)
#define TS_RECEIVED (1 << 5)
/* Usage mode 2, alternate protocol, in the name of the CXL consortium */
#define TS_DATA_CXL (0x1e98 << 16 | 2)

static const CxlLinkCap caps[] = {
    {
        .id = PCI_EXT_CAP_ID_SECPCI,
        .offset = 0x1f0,
        .size = PCI_SECPCI_LE_CTRL + PER_LANE(2),
    }, {
        .id = PCI_EXT_CAP_ID_DLF,
        .offset = 0x210,
        .size = 0x0c,
        /* scaled flow control on both sides, and the exchange is through */
        .reg = {
            { PCI_DLF_CAP, PCI_DLF_EXCHANGE_ENABLE | 1 },
            { 0x08, 0x80000001 },
        },
    }, {
        .id = PCI_EXT_CAP_ID_PL_16GT,
        .offset = 0x220,
        .size = PCI_PL_16GT_LE_CTRL + PER_LANE(1),
        .reg = { { 0x0c, EQUALIZED } },
    }, {
        .id = EXT_CAP_ID_MARGINING,
        .offset = 0x250,
        .size = 0x08 + PER_LANE(4),
        /* status: ready */
        .reg = {
            { 0x04, 1 << 16 },
            { 0x08, LANE_NO_COMMAND }, { 0x0c, LANE_NO_COMMAND },
            { 0x10, LANE_NO_COMMAND }, { 0x14, LANE_NO_COMMAND },
            { 0x18, LANE_NO_COMMAND }, { 0x1c, LANE_NO_COMMAND },
            { 0x20, LANE_NO_COMMAND }, { 0x24, LANE_NO_COMMAND },
        },
    }, {
        .id = PCI_EXT_CAP_ID_PL_32GT,
        .offset = 0x280,
        .size = PCI_PL_32GT_LE_CTRL + PER_LANE(1),
        .reg = {
            { 0x04, TS_USAGE_PCIE | TS_USAGE_ALTERNATE },
            { 0x0c, EQUALIZED | TS_RECEIVED },
            { 0x10, TS_DATA_CXL },
            { 0x18, TS_DATA_CXL },
        },
    },
};

const CxlLinkCap *cxl_link_cap_nth(unsigned i)
{
    return i < ARRAY_SIZE(caps) ? &caps[i] : NULL;
}
