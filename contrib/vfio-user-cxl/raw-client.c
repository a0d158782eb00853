/*
 * The device server as a process, and a client that sends what it is told
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/vfio.h>
#include "qapi/error.h"
#include "qobject/qjson.h"
#include "standard-headers/linux/pci_regs.h"
#include "raw-client.h"

#define MAX_SENT_FDS 64

const char *raw_program(void)
{
    const char *path = g_getenv("QTEST_VFIO_USER_CXL");

    return path ? path : "./contrib/vfio-user-cxl/vfio-user-cxl";
}

/* -- the program -- */

static int exit_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void raw_run(const char *options, RawRun *run)
{
    g_autofree char *cmd = g_strdup_printf("timeout %d %s %s", RAW_LIMIT_S,
                                           raw_program(), options);
    g_auto(GStrv) argv = NULL;
    GError *err = NULL;
    int status;

    g_assert(g_shell_parse_argv(cmd, NULL, &argv, NULL));
    g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &run->out,
                 &run->err, &status, &err);
    g_assert(!err);
    run->status = exit_status(status);
}

void raw_run_free(RawRun *run)
{
    g_free(run->out);
    g_free(run->err);
}

static char *file_in(const RawServer *s, const char *name)
{
    return g_build_filename(s->dir, name, NULL);
}

/* In the child: no server outlives its test, and its errors go to a file */
static void child_setup(gpointer opaque)
{
    const RawServer *s = opaque;
    g_autofree char *path = file_in(s, "stderr");
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    dup2(fd, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

RawServer *raw_server_start(const char *options)
{
    RawServer *s = g_new0(RawServer, 1);
    g_auto(GStrv) parts = g_strsplit(options ? options : "", "%", -1);
    g_autofree char *placed = NULL;
    g_autofree char *cmd = NULL;
    g_auto(GStrv) argv = NULL;
    GError *err = NULL;
    char c;

    s->dir = g_dir_make_tmp("vfio-user-cxl-XXXXXX", NULL);
    g_assert(s->dir);
    s->socket = file_in(s, "socket");
    placed = g_strjoinv(s->dir, parts);
    cmd = g_strdup_printf("%s --socket %s %s", raw_program(), s->socket,
                          placed);
    g_assert(g_shell_parse_argv(cmd, NULL, &argv, NULL));
    if (!g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
                                  child_setup, s, &s->pid, NULL, &s->out,
                                  NULL, &err)) {
        g_error("cannot start %s: %s; build it or set QTEST_VFIO_USER_CXL",
                argv[0], err->message);
    }
    /* the line "listening on ..." */
    do {
        g_assert(read(s->out, &c, 1) == 1);
    } while (c != '\n');
    return s;
}

void raw_server_end(RawServer *s, RawRun *run)
{
    static const char *const files[] = { "socket", "stderr", "hdm", "summary" };
    g_autofree char *err = file_in(s, "stderr");
    GString *out = g_string_new(NULL);
    char buf[4096];
    ssize_t n;
    int status;

    kill(s->pid, SIGTERM);
    while ((n = read(s->out, buf, sizeof(buf))) > 0) {
        g_string_append_len(out, buf, n);
    }
    g_assert(waitpid(s->pid, &status, 0) == s->pid);
    run->status = exit_status(status);
    run->out = g_string_free(out, false);
    g_assert(g_file_get_contents(err, &run->err, NULL, NULL));
    close(s->out);
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        g_autofree char *path = file_in(s, files[i]);

        g_unlink(path);
    }
    g_assert(g_rmdir(s->dir) == 0);
    g_free(s->dir);
    g_free(s->socket);
    g_free(s);
}

QDict *raw_server_summary(RawServer *s)
{
    QDict *summary;
    RawRun run;

    raw_server_end(s, &run);
    g_assert(run.status == 0);
    summary = qobject_to(QDict, qobject_from_json(run.out, &error_abort));
    g_assert(summary);
    raw_run_free(&run);
    return summary;
}

/* -- messages -- */

int raw_connect(const RawServer *s)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct timeval limit = { .tv_sec = RAW_LIMIT_S };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    g_assert(g_strlcpy(addr.sun_path, s->socket, sizeof(addr.sun_path)) <
             sizeof(addr.sun_path));
    g_assert(connect(fd, (void *)&addr, sizeof(addr)) == 0);
    return fd;
}

void raw_send(int fd, const WireHdr *hdr, const void *data, uint32_t len,
              const int *fds, unsigned n_fds)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(MAX_SENT_FDS * sizeof(int))];
    } control = { };
    struct iovec iov[2] = {
        { .iov_base = (void *)hdr, .iov_len = sizeof(*hdr) },
        { .iov_base = (void *)data, .iov_len = len },
    };
    struct msghdr mh = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };

    if (n_fds) {
        struct cmsghdr *c;

        mh.msg_control = control.buf;
        mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    g_assert(sendmsg(fd, &mh, MSG_NOSIGNAL) == sizeof(*hdr) + len);
}

/* Exactly @len bytes; false: the connection ended instead */
static bool recv_all(int fd, void *buf, size_t len)
{
    for (size_t done = 0; done < len; ) {
        union {
            struct cmsghdr align;
            char buf[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {
            .iov_base = (char *)buf + done, .iov_len = len - done
        };
        struct msghdr mh = {
            .msg_iov = &iov, .msg_iovlen = 1,
            .msg_control = control.buf, .msg_controllen = sizeof(control.buf),
        };
        ssize_t n = recvmsg(fd, &mh, 0);

        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            return false;
        }
        g_assert(n > 0);
        if (CMSG_FIRSTHDR(&mh)) {
            int got;

            memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(got));
            close(got);
        }
        done += n;
    }
    return true;
}

RawMsg raw_recv(int fd)
{
    RawMsg msg = { };

    if (!recv_all(fd, &msg.hdr, sizeof(msg.hdr))) {
        msg.end = true;
        return msg;
    }
    msg.len = msg.hdr.size - sizeof(msg.hdr);
    msg.data = g_malloc0(msg.len + 1);
    g_assert(recv_all(fd, msg.data, msg.len));
    return msg;
}

int raw_request(int fd, unsigned cmd, const void *data, uint32_t len,
                const int *fds, unsigned n_fds, RawMsg *reply)
{
    static uint16_t id;
    WireHdr hdr = { .id = ++id, .command = cmd, .size = sizeof(hdr) + len };
    RawMsg msg;

    raw_send(fd, &hdr, data, len, fds, n_fds);
    msg = raw_recv(fd);
    g_assert(!msg.end);
    g_assert(msg.hdr.id == hdr.id);
    g_assert(msg.hdr.command == cmd);
    g_assert((msg.hdr.flags & WIRE_TYPE_MASK) == WIRE_TYPE_REPLY);
    g_assert(!(msg.hdr.flags & WIRE_ERROR) == !msg.hdr.error);
    if (msg.hdr.error) {
        g_assert(msg.len == 0);
    }
    if (reply && !msg.hdr.error) {
        *reply = msg;
    } else {
        g_free(msg.data);
    }
    return msg.hdr.error;
}

int raw_client(const RawServer *s, const char *caps)
{
    g_autofree char *text = g_strdup_printf("....{\"capabilities\":{%s}}",
                                            caps ? caps : "");
    int fd = raw_connect(s);

    memset(text, 0, 4);         /* version 0.0 */
    g_assert(raw_request(fd, CMD_VERSION, text, 4 + strlen(text + 4) + 1,
                         NULL, 0, NULL) == 0);
    return fd;
}

/* -- regions -- */

/* In front of the data of a region access, in requests and replies */
typedef struct RawAccess {
    uint64_t offset;
    uint32_t region;
    uint32_t count;
} RawAccess;

int raw_read(int fd, uint32_t region, uint64_t off, void *buf, uint32_t len)
{
    RawAccess access = { off, region, len };
    RawMsg reply;
    int ret = raw_request(fd, CMD_REGION_READ, &access, sizeof(access), NULL,
                          0, &reply);

    if (ret == 0) {
        g_assert(reply.len == sizeof(access) + len);
        memcpy(buf, reply.data + sizeof(access), len);
        g_free(reply.data);
    }
    return ret;
}

int raw_write(int fd, uint32_t region, uint64_t off, const void *buf,
              uint32_t len)
{
    g_autofree uint8_t *data = g_malloc(sizeof(RawAccess) + len);

    memcpy(data, &(RawAccess) { off, region, len }, sizeof(RawAccess));
    memcpy(data + sizeof(RawAccess), buf, len);
    return raw_request(fd, CMD_REGION_WRITE, data, sizeof(RawAccess) + len,
                       NULL, 0, NULL);
}

void raw_enable(int fd)
{
    uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

    g_assert(raw_write(fd, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND,
                       &command, sizeof(command)) == 0);
}
