/*
 * vfio-user server: one device, one client at a time
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "qapi/error.h"
#include "server-int.h"

/* Messages of one client before the other descriptors get a look */
#define BATCH 64

static void G_GNUC_PRINTF(2, 3) trace(const CxlServer *s, const char *fmt, ...)
{
    va_list ap;

    if (!s->config->trace) {
        return;
    }
    va_start(ap, fmt);
    fputs("vfio-user-cxl: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

/* The part of a request that tells where it goes, for the trace */
static char *request_where(const CxlServer *s)
{
    const WireMsg *msg = &s->msg;
    uint32_t w[4] = { };

    memcpy(w, msg->data, MIN(msg->len, sizeof(w)));
    switch (msg->hdr.command) {
    case CMD_REGION_READ:
    case CMD_REGION_WRITE:
        return g_strdup_printf(" region %s(%u) offset 0x%" PRIx64 " count %u",
                               stats_region_name(regions_kind(&s->regions,
                                                              w[2])), w[2],
                               (uint64_t)w[1] << 32 | w[0], w[3]);
    case CMD_GET_REGION_INFO:
    case CMD_GET_IRQ_INFO:
        return g_strdup_printf(" index %u argsz %u", w[2], w[0]);
    case CMD_SET_IRQS:
        return g_strdup_printf(" index %u flags 0x%x start %u", w[2], w[1],
                               w[3]);
    default:
        return g_strdup("");
    }
}

static void trace_request(const CxlServer *s, int ret)
{
    g_autofree char *where = NULL;

    if (!s->config->trace) {
        return;
    }
    where = request_where(s);
    trace(s, "%" PRIu64 " %s(%u)%s fds %u%s: %s", s->seq,
          stats_command_name(s->msg.hdr.command), s->msg.hdr.command, where,
          s->msg.n_fds, s->msg.hdr.flags & WIRE_NO_REPLY ? " posted" : "",
          ret < 0 ? strerror(-ret) : "ok");
}

static void raise_irq(void *opaque, unsigned vector)
{
    CxlServer *s = opaque;

    if (irqs_signal(&s->irqs, VFIO_PCI_MSIX_IRQ_INDEX, vector)) {
        s->stats->interrupts++;
    }
    trace(s, "interrupt %u", vector);
}

/* What the specification asks for when a client has gone */
static void drop_client(CxlServer *s, const char *why)
{
    trace(s, "client left: %s", why);
    close(s->client);
    s->client = -1;
    cxl_model_close(s->model);
    wire_msg_reset(&s->msg);
    wire_out_reset(&s->out);
    irqs_clear(&s->irqs);
    dma_table_clear(s->dma);
}

/* A new connection: the device is opened for it, or it is turned away */
static void take_client(CxlServer *s)
{
    int ret, fd = accept4(s->config->listen_fd, NULL, NULL,
                          SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        return;
    }
    if (s->client >= 0) {
        s->stats->refused++;
        trace(s, "connection refused: one client at a time");
        close(fd);
        return;
    }
    ret = cxl_model_open(s->model);
    if (ret < 0) {
        fprintf(stderr, "vfio-user-cxl: connection refused: cannot clear the "
                "device memory: %s\n", strerror(-ret));
        close(fd);
        return;
    }
    s->client = fd;
    s->seq = 0;
    s->version_done = false;
    s->stats->clients++;
    trace(s, "client connected");
}

/* Answer the complete request in s->msg; false: give the client up */
static bool answer(CxlServer *s)
{
    const CxlFaults *f = s->config->faults;
    g_autoptr(GByteArray) data = g_byte_array_new();
    CxlReply reply = { .data = data, .fd = -1 };
    WireHdr hdr = s->msg.hdr;
    int ret;

    if ((hdr.flags & WIRE_TYPE_MASK) == WIRE_TYPE_REPLY) {
        server_dma_reply(s);
        return true;
    }
    s->seq++;
    stats_command(s->stats, hdr.command);
    if (s->seq == f->close_at) {
        trace(s, "%" PRIu64 " %s: fault close-at", s->seq,
              stats_command_name(hdr.command));
        return false;
    }
    ret = server_request(s, &reply);
    trace_request(s, ret);
    if (ret < 0) {
        s->stats->errors++;
        g_byte_array_set_size(data, 0);
        reply.fd = -1;
    }
    if (hdr.flags & WIRE_NO_REPLY || s->seq == f->silent_at) {
        return true;
    }
    hdr.flags = WIRE_TYPE_REPLY | (ret < 0 ? WIRE_ERROR : 0);
    hdr.error = ret < 0 ? -ret : 0;
    hdr.size = sizeof(hdr) + data->len;
    if (s->seq == f->close_in_reply || s->seq == f->stall_in_reply) {
        trace(s, "%" PRIu64 " %s: fault in the reply", s->seq,
              stats_command_name(hdr.command));
        wire_send(s->client, &s->out, &hdr, data->data, data->len / 2,
                  reply.fd);
        return s->seq == f->stall_in_reply;
    }
    return wire_send(s->client, &s->out, &hdr, data->data, data->len,
                     reply.fd);
}

/* Is the next request the one to leave unread, and is it there? */
static bool reset_is_due(const CxlServer *s)
{
    char byte;

    return s->seq + 1 == s->config->faults->reset_at && s->msg.have == 0 &&
           recv(s->client, &byte, 1, MSG_PEEK) == 1;
}

/* Serve what the client has sent.  True: nothing of it is left */
static bool serve_client(CxlServer *s)
{
    if (!wire_flush(s->client, &s->out)) {
        drop_client(s, "it takes no more replies");
        return true;
    }
    for (int i = 0; i < BATCH && s->out.bytes < WIRE_OUT_FULL; i++) {
        if (reset_is_due(s)) {
            drop_client(s, "fault reset-at");
            return true;
        }
        switch (wire_recv(s->client, &s->msg)) {
        case WIRE_AGAIN:
            return true;
        case WIRE_EOF:
            drop_client(s, "closed");
            return true;
        case WIRE_BAD:
            drop_client(s, "bad message header");
            return true;
        case WIRE_MSG:
            if (!answer(s)) {
                drop_client(s, "connection ended by the server");
                return true;
            }
            wire_msg_reset(&s->msg);
        }
    }
    return false;
}

/* Milliseconds until there is something to do unasked, -1: never */
static int serve_timeout(const CxlServer *s)
{
    return cxl_model_copy_runnable(s->model) ? 0 : wire_out_timeout(&s->out);
}

/* What to wait for on the client's socket */
static short client_events(const CxlServer *s)
{
    return (s->out.bytes ? POLLOUT : 0) |
           (s->out.bytes < WIRE_OUT_FULL ? POLLIN : 0);
}

static bool serve(CxlServer *s, Error **errp)
{
    for (;;) {
        struct pollfd p[] = {
            { .fd = s->config->stop_fd, .events = POLLIN },
            { .fd = s->config->listen_fd, .events = POLLIN },
            { .fd = s->client, .events = client_events(s) },
        };
        bool idle = true;

        if (RETRY_ON_EINTR(poll(p, ARRAY_SIZE(p), serve_timeout(s))) < 0) {
            error_setg_errno(errp, errno, "poll failed");
            return false;
        }
        if (p[0].revents) {
            return true;
        }
        if (p[2].revents || s->out.bytes) {
            idle = serve_client(s);
        }
        cxl_model_copy_run(s->model);
        if (cxl_model_dead(s->model)) {
            trace(s, "fault die-in-copy");
            return true;
        }
        if (p[1].revents & ~POLLIN) {
            error_setg(errp, "the listening socket failed");
            return false;
        }
        /*
         * Only with nothing left to read: the client that is about to be
         * told "one at a time" may have seen the old one go.
         */
        if (p[1].revents && idle) {
            take_client(s);
        }
    }
}

bool server_run(const CxlServerConfig *config, Error **errp)
{
    g_autofree CxlServer *s = g_new0(CxlServer, 1);
    bool ok;

    s->config = config;
    s->model = config->model;
    s->stats = config->stats;
    s->client = -1;
    if (!regions_init(&s->regions, s->model, config->faults, config->hdm_fd,
                      config->hdm_size, errp)) {
        return false;
    }
    s->dma = dma_table_new();
    irqs_init(&s->irqs, cxl_model_identity(s->model)->msix_vectors);
    cxl_model_set_irq(s->model, raise_irq, s);
    cxl_model_set_dma(s->model, &server_dma_ops, s);

    ok = serve(s, errp);

    if (s->client >= 0) {
        drop_client(s, "the server ends");
    }
    cxl_model_set_irq(s->model, NULL, NULL);
    cxl_model_set_dma(s->model, NULL, NULL);
    dma_table_free(s->dma);
    regions_cleanup(&s->regions);
    return ok;
}
