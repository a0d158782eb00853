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

/*
 * All of [addr, addr + len) may be read, or written if @write.  @len is not
 * 0 and the range does not wrap; the same below.
 */
bool dma_table_covers(const DmaTable *t, uint64_t addr, uint64_t len,
                      bool write);

/* Some of the range is in [offset, offset + len) of the file @fd. */
bool dma_table_reaches_file(const DmaTable *t, uint64_t addr, uint64_t len,
                            int fd, uint64_t offset);

/*
 * Find @addr and lower @len to what is in the same entry.  @ptr, unless
 * NULL, gets that memory, valid until the entry is removed, or NULL if it
 * cannot be mapped.  The client may make the file shorter: pass the memory
 * to system calls, which report that, and never touch it directly.
 * False: no such entry, or it does not allow the access.
 */
bool dma_table_find(DmaTable *t, uint64_t addr, bool write, uint32_t *len,
                    void **ptr);

void dma_table_clear(DmaTable *t);
unsigned dma_table_count(const DmaTable *t);

#endif /* VFIO_USER_CXL_DMA_TABLE_H */
