/*
 * Choice of a free range for HDM: plain arithmetic, no devices
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_hdm_decoder.h"
#include "hw/cxl/cxl_hdm_path.h"

uint64_t cxl_hdm_first_free(uint64_t from, const CXLHDMRange *used,
                            unsigned int n_used, uint64_t size)
{
    uint64_t base = ROUND_UP(from, CXL_HDM_DECODER_ALIGN);
    unsigned int i = 0;

    /* Each conflict moves the base up, so this ends after n_used moves */
    while (i < n_used) {
        uint64_t end = used[i].base + used[i].size;

        if (base < end && used[i].base < base + size) {
            base = ROUND_UP(end, CXL_HDM_DECODER_ALIGN);
            i = 0;
        } else {
            i++;
        }
    }
    return base;
}
