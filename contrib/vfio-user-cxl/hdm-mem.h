/*
 * Backing memory of a device: anonymous or a file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_HDM_MEM_H
#define VFIO_USER_CXL_HDM_MEM_H

/*
 * Make anonymous memory of @size bytes that can neither shrink nor grow, so
 * that a mapping of it never faults.  Nothing is allocated before it is
 * touched.  Return a descriptor, or -1 and @errp.
 */
int hdm_mem_anon(const char *name, uint64_t size, Error **errp);

/*
 * Open or make the sparse file @path of exactly @size bytes and keep others
 * from using it.  A file of another size, unless empty, is an error.
 * Return a descriptor, or -1 and @errp.
 */
int hdm_mem_file(const char *path, uint64_t size, Error **errp);

/* Zero the first @size bytes and give their memory back.  0 or -errno. */
int hdm_mem_clear(int fd, uint64_t size);

/* Copy @len bytes at @off.  Return @len, or a negative errno. */
int hdm_mem_read(int fd, uint64_t off, void *buf, uint32_t len);
int hdm_mem_write(int fd, uint64_t off, const void *buf, uint32_t len);

#endif /* VFIO_USER_CXL_HDM_MEM_H */
