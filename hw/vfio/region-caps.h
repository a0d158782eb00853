/*
 * Checks of what the other side says about a VFIO region
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_REGION_CAPS_H
#define HW_VFIO_REGION_CAPS_H

#include <linux/vfio.h>

/*
 * No region needs a reply this long; a reply that keeps asking for more
 * would otherwise go on until memory is used up.
 */
#define VFIO_REGION_INFO_MAX_SIZE (64 * 1024)

/**
 * vfio_region_info_check: is a region's capability chain safe to walk?
 * @info: the reply, capabilities included
 * @len: bytes of @info that may be read
 * @errp: region, offset and rule that is broken
 *
 * With vfio-user the reply comes from an unprivileged process, so nothing
 * in it may be trusted: each capability must lie inside the reply, the chain
 * must end, and the capabilities that QEMU reads must be whole and point
 * inside the region.
 *
 * Returns: true when the chain may be walked and its capabilities read.
 */
bool vfio_region_info_check(const struct vfio_region_info *info, size_t len,
                            Error **errp);

/**
 * vfio_region_info_cap: find a capability of a checked region
 * @info: a reply that passed vfio_region_info_check()
 * @id: VFIO_REGION_INFO_CAP_*
 *
 * Returns: the capability, or NULL.
 */
const void *vfio_region_info_cap(const struct vfio_region_info *info,
                                 uint16_t id);

#endif /* HW_VFIO_REGION_CAPS_H */
