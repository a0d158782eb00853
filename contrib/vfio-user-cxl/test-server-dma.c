/*
 * Tests of the device server from outside: the copy engine while its
 * requests to the client are on their way
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/socket.h>
#include "hw/vfio/vfio-cxl-abi.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/cxl/cxl_accel_copy.h"
#include "raw-client.h"

#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX
#define HDM VFIO_PCI_NUM_REGIONS
#define OPTIONS "--identity accel --dma message"

/* The copy engine's registers in BAR 0 */
#define COPY 0x40

#define IOVA 0x10000ull
#define HALF 4096u
#define LEN (2 * HALF)
/* Two requests for each copy */
#define CAPS "\"max_data_xfer_size\":4096"

/* In front of the data of a request to the client, and of its answer */
typedef struct DmaAccess {
    uint64_t addr;
    uint64_t count;
} DmaAccess;

static void map(int fd)
{
    uint64_t req[] = { 32 | (uint64_t)(VFIO_DMA_MAP_FLAG_READ |
                                       VFIO_DMA_MAP_FLAG_WRITE) << 32,
                       0, IOVA, LEN };

    g_assert(raw_request(fd, CMD_DMA_MAP, req, sizeof(req), NULL, 0, NULL) ==
             0);
}

static int start_client(const RawServer *s)
{
    int fd = raw_client(s, CAPS);

    raw_enable(fd);
    map(fd);
    return fd;
}

/* Start a copy between IOVA and the start of HDM */
static void copy_start(int fd, uint32_t op)
{
    struct {
        uint64_t src, dst, len, pattern;
        uint32_t control, command;
    } regs = {
        .src = op == CXL_COPY_OP_TO_HDM ? IOVA : 0,
        .dst = op == CXL_COPY_OP_TO_HDM ? 0 : IOVA,
        .len = LEN, .control = op, .command = CXL_COPY_START,
    };

    g_assert(raw_write(fd, 0, COPY, &regs, sizeof(regs)) == 0);
}

/* The engine takes its next step after the messages that are there already */
static void check_copy(int fd, uint32_t state, uint32_t error, uint64_t done)
{
    int64_t end = g_get_monotonic_time() + RAW_LIMIT_S * G_USEC_PER_SEC;
    uint32_t got[4];

    do {
        g_assert(raw_read(fd, 0, COPY + CXL_COPY_STATUS, got, sizeof(got)) ==
                 0);
    } while (got[0] == CXL_COPY_BUSY && state != CXL_COPY_BUSY &&
             g_get_monotonic_time() < end);
    g_assert(got[0] == state);
    g_assert(got[1] == error);
    g_assert(got[2] == done);
    g_assert(got[3] == 0);
}

/* The server's request, which must be this one */
static RawMsg take_dma(int fd, unsigned command, uint64_t addr)
{
    RawMsg msg = raw_recv(fd);
    DmaAccess access;

    g_assert(!msg.end);
    g_assert(msg.hdr.command == command);
    g_assert(msg.hdr.flags == WIRE_TYPE_REQUEST);
    g_assert(msg.len == sizeof(access) + (command == CMD_DMA_WRITE ? HALF :
             0));
    memcpy(&access, msg.data, sizeof(access));
    g_assert(access.addr == addr);
    g_assert(access.count == HALF);
    return msg;
}

/* How an answer differs from a good one */
typedef enum Flaw {
    GOOD,
    REFUSED,
    OTHER_ID,
    OTHER_COMMAND,
    OTHER_ADDRESS,
    OTHER_COUNT,
    SHORT,
    HEADER_ONLY,
} Flaw;

/* Answer a request, with @byte as the data of a read; frees it */
static void answer_dma(int fd, RawMsg msg, Flaw flaw, uint8_t byte)
{
    bool read = msg.hdr.command == CMD_DMA_READ;
    struct {
        DmaAccess access;
        uint8_t data[HALF];
    } reply;
    uint32_t len = sizeof(reply.access) + (read ? HALF : 0) -
                   (flaw == SHORT ? 1 : 0);
    WireHdr hdr = msg.hdr;

    memcpy(&reply.access, msg.data, sizeof(reply.access));
    memset(reply.data, byte, sizeof(reply.data));
    reply.access.addr += flaw == OTHER_ADDRESS;
    reply.access.count -= flaw == OTHER_COUNT;
    hdr.id += flaw == OTHER_ID;
    hdr.command ^= flaw == OTHER_COMMAND ? CMD_DMA_READ ^ CMD_DMA_WRITE : 0;
    hdr.flags = WIRE_TYPE_REPLY | (flaw == REFUSED ? WIRE_ERROR : 0);
    hdr.error = flaw == REFUSED ? EFAULT : 0;
    if (flaw == REFUSED || flaw == HEADER_ONLY) {
        len = 0;
    }
    hdr.size = sizeof(hdr) + len;
    raw_send(fd, &hdr, &reply, len, NULL, 0);
    g_free(msg.data);
}

/* A copy of two requests, both answered well */
static void whole_copy(int fd, uint32_t op, Flaw flaw, uint8_t byte)
{
    unsigned command = op == CXL_COPY_OP_TO_HDM ? CMD_DMA_READ :
                       CMD_DMA_WRITE;

    copy_start(fd, op);
    answer_dma(fd, take_dma(fd, command, IOVA), flaw, byte);
    answer_dma(fd, take_dma(fd, command, IOVA + HALF), flaw, byte + 1);
    check_copy(fd, CXL_COPY_OK, CXL_COPY_NO_ERROR, LEN);
}

static void check_hdm(int fd, uint64_t off, uint8_t byte)
{
    uint8_t got;

    g_assert(raw_read(fd, HDM, off, &got, 1) == 0);
    g_assert(got == byte);
}

static void check_counts(RawServer *s, int64_t failed, int64_t dma_errors)
{
    QDict *summary = raw_server_summary(s);

    g_assert(qdict_get_int(qdict_get_qdict(summary, "copies"), "failed") ==
             failed);
    g_assert(qdict_get_int(qdict_get_qdict(summary, "dma"), "errors") ==
             dma_errors);
    qobject_unref(summary);
}

/* -- answers -- */

static void test_answers(void)
{
    static const Flaw refusals[] = {
        REFUSED, OTHER_ADDRESS, OTHER_COUNT, SHORT, HEADER_ONLY,
    };
    RawServer *s = raw_server_start(OPTIONS);
    int fd = start_client(s);
    unsigned i;

    whole_copy(fd, CXL_COPY_OP_TO_HDM, GOOD, 0x30);
    check_hdm(fd, HALF - 1, 0x30);
    check_hdm(fd, HALF, 0x31);
    whole_copy(fd, CXL_COPY_OP_FROM_HDM, GOOD, 0);
    /* to a write some clients answer with no more than the header */
    whole_copy(fd, CXL_COPY_OP_FROM_HDM, HEADER_ONLY, 0);

    for (i = 0; i < ARRAY_SIZE(refusals); i++) {
        copy_start(fd, CXL_COPY_OP_TO_HDM);
        answer_dma(fd, take_dma(fd, CMD_DMA_READ, IOVA), GOOD, 0x40 + i);
        answer_dma(fd, take_dma(fd, CMD_DMA_READ, IOVA + HALF), refusals[i],
                   0x50);
        check_copy(fd, CXL_COPY_FAILED, CXL_COPY_E_DMA, HALF);
        check_hdm(fd, 0, 0x40 + i);
        check_hdm(fd, HALF, 0x31);
    }
    copy_start(fd, CXL_COPY_OP_FROM_HDM);
    answer_dma(fd, take_dma(fd, CMD_DMA_WRITE, IOVA), REFUSED, 0);
    check_copy(fd, CXL_COPY_FAILED, CXL_COPY_E_DMA, 0);
    close(fd);
    check_counts(s, ARRAY_SIZE(refusals) + 1, ARRAY_SIZE(refusals) + 1);
}

/* What answers something else changes nothing */
static void test_strangers(void)
{
    static const Flaw flaws[] = { OTHER_ID, OTHER_COMMAND };
    RawServer *s = raw_server_start(OPTIONS);
    int fd = start_client(s);

    for (unsigned i = 0; i < ARRAY_SIZE(flaws); i++) {
        RawMsg msg, copy;

        copy_start(fd, CXL_COPY_OP_TO_HDM);
        msg = copy = take_dma(fd, CMD_DMA_READ, IOVA);
        copy.data = g_memdup2(msg.data, msg.len);
        answer_dma(fd, copy, flaws[i], 0x60);
        check_copy(fd, CXL_COPY_BUSY, CXL_COPY_NO_ERROR, 0);
        answer_dma(fd, msg, GOOD, 0x61);
        answer_dma(fd, take_dma(fd, CMD_DMA_READ, IOVA + HALF), GOOD, 0x62);
        check_copy(fd, CXL_COPY_OK, CXL_COPY_NO_ERROR, LEN);
        check_hdm(fd, 0, 0x61);
    }
    close(fd);
    check_counts(s, 0, 0);
}

/* -- what happens while a request is on its way -- */

static void test_reset(void)
{
    RawServer *s = raw_server_start(OPTIONS);
    int fd = start_client(s);
    RawMsg msg;

    copy_start(fd, CXL_COPY_OP_TO_HDM);
    msg = take_dma(fd, CMD_DMA_READ, IOVA);
    g_assert(raw_request(fd, CMD_RESET, NULL, 0, NULL, 0, NULL) == 0);
    check_copy(fd, CXL_COPY_IDLE, CXL_COPY_NO_ERROR, 0);
    answer_dma(fd, msg, GOOD, 0x77);
    check_copy(fd, CXL_COPY_IDLE, CXL_COPY_NO_ERROR, 0);
    check_hdm(fd, 0, 0);
    whole_copy(fd, CXL_COPY_OP_TO_HDM, GOOD, 0x30);
    close(fd);
    check_counts(s, 0, 0);
}

static void test_abort(void)
{
    uint32_t command = CXL_COPY_ABORT;
    RawServer *s = raw_server_start(OPTIONS);
    int fd = start_client(s);
    RawMsg msg;

    copy_start(fd, CXL_COPY_OP_TO_HDM);
    msg = take_dma(fd, CMD_DMA_READ, IOVA);
    g_assert(raw_write(fd, 0, COPY + CXL_COPY_COMMAND, &command,
                       sizeof(command)) == 0);
    check_copy(fd, CXL_COPY_BUSY, CXL_COPY_NO_ERROR, 0);
    answer_dma(fd, msg, GOOD, 0x77);
    check_copy(fd, CXL_COPY_FAILED, CXL_COPY_E_ABORTED, 0);
    check_hdm(fd, 0, 0);
    close(fd);
    check_counts(s, 1, 0);
}

static void test_gated(void)
{
    uint16_t command = PCI_COMMAND_MASTER;
    RawServer *s = raw_server_start(OPTIONS);
    int fd = start_client(s);
    RawMsg msg;

    copy_start(fd, CXL_COPY_OP_TO_HDM);
    msg = take_dma(fd, CMD_DMA_READ, IOVA);
    g_assert(raw_write(fd, CONFIG, PCI_COMMAND, &command, sizeof(command)) ==
             0);
    answer_dma(fd, msg, GOOD, 0x77);
    check_copy(fd, CXL_COPY_FAILED, CXL_COPY_E_GATED, 0);
    raw_enable(fd);
    check_hdm(fd, 0, 0);
    close(fd);
    check_counts(s, 1, 0);
}

/* Between two requests: the memory is no longer the device's to use */
static void test_no_way(void)
{
    uint16_t command = PCI_COMMAND_MEMORY;
    uint64_t unmap[] = { 24, IOVA, LEN };
    RawServer *s = raw_server_start(OPTIONS);
    int fd = start_client(s);

    for (unsigned i = 0; i < 2; i++) {
        RawMsg msg;

        copy_start(fd, CXL_COPY_OP_TO_HDM);
        msg = take_dma(fd, CMD_DMA_READ, IOVA);
        if (i == 0) {
            g_assert(raw_request(fd, CMD_DMA_UNMAP, unmap, sizeof(unmap),
                                 NULL, 0, NULL) == 0);
        } else {
            g_assert(raw_write(fd, CONFIG, PCI_COMMAND, &command,
                               sizeof(command)) == 0);
        }
        answer_dma(fd, msg, GOOD, 0x77);
        check_copy(fd, CXL_COPY_FAILED, CXL_COPY_E_DMA, HALF);
        check_hdm(fd, HALF, 0);
        if (i == 0) {
            map(fd);
        }
    }
    close(fd);
    check_counts(s, 2, 0);
}

/* The client goes, and the next one finds an engine that is idle */
static void test_client_goes(void)
{
    RawServer *s = raw_server_start(OPTIONS);
    int fd = start_client(s);

    copy_start(fd, CXL_COPY_OP_TO_HDM);
    g_free(take_dma(fd, CMD_DMA_READ, IOVA).data);
    close(fd);
    fd = start_client(s);
    check_copy(fd, CXL_COPY_IDLE, CXL_COPY_NO_ERROR, 0);
    whole_copy(fd, CXL_COPY_OP_TO_HDM, GOOD, 0x30);
    close(fd);
    check_counts(s, 0, 0);
}

/* It hears no more when it is to be asked */
static void test_client_deaf(void)
{
    struct {
        WireHdr hdr;
        uint64_t offset;
        uint32_t region, count, command;
    } QEMU_PACKED start = {
        { .command = CMD_REGION_WRITE, .size = sizeof(start),
          .flags = WIRE_NO_REPLY },
        COPY + CXL_COPY_COMMAND, 0, 4, CXL_COPY_START
    };
    uint64_t regs[] = { IOVA, 0, LEN, 0, CXL_COPY_OP_TO_HDM };
    RawServer *s = raw_server_start(OPTIONS);
    int fd = start_client(s), second;

    g_assert(raw_write(fd, 0, COPY, regs, sizeof(regs)) == 0);
    shutdown(fd, SHUT_RD);
    g_assert(send(fd, &start, sizeof(start), MSG_NOSIGNAL) == sizeof(start));
    /* turned away only when all else is done */
    second = raw_connect(s);
    g_assert(raw_recv(second).end);
    close(second);
    close(fd);
    fd = start_client(s);
    whole_copy(fd, CXL_COPY_OP_TO_HDM, GOOD, 0x30);
    close(fd);
    check_counts(s, 1, 0);
}

/* -- ways -- */

/* A mode that shares only has no other way to memory that is not shared */
static void test_shared_only(void)
{
    RawServer *s = raw_server_start("--identity accel --dma shared");
    int fd = start_client(s);

    copy_start(fd, CXL_COPY_OP_TO_HDM);
    check_copy(fd, CXL_COPY_FAILED, CXL_COPY_E_DMA, 0);
    close(fd);
    check_counts(s, 1, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/server/dma/answers", test_answers);
    g_test_add_func("/server/dma/strangers", test_strangers);
    g_test_add_func("/server/dma/reset", test_reset);
    g_test_add_func("/server/dma/abort", test_abort);
    g_test_add_func("/server/dma/gated", test_gated);
    g_test_add_func("/server/dma/no-way", test_no_way);
    g_test_add_func("/server/dma/client-goes", test_client_goes);
    g_test_add_func("/server/dma/client-deaf", test_client_deaf);
    g_test_add_func("/server/dma/shared-only", test_shared_only);
    return g_test_run();
}
