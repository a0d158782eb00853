/*
 * Kinds of memory that hdm-bench maps.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "bench-target.h"
#include "guest-mem.h"

#define HUGE_PAGE       (2ULL << 20)

static void parse_target(Target *t, char *text)
{
    char *what = strchr(text, '=');
    char *at;

    memset(t, 0, sizeof(*t));
    t->fd = -1;
    if (!what || what == text) {
        die("target '%s' is not NAME=4k, NAME=huge or NAME=PATH@OFFSET", text);
    }
    *what++ = '\0';
    t->name = text;
    if (!strcmp(what, "4k") || !strcmp(what, "huge")) {
        t->anonymous = true;
        t->huge = *what == 'h';
        return;
    }
    at = strrchr(what, '@');
    if (!at) {
        die("target %s: '%s' has no @OFFSET", text, what);
    }
    *at = '\0';
    t->path = what;
    t->offset = parse_u64(at + 1, "offset");
    t->fd = open(t->path, O_RDWR | O_CLOEXEC);
    if (t->fd < 0) {
        die("target %s: cannot open %s: %s", t->name, t->path,
            strerror(errno));
    }
}

int bench_parse_targets(Target *t, char **argv, int argc)
{
    int i;

    if (argc < 1 || argc > TARGETS_MAX) {
        die("%d targets, must be 1 to %d", argc, TARGETS_MAX);
    }
    for (i = 0; i < argc; i++) {
        parse_target(&t[i], argv[i]);
    }
    return argc;
}

/*
 * Anonymous memory is aligned to a large page here; a device maps large
 * pages, if it can, at an address that has its own alignment.
 */
void bench_map(Target *t, size_t span)
{
    uintptr_t start;

    if (!t->anonymous) {
        t->map_size = span;
        t->map = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd,
                      (off_t)t->offset);
        if (t->map == MAP_FAILED && errno == EINVAL && span < HUGE_PAGE) {
            /* A dax device maps whole large pages only. */
            t->map_size = HUGE_PAGE;
            t->map = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
                          t->fd, (off_t)t->offset);
        }
    } else {
        t->map_size = span + HUGE_PAGE;
        t->map = mmap(NULL, t->map_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (t->map == MAP_FAILED) {
        die("target %s: cannot map 0x%zx bytes of %s at 0x%" PRIx64 ": %s",
            t->name, span, t->path ? t->path : "memory", t->offset,
            strerror(errno));
    }
    start = (uintptr_t)t->map;
    if (t->anonymous) {
        start = (start + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
        if (madvise((void *)start, span,
                    t->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE)) {
            die("target %s: madvise: %s", t->name, strerror(errno));
        }
    }
    t->area = (char *)start;
}

void bench_unmap(Target *t)
{
    munmap(t->map, t->map_size);
}
