/*
 * CXL Fixed Memory Windows as places for HDM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_HDM_WINDOW_H
#define HW_CXL_HDM_WINDOW_H

#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_hdm_path.h"

/**
 * cxl_hdm_window_targets: is a host bridge among a window's targets?
 * @fw: the window
 * @pxb: the host bridge
 */
bool cxl_hdm_window_targets(const CXLFixedWindow *fw, const PXBCXLDev *pxb);

/**
 * cxl_hdm_window_contains: does a range lie in a window?
 * @fw: the window
 * @range: the range, of at least one byte
 */
bool cxl_hdm_window_contains(const CXLFixedWindow *fw,
                             const CXLHDMRange *range);

/**
 * cxl_hdm_window_find: the window around a range
 * @pxb: a host bridge, which must be a target of the window
 * @range: the range, of at least one byte
 *
 * Returns: the window, or NULL when the range lies in none.
 */
CXLFixedWindow *cxl_hdm_window_find(const PXBCXLDev *pxb,
                                    const CXLHDMRange *range);

#endif /* HW_CXL_HDM_WINDOW_H */
