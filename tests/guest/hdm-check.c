/*
 * Write or verify a pattern over a range of physical memory, or of a file
 * that maps memory.
 *
 * Usage: hdm-check write|verify BASE SIZE SEED STRIDE [FILE]
 *
 * Without FILE, BASE is a physical address.  With it, BASE is an offset in
 * FILE, for instance the character device of a driver: whoever maps it there
 * gets the mapping that the driver chose, /dev/mem that of device registers.
 *
 * Each 64-bit word depends on its offset in the range and on the seed, so
 * that a shifted, aliased or stale mapping cannot look right.  STRIDE 8 means
 * every word; a larger stride touches the word at each multiple of it and the
 * last word, so that sparse backing stays sparse.  scripts/guest_pattern.py
 * computes the same words independently on the host.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "guest-mem.h"

#define WORD            8
#define BLOCK_SHIFT     20
#define BLOCK_SIZE      (1ULL << BLOCK_SHIFT)
#define WORD_FACTOR     0x9e3779b97f4a7c15ULL
#define MAP_FULL        (64ULL << 20)
#define MAP_SAMPLE      4096ULL
#define ERRORS_SHOWN    4

typedef struct Job {
    bool write;
    uint64_t base;
    uint64_t size;
    uint64_t seed;
    uint64_t stride;
    uint64_t words;
    uint64_t errors;
} Job;

/* The finaliser of the SplitMix64 generator. */
static uint64_t mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static uint64_t pattern(uint64_t offset, uint64_t seed)
{
    uint64_t block = offset >> BLOCK_SHIFT;
    uint64_t index = (offset & (BLOCK_SIZE - 1)) / WORD;

    return mix64(seed + block) ^ ((index + 1) * WORD_FACTOR);
}

static void mismatch(Job *job, uint64_t offset, uint64_t got, uint64_t want)
{
    if (job->errors++ < ERRORS_SHOWN) {
        printf("MISMATCH at 0x%" PRIx64 " (offset 0x%" PRIx64 "): read 0x%"
               PRIx64 ", expected 0x%" PRIx64 "\n", job->base + offset,
               offset, got, want);
    }
}

static void touch(Job *job, volatile uint64_t *word, uint64_t offset)
{
    uint64_t want = pattern(offset, job->seed);
    uint64_t got;

    job->words++;
    if (job->write) {
        *word = want;
        return;
    }
    got = *word;
    if (got != want) {
        mismatch(job, offset, got, want);
    }
}

/*
 * Every word of a block, at the block's offset; @len in bytes.  The pattern is
 * carried on from word to word: an emulated guest is slow enough as it is.
 */
static void run_block(Job *job, volatile uint64_t *block, uint64_t offset,
                      uint64_t len)
{
    uint64_t mix = mix64(job->seed + (offset >> BLOCK_SHIFT));
    uint64_t count = len / WORD;
    uint64_t next = WORD_FACTOR;
    uint64_t i;

    job->words += count;
    if (job->write) {
        for (i = 0; i < count; i++, next += WORD_FACTOR) {
            block[i] = mix ^ next;
        }
        return;
    }
    for (i = 0; i < count; i++, next += WORD_FACTOR) {
        uint64_t got = block[i];

        if (got != (mix ^ next)) {
            mismatch(job, offset + i * WORD, got, mix ^ next);
        }
    }
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

/* Every word of the range, through one large mapping after the other. */
static void run_full(Job *job)
{
    uint64_t start, len, off;

    for (start = 0; start < job->size; start += len) {
        volatile uint64_t *map;

        len = at_most(job->size - start, MAP_FULL);
        map = phys_map(job->base + start, len);
        for (off = 0; off < len; off += BLOCK_SIZE) {
            run_block(job, &map[off / WORD], start + off,
                      at_most(len - off, BLOCK_SIZE));
        }
        phys_unmap(map, job->base + start, len);
    }
}

static void run_one(Job *job, uint64_t offset)
{
    uint64_t page = offset & ~(MAP_SAMPLE - 1);
    volatile uint64_t *map = phys_map(job->base + page, MAP_SAMPLE);

    touch(job, &map[(offset - page) / WORD], offset);
    phys_unmap(map, job->base + page, MAP_SAMPLE);
}

/*
 * Samples are mapped one page at a time: page tables for a whole range of
 * hundreds of GiB would not fit in a small guest.
 */
static void run_sampled(Job *job)
{
    uint64_t off;

    for (off = 0; off < job->size; off += job->stride) {
        run_one(job, off);
    }
    if ((job->size - WORD) % job->stride) {
        run_one(job, job->size - WORD);
    }
}

static void parse_args(Job *job, int argc, char **argv)
{
    if (argc != 6 && argc != 7) {
        die("usage: hdm-check write|verify BASE SIZE SEED STRIDE [FILE]");
    }
    if (strcmp(argv[1], "write") && strcmp(argv[1], "verify")) {
        die("unknown action '%s': use write or verify", argv[1]);
    }
    job->write = !strcmp(argv[1], "write");
    job->base = parse_u64(argv[2], "base");
    job->size = parse_u64(argv[3], "size");
    job->seed = parse_u64(argv[4], "seed");
    job->stride = parse_u64(argv[5], "stride");
    if (argc == 7) {
        phys_use_file(argv[6]);
    }
    if (!job->size || job->base % MAP_SAMPLE || job->size % MAP_SAMPLE) {
        die("base 0x%" PRIx64 " and size 0x%" PRIx64 " must be multiples of "
            "4096 and the size not 0", job->base, job->size);
    }
    if (job->base + job->size - 1 < job->base) {
        die("range 0x%" PRIx64 "+0x%" PRIx64 " leaves 64 bits", job->base,
            job->size);
    }
    if (!job->stride || job->stride % WORD) {
        die("stride %" PRIu64 " is not a positive multiple of %d",
            job->stride, WORD);
    }
}

int main(int argc, char **argv)
{
    Job job = { 0 };

    parse_args(&job, argc, argv);
    if (job.stride == WORD) {
        run_full(&job);
    } else {
        run_sampled(&job);
    }
    printf("words=%" PRIu64 " errors=%" PRIu64 "\n", job.words, job.errors);
    return job.errors ? 1 : 0;
}
