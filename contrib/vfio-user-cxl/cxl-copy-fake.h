/*
 * A device of arrays around the copy engine, for its unit tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_COPY_FAKE_H
#define VFIO_USER_CXL_COPY_FAKE_H

#include "hw/cxl/cxl_accel_copy.h"

#define HDM_SIZE 4096
#define CHUNK 64
#define RAM_SIZE 4096
/* the top of the address space, so that ranges can end at its last byte */
#define RAM_BASE (0 - (uint64_t)RAM_SIZE)

/* A device of arrays.  RAM from @direct on is mapped, below by message. */
typedef struct Fake {
    CxlCopy copy;
    uint8_t hdm[HDM_SIZE];
    uint8_t ram[RAM_SIZE];
    uint32_t direct;
    uint64_t ram_base;
    uint64_t hole;              /* an address that is not mapped, or 0 */
    bool overlap;
    bool gated;
    bool ram_gone;              /* the client took it back */
    bool refuse_start;
    unsigned irqs[4];
    unsigned cancels;
    /* the message on its way */
    bool pending;
    bool write;
    uint64_t addr;
    uint8_t *buf;
    uint32_t len;
    uint32_t max_len;           /* longest step seen */
} Fake;

/* A device with 4 vectors; the rest as in struct CxlCopyConfig */
Fake *fake_new(uint64_t die_in, bool no_irq);
void fake_free(Fake *f);

/* Write and read @size bytes of registers. */
void put(Fake *f, uint32_t off, uint64_t val, unsigned size);
uint64_t get(Fake *f, uint32_t off, unsigned size);

/* Write a request that ends with vector 2, and start it. */
void start(Fake *f, uint32_t op, uint64_t src, uint64_t dst, uint64_t len);

/* The client carries out the message on its way, or refuses to. */
void answer(Fake *f, bool ok);

/* Take steps and answer messages until there is nothing to do. */
void run_to_end(Fake *f);

/* There is nothing to do, and STATUS, ERROR and DONE are these. */
void check_end(Fake *f, uint32_t status, uint32_t error, uint64_t done);

#endif /* VFIO_USER_CXL_COPY_FAKE_H */
