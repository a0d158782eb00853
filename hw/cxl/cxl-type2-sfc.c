/*
 * Registers of the sfc network adapter, as far as they matter
 *
 * Nothing but the CXL side of the adapter is modelled, so its driver has to
 * give up in the end.  That the management processor seems to start slowly,
 * and then is there but never answers, only makes the driver wait: the CXL
 * region that it has attached before stays in use meanwhile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/cxl/cxl_type2_model.h"

/* Boot status of the management processor: mark and count of its boots */
#define SFC_BOOT_STATUS 0x10
#define SFC_BOOT_DONE 0xb0070001

/* The driver polls five times, a second apart, before it calls this a fault */
#define SFC_POLLS 5

void cxl_sfc_reset(CxlSfc *s)
{
    s->polls = 0;
}

void cxl_sfc_read(CxlSfc *s, uint64_t off, uint8_t *buf, uint32_t len)
{
    memset(buf, 0, len);
    if (off == SFC_BOOT_STATUS && len == 4 && ++s->polls == SFC_POLLS) {
        stl_le_p(buf, SFC_BOOT_DONE);
        s->polls = 0;
    }
}

/* Whatever the driver asks for, the processor starts again after it */
void cxl_sfc_write(CxlSfc *s)
{
    s->polls = 0;
}
