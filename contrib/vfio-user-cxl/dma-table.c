/*
 * The guest memory that a client has made known
 *
 * The model does no DMA yet: the table is what a device with an engine will
 * look addresses up in, and it answers the client's mistakes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "dma-table.h"

typedef struct DmaEntry {
    uint64_t iova;
    uint64_t last;              /* inclusive: a range may end at 2^64 */
    uint64_t offset;
    uint32_t flags;
    int fd;
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

static void entry_free(void *p)
{
    DmaEntry *e = p;

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
