/*
 * Coming and going of the driver while programs use the device.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "accel-test.h"
#include "guest-mem.h"

#define DRIVER_DIR      "/sys/bus/pci/drivers/" MODULE "/"
#define PATIENCE_MS     20000
#define LET_START_MS    200
#define SPAN            (4 * MIB)
#define MARK            0x600dc0de600dc0deULL
#define WARM_UP         5
#define ROUNDS          60
/*
 * Slab may grow by this much for reasons of the kernel's; the smallest of the
 * driver's objects, lost in each round, would make it twice as much.
 */
#define SLAB_NOISE_KIB  100

static const char *pci_address;

/*
 * When the last endpoint goes, the CXL core takes its ports away and queues
 * the release of the accelerator's driver once more.  Should a new binding be
 * there by then, it is that one that goes; so wait for the queue.
 */
static int flush_cxl(void)
{
    return write_text("/sys/bus/cxl/flush", "1");
}

static int unbind(void)
{
    int err = write_text(DRIVER_DIR "unbind", pci_address);

    return err ? err : flush_cxl();
}

static int bind_again(void)
{
    return write_text(DRIVER_DIR "bind", pci_address);
}

static const char *fault_text(bool works)
{
    return works ? "works" : "SIGBUS";
}

/* Everything a program could do with a file whose device is gone. */
static void test_stale_file(int fd)
{
    struct cxl_accel_info info;
    char byte = 0;
    int err = device_ioctl(fd, CXL_ACCEL_INFO, &info);
    ssize_t got;
    void *map;

    check(err == ENODEV, "ioctl after unbind", "%s", strerror(err));
    got = pread(fd, &byte, 1, 0);
    check(got < 0 && errno == ENODEV, "read after unbind", "%s",
          got < 0 ? strerror(errno) : "worked");
    got = pwrite(fd, &byte, 1, 0);
    check(got < 0 && errno == ENODEV, "write after unbind", "%s",
          got < 0 ? strerror(errno) : "worked");
    map = mmap(NULL, SMALL_PAGE, PROT_READ, MAP_SHARED, fd, 0);
    check(map == MAP_FAILED && errno == ENODEV, "map after unbind", "%s",
          map == MAP_FAILED ? strerror(errno) : "worked");
}

static void test_unbind_mapped(void)
{
    struct cxl_accel_buffer buffer = { .size = SMALL_PAGE };
    int fd = device_open(), fd2, err;
    volatile uint64_t *hdm = device_map(fd, 0, SPAN), *hdm2, *dma = NULL;
    bool reads, writes, old;

    hdm[0] = hdm[SPAN / 8 - 1] = MARK;
    if (!device_ioctl(fd, CXL_ACCEL_ALLOC, &buffer)) {
        dma = device_map(fd, buffer.offset, SMALL_PAGE);
        dma[0] = MARK;
    }
    err = unbind();
    check(!err && access(DEVICE, F_OK) != 0, "unbind while mapped",
          "%s, " DEVICE " %s", strerror(err),
          access(DEVICE, F_OK) ? "gone" : "still there");
    reads = can_read(&hdm[0]);
    writes = can_write(&hdm[SPAN / 8 - 1]);
    check(!reads && !writes, "device memory after unbind",
          "read %s, write %s", fault_text(reads), fault_text(writes));
    if (dma) {
        reads = can_read(dma);
        check(!reads, "buffer after unbind", "read %s", fault_text(reads));
        /* It would keep the file, and the file the module. */
        munmap((void *)dma, SMALL_PAGE);
    }
    test_stale_file(fd);
    err = bind_again();
    check(!err && !access(DEVICE, F_OK), "bind again", "%s", strerror(err));
    fd2 = device_open();
    hdm2 = device_map(fd2, 0, SPAN);
    old = can_read(&hdm[0]);
    check(!old && hdm2[0] == MARK && hdm2[SPAN / 8 - 1] == MARK,
          "device memory after bind", "old mapping %s, new one %s",
          fault_text(old), hdm2[0] == MARK ? "has its contents" : "lost them");
    munmap((void *)hdm2, SPAN);
    munmap((void *)hdm, SPAN);
    close(fd2);
    close(fd);
}

/* --- unbinding while something is under way ------------------------------ */

static int wait_forever(void *arg)
{
    int fd = *(int *)arg;
    struct cxl_accel_irq irq = { .vector = 0, .timeout_ms = 0 };

    device_ioctl(fd, CXL_ACCEL_WAIT, &irq);
    irq.timeout_ms = 10 * PATIENCE_MS;
    return device_ioctl(fd, CXL_ACCEL_WAIT, &irq);
}

static int read_forever(void *arg)
{
    char *buf = malloc(SPAN);

    while (pread(*(int *)arg, buf, SPAN, 0) == (ssize_t)SPAN) {
        continue;
    }
    return errno;
}

/* Faults in page after page until one is refused. */
static int touch_forever(void *arg)
{
    volatile uint64_t *map = device_map(*(int *)arg, 0, SPAN);
    uint32_t size = SMALL_PAGE;

    device_ioctl(*(int *)arg, CXL_ACCEL_PAGE_SIZE, &size);
    for (;;) {
        for (size_t i = 0; i < SPAN / 8; i += SMALL_PAGE / 8) {
            if (!can_write(&map[i])) {
                return ENODEV;
            }
        }
        madvise((void *)map, SPAN, MADV_DONTNEED);
    }
}

static int copy_forever(void *arg)
{
    struct cxl_accel_info info = device_info(*(int *)arg);
    struct cxl_accel_copy copy;
    int err;

    do {
        copy = (struct cxl_accel_copy) {
            .op = CXL_ACCEL_OP_FILL, .timeout_ms = 10 * PATIENCE_MS,
            .len = info.size < 1024 * MIB ? info.size : 1024 * MIB
        };
        err = device_ioctl(*(int *)arg, CXL_ACCEL_COPY, &copy);
    } while (!err);
    return err;
}

static void unbind_during(const char *what, int (*body)(void *))
{
    int fd = device_open(), err, result;
    pid_t pid = child_start(body, &fd);
    uint64_t start, took;

    usleep(LET_START_MS * 1000);
    start = now_ms();
    err = unbind();
    result = child_result(pid, PATIENCE_MS);
    took = now_ms() - start;
    if (!err) {
        err = bind_again();
    }
    check(!err && result == ENODEV, what, "%s, the program got: %s, after %"
          PRIu64 " ms", strerror(err),
          result < 0 ? "nothing, it hung" : strerror(result), took);
    close(fd);
}

/* --- many rounds ---------------------------------------------------------- */

static long slab_kib(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    long kib = -1;

    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "SUnreclaim: %ld", &kib) == 1) {
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    return kib;
}

/* One round, with a file and a mapping that outlive the binding. */
static int one_round(void)
{
    int fd = device_open(), err;
    volatile uint64_t *map = device_map(fd, 0, SPAN);

    map[0] = MARK;
    err = unbind();
    if (!err) {
        err = bind_again();
    }
    munmap((void *)map, SPAN);
    close(fd);
    return err;
}

static void test_rounds(void)
{
    unsigned regions, mappings, handlers, more_mappings, more_handlers;
    int err = 0, i;
    long slab;

    for (i = 0; i < WARM_UP && !err; i++) {
        err = one_round();
    }
    mappings = count_lines("/proc/vmallocinfo", " ioremap");
    handlers = count_lines("/proc/interrupts", MODULE);
    slab = slab_kib();
    for (i = 0; i < ROUNDS && !err; i++) {
        err = one_round();
    }
    regions = count_lines("/proc/iomem", " : region");
    more_mappings = count_lines("/proc/vmallocinfo", " ioremap");
    more_handlers = count_lines("/proc/interrupts", MODULE);
    slab = slab_kib() - slab;
    check(!err && i == ROUNDS, "unbind and bind many times",
          "%d rounds, %s", i, strerror(err));
    check(regions == 1, "regions after the rounds", "%u", regions);
    check(mappings && more_mappings == mappings, "mappings after the rounds",
          "%u before, %u after", mappings, more_mappings);
    check(handlers && more_handlers == handlers, "handlers after the rounds",
          "%u before, %u after", handlers, more_handlers);
    check(slab < SLAB_NOISE_KIB, "slab after the rounds", "%ld KiB more",
          slab);
}

void test_binding(const char *address)
{
    bool engine;
    int fd = device_open();

    engine = device_info(fd).flags & CXL_ACCEL_HAS_ENGINE;
    close(fd);
    pci_address = address;
    test_unbind_mapped();
    unbind_during("unbind while a program waits", wait_forever);
    unbind_during("unbind while a program reads", read_forever);
    unbind_during("unbind while a program faults", touch_forever);
    if (engine) {
        unbind_during("unbind while the engine copies", copy_forever);
    }
    test_rounds();
}

/* --- the module ----------------------------------------------------------- */

static int remove_module(void)
{
    if (syscall(SYS_delete_module, MODULE, O_NONBLOCK)) {
        return errno;
    }
    return flush_cxl();
}

static int insert_module(const char *options)
{
    int fd = open(MODULE_FILE, O_RDONLY | O_CLOEXEC), err;

    if (fd < 0) {
        return errno;
    }
    err = syscall(SYS_finit_module, fd, options, 0) ? errno : 0;
    close(fd);
    return err;
}

static void test_in_use(void)
{
    int fd = device_open(), err = remove_module();
    volatile uint64_t *map = device_map(fd, 0, SMALL_PAGE);

    check(err == EWOULDBLOCK, "rmmod while open", "%s", strerror(err));
    map[0] = MARK;
    close(fd);
    err = remove_module();
    check(err == EWOULDBLOCK && can_read(map), "rmmod while mapped", "%s",
          strerror(err));
    munmap((void *)map, SMALL_PAGE);
}

/* With one handler only, the other vectors ring into the void. */
static void test_without_handler(void)
{
    struct cxl_accel_irq irq = { .vector = 1, .timeout_ms = 100 };
    uint32_t vector = 1;
    int fd = device_open(), err;
    struct cxl_accel_info info = device_info(fd);

    check(info.handled == 1 && info.page_size == SMALL_PAGE,
          "module parameters", "%u handlers, pages of %u KiB", info.handled,
          info.page_size >> 10);
    err = device_ioctl(fd, CXL_ACCEL_RING, &vector);
    check(!err && device_info(fd).doorbells == info.doorbells + 1,
          "interrupt without a handler", "%s, %u doorbells", strerror(err),
          device_info(fd).doorbells - info.doorbells);
    err = device_ioctl(fd, CXL_ACCEL_WAIT, &irq);
    check(err == EINVAL, "wait without a handler", "%s", strerror(err));
    if (info.flags & CXL_ACCEL_HAS_ENGINE) {
        struct cxl_accel_copy copy = {
            .op = CXL_ACCEL_OP_FILL, .vector = 1, .len = 64,
            .timeout_ms = 300
        };

        err = device_ioctl(fd, CXL_ACCEL_SUBMIT, &copy);
        check(err == ETIMEDOUT && copy.status == CXL_ACCEL_DONE,
              "copy without a handler", "%s, status %u", strerror(err),
              copy.status);
    }
    close(fd);
}

void test_module(void)
{
    int err;

    test_in_use();
    err = remove_module();
    check(!err && access(DEVICE, F_OK), "rmmod", "%s", strerror(err));
    err = insert_module("vectors=1 huge=0");
    check(!err, "insmod with parameters", "%s", strerror(err));
    if (!err) {
        test_without_handler();
        err = remove_module();
        if (!err) {
            err = insert_module("");
        }
        check(!err && !access(DEVICE, F_OK), "insmod again", "%s",
              strerror(err));
    }
}
