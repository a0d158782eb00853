/*
 * What a root port shows of the link to a CXL device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_HDM_PORT_H
#define HW_CXL_HDM_PORT_H

#include "hw/pci/pci_device.h"

/**
 * cxl_hdm_port_set_cache: show that the link carries CXL.cache, or not
 * @endpoint: a device that comes or goes directly below a cxl-rp
 * @on: whether a device with CXL.cache is there
 *
 * CXL r3.1 sections 8.1.8.2 and 8.1.8.3.
 */
void cxl_hdm_port_set_cache(PCIDevice *endpoint, bool on);

#endif /* HW_CXL_HDM_PORT_H */
