/*
 * Unit tests of the table of guest memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "hw/vfio/vfio-cxl-abi.h"
#include "dma-table.h"
#include "hdm-mem.h"

#define R VFIO_DMA_MAP_FLAG_READ
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static void map(DmaTable *t, uint64_t iova, uint64_t size, uint64_t offset,
                uint32_t flags, int fd)
{
    g_assert(dma_table_map(t, iova, size, offset, flags, fd) == 0);
}

static void test_entries(void)
{
    DmaTable *t = dma_table_new();

    map(t, 0x1000, 0x1000, 0, RW, -1);
    g_assert(dma_table_map(t, 0x1fff, 2, 0, RW, -1) == -EEXIST);
    g_assert(dma_table_map(t, 0x5000, 0, 0, RW, -1) == -EINVAL);
    g_assert(dma_table_map(t, UINT64_MAX, 2, 0, RW, -1) == -EINVAL);
    map(t, UINT64_MAX - 0xfff, 0x1000, 0, RW, -1);
    g_assert(dma_table_unmap(t, 0x1000, 0xfff) == -ENOENT);
    g_assert(dma_table_unmap(t, 0x1000, 0) == -ENOENT);
    g_assert(dma_table_unmap(t, 0x2000, UINT64_MAX) == -ENOENT);
    g_assert(dma_table_unmap(t, 0x3000, 0x1000) == -ENOENT);
    g_assert(dma_table_unmap(t, 0x1000, 0x1000) == 0);
    g_assert(dma_table_count(t) == 1);
    dma_table_clear(t);
    g_assert(dma_table_count(t) == 0);
    dma_table_free(t);
}

/* What a client can make the server keep has an end */
static void test_full(void)
{
    DmaTable *t = dma_table_new();

    for (uint64_t i = 0; i < DMA_TABLE_MAX; i++) {
        map(t, i * 0x1000, 0x1000, 0, RW, -1);
    }
    g_assert(dma_table_map(t, 1ULL << 40, 0x1000, 0, RW, -1) == -ENOSPC);
    g_assert(dma_table_count(t) == DMA_TABLE_MAX);
    g_assert(dma_table_unmap(t, 0x5000, 0x1000) == 0);
    map(t, 1ULL << 40, 0x1000, 0, RW, -1);
    dma_table_free(t);
}

static void test_covers(void)
{
    DmaTable *t = dma_table_new();
    uint32_t len = 0x2000;

    map(t, 0x1000, 0x1000, 0, RW, -1);
    map(t, 0x2000, 0x1000, 0, R, -1);
    map(t, UINT64_MAX - 0xfff, 0x1000, 0, RW, -1);
    g_assert(dma_table_covers(t, 0x1000, 0x2000, false));
    g_assert(!dma_table_covers(t, 0x1000, 0x2000, true));
    g_assert(dma_table_covers(t, 0x1fff, 1, true));
    g_assert(!dma_table_covers(t, 0xfff, 2, false));
    g_assert(!dma_table_covers(t, 0x2fff, 2, false));
    g_assert(dma_table_covers(t, UINT64_MAX - 7, 8, true));
    g_assert(dma_table_find(t, 0x1800, false, &len, NULL));
    g_assert(len == 0x800);
    g_assert(!dma_table_find(t, 0x2000, true, &len, NULL));
    g_assert(!dma_table_find(t, 0x3000, false, &len, NULL));
    dma_table_free(t);
}

static void test_memory(void)
{
    DmaTable *t = dma_table_new();
    int fd = hdm_mem_anon("guest", 64 * KiB, &error_abort);
    int pipes[2];
    uint32_t len = 64;
    char text[4];
    void *ptr;

    g_assert(pwrite(fd, "abcd", 4, 0x2345) == 4);
    /* an offset inside a page */
    map(t, 0x10000, 0x8000, 0x1234, RW, dup(fd));
    g_assert(dma_table_find(t, 0x10000 + 0x1111, true, &len, &ptr));
    g_assert(len == 64);
    g_assert(memcmp(ptr, "abcd", 4) == 0);

    /* what cannot be mapped is there, but without memory */
    g_assert(pipe(pipes) == 0);
    map(t, 0x80000, 0x1000, 0, RW, pipes[0]);
    g_assert(dma_table_find(t, 0x80000, true, &len, &ptr));
    g_assert(!ptr);
    map(t, 0x90000, 0x1000, 0, RW, -1);
    g_assert(dma_table_find(t, 0x90000, true, &len, &ptr));
    g_assert(!ptr);
    map(t, 0x100000, UINT64_MAX - 0x200000, 1, RW, dup(fd));
    g_assert(dma_table_find(t, 1ULL << 40, true, &len, &ptr));
    g_assert(!ptr);

    /* past the file's end: an error of the call, not a signal */
    map(t, 0x30000, 0x8000, 64 * KiB, RW, dup(fd));
    g_assert(dma_table_find(t, 0x30000, false, &len, &ptr));
    g_assert(hdm_mem_write(fd, 0, ptr, 4) == -EFAULT);
    g_assert(hdm_mem_read(fd, 0x2345, ptr, 4) == -EFAULT);
    g_assert(hdm_mem_read(fd, 0x2345, text, 4) == 4);
    close(pipes[1]);
    close(fd);
    dma_table_free(t);
}

/* A range of DMA addresses that is the device's own memory */
static void test_alias(void)
{
    DmaTable *t = dma_table_new();
    int hdm = hdm_mem_anon("hdm", 64 * KiB, &error_abort);
    int ram = hdm_mem_anon("guest", 64 * KiB, &error_abort);

    map(t, 0x10000, 0x10000, 0, RW, ram);
    map(t, 0x20000, 0x8000, 0x4000, RW, dup(hdm));
    /* HDM 0x4000 to 0xbfff is at 0x20000 */
    g_assert(dma_table_reaches_file(t, 0x20000, 16, hdm, 0x4000));
    g_assert(dma_table_reaches_file(t, 0x20000, 16, hdm, 0x400f));
    g_assert(!dma_table_reaches_file(t, 0x20000, 16, hdm, 0x4010));
    g_assert(dma_table_reaches_file(t, 0x20000, 16, hdm, 0x3ff1));
    g_assert(!dma_table_reaches_file(t, 0x20000, 16, hdm, 0x3ff0));
    /* only the end of the range is there */
    g_assert(dma_table_reaches_file(t, 0x1f000, 0x1010, hdm, 0x4008));
    g_assert(!dma_table_reaches_file(t, 0x1f000, 0x1000, hdm, 0x4008));
    /* nothing is there; no file; memory that only one side may use */
    g_assert(!dma_table_reaches_file(t, 0x27ff0, 0x20, hdm, 0));
    g_assert(!dma_table_reaches_file(t, 0x20000, 16, -1, 0x4000));
    map(t, 0x40000, 0x1000, 0, VFIO_DMA_MAP_FLAG_WRITE, dup(hdm));
    g_assert(dma_table_reaches_file(t, 0x40000, 16, hdm, 0));
    map(t, 0x41000, 0x1000, 0, RW, -1);
    g_assert(!dma_table_reaches_file(t, 0x41000, 16, hdm, 0));
    close(hdm);
    dma_table_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dma-table/entries", test_entries);
    g_test_add_func("/dma-table/full", test_full);
    g_test_add_func("/dma-table/covers", test_covers);
    g_test_add_func("/dma-table/memory", test_memory);
    g_test_add_func("/dma-table/alias", test_alias);
    return g_test_run();
}
