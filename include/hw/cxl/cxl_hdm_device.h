/*
 * CXL devices that tell of their HDM
 *
 * What x-query-cxl asks a device with memory in a CXL Fixed Memory Window.
 * To take part, a device type
 *
 * - names TYPE_CXL_HDM_DEVICE among its interfaces,
 * - sets @describe in its class_init, and,
 * - if a CXLHDMPath maps its memory, calls cxl_hdm_path_report() when it
 *   opens that memory or closes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_HDM_DEVICE_H
#define HW_CXL_HDM_DEVICE_H

#include "hw/cxl/cxl_hdm_decoder.h"
#include "hw/cxl/cxl_hdm_path.h"
#include "hw/qdev-properties.h"
#include "qapi/qapi-types-cxl.h"
#include "qom/object.h"

#define TYPE_CXL_HDM_DEVICE "cxl-hdm-device"

typedef struct CXLHDMDevice CXLHDMDevice;
typedef struct CXLHDMDeviceClass CXLHDMDeviceClass;
DECLARE_CLASS_CHECKERS(CXLHDMDeviceClass, CXL_HDM_DEVICE, TYPE_CXL_HDM_DEVICE)
#define CXL_HDM_DEVICE(obj) \
    INTERFACE_CHECK(CXLHDMDevice, (obj), TYPE_CXL_HDM_DEVICE)

typedef struct CXLHDMDeviceInfo {
    const CXLHDMBlock *block;   /* the decoders that the guest sees */
    /*
     * Where the memory is.  NULL for an emulated device that is not mapped
     * but found by cxl_fmw_find_device(): then the rest does not count.
     */
    const CXLHDMPath *path;
    CxlDeviceBacking backing;
    char *source;               /* host address or socket, or NULL */
    uint32_t gates;             /* 1 << CxlHdmReason: why it is closed */
} CXLHDMDeviceInfo;

struct CXLHDMDeviceClass {
    InterfaceClass parent_class;

    /**
     * describe: tell of the HDM as it is now
     * @dev: the device, realized
     * @info: all 0; to be filled in.  @source becomes the caller's; block
     *        and path are read before anything else runs.
     *
     * Returns: false if this device has no HDM, as one that is used as plain
     * PCIe device.
     */
    bool (*describe)(CXLHDMDevice *dev, CXLHDMDeviceInfo *info);
};

/* A place in the window; CXL_HDM_OFFSET_AUTO, shown as "auto", if unset */
extern const PropertyInfo cxl_hdm_prop_offset;
#define DEFINE_PROP_CXL_HDM_OFFSET(_n, _s, _f) \
    DEFINE_PROP(_n, _s, _f, cxl_hdm_prop_offset, uint64_t, .set_default = true)

#endif /* HW_CXL_HDM_DEVICE_H */
