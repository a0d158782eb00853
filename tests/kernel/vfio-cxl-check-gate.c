/*
 * When the HDM may be touched, and what the test driver's switches do
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "vfio-cxl-check.h"

#define SWITCHES    "/sys/module/vfio_cxl_test/parameters/"
#define DEBUGFS     "/sys/kernel/debug/vfio_cxl_test/"
#define PATTERN     0x0ff1ce00u
#define MIB2        0x200000ul

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) > 0;

    if (fd >= 0) {
        close(fd);
    }
    return good;
}

static void turn(const char *name, bool on)
{
    char path[256];

    snprintf(path, sizeof(path), SWITCHES "%s", name);
    if (!write_file(path, on ? "1" : "0")) {
        bail("cannot turn %s %s: %s", path, on ? "on" : "off",
             strerror(errno));
    }
}

/* Two pages of HDM, the first word of each written */
static volatile uint32_t *map_two(struct cxl_device *dev, size_t page)
{
    void *mem = region_map(dev, dev->hdm, 0, 2 * page);

    CHECK(mem != MAP_FAILED, "HDM cannot be mapped: %s", strerror(errno));
    CHECK(try_write32(mem, PATTERN) &&
          try_write32((uint32_t *)mem + page / 4, ~PATTERN),
          "SIGBUS while the HDM is in reach");
    return mem;
}

/* While gated: no access by mapping, read() or write(); then all as before */
static void check_closed(struct cxl_device *dev, volatile uint32_t *word,
                         const char *when)
{
    uint32_t value = 0;
    int ret;

    CHECK(!try_read32(word, &value), "no SIGBUS %s: read 0x%08x", when, value);
    CHECK(!try_write32(word, 0), "no SIGBUS for a write %s", when);
    ret = region_read(dev, dev->hdm, 0, &value, 4);
    CHECK(ret == -EIO, "read() %s gives %d", when, ret);
    ret = region_write(dev, dev->hdm, 0, &value, 4);
    CHECK(ret == -EIO, "write() %s gives %d", when, ret);
}

static void check_open(volatile uint32_t *word, uint32_t expected,
                       const char *when)
{
    uint32_t value = 0;

    CHECK(try_read32(word, &value), "SIGBUS %s", when);
    CHECK(value == expected, "%s memory has 0x%08x, not 0x%08x", when, value,
          expected);
}

static void gate_memory_space(struct cxl_device *dev)
{
    size_t page = sysconf(_SC_PAGESIZE);
    volatile uint32_t *mem = map_two(dev, page);

    memory_space(dev, false);
    check_closed(dev, mem, "with Memory Space off");
    memory_space(dev, true);
    check_open(mem, PATTERN, "with Memory Space on again");
}

static unsigned find_cap(struct cxl_device *dev, unsigned id)
{
    unsigned pos = config_read(dev, PCI_CAPABILITY_LIST, 1), left = 48;

    while (pos && left-- && config_read(dev, pos, 1) != id) {
        pos = config_read(dev, pos + 1, 1);
    }
    return pos;
}

static void gate_power(struct cxl_device *dev)
{
    size_t page = sysconf(_SC_PAGESIZE);
    unsigned pm = find_cap(dev, PCI_CAP_ID_PM);
    volatile uint32_t *mem;

    if (!pm) {
        SKIP("the device has no power management");
    }
    mem = map_two(dev, page);
    config_write(dev, pm + PCI_PM_CTRL, 2, 3);
    check_closed(dev, mem, "in D3");
    config_write(dev, pm + PCI_PM_CTRL, 2, 0);
    memory_space(dev, true);
    check_open(mem, PATTERN, "in D0 again");
}

static void reset_keeps_mapping(struct cxl_device *dev)
{
    size_t page = sysconf(_SC_PAGESIZE);
    volatile uint32_t *mem = map_two(dev, page);
    uint32_t value;
    int err = device_reset(dev);

    CHECK(!err, "reset: %s", strerror(-err));
    memory_space(dev, true);
    CHECK(try_read32(mem, &value), "SIGBUS after the reset");
    CHECK(value == 0, "the reset left 0x%08x in the memory", value);
}

static void flr_keeps_mapping(struct cxl_device *dev)
{
    size_t page = sysconf(_SC_PAGESIZE);
    unsigned exp = find_cap(dev, PCI_CAP_ID_EXP);
    volatile uint32_t *mem;
    uint16_t ctl;

    if (!exp || !(config_read(dev, exp + PCI_EXP_DEVCAP, 4) &
                  PCI_EXP_DEVCAP_FLR)) {
        SKIP("the device has no function level reset");
    }
    mem = map_two(dev, page);
    ctl = config_read(dev, exp + PCI_EXP_DEVCTL, 2);
    config_write(dev, exp + PCI_EXP_DEVCTL, 2, ctl | PCI_EXP_DEVCTL_BCR_FLR);
    memory_space(dev, true);
    CHECK(try_write32(mem, PATTERN), "SIGBUS after the reset");
    CHECK(read32(dev, dev->regs, 0x20) & (1 << 10), "no decoder after it");
}

static void reset_fails(struct cxl_device *dev)
{
    size_t page = sysconf(_SC_PAGESIZE);
    volatile uint32_t *mem = map_two(dev, page);
    uint32_t value;
    int err;

    turn("fail_reset", true);
    err = device_reset(dev);
    turn("fail_reset", false);
    CHECK(err, "a reset works that must fail");
    memory_space(dev, true);
    check_closed(dev, mem, "after a reset that failed");
    err = device_reset(dev);
    CHECK(!err, "the next reset: %s", strerror(-err));
    memory_space(dev, true);
    CHECK(try_read32(mem, &value), "SIGBUS after the next reset");
}

static void mmap_refused(struct cxl_device *dev)
{
    size_t page = sysconf(_SC_PAGESIZE);
    void *mem;
    int err;

    turn("refuse_mmap", true);
    mem = region_map(dev, dev->hdm, 0, page);
    err = errno;
    turn("refuse_mmap", false);
    CHECK(mem == MAP_FAILED && err == EPERM, "mmap gives %p, error %d", mem,
          err);
}

static void decoder_eio(struct cxl_device *dev)
{
    uint32_t value;
    int off, on;

    turn("decoder_eio", true);
    memory_space(dev, false);
    off = region_read(dev, dev->regs, 0, &value, 4);
    memory_space(dev, true);
    on = region_read(dev, dev->regs, 0, &value, 4);
    turn("decoder_eio", false);
    CHECK(off == -EIO && on == 4, "reads give %d and %d", off, on);
}

/* -- memory failure -- */

static volatile sig_atomic_t failures;
static void *volatile failed_at;

static void on_failure(int signum, siginfo_t *info, void *context)
{
    (void)context;
    if (signum == SIGBUS && (info->si_code == BUS_MCEERR_AR ||
                             info->si_code == BUS_MCEERR_AO)) {
        failed_at = info->si_addr;
        failures++;
    }
}

static void memory_failure(struct cxl_device *dev)
{
    struct sigaction action = {
        .sa_sigaction = on_failure, .sa_flags = SA_SIGINFO,
    }, before;
    size_t page = sysconf(_SC_PAGESIZE);
    volatile uint32_t *mem = map_two(dev, page);
    volatile uint32_t *second = mem + page / 4;
    char path[256], offset[32];
    uint32_t value;
    bool injected;
    int err;

    snprintf(path, sizeof(path), DEBUGFS "%s/poison", dev->bdf);
    snprintf(offset, sizeof(offset), "%zu", page);
    sigaction(SIGBUS, &action, &before);
    injected = write_file(path, offset);
    err = errno;
    sigaction(SIGBUS, &before, NULL);
    CHECK(injected, "cannot write %s: %s", path, strerror(err));
    CHECK(failures == 1 && failed_at == second,
          "%d signals, the last for %p instead of %p", (int)failures,
          failed_at, second);
    check_open(mem, PATTERN, "beside the page that failed");
    CHECK(!try_read32(second, &value), "no SIGBUS in the page that failed");
    err = device_reset(dev);
    CHECK(!err, "reset: %s", strerror(-err));
    memory_space(dev, true);
    CHECK(try_read32(second, &value), "SIGBUS in it after a reset");
}

/* -- dma-buf -- */

static void dmabuf_revoked(struct cxl_device *dev)
{
    int first, unmap, off, on, fd;

    if (!dev->cdev) {
        SKIP("the device is not opened by iommufd");
    }
    fd = hdm_export(dev, 0, MIB2);
    if (fd == -ENOTTY) {
        SKIP("the kernel exports no dma-buf of the HDM");
    }
    CHECK(fd >= 0, "no dma-buf: %s", strerror(-fd));
    first = ioas_map(dev, fd, MIB2);
    memory_space(dev, false);
    unmap = ioas_unmap(dev, MIB2);
    off = ioas_map(dev, fd, MIB2);
    memory_space(dev, true);
    on = ioas_map(dev, fd, MIB2);
    if (!on) {
        ioas_unmap(dev, MIB2);
    }
    close(fd);
    CHECK(!first, "cannot be mapped: %s", strerror(-first));
    CHECK(!unmap, "revoked, cannot be unmapped: %s", strerror(-unmap));
    CHECK(off, "can be mapped while Memory Space is off");
    CHECK(!on, "cannot be mapped again: %s", strerror(-on));
}

/* -- interrupts -- */

/* With an IOMMU, the address that MSIs go to has to be mapped for them */
static void msix_setup(struct cxl_device *dev)
{
    struct vfio_irq_info info = {
        .argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX,
    };
    struct {
        struct vfio_irq_set set;
        int32_t fd;
    } request = {
        .set.argsz = sizeof(request),
        .set.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
        .set.index = VFIO_PCI_MSIX_IRQ_INDEX,
        .set.count = 1,
    };
    int err;

    if (ioctl(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 || !info.count) {
        SKIP("the device has no MSI-X");
    }
    request.fd = eventfd(0, EFD_CLOEXEC);
    err = ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, &request) < 0 ? errno : 0;
    request.set.argsz = sizeof(request.set);
    request.set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
    request.set.count = 0;
    ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, &request);
    close(request.fd);
    CHECK(!err, "MSI-X cannot be turned on: %s", strerror(err));
}

/* The last one, since it opens the device once more */
static void flag_hidden(struct cxl_device *dev)
{
    const char *bdf = dev->bdf;
    enum way way = dev->way;
    uint32_t flags, regions;

    device_close(dev);
    turn("hide_cxl", true);
    device_open(dev, bdf, way);
    flags = dev->info.flags;
    regions = dev->info.num_regions;
    turn("hide_cxl", false);
    CHECK(!(flags & VFIO_DEVICE_FLAGS_CXL) && regions == VFIO_PCI_NUM_REGIONS,
          "flags 0x%x, %u regions", flags, regions);
}

const struct check gate_checks[] = {
    { "gate_memory_space", gate_memory_space },
    { "gate_power", gate_power },
    { "reset_keeps_mapping", reset_keeps_mapping },
    { "flr_keeps_mapping", flr_keeps_mapping },
    { "reset_fails", reset_fails },
    { "mmap_refused", mmap_refused },
    { "decoder_eio", decoder_eio },
    { "memory_failure", memory_failure },
    { "dmabuf_revoked", dmabuf_revoked },
    { "msix_setup", msix_setup },
    { "flag_hidden", flag_hidden },
    { NULL, NULL }
};
