/*
 * Why a VFIO region's information was refused
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qapi/error.h"
#include "region-caps.h"
#include "region-info.h"

/* Ask once more, since the refused reply is gone, and say what is wrong */
static bool region_info_explain(VFIODevice *vbasedev, int index, Error **errp)
{
    g_autofree struct vfio_region_info *info =
        g_malloc0(VFIO_REGION_INFO_MAX_SIZE);
    int fd = -1;
    int ret;

    info->argsz = VFIO_REGION_INFO_MAX_SIZE;
    info->index = index;
    ret = vbasedev->io_ops->get_region_info(vbasedev, info, &fd);
    if (ret) {
        return false; /* and what a failed call left in fd is not ours */
    }
    if (fd != -1) {
        close(fd);
    }
    if (info->argsz > VFIO_REGION_INFO_MAX_SIZE) {
        error_setg(errp, "region %d: its description takes %u bytes, at most "
                   "%d are accepted", index, info->argsz,
                   VFIO_REGION_INFO_MAX_SIZE);
        return true;
    }
    return !vfio_region_info_check(info, info->argsz, errp);
}

bool vfio_region_check_bar(const VFIORegion *region, Error **errp)
{
    if (region->size && !is_power_of_2(region->size)) {
        error_setg(errp, "region %u has size 0x%zx: the size of a BAR must be "
                   "a power of two", region->nr, region->size);
        return false;
    }
    return true;
}

void vfio_region_info_error(VFIODevice *vbasedev, int index, int ret,
                            Error **errp)
{
    if (ret != -EBADMSG || !region_info_explain(vbasedev, index, errp)) {
        error_setg_errno(errp, -ret, "failed to get region %d info", index);
    }
}
