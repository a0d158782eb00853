/*
 * Doorbells and interrupts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "accel-test.h"

#define PATIENCE_MS     5000
#define SHORT_MS        200

static int irq_wait(int fd, uint32_t vector, uint32_t timeout_ms,
                    uint64_t *count)
{
    struct cxl_accel_irq irq = {
        .vector = vector, .timeout_ms = timeout_ms, .count = *count
    };
    int err = device_ioctl(fd, CXL_ACCEL_WAIT, &irq);

    *count = irq.count;
    return err;
}

/* Ring a vector's doorbell: one interrupt, at this vector. */
static void test_vector(int fd, uint32_t vector)
{
    uint64_t before = 0, after;
    uint32_t rings = device_info(fd).doorbells;
    char name[32];
    int err;

    irq_wait(fd, vector, 0, &before);
    after = before;
    device_ioctl(fd, CXL_ACCEL_RING, &vector);
    err = irq_wait(fd, vector, PATIENCE_MS, &after);
    rings = device_info(fd).doorbells - rings;
    snprintf(name, sizeof(name), "doorbell and interrupt %u", vector);
    check(!err && after == before + 1 && rings == 1, name,
          "%s, %" PRIu64 " interrupts, %u doorbells", strerror(err),
          after - before, rings);
}

/* Nobody rings: the wait ends all the same, and in time. */
static void test_silence(int fd)
{
    uint64_t count = 0, start = now_ms(), took;
    int err;

    irq_wait(fd, 0, 0, &count);
    err = irq_wait(fd, 0, SHORT_MS, &count);
    took = now_ms() - start;
    check(err == ETIMEDOUT && took >= SHORT_MS - 20 && took < PATIENCE_MS,
          "interrupt that never comes", "%s after %" PRIu64 " ms",
          strerror(err), took);
}

static void test_no_vector(int fd, uint32_t vectors)
{
    uint32_t rings = device_info(fd).doorbells;
    uint32_t wild = 0xffffffff;
    uint64_t count = 0;
    int err;

    device_ioctl(fd, CXL_ACCEL_RING, &vectors);
    device_ioctl(fd, CXL_ACCEL_RING, &wild);
    rings = device_info(fd).doorbells - rings;
    check(!rings, "doorbell of no vector", "%u counted by the device", rings);
    err = irq_wait(fd, vectors, SHORT_MS, &count);
    check(err == EINVAL, "wait for no vector", "%s", strerror(err));
}

void test_interrupts(void)
{
    int fd = device_open();
    struct cxl_accel_info info = device_info(fd);
    uint32_t i;

    check(info.handled == info.vectors && info.handled, "handlers",
          "%u of %u vectors", info.handled, info.vectors);
    for (i = 0; i < info.handled; i++) {
        test_vector(fd, i);
    }
    test_silence(fd);
    test_no_vector(fd, info.vectors);
    close(fd);
}
