/*
 * The guest memory that a client has made known
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_DMA_TABLE_H
#define VFIO_USER_CXL_DMA_TABLE_H

#define DMA_TABLE_MAX 65535

typedef struct DmaTable DmaTable;

DmaTable *dma_table_new(void);
void dma_table_free(DmaTable *t);

/*
 * Add [iova, iova + size).  @fd (-1: none) belongs to the table on success.
 * 0, -EINVAL (empty or wraps), -EEXIST (overlaps) or -ENOSPC (table full).
 */
int dma_table_map(DmaTable *t, uint64_t iova, uint64_t size, uint64_t offset,
                  uint32_t flags, int fd);

/* Remove exactly that entry: 0 or -ENOENT. */
int dma_table_unmap(DmaTable *t, uint64_t iova, uint64_t size);

void dma_table_clear(DmaTable *t);
unsigned dma_table_count(const DmaTable *t);

#endif /* VFIO_USER_CXL_DMA_TABLE_H */
