/*
 * CXL Fixed Memory Windows as places for HDM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_host.h"
#include "hw/pci/pci_bridge.h"
#include "cxl-hdm-window.h"

/*
 * The machine resolves the names of a window's targets after the cold-plugged
 * devices are realized, which is too late to fail properly.  This endpoint's
 * bridge exists already, so a name that does not resolve is another bridge.
 */
bool cxl_hdm_window_targets(const CXLFixedWindow *fw, const PXBCXLDev *pxb)
{
    const char *name = object_get_canonical_path_component(OBJECT(pxb));
    int i;

    for (i = 0; i < fw->num_targets; i++) {
        const char *slash = strrchr(fw->targets[i], '/');

        /* Resolving walks over all objects, so look at the name first */
        if (!g_strcmp0(slash ? slash + 1 : fw->targets[i], name) &&
            object_resolve_path_type(fw->targets[i], TYPE_PXB_CXL_DEV,
                                     NULL) == OBJECT(pxb)) {
            return true;
        }
    }
    return false;
}

bool cxl_hdm_window_contains(const CXLFixedWindow *fw,
                             const CXLHDMRange *range)
{
    return range->base >= fw->base && range->size <= fw->size &&
           range->base - fw->base <= fw->size - range->size;
}

CXLFixedWindow *cxl_hdm_window_find(const PXBCXLDev *pxb,
                                    const CXLHDMRange *range)
{
    g_autoptr(GSList) windows = cxl_fmws_get_all_sorted();
    GSList *iter;

    for (iter = windows; iter; iter = iter->next) {
        CXLFixedWindow *fw = CXL_FMW(iter->data);

        if (cxl_hdm_window_contains(fw, range) &&
            cxl_hdm_window_targets(fw, pxb)) {
            return fw;
        }
    }
    return NULL;
}
