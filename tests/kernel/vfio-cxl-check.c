/*
 * Does a kernel's VFIO present a CXL Type-2 device as the interface says?
 *
 * The checks are those of the kernel's own selftest, by their names, written
 * anew from its description.  TAP goes to standard output.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vfio-cxl-check.h"

#define MIB2                0x200000ul

/* HDM Decoder Capability, CXL r4.0 section 8.2.4.20 */
#define HDM_BASE_LOW        0x10
#define HDM_BASE_HIGH       0x14
#define HDM_SIZE_LOW        0x18
#define HDM_SIZE_HIGH       0x1c
#define HDM_CONTROL         0x20
#define HDM_LOCK            (1u << 8)
#define HDM_COMMIT          (1u << 9)
#define HDM_COMMITTED       (1u << 10)
#define HDM_ALIGN           0x10000000u

/* CXL Device DVSEC, CXL r4.0 section 8.1.3 */
#define DVSEC_DEVICE        0
#define DVSEC_CAP           0x0a
#define DVSEC_CAP_RESET     (1u << 7)
#define DVSEC_CTRL          0x0c
#define DVSEC_CTRL2         0x10
#define DVSEC_CTRL2_RESET   (1u << 2)
#define DVSEC_STATUS2       0x12
#define DVSEC_STATUS2_DONE  (1u << 1)
#define DVSEC_STATUS2_ERROR (1u << 2)

/* Register Locator DVSEC, 8.1.9; cache and memory registers, 8.2.4 */
#define DVSEC_LOCATOR       8
#define LOCATOR_FIRST       0x0c
#define BLOCK_COMPONENT     1
#define CACHE_MEM           0x1000
#define CAP_HDM             5

static size_t page;

static uint32_t regs32(struct cxl_device *dev, unsigned at)
{
    return read32(dev, dev->regs, at);
}

static uint64_t regs64(struct cxl_device *dev, unsigned low, unsigned high)
{
    return (uint64_t)regs32(dev, high) << 32 |
           (regs32(dev, low) & ~(HDM_ALIGN - 1));
}

static int write_regs32(struct cxl_device *dev, unsigned at, uint32_t value)
{
    return region_write(dev, dev->regs, at, &value, sizeof(value));
}

static void device_is_cxl(struct cxl_device *dev)
{
    CHECK(dev->hdm->index != dev->regs->index,
          "both regions have index %u", dev->hdm->index);
    CHECK(dev->hdm->size && dev->regs->size, "sizes 0x%llx and 0x%llx",
          dev->hdm->size, dev->regs->size);
    CHECK(dev->geometry.bar < 6, "decoder in BAR %u", dev->geometry.bar);
    CHECK(dev->hdm->flags & VFIO_REGION_INFO_FLAG_MMAP,
          "HDM region has flags 0x%x, no mmap", dev->hdm->flags);
}

static void comp_bar_sparse_mmap(struct cxl_device *dev)
{
    uint64_t decoder = dev->geometry.offset & ~(uint64_t)(page - 1);
    struct vfio_region_info_cap_sparse_mmap *sparse =
        region_cap(dev->bar, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
    unsigned i;
    void *mem;

    CHECK(dev->bar->flags & VFIO_REGION_INFO_FLAG_MMAP,
          "BAR %u has flags 0x%x, no mmap", dev->bar->index, dev->bar->flags);
    CHECK(sparse, "BAR %u has no list of areas", dev->bar->index);
    for (i = 0; i < sparse->nr_areas; i++) {
        uint64_t offset = sparse->areas[i].offset;
        uint64_t size = sparse->areas[i].size;

        CHECK(size && !(offset % page) && !(size % page),
              "area %u is 0x%llx + 0x%llx", i, (unsigned long long)offset,
              (unsigned long long)size);
        CHECK(decoder < offset || decoder >= offset + size,
              "area %u has the decoder in it", i);
        mem = region_map(dev, dev->bar, offset, size);
        CHECK(mem != MAP_FAILED, "area %u cannot be mapped: %s", i,
              strerror(errno));
    }
    mem = region_map(dev, dev->bar, 0, dev->bar->size);
    CHECK(mem == MAP_FAILED, "the whole BAR can be mapped");
    mem = region_map(dev, dev->bar, decoder, page);
    CHECK(mem == MAP_FAILED, "the decoder's page can be mapped");
}

/* A dword at one end of a mapping of @size bytes comes back */
static void round_trip(struct cxl_device *dev, size_t size, size_t at)
{
    uint32_t before = 0, value = 0;
    volatile uint32_t *word;
    bool touched;
    void *mem = region_map(dev, dev->hdm, 0, size);

    CHECK(mem != MAP_FAILED, "0x%zx bytes cannot be mapped: %s", size,
          strerror(errno));
    word = (volatile uint32_t *)((char *)mem + at);
    touched = try_read32(word, &before) && try_write32(word, ~before) &&
              try_read32(word, &value);
    CHECK(touched, "SIGBUS at offset 0x%zx", at);
    CHECK(value == ~before, "wrote 0x%08x, read 0x%08x", ~before, value);

    /* What the mapping wrote is in the memory, not just in the mapping */
    CHECK(region_read(dev, dev->hdm, at, &value, 4) == 4 && value == ~before,
          "read() gives 0x%08x after 0x%08x was stored", value, ~before);
}

static void hdm_mem_mmap_rw(struct cxl_device *dev)
{
    round_trip(dev, page, 0);
}

static void hdm_mem_huge_mmap(struct cxl_device *dev)
{
    if (dev->hdm->size < MIB2) {
        SKIP("HDM has 0x%llx bytes only", dev->hdm->size);
    }
    round_trip(dev, MIB2, MIB2 - 4);
}

static void hdm_mem_ioas_map(struct cxl_device *dev)
{
    int err, unmapped, fd;

    if (!dev->cdev) {
        SKIP("the device is not opened by iommufd");
    }
    fd = hdm_export(dev, 0, MIB2);
    if (fd == -ENOTTY) {
        SKIP("the kernel exports no dma-buf of the HDM");
    }
    CHECK(fd >= 0, "no dma-buf: %s", strerror(-fd));
    err = ioas_map(dev, fd, MIB2);
    unmapped = err ? 0 : ioas_unmap(dev, MIB2);
    close(fd);
    CHECK(!err, "the dma-buf cannot be mapped: %s", strerror(-err));
    CHECK(!unmapped, "it cannot be unmapped: %s", strerror(-unmapped));
}

static void comp_regs_hdm_read(struct cxl_device *dev)
{
    uint32_t value;
    int ret;

    CHECK(dev->regs->size >= HDM_CONTROL + 4, "region has 0x%llx bytes only",
          dev->regs->size);
    ret = region_read(dev, dev->regs, HDM_CONTROL, &value, 4);
    CHECK(ret == 4, "reading decoder 0's control gives %d", ret);
    CHECK(value != UINT32_MAX && value & HDM_COMMITTED,
          "decoder 0's control is 0x%08x, not committed", value);
}

static void comp_regs_reject_unaligned(struct cxl_device *dev)
{
    uint32_t value;
    int ret = region_read(dev, dev->regs, 1, &value, 4);

    CHECK(ret == -EINVAL, "4 bytes at offset 1 give %d", ret);
    ret = region_read(dev, dev->regs, 0, &value, 2);
    CHECK(ret == -EINVAL, "2 bytes at offset 0 give %d", ret);
}

static void comp_regs_reject_out_of_range(struct cxl_device *dev)
{
    uint32_t value;
    int ret = region_read(dev, dev->regs, dev->regs->size, &value, 4);

    CHECK(ret == -EINVAL, "4 bytes at the end give %d", ret);
}

static void hdm_commit_fsm(struct cxl_device *dev)
{
    uint32_t before = regs32(dev, HDM_CONTROL), after;
    int ret = write_regs32(dev, HDM_CONTROL, before & ~HDM_COMMIT);

    CHECK(ret == 4, "writing the control gives %d", ret);
    after = regs32(dev, HDM_CONTROL);
    CHECK(after & HDM_COMMITTED, "control became 0x%08x", after);
}

static void hdm_lock_on_commit(struct cxl_device *dev)
{
    static const uint32_t values[] = { HDM_COMMIT | HDM_LOCK, 0 };
    uint32_t locked = regs32(dev, HDM_CONTROL) & HDM_LOCK;
    unsigned i;

    for (i = 0; i < 2; i++) {
        int ret = write_regs32(dev, HDM_CONTROL, values[i]);
        uint32_t after = regs32(dev, HDM_CONTROL);

        CHECK(ret == 4, "writing the control gives %d", ret);
        CHECK(after & HDM_COMMITTED && (after & HDM_LOCK) == locked,
              "writing 0x%x makes the control 0x%08x", values[i], after);
    }
    if (!locked) {
        SKIP("the host's firmware did not lock the decoder");
    }
}

static void hdm_base_write_absorbed(struct cxl_device *dev)
{
    uint32_t before = regs32(dev, HDM_BASE_LOW), after;
    int ret = write_regs32(dev, HDM_BASE_LOW, 0x30000000);

    CHECK(ret == 4, "writing the base gives %d", ret);
    after = regs32(dev, HDM_BASE_LOW);
    CHECK(after == before, "the base became another one");
}

static unsigned device_dvsec(struct cxl_device *dev)
{
    unsigned pos = find_dvsec(dev, DVSEC_DEVICE);

    CHECK(pos, "no CXL Device DVSEC");
    return pos;
}

static void dvsec_body_read(struct cxl_device *dev)
{
    unsigned pos = device_dvsec(dev);
    uint32_t header = config_read(dev, pos + 4, 4);
    uint16_t cap = config_read(dev, pos + DVSEC_CAP, 2);

    CHECK(header != UINT32_MAX, "header 1 is all ones");
    CHECK((cap & 5) == 5, "capability 0x%04x lacks cache or memory", cap);
}

static void guest_cxl_reset(struct cxl_device *dev)
{
    unsigned pos = device_dvsec(dev);
    uint32_t pattern = 0x5ca1ab1e, value = 0;
    uint16_t ctrl2, status2;

    if (!(config_read(dev, pos + DVSEC_CAP, 2) & DVSEC_CAP_RESET)) {
        SKIP("the device has no CXL reset");
    }
    CHECK(region_write(dev, dev->hdm, 0, &pattern, 4) == 4,
          "the HDM cannot be written");
    ctrl2 = config_read(dev, pos + DVSEC_CTRL2, 2);
    config_write(dev, pos + DVSEC_CTRL2, 2, ctrl2 | DVSEC_CTRL2_RESET);
    ctrl2 = config_read(dev, pos + DVSEC_CTRL2, 2);
    status2 = config_read(dev, pos + DVSEC_STATUS2, 2);
    CHECK(!(ctrl2 & DVSEC_CTRL2_RESET), "control 2 stays 0x%04x", ctrl2);
    CHECK(status2 & DVSEC_STATUS2_DONE && !(status2 & DVSEC_STATUS2_ERROR),
          "status 2 is 0x%04x", status2);
    CHECK(region_read(dev, dev->hdm, 0, &value, 4) == 4 && value == pattern,
          "the write reset the device: memory has 0x%08x", value);
}

static void check_device_reset(struct cxl_device *dev)
{
    uint32_t value = 0;
    int err;

    CHECK(dev->info.flags & VFIO_DEVICE_FLAGS_RESET,
          "device flags 0x%x say nothing of a reset", dev->info.flags);
    err = device_reset(dev);
    CHECK(!err, "reset: %s", strerror(-err));
    err = region_read(dev, dev->hdm, 0, &value, 4);
    CHECK(err == 4, "after it, reading the HDM gives %d", err);
}

static void comp_bar_rdwr_split(struct cxl_device *dev)
{
    uint32_t words[4], zero = 0;
    uint64_t decoder = dev->geometry.offset;
    int ret = region_read(dev, dev->bar, 0, words, 4);

    CHECK(ret == 4, "reading BAR %u at 0 gives %d", dev->bar->index, ret);
    ret = region_read(dev, dev->bar, decoder, words, 4);
    CHECK(ret == 4 && words[0] == UINT32_MAX,
          "reading the decoder in the BAR gives %d: 0x%08x", ret, words[0]);

    /* Half of it before the decoder, half of it inside */
    ret = region_read(dev, dev->bar, decoder - 8, words, sizeof(words));
    CHECK(ret == sizeof(words) && words[2] == UINT32_MAX &&
          words[3] == UINT32_MAX && words[0] == read32(dev, dev->bar,
                                                       decoder - 8),
          "reading across the decoder's start gives %d: 0x%08x 0x%08x "
          "0x%08x 0x%08x", ret, words[0], words[1], words[2], words[3]);
    ret = region_write(dev, dev->bar, decoder + HDM_CONTROL, &zero, 4);
    CHECK(ret == 4 && regs32(dev, HDM_CONTROL) & HDM_COMMITTED,
          "a write to the decoder in the BAR gives %d and gets through", ret);
}

static void guest_hdm_discovery(struct cxl_device *dev)
{
    unsigned pos = find_dvsec(dev, DVSEC_LOCATOR);
    uint64_t component, base, size, found = 0;
    uint32_t low, entry;
    unsigned i;

    CHECK(pos, "no Register Locator DVSEC");
    low = config_read(dev, pos + LOCATOR_FIRST, 4);
    component = (uint64_t)config_read(dev, pos + LOCATOR_FIRST + 4, 4) << 32 |
                (low & 0xffff0000);
    CHECK((low >> 8 & 0xff) == BLOCK_COMPONENT &&
          (low & 7) == dev->geometry.bar,
          "the first block is 0x%08x, not the component registers in BAR %u",
          low, dev->geometry.bar);

    entry = read32(dev, dev->bar, component + CACHE_MEM);
    CHECK((entry & 0xffff) == 1, "the array begins with 0x%08x", entry);
    for (i = entry >> 24; i; i--) {
        entry = read32(dev, dev->bar, component + CACHE_MEM + 4 * i);
        if ((entry & 0xffff) == CAP_HDM) {
            found = component + CACHE_MEM + (entry >> 20);
        }
    }
    CHECK(found == dev->geometry.offset,
          "the array says 0x%llx, the geometry capability 0x%llx",
          (unsigned long long)found,
          (unsigned long long)dev->geometry.offset);

    base = regs64(dev, HDM_BASE_LOW, HDM_BASE_HIGH);
    size = regs64(dev, HDM_SIZE_LOW, HDM_SIZE_HIGH);
    CHECK(base && size && base + size > base, "decoder of 0x%llx bytes",
          (unsigned long long)size);
}

static void hdm_mem_touch_committed_base(struct cxl_device *dev)
{
    uint64_t size = regs64(dev, HDM_SIZE_LOW, HDM_SIZE_HIGH);
    size_t at;

    CHECK(size == dev->hdm->size, "decoder has 0x%llx bytes, region 0x%llx",
          (unsigned long long)size, dev->hdm->size);
    for (at = 0; at < page; at += page / 8) {
        round_trip(dev, page, at);
    }
}

static void dvsec_write_virtualized(struct cxl_device *dev)
{
    unsigned pos = device_dvsec(dev);
    uint16_t cap = config_read(dev, pos + DVSEC_CAP, 2);
    uint16_t ctrl = config_read(dev, pos + DVSEC_CTRL, 2), now;

    config_write(dev, pos + DVSEC_CAP, 2, (uint16_t)~cap);
    now = config_read(dev, pos + DVSEC_CAP, 2);
    CHECK(now == cap, "capability 0x%04x became 0x%04x", cap, now);
    config_write(dev, pos + DVSEC_CTRL, 2, ctrl ^ 1);
    now = config_read(dev, pos + DVSEC_CTRL, 2);
    config_write(dev, pos + DVSEC_CTRL, 2, ctrl);
    CHECK(now == (ctrl ^ 1), "control 0x%04x with bit 0 turned is 0x%04x",
          ctrl, now);
    now = config_read(dev, pos + DVSEC_CTRL, 2);
    CHECK(now == ctrl, "control 0x%04x came back as 0x%04x", ctrl, now);
}

static void region_flags(struct cxl_device *dev)
{
    const uint32_t rw = VFIO_REGION_INFO_FLAG_READ |
                        VFIO_REGION_INFO_FLAG_WRITE;
    const uint32_t map = VFIO_REGION_INFO_FLAG_MMAP;

    CHECK((dev->hdm->flags & (rw | map)) == (rw | map),
          "HDM region has flags 0x%x", dev->hdm->flags);
    CHECK((dev->regs->flags & (rw | map)) == rw,
          "decoder-register region has flags 0x%x", dev->regs->flags);
    CHECK(dev->geometry.header.version ==
          VFIO_REGION_INFO_CAP_CXL_COMP_REGS_VERSION,
          "geometry capability has version %u", dev->geometry.header.version);
}

static const struct check contract_checks[] = {
    { "device_is_cxl", device_is_cxl },
    { "comp_bar_sparse_mmap", comp_bar_sparse_mmap },
    { "hdm_mem_mmap_rw", hdm_mem_mmap_rw },
    { "hdm_mem_huge_mmap", hdm_mem_huge_mmap },
    { "hdm_mem_ioas_map", hdm_mem_ioas_map },
    { "comp_regs_hdm_read", comp_regs_hdm_read },
    { "comp_regs_reject_unaligned", comp_regs_reject_unaligned },
    { "comp_regs_reject_out_of_range", comp_regs_reject_out_of_range },
    { "hdm_commit_fsm", hdm_commit_fsm },
    { "hdm_lock_on_commit", hdm_lock_on_commit },
    { "hdm_base_write_absorbed", hdm_base_write_absorbed },
    { "dvsec_body_read", dvsec_body_read },
    { "guest_cxl_reset", guest_cxl_reset },
    { "device_reset", check_device_reset },
    { "comp_bar_rdwr_split", comp_bar_rdwr_split },
    { "guest_hdm_discovery", guest_hdm_discovery },
    { "hdm_mem_touch_committed_base", hdm_mem_touch_committed_base },
    { "dvsec_write_virtualized", dvsec_write_virtualized },
    { "region_flags", region_flags },
    { NULL, NULL }
};

/* -- running them -- */

jmp_buf check_end;
enum verdict check_verdict;

/* A check that ends early comes back here */
static void run_one(struct cxl_device *dev, const struct check *check)
{
    check_verdict = VERDICT_OK;
    if (!setjmp(check_end)) {
        check->run(dev);
    }
    region_unmap_all();
}

static unsigned run(struct cxl_device *dev, const struct check *checks,
                    unsigned *number)
{
    static const char *const words[] = {
        [VERDICT_OK] = "ok", [VERDICT_SKIP] = "ok", [VERDICT_FAIL] = "not ok",
    };
    unsigned failed = 0;

    for (; checks->name; checks++) {
        run_one(dev, checks);
        printf("%s %u - %s%s\n", words[check_verdict], ++*number,
               checks->name, check_verdict == VERDICT_SKIP ? " # SKIP" : "");
        fflush(stdout);
        failed += check_verdict == VERDICT_FAIL;
    }
    return failed;
}

static unsigned count(const struct check *checks)
{
    unsigned n = 0;

    while (checks[n].name) {
        n++;
    }
    return n;
}

int main(int argc, char **argv)
{
    enum way way = WAY_AUTO;
    bool all = false;
    struct cxl_device dev;
    unsigned failed, number = 0;
    const char *missing;

    for (; argc > 2; argc--, argv++) {
        if (!strcmp(argv[1], "--cdev")) {
            way = WAY_CDEV;
        } else if (!strcmp(argv[1], "--group")) {
            way = WAY_GROUP;
        } else if (!strcmp(argv[1], "--all")) {
            all = true;
        } else {
            break;
        }
    }
    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: vfio-cxl-check [--cdev|--group] [--all] "
                "0000:0d:00.0\n"
                "--all also checks what the driver's switches do\n");
        return 2;
    }

    page = sysconf(_SC_PAGESIZE);
    device_open(&dev, argv[1], way);
    printf("# by %s\n", dev.cdev ? "iommufd" : "group and container");
    if (!(dev.info.flags & VFIO_DEVICE_FLAGS_CXL)) {
        printf("1..0 # SKIP the device has no CXL flag (0x%x)\n",
               dev.info.flags);
        return 0;
    }
    missing = device_find_regions(&dev);
    if (missing) {
        bail("%s", missing);
    }
    memory_space(&dev, true);

    printf("1..%u\n", count(contract_checks) + (all ? count(gate_checks) : 0));
    failed = run(&dev, contract_checks, &number);
    if (all) {
        failed += run(&dev, gate_checks, &number);
    }
    printf("# %u failed\n", failed);
    device_close(&dev);
    return failed != 0;
}
