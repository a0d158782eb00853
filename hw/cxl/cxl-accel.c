/*
 * The registers of a generic CXL accelerator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/cxl/cxl_accel.h"

void cxl_accel_init(CxlAccel *a, const CxlCopyConfig *config,
                    uint64_t capacity, const CxlCopyOps *ops, void *opaque)
{
    CxlCopyConfig copy = *config;

    copy.chunk = CXL_ACCEL_COPY_CHUNK;
    a->capacity = capacity;
    cxl_copy_init(&a->copy, &copy, ops, opaque);
    cxl_accel_reset(a);
}

void cxl_accel_cleanup(CxlAccel *a)
{
    if (a->copy.buf) {
        cxl_copy_cleanup(&a->copy);
    }
}

void cxl_accel_reset(CxlAccel *a)
{
    memset(a->regs, 0, sizeof(a->regs));
    a->rings = 0;
    memcpy(a->regs + CXL_ACCEL_ID, "CXT2", 4);
    stl_le_p(a->regs + CXL_ACCEL_VERSION, 0x00020000);
    stq_le_p(a->regs + CXL_ACCEL_CAPACITY, a->capacity);
    stl_le_p(a->regs + CXL_ACCEL_VECTORS, a->copy.config.vectors);
    cxl_copy_reset(&a->copy);
}

void cxl_accel_read(const CxlAccel *a, uint64_t off, uint8_t *buf,
                    uint32_t len)
{
    memset(buf, 0, len);
    if (off < sizeof(a->regs)) {
        memcpy(buf, a->regs + off, MIN(len, sizeof(a->regs) - off));
    }
    if (off >= CXL_ACCEL_COPY) {
        cxl_copy_read(&a->copy, off - CXL_ACCEL_COPY, buf, len);
    } else if (off + len > CXL_ACCEL_COPY) {
        uint32_t skip = CXL_ACCEL_COPY - off;

        cxl_copy_read(&a->copy, 0, buf + skip, len - skip);
    }
}

static void accel_ring(CxlAccel *a, uint32_t vector)
{
    if (vector >= a->copy.config.vectors) {
        return;
    }
    stl_le_p(a->regs + CXL_ACCEL_RINGS, ++a->rings);
    a->copy.ops->irq(a->copy.opaque, vector);
}

void cxl_accel_write(CxlAccel *a, uint64_t off, const uint8_t *buf,
                     uint32_t len)
{
    uint64_t end = off + len;

    for (uint64_t i = MAX(off, CXL_ACCEL_SCRATCH);
         i < MIN(end, CXL_ACCEL_SCRATCH + 8); i++) {
        a->regs[i] = buf[i - off];
    }
    if (off <= CXL_ACCEL_DOORBELL && end >= CXL_ACCEL_DOORBELL + 4) {
        accel_ring(a, ldl_le_p(buf + (CXL_ACCEL_DOORBELL - off)));
    }
    if (off >= CXL_ACCEL_COPY) {
        cxl_copy_write(&a->copy, off - CXL_ACCEL_COPY, buf, len);
    } else if (end > CXL_ACCEL_COPY) {
        uint32_t skip = CXL_ACCEL_COPY - off;

        cxl_copy_write(&a->copy, 0, buf + skip, len - skip);
    }
}
