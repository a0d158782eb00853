/*
 * The copy engine: data in every direction, and every kind of bad request.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accel-test.h"
#include "guest-mem.h"

#define LEN             (1 * MIB)
#define PATTERN         0x1122334455667788ULL
/* Nothing is mapped for the device there. */
#define WILD_BUS        0x00fff00000000000ULL
#define SHORT_MS        300
#define ABORT_TRIES     20

typedef struct Engine {
    int fd;
    uint64_t size;
    struct cxl_accel_buffer buffer;
    volatile uint64_t *mem;     /* the buffer */
    volatile uint64_t *hdm;     /* the first 4 * LEN of device memory */
} Engine;

static struct cxl_accel_copy request(uint32_t op, uint64_t src, uint64_t dst,
                                     uint64_t len)
{
    return (struct cxl_accel_copy) {
        .op = op, .src = src, .dst = dst, .len = len, .pattern = PATTERN
    };
}

/* The request is one that works: all of it is done, with no error. */
static bool completes(Engine *e, struct cxl_accel_copy *copy)
{
    int err = device_ioctl(e->fd, CXL_ACCEL_COPY, copy);

    return !err && copy->status == CXL_ACCEL_DONE &&
           copy->error == CXL_ACCEL_E_NONE && copy->done == copy->len;
}

static void report_copy(Engine *e, const char *name,
                        struct cxl_accel_copy copy, bool (*right)(Engine *))
{
    bool done = completes(e, &copy);
    bool same = right(e);

    check(done && same, name, "status %u, error %u, %" PRIu64 " of %" PRIu64
          " bytes, data %s, %" PRIu64 " us", copy.status, copy.error,
          (uint64_t)copy.done, (uint64_t)copy.len, same ? "right" : "WRONG",
          (uint64_t)copy.nanoseconds / 1000);
}

static bool filled(Engine *e)
{
    uint64_t i;

    for (i = 0; i < LEN / 8; i++) {
        if (e->hdm[LEN / 8 + i] != PATTERN) {
            return false;
        }
    }
    return true;
}

/* 13 bytes at 3: the pattern starts with the first byte. */
static bool filled_oddly(Engine *e)
{
    static const uint8_t want[16] = {
        0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x88, 0x77,
        0x66, 0x55, 0x44
    };

    return !memcmp((void *)e->hdm, want, sizeof(want)) && e->hdm[2] == 0;
}

static bool hdm_is_memory(Engine *e)
{
    return !memcmp((void *)e->hdm, (void *)e->mem, LEN);
}

static bool memory_is_filled(Engine *e)
{
    return e->mem[0] == PATTERN && e->mem[LEN / 8 - 1] == PATTERN &&
           !memcmp((void *)e->mem, (void *)(e->hdm + LEN / 8), LEN);
}

static bool moved(Engine *e)
{
    return !memcmp((void *)(e->hdm + 2 * LEN / 8), (void *)e->hdm, LEN);
}

static void test_copies(Engine *e)
{
    struct cxl_accel_copy copy;
    uint64_t i;

    e->hdm[0] = e->hdm[1] = e->hdm[2] = 0;
    report_copy(e, "engine fill", request(CXL_ACCEL_OP_FILL, 0, LEN, LEN),
                filled);
    report_copy(e, "engine fill of 13 bytes",
                request(CXL_ACCEL_OP_FILL, 0, 3, 13), filled_oddly);
    for (i = 0; i < LEN / 8; i++) {
        e->mem[i] = i * PATTERN;
    }
    report_copy(e, "engine memory to HDM",
                request(CXL_ACCEL_OP_TO_HDM, e->buffer.offset, 0, LEN),
                hdm_is_memory);
    report_copy(e, "engine HDM to HDM",
                request(CXL_ACCEL_OP_HDM_TO_HDM, 0, 2 * LEN, LEN), moved);
    report_copy(e, "engine HDM to memory",
                request(CXL_ACCEL_OP_FROM_HDM, LEN, e->buffer.offset, LEN),
                memory_is_filled);
    copy = request(CXL_ACCEL_OP_TO_HDM, e->buffer.offset, 0, LEN);
    copy.flags = CXL_ACCEL_POLL;
    report_copy(e, "engine without interrupt", copy, hdm_is_memory);
}

/* The device refuses: the ioctl succeeds and tells its error code. */
static void fails(Engine *e, const char *name, struct cxl_accel_copy copy,
                  uint32_t error)
{
    int err = device_ioctl(e->fd, CXL_ACCEL_SUBMIT, &copy);

    check(!err && copy.status == CXL_ACCEL_FAILED && copy.error == error,
          name, "%s, status %u, error %u", strerror(err), copy.status,
          copy.error);
}

static void test_device_errors(Engine *e)
{
    uint64_t bus = e->buffer.bus, size = e->size;

    fails(e, "engine length 0", request(CXL_ACCEL_OP_FILL, 0, 0, 0),
          CXL_ACCEL_E_LENGTH);
    fails(e, "engine start at the end",
          request(CXL_ACCEL_OP_FILL, 0, size, 8), CXL_ACCEL_E_OUTSIDE);
    fails(e, "engine start far outside",
          request(CXL_ACCEL_OP_FROM_HDM, UINT64_MAX - 7, bus, 64),
          CXL_ACCEL_E_OUTSIDE);
    fails(e, "engine across the end",
          request(CXL_ACCEL_OP_TO_HDM, bus, size - 8, 16),
          CXL_ACCEL_E_CROSSES);
    fails(e, "engine length beyond 64 bits",
          request(CXL_ACCEL_OP_FILL, 0, 8, UINT64_MAX), CXL_ACCEL_E_CROSSES);
    fails(e, "engine read of unmapped memory",
          request(CXL_ACCEL_OP_TO_HDM, WILD_BUS, 0, 64), CXL_ACCEL_E_DMA);
    fails(e, "engine write of unmapped memory",
          request(CXL_ACCEL_OP_FROM_HDM, 0, WILD_BUS, 64), CXL_ACCEL_E_DMA);
    fails(e, "engine overlap",
          request(CXL_ACCEL_OP_HDM_TO_HDM, 0, 4096, 8192),
          CXL_ACCEL_E_OVERLAP);
    fails(e, "engine operation 0", request(0, 0, 0, 64),
          CXL_ACCEL_E_OPERATION);
    fails(e, "engine operation 9", request(9, 0, 0, 64),
          CXL_ACCEL_E_OPERATION);
}

/* Neither an interrupt nor a person comes: the driver gives up in time. */
static void test_timeouts(Engine *e)
{
    struct cxl_accel_copy copy = request(CXL_ACCEL_OP_FILL, 0, 0, 64);
    int err, tries = 0;

    copy.vector = 200;
    copy.timeout_ms = SHORT_MS;
    err = device_ioctl(e->fd, CXL_ACCEL_SUBMIT, &copy);
    check(err == ETIMEDOUT && copy.status == CXL_ACCEL_FAILED &&
          copy.error == CXL_ACCEL_E_VECTOR, "engine vector 200",
          "%s, status %u, error %u", strerror(err), copy.status, copy.error);
    /* A guest that is off its processor meanwhile finds the copy done. */
    do {
        copy = request(CXL_ACCEL_OP_FILL, 0, 0, e->size);
        copy.flags = CXL_ACCEL_POLL;
        copy.timeout_ms = 1;
        err = device_ioctl(e->fd, CXL_ACCEL_SUBMIT, &copy);
    } while (!err && ++tries < ABORT_TRIES);
    check(err == ETIMEDOUT && copy.status == CXL_ACCEL_FAILED &&
          copy.error == CXL_ACCEL_E_ABORTED && copy.done < copy.len,
          "engine abort after 1 ms", "%s, status %u, error %u, %" PRIu64
          " MiB of %" PRIu64, strerror(err), copy.status, copy.error,
          (uint64_t)copy.done / MIB, (uint64_t)copy.len / MIB);
}

/* The driver refuses, before the device sees it. */
static void refused(Engine *e, const char *name, struct cxl_accel_copy copy,
                    int expected)
{
    int err = device_ioctl(e->fd, CXL_ACCEL_COPY, &copy);

    check(err == expected, name, "%s", strerror(err));
}

static void test_driver_errors(Engine *e)
{
    uint64_t offset = e->buffer.offset;
    struct cxl_accel_copy copy;

    refused(e, "copy from no buffer",
            request(CXL_ACCEL_OP_TO_HDM, 0, 0, 64), EFAULT);
    refused(e, "copy across a buffer's end",
            request(CXL_ACCEL_OP_TO_HDM, offset + LEN - 8, 0, 16), EFAULT);
    refused(e, "copy before a buffer",
            request(CXL_ACCEL_OP_FROM_HDM, 0, offset - 8, 16), EFAULT);
    refused(e, "copy with operation 9", request(9, 0, 0, 64), EINVAL);
    copy = request(CXL_ACCEL_OP_FILL, 0, 0, 64);
    copy.vector = 200;
    refused(e, "copy with vector 200", copy, EINVAL);
    copy = request(CXL_ACCEL_OP_FILL, 0, 0, 64);
    copy.flags = 1U << 31;
    refused(e, "copy with an unknown flag", copy, EINVAL);
}

static void test_buffers(Engine *e)
{
    struct cxl_accel_buffer empty = { .size = 0 };
    struct cxl_accel_buffer huge = { .size = 1ULL << 40 };
    uint64_t wrong = e->buffer.offset + SMALL_PAGE;
    bool before, after;
    int err;

    err = device_ioctl(e->fd, CXL_ACCEL_ALLOC, &empty);
    check(err == EINVAL, "buffer of 0 bytes", "%s", strerror(err));
    err = device_ioctl(e->fd, CXL_ACCEL_ALLOC, &huge);
    check(err == EINVAL, "buffer of 1 TiB", "%s", strerror(err));
    err = device_ioctl(e->fd, CXL_ACCEL_FREE, &wrong);
    check(err == EINVAL, "free no buffer", "%s", strerror(err));
    before = can_write(e->mem);
    err = device_ioctl(e->fd, CXL_ACCEL_FREE, &e->buffer.offset);
    after = can_write(e->mem);
    check(!err && before && !after, "free a mapped buffer",
          "%s, %s before, %s after", strerror(err),
          before ? "writable" : "SIGBUS", after ? "writable" : "SIGBUS");
}

static void test_without_engine(int fd)
{
    struct cxl_accel_copy copy = request(CXL_ACCEL_OP_FILL, 0, 0, 64);
    struct cxl_accel_buffer buffer = { .size = LEN };
    int err = device_ioctl(fd, CXL_ACCEL_COPY, &copy);

    check(err == EOPNOTSUPP, "copy without an engine", "%s", strerror(err));
    err = device_ioctl(fd, CXL_ACCEL_ALLOC, &buffer);
    check(err == EOPNOTSUPP, "buffer without an engine", "%s", strerror(err));
}

void test_engine(void)
{
    Engine e = { .fd = device_open(), .buffer.size = LEN };
    struct cxl_accel_info info = device_info(e.fd);
    struct cxl_accel_copy copy = request(CXL_ACCEL_OP_FILL, 0, LEN, LEN);

    if (!(info.flags & CXL_ACCEL_HAS_ENGINE)) {
        test_without_engine(e.fd);
        close(e.fd);
        return;
    }
    if (device_ioctl(e.fd, CXL_ACCEL_ALLOC, &e.buffer)) {
        die("no buffer of %lu MiB for the copy engine", LEN / MIB);
    }
    e.size = info.size;
    e.mem = device_map(e.fd, e.buffer.offset, LEN);
    e.hdm = device_map(e.fd, 0, 4 * LEN);
    test_copies(&e);
    test_device_errors(&e);
    test_timeouts(&e);
    test_driver_errors(&e);
    report_copy(&e, "engine after all that", copy, filled);
    test_buffers(&e);
    munmap((void *)e.mem, LEN);
    munmap((void *)e.hdm, 4 * LEN);
    close(e.fd);
}
