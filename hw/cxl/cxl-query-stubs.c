/*
 * QMP command x-query-cxl in a build without CXL
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-commands-cxl.h"

CxlInfo *qmp_x_query_cxl(Error **errp)
{
    return g_new0(CxlInfo, 1);
}
