/*
 * The measured loops of hdm-bench.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include <stddef.h>
#include <stdint.h>

typedef enum BenchOp {
    BENCH_READ,
    BENCH_WRITE,
    BENCH_COPY,
    BENCH_OPS
} BenchOp;

/*
 * Access @bytes of memory in a row, or @bytes / @width places of it in
 * pseudo-random order.
 *
 * @op:    what to do; a copy reads at a place and writes @apart behind it
 * @width: bytes of each access: 8, 16, 32 or 64
 * @area:  where to begin, aligned to 64
 * @size:  a power of two, at least 64: random places lie so far from @area
 * @bytes: how much to handle; for sequential access a multiple of 64
 * @state: where the pseudo-random sequence stands, kept by the caller
 */
void bench_sequential(BenchOp op, unsigned width, void *area, size_t apart,
                      size_t bytes);
void bench_random(BenchOp op, unsigned width, void *area, size_t apart,
                  size_t size, size_t bytes, uint64_t *state);

/*
 * Follow @loads pointers (a multiple of 8) from @start, each load needing the
 * one before.  Returns the last pointer.
 */
void *bench_chase(void *start, size_t loads);

#endif
