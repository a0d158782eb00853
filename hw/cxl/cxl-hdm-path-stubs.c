/*
 * Placement of HDM in a build without CXL
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/cxl/cxl_hdm_path.h"

CXLHDMPath *cxl_hdm_path_new(PCIDevice *endpoint, const CXLHDMWish *wish,
                             Error **errp)
{
    error_setg(errp, "CXL device needs CXL host bridges, but this QEMU was "
               "built without CONFIG_CXL: use one with it%s%s%s",
               wish->instead ? ", or set " : "",
               wish->instead ? wish->instead : "",
               wish->instead ? " on the device" : "");
    return NULL;
}

void cxl_hdm_path_free(CXLHDMPath *path)
{
}

hwaddr cxl_hdm_path_base(const CXLHDMPath *path)
{
    g_assert_not_reached();
}

const char *cxl_hdm_path_refuse(const CXLHDMPath *path, uint64_t base,
                                uint64_t size)
{
    g_assert_not_reached();
}

bool cxl_hdm_path_mapped(const CXLHDMPath *path)
{
    g_assert_not_reached();
}

void cxl_hdm_path_map(CXLHDMPath *path, uint64_t base, MemoryRegion *mr)
{
    g_assert_not_reached();
}

void cxl_hdm_path_unmap(CXLHDMPath *path)
{
    g_assert_not_reached();
}

void cxl_hdm_path_report(CXLHDMPath *path, bool open, CxlHdmReason reason)
{
}

void cxl_hdm_host_reset(CXLHost *host)
{
}
