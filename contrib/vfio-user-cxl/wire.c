/*
 * vfio-user messages on a UNIX stream socket
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <poll.h>
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

/* Wait until @fd takes data; false: stopped, timed out or broken */
static bool wait_writable(int fd, int stop_fd)
{
    struct pollfd p[] = {
        { .fd = fd, .events = POLLOUT },
        { .fd = stop_fd, .events = POLLIN },
    };
    int ret = RETRY_ON_EINTR(poll(p, 2, WIRE_SEND_TIMEOUT_MS));

    return ret > 0 && !p[1].revents && (p[0].revents & POLLOUT);
}

bool wire_send(int fd, int stop_fd, const WireHdr *hdr, const void *data,
               uint32_t len, int pass_fd)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = { };
    struct iovec iov[2] = {
        { .iov_base = (void *)hdr, .iov_len = sizeof(*hdr) },
        { .iov_base = (void *)data, .iov_len = len },
    };
    struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };

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
    while (iov[0].iov_len || iov[1].iov_len) {
        ssize_t n = RETRY_ON_EINTR(sendmsg(fd, &mh, MSG_NOSIGNAL));

        if (n < 0) {
            if (errno != EAGAIN || !wait_writable(fd, stop_fd)) {
                return false;
            }
            continue;
        }
        /* the descriptor went with the first bytes */
        mh.msg_control = NULL;
        mh.msg_controllen = 0;
        for (int i = 0; i < 2; i++) {
            size_t part = MIN((size_t)n, iov[i].iov_len);

            iov[i].iov_base = (char *)iov[i].iov_base + part;
            iov[i].iov_len -= part;
            n -= part;
        }
    }
    return true;
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
