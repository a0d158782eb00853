/*
 * The requests of a vfio-user client, with a device behind them
 *
 * The input is a sequence of messages: command, number of descriptors,
 * length of the payload, payload. One more command answers what the device
 * asked of the client. Between them the copy engine does some steps. The
 * device is back at power-on for each input.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "qapi/error.h"
#include "hdm-mem.h"
#include "server-int.h"
#include "fuzz.h"

#define MAX_REQUESTS 32
#define MAX_PAYLOAD 256
#define COMMANDS 20
#define COPY_STEPS 8
#define SHARED_BYTES (64 * 1024)

static CxlFaults faults;
static CxlServerConfig config = { .faults = &faults };
static CxlStats stats;
static int shared_fd;           /* memory of the client's */
static int peer;                /* the client's end of the socket */

static CxlModel *make_model(void)
{
    CxlModelConfig model = {
        .identity = cxl_identity_find("accel"),
        .hdm_size = CXL_MODEL_HDM_ALIGN,
        .host_base = CXL_MODEL_HOST_BASE,
    };

    faults_init(&faults);
    model.mem_fd = hdm_mem_anon("fuzz", model.hdm_size, &error_abort);
    config.hdm_fd = model.mem_fd;
    config.hdm_size = model.hdm_size;
    shared_fd = hdm_mem_anon("shared", SHARED_BYTES, &error_abort);
    return cxl_model_new(&model, &error_abort);
}

static void raise_irq(void *opaque, unsigned vector)
{
    CxlServer *s = opaque;

    irqs_signal(&s->irqs, VFIO_PCI_MSIX_IRQ_INDEX, vector);
}

/* The lowest descriptor that is free: how a lost one is noticed */
static int lowest_fd(void)
{
    int fd = dup(STDERR_FILENO);

    FUZZ_RULE(fd >= 0, "descriptors are not used up");
    close(fd);
    return fd;
}

/* Every other descriptor can be mapped */
static int client_fd(unsigned i)
{
    return i % 2 ? eventfd(0, EFD_CLOEXEC) : dup(shared_fd);
}

static void make_message(FuzzInput *in, WireMsg *msg, unsigned command)
{
    unsigned n_fds = fuzz_u8(in) % 4;

    msg->hdr.command = command;
    msg->len = fuzz_u8(in) % MAX_PAYLOAD;
    msg->hdr.size = sizeof(msg->hdr) + msg->len;
    msg->have = msg->hdr.size;
    msg->data = g_malloc0(msg->len + 1);
    fuzz_take(in, msg->data, msg->len);
    while (msg->n_fds < n_fds) {
        msg->fds[msg->n_fds] = client_fd(msg->n_fds);
        msg->n_fds++;
    }
}

static void one_request(CxlServer *s, FuzzInput *in, unsigned command)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    CxlReply reply = { .data = data, .fd = -1 };
    int ret;

    make_message(in, &s->msg, command);
    ret = server_request(s, &reply);
    FUZZ_RULE(ret <= 0 && ret > -4096, "the result is an errno");
    FUZZ_RULE(ret < 0 || data->len <= WIRE_MAX_PAYLOAD,
              "the reply can be sent");
    wire_msg_reset(&s->msg);
}

/* The client answers, rightly or not */
static void one_reply(CxlServer *s, FuzzInput *in)
{
    const CxlDmaRequest *req = &s->dma_req;
    uint8_t how = fuzz_u8(in);

    if (how & 1) {
        make_message(in, &s->msg, req->command);
    } else {
        uint64_t access[2] = { req->addr, req->len };

        s->msg.hdr.command = req->command;
        s->msg.len = sizeof(access) + req->len;
        s->msg.data = g_malloc0(s->msg.len + 1);
        memcpy(s->msg.data, access, sizeof(access));
    }
    s->msg.hdr.id = req->id + (how >> 1 & 1);
    s->msg.hdr.flags = WIRE_TYPE_REPLY | (how & 4 ? WIRE_ERROR : 0);
    server_dma_reply(s);
    wire_msg_reset(&s->msg);
}

static void drain_peer(void)
{
    static uint8_t buf[1 << 16];

    while (recv(peer, buf, sizeof(buf), MSG_DONTWAIT) > 0) {
        ;
    }
}

static void one_step(CxlServer *s, FuzzInput *in)
{
    unsigned command = fuzz_u8(in) % (COMMANDS + 1);
    int i;

    if (command == COMMANDS) {
        one_reply(s, in);
    } else {
        one_request(s, in, command);
    }
    for (i = 0; i < COPY_STEPS && cxl_model_copy_runnable(s->model); i++) {
        cxl_model_copy_run(s->model);
    }
    drain_peer();
    FUZZ_RULE(wire_flush(s->client, &s->out), "what waits can be sent");
}

/* A server with a client, as one that starts makes it */
static CxlServer *make_server(CxlModel *model, bool version_done)
{
    CxlServer *s = g_new0(CxlServer, 1);
    int sv[2];

    FUZZ_RULE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == 0,
              "there are sockets");
    s->config = &config;
    s->model = model;
    s->stats = &stats;
    s->client = sv[0];
    peer = sv[1];
    s->version_done = version_done;
    s->max_xfer = WIRE_MAX_DATA;
    FUZZ_RULE(regions_init(&s->regions, model, &faults, config.hdm_fd,
                           config.hdm_size, NULL), "the regions are there");
    s->dma = dma_table_new();
    irqs_init(&s->irqs, cxl_model_identity(model)->msix_vectors);
    cxl_model_set_irq(model, raise_irq, s);
    cxl_model_set_dma(model, &server_dma_ops, s);
    FUZZ_RULE(cxl_model_open(model) == 0, "the device can be opened again");
    return s;
}

static void drop_server(CxlServer *s)
{
    cxl_model_close(s->model);
    FUZZ_RULE(!s->dma_req.sent, "nothing is awaited from who has gone");
    cxl_model_set_irq(s->model, NULL, NULL);
    cxl_model_set_dma(s->model, NULL, NULL);
    wire_out_reset(&s->out);
    irqs_clear(&s->irqs);
    dma_table_free(s->dma);
    regions_cleanup(&s->regions);
    close(s->client);
    close(peer);
    g_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static CxlModel *model;
    FuzzInput in = { data, size };
    CxlServer *s;
    int fd, i;

    if (!model) {
        model = make_model();
    }
    fd = lowest_fd();
    config.dma = fuzz_u8(&in) % (CXL_DMA_BY_MESSAGE + 1);
    s = make_server(model, fuzz_u8(&in) & 1);
    for (i = 0; i < MAX_REQUESTS && in.left; i++) {
        one_step(s, &in);
    }
    drop_server(s);
    FUZZ_RULE(lowest_fd() == fd, "every descriptor is given back");
    return 0;
}
