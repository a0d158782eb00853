/*
 * Measure kinds of memory side by side in a guest.
 *
 * Usage: hdm-bench bandwidth MS THREADS ROTATE SPAN WIDTHS TARGET...
 *        hdm-bench latency MS ROTATE SPAN TARGET...
 *        hdm-bench fault STEP SPAN TARGET...
 *
 * MS:     milliseconds of each sample, taken in slices of 2
 * ROTATE: which target to begin with
 * SPAN:   bytes of each target that are used, a power of two
 * WIDTHS: bytes of each access, for instance 8,16,32,64
 * STEP:   distance in bytes of the first touches
 * TARGET: NAME=4k (anonymous memory in small pages), NAME=huge (in large
 *         ones), or NAME=PATH@OFFSET (a file or device to map)
 *
 * Each sample is one line, SAMPLE KEY=VALUE..., with the raw figures.  What
 * is compared is taken in alternating slices.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench-loops.h"
#include "bench-target.h"
#include "guest-mem.h"

#define THREADS_MAX     16
#define WIDTHS_MAX      4
#define PAGE            4096ULL
#define LINE            64ULL
#define NS_PER_MS       1000000ULL
/* Between two looks at the clock; short enough for emulated memory. */
#define CHUNK           (64ULL << 10)
#define ODD_PAGES       (9 * PAGE)
#define CHASE_CHUNK     2048ULL
/* How long one target is measured before the next one's turn. */
#define SLICE_NS        (2 * NS_PER_MS)
#define SLICES_MAX      256

typedef struct Sample {
    bool random;
    BenchOp op;
    unsigned width;
    unsigned slices;
} Sample;

/* What one thread does with one target; rates in units for each ns. */
typedef struct Share {
    char *area;
    size_t size;
    uint64_t at;
    uint64_t random_state;
    uint64_t bytes;
    double rates[SLICES_MAX];
} Share;

typedef struct Worker {
    pthread_t thread;
    pthread_barrier_t *start;
    const Sample *sample;
    unsigned cpu;
    unsigned first;         /* target to begin with */
    unsigned n_shares;
    Share shares[TARGETS_MAX];
} Worker;

static const char *const op_names[BENCH_OPS] = { "read", "write", "copy" };

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Every page is touched, and written, before anything is timed. */
static void map_and_fill(Target *t, int count, size_t span)
{
    int i;

    for (i = 0; i < count; i++) {
        bench_map(&t[i], span);
        bench_sequential(BENCH_WRITE, 8, t[i].area, 0, span);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/*
 * The value that a quarter of @n values are not above; they get sorted.  Of
 * slices it is one in which the machine was not busy otherwise, unless it was
 * most of the time.
 */
static double lower_quartile(double *values, unsigned n)
{
    qsort(values, n, sizeof(*values), compare_doubles);
    return values[(n - 1) / 4];
}

/* --- bandwidth --- */

static uint64_t run_chunk(const Sample *s, Share *share)
{
    /*
     * A copy goes from the first quarter to the second half, a few pages
     * more than a power of two apart: else the two would compete for the
     * same entry of TCG's TLB, which is found by the low address bits.
     */
    bool copy = s->op == BENCH_COPY;
    size_t whole = copy ? share->size / 4 : share->size;
    size_t apart = share->size / 2 + (share->size > CHUNK ? ODD_PAGES : 0);
    size_t chunk = CHUNK < whole ? CHUNK : whole;

    if (s->random) {
        bench_random(s->op, s->width, share->area, apart, whole, chunk,
                     &share->random_state);
    } else {
        bench_sequential(s->op, s->width, share->area + share->at, apart,
                         chunk);
        share->at = (share->at + chunk) % whole;
    }
    return chunk;
}

static void run_slice(const Sample *s, Share *share, unsigned slice)
{
    uint64_t start = now_ns();
    uint64_t bytes = 0;
    uint64_t ns;

    do {
        bytes += run_chunk(s, share);
        ns = now_ns() - start;
    } while (ns < SLICE_NS);
    share->bytes += bytes;
    share->rates[slice] = (double)bytes / ns;
}

static void *work(void *opaque)
{
    Worker *w = opaque;
    cpu_set_t cpus;
    unsigned slice, i;

    CPU_ZERO(&cpus);
    CPU_SET(w->cpu, &cpus);
    if (sched_setaffinity(0, sizeof(cpus), &cpus)) {
        die("cannot run on processor %u: %s", w->cpu, strerror(errno));
    }
    for (i = 0; i < w->n_shares; i++) {
        run_chunk(w->sample, &w->shares[i]);
    }
    for (slice = 0; slice < w->sample->slices; slice++) {
        for (i = 0; i < w->n_shares; i++) {
            pthread_barrier_wait(w->start);
            run_slice(w->sample,
                      &w->shares[(w->first + slice + i) % w->n_shares],
                      slice);
        }
    }
    return NULL;
}

/*
 * One sample of every target, in thin slices that alternate, so that what
 * else the machine does meets all of them; the sample is its fast quartile.
 * Each thread has its own part of the span and its own processor.
 */
static void measure(const Sample *s, Target *targets, unsigned n,
                    unsigned first, size_t span, unsigned threads)
{
    static Worker workers[THREADS_MAX];
    pthread_barrier_t barrier;
    unsigned i, t, slice;

    memset(workers, 0, sizeof(workers));
    pthread_barrier_init(&barrier, NULL, threads);
    for (i = 0; i < threads; i++) {
        Worker *w = &workers[i];

        w->start = &barrier;
        w->sample = s;
        w->cpu = i;
        w->first = first;
        w->n_shares = n;
        for (t = 0; t < n; t++) {
            w->shares[t].size = span / threads;
            w->shares[t].area = targets[t].area + i * (span / threads);
            w->shares[t].random_state = i + 1;
        }
        if (pthread_create(&w->thread, NULL, work, w)) {
            die("cannot start a thread");
        }
    }
    for (i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    pthread_barrier_destroy(&barrier);
    for (t = 0; t < n; t++) {
        double costs[SLICES_MAX];
        uint64_t accesses = 0;

        for (slice = 0; slice < s->slices; slice++) {
            double rate = 0;

            for (i = 0; i < threads; i++) {
                rate += workers[i].shares[t].rates[slice];
            }
            costs[slice] = 1 / rate;
        }
        for (i = 0; i < threads; i++) {
            accesses += workers[i].shares[t].bytes / s->width;
        }
        printf("SAMPLE test=bandwidth pattern=%s op=%s width=%u threads=%u "
               "span=%zu target=%s accesses=%" PRIu64 " value=%.3f\n",
               s->random ? "random" : "seq", op_names[s->op], s->width,
               threads, span, targets[t].name, accesses,
               1e3 / lower_quartile(costs, s->slices));
    }
}

static int parse_widths(char *text, unsigned *widths)
{
    char *word;
    int n = 0;

    for (word = strtok(text, ","); word; word = strtok(NULL, ",")) {
        uint64_t width = parse_u64(word, "width");

        if (n == WIDTHS_MAX ||
            (width != 8 && width != 16 && width != 32 && width != 64)) {
            die("width %s is not one of 8, 16, 32 and 64", word);
        }
        widths[n++] = width;
    }
    if (!n) {
        die("no width: use for instance 8,64");
    }
    return n;
}

static size_t parse_span(const char *text)
{
    uint64_t span = parse_u64(text, "span");

    if (span < 64 * 1024 || (span & (span - 1))) {
        die("span %s is not a power of two of at least 65536", text);
    }
    return span;
}

/* The slices that make up a sample of so many milliseconds. */
static unsigned parse_slices(const char *text)
{
    uint64_t ms = parse_u64(text, "milliseconds");
    uint64_t slices = ms * NS_PER_MS / SLICE_NS;

    if (!slices || slices > SLICES_MAX) {
        die("%s milliseconds, must be %llu to %llu", text,
            SLICE_NS / NS_PER_MS, SLICES_MAX * SLICE_NS / NS_PER_MS);
    }
    return slices;
}

static void cmd_bandwidth(int argc, char **argv)
{
    unsigned slices = parse_slices(argv[0]);
    uint64_t threads = parse_u64(argv[1], "threads");
    uint64_t rotate = parse_u64(argv[2], "rotate");
    size_t span = parse_span(argv[3]);
    unsigned widths[WIDTHS_MAX];
    int n_widths = parse_widths(argv[4], widths);
    Target targets[TARGETS_MAX];
    int n = bench_parse_targets(targets, argv + 5, argc - 5);
    int random, op, w;

    if (!threads || threads > THREADS_MAX || (threads & (threads - 1))) {
        die("%s threads, must be a power of two up to %d", argv[1],
            THREADS_MAX);
    }
    map_and_fill(targets, n, span);
    for (random = 0; random < 2; random++) {
        for (op = 0; op < BENCH_OPS; op++) {
            for (w = 0; w < n_widths; w++) {
                Sample sample = { random, op, widths[w], slices };

                measure(&sample, targets, n, rotate % n, span, threads);
            }
        }
    }
}

/* --- latency --- */

/*
 * Link all lines of the area into one ring, in an order without pattern: a
 * linear congruential sequence of full period visits each of 2^n once.
 */
static void make_ring(char *area, size_t span)
{
    uint64_t lines = span / LINE;
    uint64_t i, at = 0;

    for (i = 0; i < lines; i++) {
        uint64_t next = (at * 1664525 + 1013904223) & (lines - 1);

        *(void *volatile *)(area + at * LINE) = area + next * LINE;
        at = next;
    }
}

typedef struct Ring {
    void *at;
    uint64_t loads;
    double costs[SLICES_MAX];       /* ns of a load */
} Ring;

static void chase_slice(Ring *ring, unsigned slice)
{
    uint64_t start = now_ns();
    uint64_t loads = 0;
    uint64_t ns;

    do {
        ring->at = bench_chase(ring->at, CHASE_CHUNK);
        loads += CHASE_CHUNK;
        ns = now_ns() - start;
    } while (ns < SLICE_NS);
    ring->loads += loads;
    ring->costs[slice] = (double)ns / loads;
}

static void cmd_latency(int argc, char **argv)
{
    unsigned slices = parse_slices(argv[0]);
    uint64_t rotate = parse_u64(argv[1], "rotate");
    size_t span = parse_span(argv[2]);
    Target targets[TARGETS_MAX];
    static Ring rings[TARGETS_MAX];
    int n = bench_parse_targets(targets, argv + 3, argc - 3);
    unsigned slice;
    int i;

    map_and_fill(targets, n, span);
    for (i = 0; i < n; i++) {
        make_ring(targets[i].area, span);
        rings[i].at = bench_chase(targets[i].area, CHASE_CHUNK);
    }
    for (slice = 0; slice < slices; slice++) {
        for (i = 0; i < n; i++) {
            chase_slice(&rings[(i + rotate + slice) % n], slice);
        }
    }
    for (i = 0; i < n; i++) {
        printf("SAMPLE test=latency span=%zu target=%s accesses=%" PRIu64
               " value=%.3f\n", span, targets[i].name, rings[i].loads,
               lower_quartile(rings[i].costs, slices));
    }
}

/* --- first touch --- */

static void cmd_fault(int argc, char **argv)
{
    uint64_t step = parse_u64(argv[0], "step");
    size_t span = parse_span(argv[1]);
    Target targets[TARGETS_MAX];
    int n = bench_parse_targets(targets, argv + 2, argc - 2);
    int i;

    if (step < PAGE || step % PAGE || step > span) {
        die("step %s is not a multiple of %llu up to the span", argv[0],
            PAGE);
    }
    for (i = 0; i < n; i++) {
        Target *t = &targets[i];
        uint64_t start, ns;
        size_t off;

        bench_map(t, span);
        start = now_ns();
        for (off = 0; off < span; off += step) {
            *(volatile uint64_t *)(t->area + off) = off;
        }
        ns = now_ns() - start;
        printf("SAMPLE test=fault step=%" PRIu64 " span=%zu target=%s "
               "accesses=%zu value=%.3f\n", step, span, t->name, span / step,
               (double)ns * step / span);
        bench_unmap(t);
    }
}

int main(int argc, char **argv)
{
    if (argc >= 8 && !strcmp(argv[1], "bandwidth")) {
        cmd_bandwidth(argc - 2, argv + 2);
    } else if (argc >= 6 && !strcmp(argv[1], "latency")) {
        cmd_latency(argc - 2, argv + 2);
    } else if (argc >= 5 && !strcmp(argv[1], "fault")) {
        cmd_fault(argc - 2, argv + 2);
    } else {
        die("usage: hdm-bench bandwidth MS THREADS ROTATE SPAN WIDTHS "
            "TARGET... | latency MS ROTATE SPAN TARGET... | fault STEP SPAN "
            "TARGET...");
    }
    return 0;
}
