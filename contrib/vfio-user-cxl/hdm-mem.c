/*
 * Backing memory of a device: anonymous or a file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/file.h>
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "hdm-mem.h"

int hdm_mem_anon(const char *name, uint64_t size, Error **errp)
{
    return qemu_memfd_create(name, size, false, 0,
                             F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, errp);
}

int hdm_mem_file(const char *path, uint64_t size, Error **errp)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot open memory file '%s'", path);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        error_setg(errp, "memory file '%s' is in use; stop the other device "
                   "server or name another file", path);
        goto fail;
    }
    if (fstat(fd, &st) < 0) {
        error_setg_errno(errp, errno, "cannot read the size of '%s'", path);
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        error_setg(errp, "memory file '%s' is not a regular file; name "
                   "another one", path);
        goto fail;
    }
    if (st.st_size && st.st_size != size) {
        error_setg(errp, "memory file '%s' has %" PRIu64 " bytes, the HDM "
                   "size is %" PRIu64 "; remove it or name another file",
                   path, (uint64_t)st.st_size, size);
        goto fail;
    }
    if (ftruncate(fd, size) < 0) {
        error_setg_errno(errp, errno, "cannot make '%s' %" PRIu64 " bytes "
                         "long", path, size);
        goto fail;
    }
    return fd;

fail:
    close(fd);
    return -1;
}

/* For file systems that cannot punch holes: overwrite what is not a hole */
static int clear_by_writing(int fd, uint64_t size)
{
    g_autofree char *zeros = g_malloc0(1 << 20);
    off_t pos = 0;

    while (pos < size) {
        off_t end, data = lseek(fd, pos, SEEK_DATA);

        if (data < 0) {
            return errno == ENXIO ? 0 : -errno;
        }
        end = lseek(fd, data, SEEK_HOLE);
        if (end < 0) {
            return -errno;
        }
        end = MIN(end, size);
        for (pos = data; pos < end; ) {
            int ret = hdm_mem_write(fd, pos, zeros, MIN(end - pos, 1 << 20));

            if (ret < 0) {
                return ret;
            }
            pos += ret;
        }
    }
    return 0;
}

int hdm_mem_clear(int fd, uint64_t size)
{
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  0, size) == 0) {
        return 0;
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS) {
        return -errno;
    }
    return clear_by_writing(fd, size);
}

int hdm_mem_read(int fd, uint64_t off, void *buf, uint32_t len)
{
    uint32_t done = 0;

    while (done < len) {
        ssize_t n = RETRY_ON_EINTR(pread(fd, (char *)buf + done, len - done,
                                         off + done));

        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            return -EIO;
        }
        done += n;
    }
    return len;
}

int hdm_mem_write(int fd, uint64_t off, const void *buf, uint32_t len)
{
    uint32_t done = 0;

    while (done < len) {
        ssize_t n = RETRY_ON_EINTR(pwrite(fd, (const char *)buf + done,
                                          len - done, off + done));

        if (n < 0) {
            return -errno;
        }
        done += n;
    }
    return len;
}
