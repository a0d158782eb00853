/*
 * Registers of the generic accelerator (see README.md for the table)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "cxl-model-int.h"

#define ACCEL_ID 0x00
#define ACCEL_VERSION 0x04
#define ACCEL_CAPACITY 0x08
#define ACCEL_DOORBELL 0x10
#define ACCEL_RINGS 0x14
#define ACCEL_SCRATCH 0x18
#define ACCEL_VECTORS 0x20

void cxl_accel_init(CxlModel *m)
{
    memset(m->accel, 0, sizeof(m->accel));
    m->accel_rings = 0;
    memcpy(m->accel + ACCEL_ID, "CXT2", 4);
    stl_le_p(m->accel + ACCEL_VERSION, 0x00010000);
    stq_le_p(m->accel + ACCEL_CAPACITY, m->config.hdm_size);
    stl_le_p(m->accel + ACCEL_VECTORS, m->id->msix_vectors);
}

void cxl_accel_read(CxlModel *m, uint64_t off, uint8_t *buf, uint32_t len)
{
    memset(buf, 0, len);
    if (off < sizeof(m->accel)) {
        memcpy(buf, m->accel + off, MIN(len, sizeof(m->accel) - off));
    }
}

static void accel_ring(CxlModel *m, uint32_t vector)
{
    if (vector >= m->id->msix_vectors) {
        return;
    }
    stl_le_p(m->accel + ACCEL_RINGS, ++m->accel_rings);
    if (m->irq) {
        m->irq(m->irq_opaque, vector);
    }
}

void cxl_accel_write(CxlModel *m, uint64_t off, const uint8_t *buf,
                     uint32_t len)
{
    uint64_t end = off + len;

    for (uint64_t i = MAX(off, ACCEL_SCRATCH);
         i < MIN(end, ACCEL_SCRATCH + 8); i++) {
        m->accel[i] = buf[i - off];
    }
    /* the doorbell wants its whole dword in one access */
    if (off <= ACCEL_DOORBELL && end >= ACCEL_DOORBELL + 4) {
        accel_ring(m, ldl_le_p(buf + (ACCEL_DOORBELL - off)));
    }
}
