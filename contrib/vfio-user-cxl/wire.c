/*
 * vfio-user messages on a UNIX stream socket
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include "qapi/error.h"
#include "wire.h"

void wire_msg_reset(WireMsg *msg)
{
    for (unsigned i = 0; i < msg->n_fds; i++) {
        if (msg->fds[i] >= 0) {
            close(msg->fds[i]);
        }
    }
    g_free(msg->data);
    memset(msg, 0, sizeof(*msg));
}

/* Keep what a control message brought; close what does not fit */
static void take_fds(WireMsg *msg, struct msghdr *mh)
{
    if (mh->msg_flags & MSG_CTRUNC) {
        msg->fds_lost = true;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
        size_t n;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (msg->n_fds < WIRE_MAX_FDS) {
                msg->fds[msg->n_fds++] = fd;
            } else {
                close(fd);
                msg->fds_lost = true;
            }
        }
    }
}

/* One recvmsg() of at most @len bytes; its result or -errno */
static ssize_t recv_part(int fd, WireMsg *msg, void *buf, size_t len)
{
    /* room for twice the allowed number, so that most excess is visible */
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(2 * WIRE_MAX_FDS * sizeof(int))];
    } control;
    struct iovec iov = { .iov_base = buf, .iov_len = len };
    struct msghdr mh = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };
    ssize_t n = RETRY_ON_EINTR(recvmsg(fd, &mh, MSG_CMSG_CLOEXEC));

    if (n < 0) {
        return -errno;
    }
    take_fds(msg, &mh);
    return n;
}

static bool header_ok(const WireMsg *msg)
{
    return msg->hdr.size >= sizeof(msg->hdr) &&
           msg->hdr.size - sizeof(msg->hdr) <= WIRE_MAX_PAYLOAD &&
           (msg->hdr.flags & WIRE_TYPE_MASK) <= WIRE_TYPE_REPLY;
}

WireStatus wire_recv(int fd, WireMsg *msg)
{
    for (;;) {
        const uint32_t head = sizeof(msg->hdr);
        ssize_t n;

        if (msg->have == head && !msg->data) {
            if (!header_ok(msg)) {
                return WIRE_BAD;
            }
            msg->len = msg->hdr.size - head;
            msg->data = g_malloc0(msg->len + 1);
        }
        if (msg->have >= head && msg->have == msg->hdr.size) {
            return WIRE_MSG;
        }
        if (msg->have < head) {
            n = recv_part(fd, msg, (char *)&msg->hdr + msg->have,
                          head - msg->have);
        } else {
            n = recv_part(fd, msg, msg->data + (msg->have - head),
                          msg->hdr.size - msg->have);
        }
        if (n == -EAGAIN || n == -EWOULDBLOCK) {
            return WIRE_AGAIN;
        }
        if (n <= 0) {
            return WIRE_EOF;
        }
        msg->have += n;
    }
}

/* A message, or the rest of one */
typedef struct WirePart {
    size_t len;
    size_t sent;
    int fd;                     /* goes with the first byte, -1: none */
    uint8_t data[];
} WirePart;

/* One sendmsg(); bytes sent, 0 if the socket is full, or -errno */
static ssize_t send_part(int fd, struct iovec *iov, int n_iov, int pass_fd)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = { };
    struct msghdr mh = { .msg_iov = iov, .msg_iovlen = n_iov };
    ssize_t n;

    if (pass_fd >= 0) {
        struct cmsghdr *c;

        mh.msg_control = control.buf;
        mh.msg_controllen = sizeof(control.buf);
        c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
    }
    n = RETRY_ON_EINTR(sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT));
    return n >= 0 ? n : errno == EAGAIN ? 0 : -errno;
}

/* Keep what is left of a message after its first @sent bytes */
static void out_append(WireOut *out, const struct iovec *iov, size_t sent,
                       int pass_fd)
{
    size_t total = iov[0].iov_len + iov[1].iov_len;
    WirePart *p = g_malloc(sizeof(*p) + total);

    memcpy(p->data, iov[0].iov_base, iov[0].iov_len);
    if (iov[1].iov_len) {
        memcpy(p->data + iov[0].iov_len, iov[1].iov_base, iov[1].iov_len);
    }
    p->len = total;
    p->sent = sent;
    p->fd = sent ? -1 : pass_fd;
    if (!out->bytes) {
        out->since = g_get_monotonic_time();
    }
    out->bytes += total - sent;
    g_queue_push_tail(&out->parts, p);
}

bool wire_send(int fd, WireOut *out, const WireHdr *hdr, const void *data,
               uint32_t len, int pass_fd)
{
    struct iovec iov[2] = {
        { .iov_base = (void *)hdr, .iov_len = sizeof(*hdr) },
        { .iov_base = (void *)data, .iov_len = len },
    };
    ssize_t n = 0;

    if (!out->bytes) {
        n = send_part(fd, iov, 2, pass_fd);
        if (n < 0) {
            return false;
        }
    }
    if (n < sizeof(*hdr) + len) {
        out_append(out, iov, n, pass_fd);
    }
    return true;
}

bool wire_flush(int fd, WireOut *out)
{
    WirePart *p;

    while ((p = g_queue_peek_head(&out->parts))) {
        struct iovec iov = {
            .iov_base = p->data + p->sent,
            .iov_len = p->len - p->sent,
        };
        ssize_t n = send_part(fd, &iov, 1, p->fd);

        if (n <= 0) {
            return n == 0 && wire_out_timeout(out) > 0;
        }
        p->fd = -1;
        p->sent += n;
        out->bytes -= n;
        out->since = g_get_monotonic_time();
        if (p->sent == p->len) {
            g_free(g_queue_pop_head(&out->parts));
        }
    }
    return true;
}

int wire_out_timeout(const WireOut *out)
{
    int64_t ms = (g_get_monotonic_time() - out->since) / 1000;

    return !out->bytes ? -1 : ms < WIRE_SEND_TIMEOUT_MS ?
           WIRE_SEND_TIMEOUT_MS - ms : 0;
}

void wire_out_reset(WireOut *out)
{
    g_queue_clear_full(&out->parts, g_free);
    out->bytes = 0;
}

/* Is somebody serving the socket at @addr? */
static bool socket_is_live(const struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool live;

    if (fd < 0) {
        return true;
    }
    live = connect(fd, (void *)addr, sizeof(*addr)) == 0 ||
           errno != ECONNREFUSED;
    close(fd);
    return live;
}

/* Remove what is left of a dead server; false and @errp: path is taken */
static bool clear_path(const struct sockaddr_un *addr, Error **errp)
{
    const char *path = addr->sun_path;
    struct stat st;

    if (lstat(path, &st) < 0) {
        return true;
    }
    if (!S_ISSOCK(st.st_mode)) {
        error_setg(errp, "'%s' exists and is not a socket; remove it or "
                   "choose another path", path);
        return false;
    }
    if (socket_is_live(addr)) {
        error_setg(errp, "socket '%s' is served by another process; stop it "
                   "or choose another path", path);
        return false;
    }
    if (unlink(path) < 0) {
        error_setg_errno(errp, errno, "cannot replace the dead socket '%s'",
                         path);
        return false;
    }
    return true;
}

int wire_listen(const char *path, Error **errp)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd;

    if (!*path || strlen(path) >= sizeof(addr.sun_path)) {
        error_setg(errp, "socket path has %zu bytes, must have 1 to %zu; "
                   "choose another path", strlen(path),
                   sizeof(addr.sun_path) - 1);
        return -1;
    }
    strcpy(addr.sun_path, path);
    if (!clear_path(&addr, errp)) {
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (void *)&addr, sizeof(addr)) < 0 ||
        listen(fd, 64) < 0) {
        error_setg_errno(errp, errno, "cannot listen on '%s'", path);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}
