/*
 * A CXL Type-2 device, opened by VFIO
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_KERNEL_VFIO_CXL_OPEN_H
#define TESTS_KERNEL_VFIO_CXL_OPEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio-cxl-abi.h"

enum way { WAY_AUTO, WAY_CDEV, WAY_GROUP };

struct cxl_device {
    const char *bdf;
    enum way way;
    bool cdev;                      /* by iommufd, not by group */
    int fd;
    int iommu;                      /* iommufd or container */
    int group;                      /* -1 with cdev */
    uint32_t ioas;                  /* with cdev */
    struct vfio_device_info info;
    struct vfio_region_info *config;
    struct vfio_region_info *hdm;
    struct vfio_region_info *regs;
    struct vfio_region_info *bar;   /* with the component registers */
    struct vfio_region_info_cap_cxl_comp_regs geometry;
};

/* End the program, as TAP wants it, for a fault that is no check's */
void bail(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/**
 * device_open: open a device that is bound to a VFIO driver, and attach it
 * @dev: to fill; regions are not looked for
 * @bdf: its PCI address, with domain
 * @way: of the two ways
 */
void device_open(struct cxl_device *dev, const char *bdf, enum way way);

/** device_close: all of it */
void device_close(struct cxl_device *dev);

/**
 * device_find_regions: find HDM, decoder registers, geometry and its BAR
 *
 * Returns: NULL, or what is missing.
 */
const char *device_find_regions(struct cxl_device *dev);

/** region_info: a region with its capabilities; NULL if there is none */
struct vfio_region_info *region_info(struct cxl_device *dev, unsigned index);

/** region_cap: a capability of a region, or NULL */
void *region_cap(struct vfio_region_info *info, unsigned id);

/**
 * region_map: map a part, until region_unmap_all()
 *
 * Returns: MAP_FAILED with errno as mmap().
 */
void *region_map(struct cxl_device *dev, const struct vfio_region_info *info,
                 uint64_t offset, size_t size);
void region_unmap_all(void);

/** region_read, region_write: bytes that were moved, or -errno */
int region_read(struct cxl_device *dev, const struct vfio_region_info *info,
                uint64_t offset, void *buf, size_t size);
int region_write(struct cxl_device *dev, const struct vfio_region_info *info,
                 uint64_t offset, const void *buf, size_t size);

/** read32: a register that must be readable */
uint32_t read32(struct cxl_device *dev, const struct vfio_region_info *info,
                uint64_t offset);

/** config_read, config_write: 1, 2 or 4 bytes that must be accessible */
uint32_t config_read(struct cxl_device *dev, unsigned pos, unsigned size);
void config_write(struct cxl_device *dev, unsigned pos, unsigned size,
                  uint32_t value);

/** memory_space: turn it on or off */
void memory_space(struct cxl_device *dev, bool on);

/** find_dvsec: position of a CXL DVSEC, 0 if there is none */
unsigned find_dvsec(struct cxl_device *dev, unsigned id);

/** device_reset: 0 or -errno; tries again while the host is busy */
int device_reset(struct cxl_device *dev);

/**
 * hdm_export: a part of the HDM as dma-buf
 *
 * Returns: a file descriptor; -ENOTTY when the kernel exports none at all;
 * another error when it should have.
 */
int hdm_export(struct cxl_device *dev, uint64_t offset, uint64_t size);

/**
 * ioas_map, ioas_unmap: a dma-buf in the IOAS, at CHECK_IOVA
 * @fd: the dma-buf
 * @size: of the part from its start on
 *
 * Returns: 0 or -errno.
 */
#define CHECK_IOVA 0x100000000ull
int ioas_map(struct cxl_device *dev, int fd, uint64_t size);
int ioas_unmap(struct cxl_device *dev, uint64_t size);

/**
 * try_write32, try_read32: touch memory that may give SIGBUS
 *
 * Returns: false when it did.
 */
bool try_write32(volatile uint32_t *at, uint32_t value);
bool try_read32(volatile uint32_t *at, uint32_t *value);

#endif /* TESTS_KERNEL_VFIO_CXL_OPEN_H */
