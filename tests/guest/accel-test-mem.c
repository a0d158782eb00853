/*
 * Device memory: mappings with both page sizes, read and write.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accel-test.h"
#include "guest-mem.h"

#define SPAN            (16 * MIB)
#define FACTOR          0x9e3779b97f4a7c15ULL

static void page_counts(unsigned long *small, unsigned long *huge)
{
    char line[64];

    *small = *huge = 0;
    if (sscanf(read_line(ATTRIBUTES "faults", line, sizeof(line)), "%lu %lu",
               small, huge) != 2) {
        die("no fault counts in " ATTRIBUTES "faults");
    }
}

static void test_attributes(int fd)
{
    struct cxl_accel_info info = device_info(fd);
    char want[64], line[64];

    snprintf(want, sizeof(want), "0x%" PRIx64 "-0x%" PRIx64,
             (uint64_t)info.base, (uint64_t)(info.base + info.size - 1));
    read_line(ATTRIBUTES "range", line, sizeof(line));
    check(!strcmp(line, want), "attribute range", "%s", line);
    snprintf(want, sizeof(want), "%" PRIu64, (uint64_t)info.size);
    read_line(ATTRIBUTES "size", line, sizeof(line));
    check(!strcmp(line, want), "attribute size", "%s", line);
    read_line(ATTRIBUTES "state", line, sizeof(line));
    check(!strcmp(line, "ready"), "attribute state", "%s", line);
}

/* Write through pages of one size, and count them. */
static void test_page_size(uint32_t size, uint64_t seed)
{
    unsigned long small, huge, more_small, more_huge, expected;
    volatile uint64_t *map;
    int fd = device_open();
    uint64_t i, words = SPAN / 8;
    int err = device_ioctl(fd, CXL_ACCEL_PAGE_SIZE, &size);
    char name[32];

    map = device_map(fd, 0, SPAN);
    page_counts(&small, &huge);
    for (i = 0; i < words; i++) {
        map[i] = (i + seed) * FACTOR;
    }
    page_counts(&more_small, &more_huge);
    more_small -= small;
    more_huge -= huge;
    expected = size == HUGE_PAGE ? SPAN / HUGE_PAGE : 0;
    snprintf(name, sizeof(name), "map with %u KiB pages", size >> 10);
    check(!err && more_huge == expected &&
          more_small == (expected ? 0 : SPAN / SMALL_PAGE), name,
          "%lu of 2 MiB, %lu of 4 KiB for %lu MiB", more_huge, more_small,
          SPAN / MIB);
    munmap((void *)map, SPAN);
    close(fd);
}

/* What one page size wrote, the other reads. */
static void test_same_memory(uint32_t size, uint64_t seed)
{
    uint64_t i, words = SPAN / 8, wrong = 0;
    volatile uint64_t *map;
    int fd = device_open();
    char name[48];

    device_ioctl(fd, CXL_ACCEL_PAGE_SIZE, &size);
    map = device_map(fd, 0, SPAN);
    for (i = 0; i < words; i++) {
        wrong += map[i] != (i + seed) * FACTOR;
    }
    snprintf(name, sizeof(name), "read back with %u KiB pages", size >> 10);
    check(!wrong, name, "%" PRIu64 " of %" PRIu64 " words differ", wrong,
          words);
    munmap((void *)map, SPAN);
    close(fd);
}

static void refused(int fd, const char *name, uint64_t offset, size_t size,
                    int flags, int expected)
{
    void *map = mmap(NULL, size, PROT_READ, flags, fd, (off_t)offset);
    int err = map == MAP_FAILED ? errno : 0;

    check(err == expected, name, "%s", err ? strerror(err) : "mapped");
    if (!err) {
        munmap(map, size);
    }
}

static void test_refused_mappings(int fd, uint64_t size)
{
    uint32_t odd = 12345;
    int err;

    refused(fd, "map beyond the end", size, SMALL_PAGE, MAP_SHARED, ENXIO);
    refused(fd, "map across the end", size - SMALL_PAGE, 2 * SMALL_PAGE,
            MAP_SHARED, ENXIO);
    refused(fd, "map no buffer", CXL_ACCEL_BUFFERS, SMALL_PAGE, MAP_SHARED,
            ENXIO);
    refused(fd, "map privately", 0, SMALL_PAGE, MAP_PRIVATE, EINVAL);
    err = device_ioctl(fd, CXL_ACCEL_PAGE_SIZE, &odd);
    check(err == EINVAL, "odd page size", "%s", strerror(err));
    err = device_ioctl(fd, _IO(0xcd, 99), NULL);
    check(err == ENOTTY, "unknown ioctl", "%s", strerror(err));
}

/* A text at an offset by write(), by read(), and as a mapping shows it. */
static void read_and_write(int fd, const char *name, uint64_t offset)
{
    uint64_t page = offset & ~(SMALL_PAGE - 1);
    volatile uint64_t *map = device_map(fd, page, SMALL_PAGE);
    char out[24], in[24];
    ssize_t put, got;

    memset(in, 0, sizeof(in));
    snprintf(out, sizeof(out), "at 0x%" PRIx64, offset);
    put = pwrite(fd, out, sizeof(out), (off_t)offset);
    got = pread(fd, in, sizeof(in), (off_t)offset);
    check(put == sizeof(out) && got == sizeof(in) &&
          !memcmp(in, out, sizeof(in)) &&
          !memcmp((char *)map + (offset - page), out, sizeof(out)), name,
          "%zd bytes out, %zd in, at 0x%" PRIx64, put, got, offset);
    munmap((void *)map, SMALL_PAGE);
}

static void test_read_write(int fd, uint64_t size)
{
    ssize_t got;
    char buf[64];

    read_and_write(fd, "read and write at 5", 5);
    read_and_write(fd, "read and write at the half", size / 2);
    read_and_write(fd, "read and write at the end", size - 24);
    memset(buf, 'x', sizeof(buf));
    got = pread(fd, buf, sizeof(buf), (off_t)size - 16);
    check(got == 16, "read across the end", "%zd of 64 bytes", got);
    got = pread(fd, buf, sizeof(buf), (off_t)size);
    check(got == 0, "read beyond the end", "%zd bytes", got);
    got = pwrite(fd, buf, sizeof(buf), (off_t)size - 16);
    check(got == 16, "write across the end", "%zd of 64 bytes", got);
    got = pwrite(fd, buf, sizeof(buf), (off_t)size);
    check(got < 0 && errno == ENOSPC, "write beyond the end", "%s",
          got < 0 ? strerror(errno) : "written");
    got = lseek(fd, 0, SEEK_END);
    check((uint64_t)got == size, "seek to the end", "%zd", got);
}

/* The driver's own mapping as source and destination of one copy. */
static void test_copy_within(int fd, uint64_t size)
{
    size_t len = 4 * MIB;
    volatile uint64_t *map = device_map(fd, 0, len);
    ssize_t put = pwrite(fd, (void *)map, len, (off_t)(size - len));
    volatile uint64_t *end = device_map(fd, size - len, len);
    int wrong = memcmp((void *)map, (void *)end, len);

    check(put == (ssize_t)len && !wrong, "write from its own mapping",
          "%zd bytes", put);
    munmap((void *)map, len);
    munmap((void *)end, len);
}

void test_memory(void)
{
    int fd = device_open();
    uint64_t size = device_info(fd).size;

    test_attributes(fd);
    test_page_size(HUGE_PAGE, 7);
    test_same_memory(SMALL_PAGE, 7);
    test_page_size(SMALL_PAGE, 1234567);
    test_same_memory(HUGE_PAGE, 1234567);
    test_refused_mappings(fd, size);
    test_read_write(fd, size);
    test_copy_within(fd, size);
    close(fd);
}
