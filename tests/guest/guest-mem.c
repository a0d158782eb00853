/*
 * Access to physical addresses from a guest program, through /dev/mem or
 * another file that maps memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest-mem.h"

void die(const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

uint64_t parse_u64(const char *text, const char *what)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 0);
    if (errno || end == text || *end || *text == '-') {
        die("%s '%s' is not an unsigned 64-bit number", what, text);
    }
    return value;
}

static const char *mem_path = "/dev/mem";
/*
 * O_SYNC: the kernel then maps memory that it does not manage as Device
 * memory, which forbids merged or repeated accesses.
 */
static int mem_flags = O_RDWR | O_SYNC | O_CLOEXEC;

void phys_use_file(const char *path)
{
    mem_path = path;
    mem_flags = O_RDWR | O_CLOEXEC;
}

static int mem_fd(void)
{
    static int fd = -1;

    if (fd < 0) {
        fd = open(mem_path, mem_flags);
        if (fd < 0) {
            die("cannot open %s: %s", mem_path, strerror(errno));
        }
    }
    return fd;
}

static size_t page_slack(uint64_t base)
{
    return base & (uint64_t)(sysconf(_SC_PAGESIZE) - 1);
}

volatile void *phys_map(uint64_t base, size_t size)
{
    size_t slack = page_slack(base);
    void *ptr = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_SHARED,
                     mem_fd(), (off_t)(base - slack));

    if (ptr == MAP_FAILED) {
        die("cannot map 0x%llx bytes at 0x%llx of %s: %s%s",
            (unsigned long long)size, (unsigned long long)base, mem_path,
            strerror(errno), mem_flags & O_SYNC ?
            "; is iomem=relaxed on the kernel command line?" : "");
    }
    return (volatile char *)ptr + slack;
}

void phys_unmap(volatile void *ptr, uint64_t base, size_t size)
{
    size_t slack = page_slack(base);

    munmap((char *)ptr - slack, size + slack);
}
