/*
 * CXL devices that tell of their HDM: the interface's type
 *
 * Here also without CONFIG_CXL, for device types that have it all the same.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_hdm_device.h"

static const TypeInfo cxl_hdm_device_info = {
    .name = TYPE_CXL_HDM_DEVICE,
    .parent = TYPE_INTERFACE,
    .class_size = sizeof(CXLHDMDeviceClass),
};

static void cxl_hdm_device_register_types(void)
{
    type_register_static(&cxl_hdm_device_info);
}

type_init(cxl_hdm_device_register_types)
