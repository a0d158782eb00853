/*
 * The guest memory that a client has made known
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/range.h"
#include "hw/vfio/vfio-cxl-abi.h"
#include "dma-table.h"

typedef struct DmaEntry {
    uint64_t iova;
    uint64_t last;              /* inclusive: a range may end at 2^64 */
    uint64_t offset;
    uint32_t flags;
    int fd;
    dev_t dev;                  /* which file it is */
    ino_t ino;
    uint8_t *mem;               /* all of it, from its first use on */
    bool unmappable;
} DmaEntry;

struct DmaTable {
    GTree *tree;
};

/* Ranges that overlap compare as equal, so a lookup finds any overlap */
static int entry_cmp(const void *pa, const void *pb, void *opaque)
{
    const DmaEntry *a = pa;
    const DmaEntry *b = pb;

    return a->last < b->iova ? -1 : a->iova > b->last ? 1 : 0;
}

/* Bytes from the page boundary below the entry's first byte in the file */
static uint64_t entry_skew(const DmaEntry *e)
{
    return e->offset % qemu_real_host_page_size();
}

static void entry_free(void *p)
{
    DmaEntry *e = p;

    if (e->mem) {
        munmap(e->mem - entry_skew(e), e->last - e->iova + 1 + entry_skew(e));
    }
    if (e->fd >= 0) {
        close(e->fd);
    }
    g_free(e);
}

DmaTable *dma_table_new(void)
{
    DmaTable *t = g_new0(DmaTable, 1);

    t->tree = g_tree_new_full(entry_cmp, NULL, NULL, entry_free);
    return t;
}

void dma_table_free(DmaTable *t)
{
    g_tree_destroy(t->tree);
    g_free(t);
}

void dma_table_clear(DmaTable *t)
{
    g_tree_destroy(t->tree);
    t->tree = g_tree_new_full(entry_cmp, NULL, NULL, entry_free);
}

unsigned dma_table_count(const DmaTable *t)
{
    return g_tree_nnodes(t->tree);
}

int dma_table_map(DmaTable *t, uint64_t iova, uint64_t size, uint64_t offset,
                  uint32_t flags, int fd)
{
    DmaEntry key = { .iova = iova, .last = iova + size - 1 };
    struct stat st;
    DmaEntry *e;

    if (!size || key.last < iova) {
        return -EINVAL;
    }
    if (g_tree_lookup(t->tree, &key)) {
        return -EEXIST;
    }
    if (dma_table_count(t) >= DMA_TABLE_MAX) {
        return -ENOSPC;
    }
    e = g_new0(DmaEntry, 1);
    *e = key;
    e->offset = offset;
    e->flags = flags;
    e->fd = fd;
    if (fd >= 0 && fstat(fd, &st) == 0) {
        e->dev = st.st_dev;
        e->ino = st.st_ino;
    } else {
        e->unmappable = true;
    }
    g_tree_insert(t->tree, e, e);
    return 0;
}

int dma_table_unmap(DmaTable *t, uint64_t iova, uint64_t size)
{
    DmaEntry key = { .iova = iova, .last = iova + size - 1 };
    DmaEntry *e;

    if (!size || key.last < iova) {
        return -ENOENT;
    }
    e = g_tree_lookup(t->tree, &key);
    if (!e || e->iova != key.iova || e->last != key.last) {
        return -ENOENT;
    }
    g_tree_remove(t->tree, e);
    return 0;
}

/* The entry that holds @addr and allows the access, or NULL */
static DmaEntry *find(const DmaTable *t, uint64_t addr, bool write)
{
    DmaEntry key = { .iova = addr, .last = addr };
    DmaEntry *e = g_tree_lookup(t->tree, &key);
    uint32_t need = write ? VFIO_DMA_MAP_FLAG_WRITE : VFIO_DMA_MAP_FLAG_READ;

    return e && e->flags & need ? e : NULL;
}

bool dma_table_covers(const DmaTable *t, uint64_t addr, uint64_t len,
                      bool write)
{
    uint64_t last = addr + (len - 1);

    for (;;) {
        DmaEntry *e = find(t, addr, write);

        if (!e) {
            return false;
        }
        if (e->last >= last) {
            return true;
        }
        addr = e->last + 1;
    }
}

bool dma_table_reaches_file(const DmaTable *t, uint64_t addr, uint64_t len,
                            int fd, uint64_t offset)
{
    uint64_t last = addr + (len - 1);
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return false;
    }
    for (;;) {
        DmaEntry *e = find(t, addr, false) ?: find(t, addr, true);
        uint64_t part;

        if (!e) {
            return false;
        }
        part = MIN(e->last, last) - addr + 1;
        if (e->fd >= 0 && e->dev == st.st_dev && e->ino == st.st_ino &&
            ranges_overlap(e->offset + (addr - e->iova), part, offset, len)) {
            return true;
        }
        if (e->last >= last) {
            return false;
        }
        addr = e->last + 1;
    }
}

/* Map the entry's file; a client may send any descriptor, so this may fail */
static void entry_map(DmaEntry *e)
{
    uint64_t skew = entry_skew(e);
    int prot = e->flags & VFIO_DMA_MAP_FLAG_WRITE ? PROT_READ | PROT_WRITE :
               PROT_READ;
    void *mem;

    if (e->mem || e->unmappable) {
        return;
    }
    if (e->last - e->iova > INT64_MAX - skew) {
        e->unmappable = true;
        return;
    }
    mem = mmap(NULL, e->last - e->iova + 1 + skew, prot,
               MAP_SHARED | MAP_NORESERVE, e->fd, e->offset - skew);
    if (mem == MAP_FAILED) {
        e->unmappable = true;
        return;
    }
    e->mem = (uint8_t *)mem + skew;
}

bool dma_table_find(DmaTable *t, uint64_t addr, bool write, uint32_t *len,
                    void **ptr)
{
    DmaEntry *e = find(t, addr, write);

    if (!e) {
        return false;
    }
    if (*len > e->last - addr) {
        *len = e->last - addr + 1;
    }
    if (ptr) {
        entry_map(e);
        *ptr = e->mem ? e->mem + (addr - e->iova) : NULL;
    }
    return true;
}
