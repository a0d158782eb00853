/*
 * A CXL Type-2 device, opened by VFIO: by iommufd and the device's own
 * character device, or by group and container.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/iommufd.h>
#include <linux/pci_regs.h>

#include "vfio-cxl-open.h"

#define CXL_VENDOR          0x1e98
#define EXT_CAP_DVSEC       0x23
#define MAX_MAPPINGS        32u
#define RESET_TRIES         20
#define RESET_PAUSE_US      10000

void bail(const char *fmt, ...)
{
    va_list ap;

    fputs("Bail out! ", stdout);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    exit(1);
}

/* -- opening -- */

static int must_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        bail("cannot open %s: %s", path, strerror(errno));
    }
    return fd;
}

/* /dev/vfio/devices/vfioN of a device; false when the kernel has none */
static bool cdev_path(const char *bdf, char *path, size_t size)
{
    char dir[PATH_MAX];
    struct dirent *entry;
    bool found = false;
    DIR *list;

    snprintf(dir, sizeof(dir), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
    list = opendir(dir);
    if (!list) {
        return false;
    }
    while (!found && (entry = readdir(list))) {
        if (!strncmp(entry->d_name, "vfio", 4)) {
            snprintf(path, size, "/dev/vfio/devices/%s", entry->d_name);
            found = access(path, F_OK) == 0;
        }
    }
    closedir(list);
    return found;
}

static void open_cdev(struct cxl_device *dev, const char *path)
{
    struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
    struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
    struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };

    dev->cdev = true;
    dev->group = -1;
    dev->iommu = must_open("/dev/iommu");
    dev->fd = must_open(path);
    bind.iommufd = dev->iommu;
    if (ioctl(dev->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind) < 0) {
        bail("cannot bind %s to iommufd: %s", path, strerror(errno));
    }
    if (ioctl(dev->iommu, IOMMU_IOAS_ALLOC, &alloc) < 0) {
        bail("cannot make an IOAS: %s", strerror(errno));
    }
    dev->ioas = alloc.out_ioas_id;
    attach.pt_id = dev->ioas;
    if (ioctl(dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) < 0) {
        bail("cannot attach %s to the IOAS: %s", path, strerror(errno));
    }
}

static void open_group(struct cxl_device *dev, const char *bdf)
{
    char path[PATH_MAX], target[PATH_MAX];
    ssize_t len;

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
    len = readlink(path, target, sizeof(target) - 1);
    if (len < 0) {
        bail("%s: device %s has no IOMMU group", strerror(errno), bdf);
    }
    target[len] = 0;
    snprintf(path, sizeof(path), "/dev/vfio/%s", basename(target));

    dev->group = must_open(path);
    dev->iommu = must_open("/dev/vfio/vfio");
    if (ioctl(dev->group, VFIO_GROUP_SET_CONTAINER, &dev->iommu) < 0 ||
        ioctl(dev->iommu, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0) {
        bail("cannot put %s into a type 1 container: %s", path,
             strerror(errno));
    }
    dev->fd = ioctl(dev->group, VFIO_GROUP_GET_DEVICE_FD, bdf);
    if (dev->fd < 0) {
        bail("cannot open %s in %s: %s", bdf, path, strerror(errno));
    }
}

void device_open(struct cxl_device *dev, const char *bdf, enum way way)
{
    char path[PATH_MAX];
    bool cdev;

    memset(dev, 0, sizeof(*dev));
    dev->bdf = bdf;
    dev->way = way;
    cdev = way != WAY_GROUP && cdev_path(bdf, path, sizeof(path));
    if (way == WAY_CDEV && !cdev) {
        bail("%s has no character device of its own: its driver is not "
             "VFIO's, or the kernel has no iommufd", bdf);
    }
    if (cdev) {
        open_cdev(dev, path);
    } else {
        open_group(dev, bdf);
    }
    dev->info.argsz = sizeof(dev->info);
    if (ioctl(dev->fd, VFIO_DEVICE_GET_INFO, &dev->info) < 0) {
        bail("no device info: %s", strerror(errno));
    }
    dev->config = region_info(dev, VFIO_PCI_CONFIG_REGION_INDEX);
    if (!dev->config) {
        bail("no configuration space");
    }
}

void device_close(struct cxl_device *dev)
{
    close(dev->fd);
    if (dev->group >= 0) {
        close(dev->group);
    }
    close(dev->iommu);
    free(dev->config);
    free(dev->hdm);
    free(dev->regs);
    free(dev->bar);
}

/* -- regions -- */

struct vfio_region_info *region_info(struct cxl_device *dev, unsigned index)
{
    size_t size = sizeof(struct vfio_region_info);
    struct vfio_region_info *info = NULL;

    for (;;) {
        info = realloc(info, size);
        memset(info, 0, size);
        info->argsz = size;
        info->index = index;
        if (ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, info) < 0) {
            free(info);
            return NULL;
        }
        if (info->argsz <= size) {
            return info;
        }
        size = info->argsz;
    }
}

void *region_cap(struct vfio_region_info *info, unsigned id)
{
    uint32_t at = info->flags & VFIO_REGION_INFO_FLAG_CAPS ?
                  info->cap_offset : 0;

    while (at) {
        struct vfio_info_cap_header *header = (void *)((char *)info + at);

        if (header->id == id) {
            return header;
        }
        at = header->next;
    }
    return NULL;
}

const char *device_find_regions(struct cxl_device *dev)
{
    const uint32_t cxl = VFIO_REGION_TYPE_CXL;
    struct vfio_region_info_cap_cxl_comp_regs *geometry;
    unsigned i;

    for (i = VFIO_PCI_NUM_REGIONS; i < dev->info.num_regions; i++) {
        struct vfio_region_info *info = region_info(dev, i);
        struct vfio_region_info_cap_type *type =
            info ? region_cap(info, VFIO_REGION_INFO_CAP_TYPE) : NULL;

        if (type && type->type == cxl && !dev->hdm &&
            type->subtype == VFIO_REGION_SUBTYPE_CXL_MEM) {
            dev->hdm = info;
        } else if (type && type->type == cxl && !dev->regs &&
                   type->subtype == VFIO_REGION_SUBTYPE_CXL_COMP_REGS) {
            dev->regs = info;
        } else {
            free(info);
        }
    }
    if (!dev->hdm || !dev->regs) {
        return dev->hdm ? "no decoder-register region" : "no HDM region";
    }
    geometry = region_cap(dev->regs, VFIO_REGION_INFO_CAP_CXL_COMP_REGS);
    if (!geometry) {
        return "the decoder-register region has no geometry capability";
    }
    dev->geometry = *geometry;
    dev->bar = geometry->bar <= VFIO_PCI_BAR5_REGION_INDEX ?
               region_info(dev, geometry->bar) : NULL;
    return dev->bar ? NULL : "the geometry capability names no BAR";
}

/* A mapping keeps the device open, so none may outlive what made it */
static struct {
    void *mem;
    size_t size;
} mappings[MAX_MAPPINGS];
static unsigned n_mappings;

void *region_map(struct cxl_device *dev, const struct vfio_region_info *info,
                 uint64_t offset, size_t size)
{
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, dev->fd,
                     info->offset + offset);

    if (mem != MAP_FAILED) {
        if (n_mappings == MAX_MAPPINGS) {
            bail("more than %u mappings", MAX_MAPPINGS);
        }
        mappings[n_mappings].mem = mem;
        mappings[n_mappings++].size = size;
    }
    return mem;
}

void region_unmap_all(void)
{
    while (n_mappings) {
        n_mappings--;
        munmap(mappings[n_mappings].mem, mappings[n_mappings].size);
    }
}

int region_read(struct cxl_device *dev, const struct vfio_region_info *info,
                uint64_t offset, void *buf, size_t size)
{
    ssize_t ret = pread(dev->fd, buf, size, info->offset + offset);

    return ret < 0 ? -errno : ret;
}

int region_write(struct cxl_device *dev, const struct vfio_region_info *info,
                 uint64_t offset, const void *buf, size_t size)
{
    ssize_t ret = pwrite(dev->fd, buf, size, info->offset + offset);

    return ret < 0 ? -errno : ret;
}

uint32_t read32(struct cxl_device *dev, const struct vfio_region_info *info,
                uint64_t offset)
{
    uint32_t value;
    int ret = region_read(dev, info, offset, &value, sizeof(value));

    if (ret != sizeof(value)) {
        bail("region %u: reading 4 bytes at 0x%llx gives %d", info->index,
             (unsigned long long)offset, ret);
    }
    return value;
}

uint32_t config_read(struct cxl_device *dev, unsigned pos, unsigned size)
{
    uint32_t value = 0;
    int ret = region_read(dev, dev->config, pos, &value, size);

    if (ret != (int)size) {
        bail("config space: reading %u bytes at 0x%x gives %d", size, pos,
             ret);
    }
    return value;
}

void config_write(struct cxl_device *dev, unsigned pos, unsigned size,
                  uint32_t value)
{
    int ret = region_write(dev, dev->config, pos, &value, size);

    if (ret != (int)size) {
        bail("config space: writing %u bytes at 0x%x gives %d", size, pos,
             ret);
    }
}

void memory_space(struct cxl_device *dev, bool on)
{
    uint16_t cmd = config_read(dev, PCI_COMMAND, 2);

    config_write(dev, PCI_COMMAND, 2, on ? cmd | PCI_COMMAND_MEMORY :
                                           cmd & ~PCI_COMMAND_MEMORY);
}

unsigned find_dvsec(struct cxl_device *dev, unsigned id)
{
    unsigned pos, left = 480;

    for (pos = 0x100; pos && left; left--) {
        uint32_t header = config_read(dev, pos, 4);

        if ((header & 0xffff) == EXT_CAP_DVSEC &&
            (config_read(dev, pos + 4, 4) & 0xffff) == CXL_VENDOR &&
            config_read(dev, pos + 8, 2) == id) {
            return pos;
        }
        pos = header >> 20;
    }
    return 0;
}

/* -- the rest -- */

int device_reset(struct cxl_device *dev)
{
    int i, err = 0;

    for (i = 0; i < RESET_TRIES; i++) {
        err = ioctl(dev->fd, VFIO_DEVICE_RESET) < 0 ? -errno : 0;
        if (err != -EAGAIN) {
            break;
        }
        usleep(RESET_PAUSE_US);
    }
    return err;
}

int hdm_export(struct cxl_device *dev, uint64_t offset, uint64_t size)
{
    struct {
        struct vfio_device_feature feature;
        struct vfio_device_feature_dma_buf dmabuf;
        struct vfio_region_dma_range range;
    } request = {
        .feature.argsz = sizeof(request),
        .feature.flags = VFIO_DEVICE_FEATURE_GET |
                         VFIO_DEVICE_FEATURE_DMA_BUF,
        .dmabuf.region_index = dev->hdm->index,
        .dmabuf.open_flags = O_CLOEXEC | O_RDWR,
        .dmabuf.nr_ranges = 1,
        .range.offset = offset,
        .range.length = size,
    };
    struct vfio_device_feature probe = {
        .argsz = sizeof(probe),
        .flags = request.feature.flags | VFIO_DEVICE_FEATURE_PROBE,
    };
    int fd;

    if (ioctl(dev->fd, VFIO_DEVICE_FEATURE, &probe) < 0) {
        return -ENOTTY;
    }
    fd = ioctl(dev->fd, VFIO_DEVICE_FEATURE, &request);
    return fd < 0 ? -errno : fd;
}

int ioas_map(struct cxl_device *dev, int fd, uint64_t size)
{
    struct iommu_ioas_map_file map = {
        .size = sizeof(map),
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE |
                 IOMMU_IOAS_MAP_READABLE,
        .ioas_id = dev->ioas,
        .fd = fd,
        .length = size,
        .iova = CHECK_IOVA,
    };

    return ioctl(dev->iommu, IOMMU_IOAS_MAP_FILE, &map) < 0 ? -errno : 0;
}

int ioas_unmap(struct cxl_device *dev, uint64_t size)
{
    struct iommu_ioas_unmap unmap = {
        .size = sizeof(unmap),
        .ioas_id = dev->ioas,
        .iova = CHECK_IOVA,
        .length = size,
    };

    return ioctl(dev->iommu, IOMMU_IOAS_UNMAP, &unmap) < 0 ? -errno : 0;
}

static sigjmp_buf after_sigbus;

static void on_sigbus(int signum)
{
    siglongjmp(after_sigbus, signum);
}

static bool try_touch(volatile uint32_t *at, uint32_t *value, bool iswrite)
{
    struct sigaction action = { .sa_handler = on_sigbus }, before;
    volatile bool survived = false;

    sigaction(SIGBUS, &action, &before);
    if (!sigsetjmp(after_sigbus, 1)) {
        if (iswrite) {
            *at = *value;
        } else {
            *value = *at;
        }
        survived = true;
    }
    sigaction(SIGBUS, &before, NULL);
    return survived;
}

bool try_write32(volatile uint32_t *at, uint32_t value)
{
    return try_touch(at, &value, true);
}

bool try_read32(volatile uint32_t *at, uint32_t *value)
{
    return try_touch(at, value, false);
}
