/*
 * The measured loops of hdm-bench.
 *
 * Every access is one instruction, written out, so that the compiler can
 * neither drop, merge nor widen it.  A sequential step handles 64 bytes
 * whatever the width, so that loop overhead is the same for each byte.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "bench-loops.h"

#define STEP    64

/* Loads and stores of one width; @p is where, a general register. */
#define LOAD8(p, off)   "ldr x9, [%[" p "], #" #off "]\n"
#define STORE8(p, off)  "str x9, [%[" p "], #" #off "]\n"
#define LOAD16(p, off)  "ldr q16, [%[" p "], #" #off "]\n"
#define STORE16(p, off) "str q16, [%[" p "], #" #off "]\n"
#define LOAD32(p, off)  "ldp q16, q17, [%[" p "], #" #off "]\n"
#define STORE32(p, off) "stp q16, q17, [%[" p "], #" #off "]\n"
#define LOAD64(p)       "ld1 {v16.2d-v19.2d}, [%[" p "]]\n"
#define STORE64(p)      "st1 {v16.2d-v19.2d}, [%[" p "]]\n"

#define CLOBBERS        "memory", "x9", "v16", "v17", "v18", "v19"

/* One 64-byte step in accesses of each width. */
#define ROW8(op, p)     op##8(p, 0) op##8(p, 8) op##8(p, 16) op##8(p, 24) \
                        op##8(p, 32) op##8(p, 40) op##8(p, 48) op##8(p, 56)
#define ROW16(op, p)    op##16(p, 0) op##16(p, 16) op##16(p, 32) op##16(p, 48)
#define ROW32(op, p)    op##32(p, 0) op##32(p, 32)
#define ROW64(op, p)    op##64(p)

#define COPY8(off)      LOAD8("src", off) STORE8("dst", off)
#define COPY16(off)     LOAD16("src", off) STORE16("dst", off)
#define COPY32(off)     LOAD32("src", off) STORE32("dst", off)
#define COPYROW8        COPY8(0) COPY8(8) COPY8(16) COPY8(24) \
                        COPY8(32) COPY8(40) COPY8(48) COPY8(56)
#define COPYROW16       COPY16(0) COPY16(16) COPY16(32) COPY16(48)
#define COPYROW32       COPY32(0) COPY32(32)
#define COPYROW64       LOAD64("src") STORE64("dst")

/* Run @body, assembly that uses src and dst, for each step. */
#define SEQUENTIAL(body)                                                \
    do {                                                                \
        for (; bytes; bytes -= STEP, src += STEP, dst += STEP) {        \
            __asm__ volatile(body : : [src] "r" (src), [dst] "r" (dst)  \
                             : CLOBBERS);                               \
        }                                                               \
    } while (0)

#define BY_WIDTH(run, r8, r16, r32, r64)        \
    switch (width) {                            \
    case 8:                                     \
        run(r8);                                \
        break;                                  \
    case 16:                                    \
        run(r16);                               \
        break;                                  \
    case 32:                                    \
        run(r32);                               \
        break;                                  \
    default:                                    \
        run(r64);                               \
        break;                                  \
    }

void bench_sequential(BenchOp op, unsigned width, void *area, size_t apart,
                      size_t bytes)
{
    char *src = area;
    char *dst = src + (op == BENCH_COPY ? apart : 0);

    if (op == BENCH_READ) {
        BY_WIDTH(SEQUENTIAL, ROW8(LOAD, "src"), ROW16(LOAD, "src"),
                 ROW32(LOAD, "src"), ROW64(LOAD, "src"));
    } else if (op == BENCH_WRITE) {
        BY_WIDTH(SEQUENTIAL, ROW8(STORE, "dst"), ROW16(STORE, "dst"),
                 ROW32(STORE, "dst"), ROW64(STORE, "dst"));
    } else {
        BY_WIDTH(SEQUENTIAL, COPYROW8, COPYROW16, COPYROW32, COPYROW64);
    }
}

/* Knuth's linear congruential generator; its high bits are good enough. */
static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return *state >> 24;
}

/* As SEQUENTIAL, for places that the generator chooses. */
#define RANDOM(body)                                                    \
    do {                                                                \
        for (; count; count--) {                                        \
            uint64_t where = next_random(state) & mask;                 \
            char *src = base + where;                                   \
            char *dst = src + (op == BENCH_COPY ? apart : 0);                                   \
                                                                        \
            __asm__ volatile(body : : [src] "r" (src), [dst] "r" (dst)  \
                             : CLOBBERS);                               \
        }                                                               \
    } while (0)

void bench_random(BenchOp op, unsigned width, void *area, size_t apart,
                  size_t size, size_t bytes, uint64_t *state)
{
    char *base = area;
    uint64_t mask = size - width;
    size_t count = bytes / width;

    if (op == BENCH_READ) {
        BY_WIDTH(RANDOM, LOAD8("src", 0), LOAD16("src", 0), LOAD32("src", 0),
                 LOAD64("src"));
    } else if (op == BENCH_WRITE) {
        BY_WIDTH(RANDOM, STORE8("dst", 0), STORE16("dst", 0),
                 STORE32("dst", 0), STORE64("dst"));
    } else {
        BY_WIDTH(RANDOM, COPY8(0), COPY16(0), COPY32(0), COPYROW64);
    }
}

void *bench_chase(void *start, size_t loads)
{
    void *p = start;

    for (; loads; loads -= 8) {
        __asm__ volatile("ldr %[p], [%[p]]\n" "ldr %[p], [%[p]]\n"
                         "ldr %[p], [%[p]]\n" "ldr %[p], [%[p]]\n"
                         "ldr %[p], [%[p]]\n" "ldr %[p], [%[p]]\n"
                         "ldr %[p], [%[p]]\n" "ldr %[p], [%[p]]\n"
                         : [p] "+r" (p) : : "memory");
    }
    return p;
}
