/*
 * Why a VFIO region's information was refused
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_REGION_INFO_H
#define HW_VFIO_REGION_INFO_H

#include "hw/vfio/vfio-device.h"

/**
 * vfio_region_info_error: turn a failure into a message with its reason
 * @vbasedev: the device
 * @index: the region
 * @ret: what vfio_device_get_region_info() returned, negative errno
 * @errp: set to region, rule and figure
 */
void vfio_region_info_error(VFIODevice *vbasedev, int index, int ret,
                            Error **errp);

#endif /* HW_VFIO_REGION_INFO_H */
