/*
 * Why a VFIO region's information was refused
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_REGION_INFO_H
#define HW_VFIO_REGION_INFO_H

#include "hw/vfio/vfio-device.h"
#include "hw/vfio/vfio-region.h"

/**
 * vfio_region_info_error: turn a failure into a message with its reason
 * @vbasedev: the device
 * @index: the region
 * @ret: what vfio_device_get_region_info() returned, negative errno
 * @errp: set to region, rule and figure
 */
void vfio_region_info_error(VFIODevice *vbasedev, int index, int ret,
                            Error **errp);

/**
 * vfio_region_check_bar: may a region become a BAR?
 * @region: one of the regions 0 to 5
 * @errp: region, rule and figure
 *
 * The PCI core asserts what is only checked here: that the size is a power
 * of two, or 0 for no BAR.
 */
bool vfio_region_check_bar(const VFIORegion *region, Error **errp);

#endif /* HW_VFIO_REGION_INFO_H */
