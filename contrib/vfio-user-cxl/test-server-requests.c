/*
 * Tests of the device server from outside: what it answers to a request
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include "hw/vfio/vfio-cxl-abi.h"
#include "qemu/units.h"
#include "raw-client.h"

#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX
#define ROM VFIO_PCI_ROM_REGION_INDEX
#define HDM VFIO_PCI_NUM_REGIONS
#define DECODER (VFIO_PCI_NUM_REGIONS + 1)
#define MSIX VFIO_PCI_MSIX_IRQ_INDEX
#define MSIX_VECTORS 16

#define MAX_WORDS 16
#define TOO_MANY_FDS (WIRE_MAX_FDS + 1)
/* More than the server has room to receive */
#define LOST_FDS (2 * WIRE_MAX_FDS + 2)

/* -- the version exchange -- */

typedef struct VersionCase {
    uint16_t major;
    uint32_t len;               /* of the payload, 0: with all of the text */
    const char *text;
    int error;
} VersionCase;

static const VersionCase versions[] = {
    { 0, 3, NULL, EINVAL },
    { 1, 0, "{}", ENOTSUP },
    { 0, 0, "{", EINVAL },
    { 0, 0, "[]", EINVAL },
    { 0, 0, "{\"capabilities\":{\"max_data_xfer_size\":0}}", EINVAL },
    { 0, 0, "{\"capabilities\":{\"max_data_xfer_size\":\"many\"}}", EINVAL },
    { 0, 0, "{\"capabilities\":{\"max_msg_fds\":3,\"pgsizes\":1}}", 0 },
    { 0, 0, "{}", EINVAL },     /* once only */
};

static int send_version(int fd, const VersionCase *c, RawMsg *reply)
{
    g_autofree char *data = g_strdup_printf("....%s", c->text ? c->text : "");
    uint16_t number[2] = { c->major, 7 };

    memcpy(data, number, sizeof(number));
    return raw_request(fd, CMD_VERSION, data,
                       c->len ? c->len : 4 + strlen(data + 4) + 1, NULL, 0,
                       reply);
}

static void test_version(void)
{
    RawServer *s = raw_server_start(NULL);
    int fd = raw_connect(s);
    QDict *summary;

    /* nothing else comes first */
    g_assert(raw_request(fd, CMD_RESET, NULL, 0, NULL, 0, NULL) == EPROTO);
    for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
        RawMsg reply = { };

        g_test_message("version %u", i);
        g_assert(send_version(fd, &versions[i], &reply) == versions[i].error);
        if (reply.data) {
            const char *caps = (char *)reply.data + 4;

            /* version 0.0, and only what the client named */
            g_assert(memcmp(reply.data, "\0\0\0\0", 4) == 0);
            g_assert(strstr(caps, "\"max_msg_fds\": 16"));
            g_assert(strstr(caps, "\"pgsizes\": 4096"));
            g_assert(!strstr(caps, "max_data_xfer_size"));
            g_free(reply.data);
        }
    }
    close(fd);
    /* without any capabilities it is good as well */
    fd = raw_connect(s);
    g_assert(raw_request(fd, CMD_VERSION, "\0\0\0\0", 4, NULL, 0, NULL) == 0);
    close(fd);
    summary = raw_server_summary(s);
    g_assert(qdict_get_int(summary, "errors") == ARRAY_SIZE(versions));
    qobject_unref(summary);
}

/* -- one request after the other, with Memory Space off at first -- */

typedef struct RequestCase {
    const char *name;
    unsigned command;
    uint32_t len;               /* of the payload */
    uint32_t word[MAX_WORDS];   /* what is in it */
    int error;
    unsigned n_fds;
} RequestCase;

#define IRQ_TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define IRQ_NONE (VFIO_IRQ_SET_DATA_NONE | IRQ_TRIGGER)
#define IRQ_BOOL (VFIO_IRQ_SET_DATA_BOOL | IRQ_TRIGGER)
#define IRQ_EVENT (VFIO_IRQ_SET_DATA_EVENTFD | IRQ_TRIGGER)
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define ALL_ONES UINT32_MAX

static const RequestCase requests[] = {
    { "unknown", 99, 0, { }, ENOSYS },
    { "not-served", 6, 16, { }, ENOSYS },
    { "fd-not-wanted", CMD_GET_INFO, 16, { 16 }, EINVAL, 1 },
    { "too-many-fds", CMD_DMA_MAP, 32, { 32, RW, 0, 0, 0, 1, 4096 }, E2BIG,
      TOO_MANY_FDS },
    { "fds-lost", CMD_DMA_MAP, 32, { 32, RW, 0, 0, 0, 1, 4096 }, E2BIG,
      LOST_FDS },

    { "info/short", CMD_GET_INFO, 3, { 16 }, EINVAL },
    { "info/argsz", CMD_GET_INFO, 16, { 15 }, EINVAL },
    { "info", CMD_GET_INFO, 16, { 16 } },

    { "region-info/short", CMD_GET_REGION_INFO, 31, { 32 }, EINVAL },
    { "region-info/argsz", CMD_GET_REGION_INFO, 32, { 31, 0, HDM }, EINVAL },
    { "region-info/index", CMD_GET_REGION_INFO, 32, { 32, 0, 11 }, EINVAL },
    { "region-info/index-max", CMD_GET_REGION_INFO, 32, { 32, 0, ALL_ONES },
      EINVAL },
    { "region-info/absent", CMD_GET_REGION_INFO, 32, { 32, 0, ROM } },

    { "irq-info/short", CMD_GET_IRQ_INFO, 15, { 16 }, EINVAL },
    { "irq-info/argsz", CMD_GET_IRQ_INFO, 16, { 15, 0, MSIX }, EINVAL },
    { "irq-info/index", CMD_GET_IRQ_INFO, 16, { 16, 0, VFIO_PCI_NUM_IRQS },
      EINVAL },
    { "irq-info", CMD_GET_IRQ_INFO, 16, { 16, 0, MSIX } },

    { "irqs/short", CMD_SET_IRQS, 19, { 20, IRQ_NONE, MSIX, 0, 1 }, EINVAL },
    { "irqs/index", CMD_SET_IRQS, 20,
      { 20, IRQ_NONE, VFIO_PCI_NUM_IRQS, 0, 0 }, EINVAL },
    { "irqs/flags", CMD_SET_IRQS, 20, { 20, IRQ_NONE | 1 << 6, MSIX, 0, 1 },
      EINVAL },
    { "irqs/start", CMD_SET_IRQS, 20,
      { 20, IRQ_NONE, MSIX, MSIX_VECTORS + 1, 0 }, EINVAL },
    { "irqs/end", CMD_SET_IRQS, 20, { 20, IRQ_NONE, MSIX, MSIX_VECTORS, 1 },
      EINVAL },
    { "irqs/count", CMD_SET_IRQS, 20, { 20, IRQ_NONE, MSIX, 1, ALL_ONES },
      EINVAL },
    { "irqs/intx", CMD_SET_IRQS, 20, { 20, IRQ_NONE, 0, 0, 1 }, EINVAL },
    { "irqs/mask", CMD_SET_IRQS, 20, { 20, VFIO_IRQ_SET_DATA_NONE |
      VFIO_IRQ_SET_ACTION_MASK, MSIX, 0, 1 }, EINVAL },
    { "irqs/no-action", CMD_SET_IRQS, 20,
      { 20, VFIO_IRQ_SET_DATA_NONE, MSIX, 0, 1 }, EINVAL },
    { "irqs/two-types", CMD_SET_IRQS, 20,
      { 20, IRQ_NONE | IRQ_BOOL, MSIX, 0, 1 }, EINVAL },
    { "irqs/no-type", CMD_SET_IRQS, 20, { 20, IRQ_TRIGGER, MSIX, 0, 1 },
      EINVAL },
    { "irqs/bools-short", CMD_SET_IRQS, 21, { 20, IRQ_BOOL, MSIX, 0, 2 },
      EINVAL },
    { "irqs/nobody-listens", CMD_SET_IRQS, 22,
      { 20, IRQ_BOOL, MSIX, 0, 2, 0x0101 } },
    { "irqs/off-from-1", CMD_SET_IRQS, 20, { 20, IRQ_NONE, MSIX, 1, 0 },
      EINVAL },
    { "irqs/off", CMD_SET_IRQS, 20, { 20, IRQ_NONE, MSIX, 0, 0 } },
    { "irqs/fds", CMD_SET_IRQS, 20, { 20, IRQ_EVENT, MSIX, 0, 2 }, EINVAL,
      1 },
    { "irqs/no-fds", CMD_SET_IRQS, 20, { 20, IRQ_EVENT, MSIX, 0, 2 } },

    { "read/short", CMD_REGION_READ, 15, { 0, 0, CONFIG, 4 }, EINVAL },
    { "read/count", CMD_REGION_READ, 16, { 0, 0, HDM, WIRE_MAX_DATA + 1 },
      EINVAL },
    { "read/rom", CMD_REGION_READ, 16, { 0, 0, ROM, 4 }, EINVAL },
    { "read/index", CMD_REGION_READ, 16, { 0, 0, ALL_ONES, 4 }, EINVAL },
    { "read/no-bar", CMD_REGION_READ, 16, { 0, 0, 1, 4 }, EINVAL },
    { "read/bar-end", CMD_REGION_READ, 16, { 1 * MiB, 0, 0, 4 }, EINVAL },
    { "read/config-end", CMD_REGION_READ, 16, { 4094, 0, CONFIG, 4 },
      EINVAL },
    { "read/config-far", CMD_REGION_READ, 16,
      { ALL_ONES, ALL_ONES, CONFIG, 4 }, EINVAL },
    { "read/hdm-gated", CMD_REGION_READ, 16, { 0, 0, HDM, 4 }, EIO },
    { "read/decoder-gated", CMD_REGION_READ, 16, { 0, 0, DECODER, 4 }, EIO },

    { "write/short", CMD_REGION_WRITE, 15, { 0, 0, CONFIG, 0 }, EINVAL },
    { "write/count", CMD_REGION_WRITE, 20, { 0, 0, CONFIG, 5 }, EINVAL },
    { "write/too-much", CMD_REGION_WRITE, 20,
      { 0, 0, HDM, WIRE_MAX_DATA + 1 }, EINVAL },
    { "write/rom", CMD_REGION_WRITE, 20, { 0, 0, ROM, 4 }, EINVAL },
    { "write/no-bar", CMD_REGION_WRITE, 20, { 0, 0, 3, 4 }, EINVAL },
    { "write/hdm-gated", CMD_REGION_WRITE, 20, { 0, 0, HDM, 4 }, EIO },
    { "write/decoder", CMD_REGION_WRITE, 20, { 0x10, 0, DECODER, 4, 1 } },
    { "write/decoder-unaligned", CMD_REGION_WRITE, 20, { 2, 0, DECODER, 4 },
      EINVAL },
    { "write/memory-space", CMD_REGION_WRITE, 18, { 4, 0, CONFIG, 2, 2 } },
    { "write/hdm-end", CMD_REGION_WRITE, 20, { 256 * MiB, 0, HDM, 4 },
      EINVAL },
    { "write/hdm", CMD_REGION_WRITE, 20, { 64, 0, HDM, 4, 0x1234 } },
    { "read/decoder", CMD_REGION_READ, 16, { 0, 0, DECODER, 4 } },

    { "multi/short", CMD_WRITE_MULTI, 7, { 0 }, EINVAL },
    { "multi/count", CMD_WRITE_MULTI, 32, { 2, 0, 0, 0, HDM, 4 }, EINVAL },
    { "multi/count-max", CMD_WRITE_MULTI, 32, { ALL_ONES, ALL_ONES },
      EINVAL },
    { "multi/data", CMD_WRITE_MULTI, 32, { 1, 0, 0, 0, HDM, 9 }, EINVAL },
    { "multi/region", CMD_WRITE_MULTI, 32, { 1, 0, 0, 0, ROM, 4 }, EINVAL },
    { "multi/none", CMD_WRITE_MULTI, 8, { 0 } },
    { "multi/two", CMD_WRITE_MULTI, 56, { 2, 0, 0, 0, HDM, 8, 0x55, 0x66,
      0x800, 0, HDM, 4, 0x77 } },

    { "map/short", CMD_DMA_MAP, 31, { 32, RW, 0, 0, 0, 1, 4096 }, EINVAL },
    { "map/flags", CMD_DMA_MAP, 32, { 32, RW | 4, 0, 0, 0, 1, 4096 },
      EINVAL },
    { "map/fds", CMD_DMA_MAP, 32, { 32, RW, 0, 0, 0, 1, 4096 }, EINVAL, 2 },
    { "map/empty", CMD_DMA_MAP, 32, { 32, RW, 0, 0, 0, 1, 0 }, EINVAL },
    { "map/wraps", CMD_DMA_MAP, 32,
      { 32, RW, 0, 0, 0, ALL_ONES, 0, ALL_ONES }, EINVAL },
    { "map", CMD_DMA_MAP, 32, { 32, RW, 0, 0, 0, 1, 4096 }, 0, 1 },
    { "map/overlap", CMD_DMA_MAP, 32, { 32, RW, 0, 0, 8, 1, 4096 }, EEXIST },
    { "unmap/short", CMD_DMA_UNMAP, 23, { 24, 0, 0, 1, 4096 }, EINVAL },
    { "unmap/flags", CMD_DMA_UNMAP, 24, { 24, 1, 0, 1, 4096 }, EINVAL },
    { "unmap/part", CMD_DMA_UNMAP, 24, { 24, 0, 0, 1, 2048 }, ENOENT },
    { "unmap/empty", CMD_DMA_UNMAP, 24, { 24, 0, 0, 1, 0 }, ENOENT },
    { "unmap", CMD_DMA_UNMAP, 24, { 24, 0, 0, 1, 4096 } },
    { "unmap/gone", CMD_DMA_UNMAP, 24, { 24, 0, 0, 1, 4096 }, ENOENT },
    { "unmap/all", CMD_DMA_UNMAP, 24, { 24, VFIO_DMA_UNMAP_FLAG_ALL } },
};

static void check_words(int fd, uint32_t region, uint64_t off,
                        uint32_t first, uint32_t second)
{
    uint32_t got[2];

    g_assert(raw_read(fd, region, off, got, sizeof(got)) == 0);
    g_assert(got[0] == first);
    g_assert(got[1] == second);
}

static void test_requests(void)
{
    RawServer *s = raw_server_start(NULL);
    int fd = raw_client(s, NULL), fds[LOST_FDS];
    unsigned errors = 0;
    QDict *summary;

    for (unsigned i = 0; i < LOST_FDS; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC);
        g_assert(fds[i] >= 0);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
        const RequestCase *c = &requests[i];

        g_test_message("%s", c->name);
        g_assert(raw_request(fd, c->command, c->word, c->len, fds, c->n_fds,
                 NULL) == c->error);
        errors += c->error != 0;
    }
    /* what the writes among them left */
    check_words(fd, HDM, 0, 0x55, 0x66);
    check_words(fd, HDM, 0x800, 0x77, 0);
    check_words(fd, HDM, 64, 0x1234, 0);
    g_assert(raw_request(fd, CMD_RESET, NULL, 0, NULL, 0, NULL) == 0);
    check_words(fd, HDM, 64, 0, 0);

    close(fd);
    for (unsigned i = 0; i < LOST_FDS; i++) {
        close(fds[i]);
    }
    summary = raw_server_summary(s);
    g_assert(qdict_get_int(summary, "errors") == errors);
    g_assert(qdict_get_int(summary, "resets") == 1);
    qobject_unref(summary);
}

/* -- interrupts -- */

static void set_irqs(int fd, uint32_t flags, uint32_t start, uint32_t count,
                     uint32_t bools, const int *fds, unsigned n_fds)
{
    uint32_t set[] = { 20, flags, MSIX, start, count, bools };

    g_assert(raw_request(fd, CMD_SET_IRQS, set, sizeof(set), fds, n_fds,
                         NULL) == 0);
}

/* How often an eventfd was signalled since the last look */
static uint64_t signals(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void ring(int fd, uint32_t vector)
{
    g_assert(raw_write(fd, 0, 0x10, &vector, sizeof(vector)) == 0);
}

static void test_irqs(void)
{
    RawServer *s = raw_server_start("--identity accel");
    int fd = raw_client(s, NULL), event[2];
    QDict *summary;

    event[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    event[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    set_irqs(fd, IRQ_EVENT, 1, 2, 0, event, 2);
    ring(fd, 1);
    ring(fd, 0);                /* nobody listens */
    ring(fd, 4);                /* no such vector */
    g_assert(signals(event[0]) == 1);
    g_assert(signals(event[1]) == 0);

    set_irqs(fd, IRQ_BOOL, 1, 2, 0x0100, NULL, 0);
    g_assert(signals(event[0]) == 0);
    g_assert(signals(event[1]) == 1);
    set_irqs(fd, IRQ_NONE, 0, 4, 0, NULL, 0);
    g_assert(signals(event[0]) == 1);
    g_assert(signals(event[1]) == 1);

    /* another listener for a vector, then none, then none for any */
    set_irqs(fd, IRQ_EVENT, 1, 1, 0, &event[1], 1);
    ring(fd, 1);
    g_assert(signals(event[0]) == 0);
    g_assert(signals(event[1]) == 1);
    set_irqs(fd, IRQ_EVENT, 1, 1, 0, NULL, 0);
    ring(fd, 1);
    g_assert(signals(event[1]) == 0);
    set_irqs(fd, IRQ_NONE, 0, 0, 0, NULL, 0);
    ring(fd, 2);
    g_assert(signals(event[1]) == 0);

    close(event[0]);
    close(event[1]);
    close(fd);
    summary = raw_server_summary(s);
    g_assert(qdict_get_int(summary, "interrupts") == 2);
    qobject_unref(summary);
}

/* A file that cannot be told not to block is not signalled */
static void test_irq_file(void)
{
    RawServer *s = raw_server_start(NULL);
    int fd = raw_client(s, NULL), path = open("/", O_PATH | O_CLOEXEC);
    uint32_t set[] = { 20, IRQ_EVENT, MSIX, 0, 1 };

    g_assert(raw_request(fd, CMD_SET_IRQS, set, sizeof(set), &path, 1,
                         NULL) == EINVAL);
    close(path);
    close(fd);
    qobject_unref(raw_server_summary(s));
}

/* -- region information, with and without faults -- */

/* The 32-bit word at @at of what is said about a region */
static uint32_t info_word(const char *options, uint32_t index, uint32_t argsz,
                          uint32_t at, uint32_t *len)
{
    RawServer *s = raw_server_start(options);
    int fd = raw_client(s, NULL);
    struct vfio_region_info info = { .argsz = argsz, .index = index };
    RawMsg reply;
    uint32_t word = 0;

    g_assert(raw_request(fd, CMD_GET_REGION_INFO, &info, sizeof(info), NULL,
                         0, &reply) == 0);
    *len = reply.len;
    if (at + sizeof(word) <= reply.len) {
        memcpy(&word, reply.data + at, sizeof(word));
    }
    g_free(reply.data);
    close(fd);
    qobject_unref(raw_server_summary(s));
    return word;
}

static void check_reply(int fd, unsigned command, const uint32_t *request,
                        uint32_t len, const uint32_t *want)
{
    RawMsg reply;

    g_assert(raw_request(fd, command, request, len, NULL, 0, &reply) == 0);
    g_assert(reply.len == len);
    g_assert(memcmp(reply.data, want, len) == 0);
    g_free(reply.data);
}

/* The device, its interrupts, and regions without capabilities */
static void test_info(void)
{
    static const struct {
        unsigned command;
        uint32_t len, request[8], want[8];
    } cases[] = {
        { CMD_GET_INFO, 16, { 16 },
          { 16, VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI |
            VFIO_DEVICE_FLAGS_CXL, 11, VFIO_PCI_NUM_IRQS } },
        { CMD_GET_IRQ_INFO, 16, { 99, 0, MSIX },
          { 16, VFIO_IRQ_INFO_EVENTFD, MSIX, MSIX_VECTORS } },
        { CMD_GET_IRQ_INFO, 16, { 16, 0, VFIO_PCI_ERR_IRQ_INDEX },
          { 16, VFIO_IRQ_INFO_EVENTFD, VFIO_PCI_ERR_IRQ_INDEX, 1 } },
        { CMD_GET_IRQ_INFO, 16, { 16, ALL_ONES, 0, ALL_ONES }, { 16 } },
        { CMD_GET_REGION_INFO, 32, { 32, 0, CONFIG },
          { 32, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
            CONFIG, 0, 4096 } },
        { CMD_GET_REGION_INFO, 32, { 32, 0, ROM }, { 32, 0, ROM } },
        { CMD_GET_REGION_INFO, 32, { 32, 0, 1 }, { 32, 0, 1 } },
    };
    RawServer *s = raw_server_start(NULL);
    int fd = raw_client(s, NULL);

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        check_reply(fd, cases[i].command, cases[i].request, cases[i].len,
                    cases[i].want);
    }
    close(fd);
    qobject_unref(raw_server_summary(s));
}

static void test_region_info(void)
{
    struct vfio_region_info info;
    uint32_t len, need, at = sizeof(info);

    /* too small a buffer: the size to use, and no capabilities */
    need = info_word(NULL, HDM, sizeof(info), 0, &len);
    g_assert(need > sizeof(info));
    g_assert(len == sizeof(info));
    g_assert(!(info_word(NULL, HDM, sizeof(info), 4, &len) &
               VFIO_REGION_INFO_FLAG_CAPS));
    info_word(NULL, HDM, need, 0, &len);
    g_assert(len == need);

    /* type capability, then geometry; id and version are 16 bits each */
    at += sizeof(struct vfio_region_info_cap_type);
    g_assert(info_word(NULL, DECODER, 4096, at, &len) == 0x10006);
    g_assert(info_word("--fault geometry-version=7", DECODER, 4096, at, &len)
             == 0x70006);
    /* a BAR without capabilities gets one to break */
    at = sizeof(info) + offsetof(struct vfio_region_info_cap_sparse_mmap,
                                 nr_areas);
    g_assert(info_word("--fault sparse-overrun=0", 0, 4096, at, &len) == 1001);
    g_assert(info_word("--fault argsz-grow=9", HDM, 4096, 0, &len) == 4096 +
             64);
    g_assert(info_word("--fault argsz-grow=9", HDM, ALL_ONES, 0, &len) ==
             ALL_ONES);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/server/version", test_version);
    g_test_add_func("/server/requests", test_requests);
    g_test_add_func("/server/irqs", test_irqs);
    g_test_add_func("/server/irq-file", test_irq_file);
    g_test_add_func("/server/info", test_info);
    g_test_add_func("/server/region-info", test_region_info);
    return g_test_run();
}
