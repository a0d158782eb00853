/*
 * Kinds of memory that hdm-bench maps.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TARGETS_MAX     8

typedef struct Target {
    const char *name;
    bool anonymous;
    bool huge;
    char *path;
    uint64_t offset;
    int fd;
    void *map;              /* what munmap() wants */
    size_t map_size;
    char *area;             /* the span, aligned to a large page */
} Target;

/*
 * Parse @argc targets (see hdm-bench.c) into @t, which has TARGETS_MAX places.
 * Returns how many; a malformed one, or a file that cannot be opened, ends the
 * program with an error.
 */
int bench_parse_targets(Target *t, char **argv, int argc);

/*
 * Map @span bytes of a target; t->area is where they are.  Nothing is touched.
 * Ends the program with an error if the kernel refuses.
 */
void bench_map(Target *t, size_t span);

/* Undo bench_map(). */
void bench_unmap(Target *t);

#endif
