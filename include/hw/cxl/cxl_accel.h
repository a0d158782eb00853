/*
 * The registers of a generic CXL accelerator
 *
 * A block of plain data: BAR 0 of the identity accel without its memory.  The
 * table is in contrib/vfio-user-cxl/README.md.  Which device it is in, how an
 * interrupt gets out and how memory is reached is behind struct CxlCopyOps.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_ACCEL_H
#define HW_CXL_ACCEL_H

#include "hw/cxl/cxl_accel_copy.h"

#define CXL_ACCEL_ID 0x00
#define CXL_ACCEL_VERSION 0x04
#define CXL_ACCEL_CAPACITY 0x08
#define CXL_ACCEL_DOORBELL 0x10
#define CXL_ACCEL_RINGS 0x14
#define CXL_ACCEL_SCRATCH 0x18
#define CXL_ACCEL_VECTORS 0x20
#define CXL_ACCEL_REGS 0x28
#define CXL_ACCEL_COPY 0x40

/* most bytes that the copy engine moves before others get their turn */
#define CXL_ACCEL_COPY_CHUNK (256 * 1024)

typedef struct CxlAccel {
    uint8_t regs[CXL_ACCEL_REGS];
    uint32_t rings;
    uint64_t capacity;
    CxlCopy copy;
} CxlAccel;

/*
 * Prepare @a in its state after a reset.  @capacity in bytes is what its
 * register says; config.chunk is set here.  Undo with cxl_accel_cleanup().
 */
void cxl_accel_init(CxlAccel *a, const CxlCopyConfig *config,
                    uint64_t capacity, const CxlCopyOps *ops, void *opaque);
void cxl_accel_cleanup(CxlAccel *a);

/* Registers as after power-on; a copy under way is forgotten. */
void cxl_accel_reset(CxlAccel *a);

/*
 * Access @len bytes at @off of the BAR.  The doorbell and the engine's
 * command want their whole dword in one access.
 */
void cxl_accel_read(const CxlAccel *a, uint64_t off, uint8_t *buf,
                    uint32_t len);
void cxl_accel_write(CxlAccel *a, uint64_t off, const uint8_t *buf,
                     uint32_t len);

#endif /* HW_CXL_ACCEL_H */
