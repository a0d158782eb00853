/*
 * Tests of the device server from outside: its command line, what it leaves
 * behind, and how it deals with clients that come and go
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/vfio.h>
#include "qapi/error.h"
#include "qobject/qjson.h"
#include "qemu/units.h"
#include "raw-client.h"

#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX
#define HDM VFIO_PCI_NUM_REGIONS

/* -- the command line -- */

typedef struct Mistake {
    const char *options;        /* '%' is a directory with a file "small" */
    const char *expect;
} Mistake;

static const Mistake mistakes[] = {
    { "", "no socket; give --socket PATH" },
    { "--bogus", "see --help" },
    { "--socket %/s extra", "unexpected argument 'extra'" },
    { "--socket %/s --identity gpu", "unknown identity 'gpu'; use sfc or" },
    { "--socket %/s --hdm-size big", "--hdm-size 'big' is not a size" },
    { "--socket %/s --hdm-size 100M", "HDM size 0x6400000 (100 MiB) must" },
    { "--socket %/s --hdm-size 2T", "from 256 MiB to 1 TiB" },
    { "--socket %/s --host-base high", "--host-base 'high' is not an addr" },
    { "--socket %/s --host-base 0x1000", "host base 0x1000 must be a multip" },
    { "--socket %/s --dma maybe", "--dma 'maybe' is not known; use auto" },
    { "--socket %/s --fault fire", "unknown fault 'fire'; --list-faults" },
    { "--socket %/s --fault cap", "unknown fault 'cap'" },
    { "--socket %/s --fault interleave=1", "'interleave' takes no value" },
    { "--socket %/s --fault cap-loop", "needs a value from 0 to 10: --fault" },
    { "--socket %/s --fault cap-loop=11", "'cap-loop' needs a value from 0" },
    { "--socket %/s --fault cap-loop=x", "'cap-loop' needs a value from 0" },
    { "--socket %/s --fault close-at=-1", "'close-at' needs a value from 0" },
    { "--socket %/s --fault capacity=x", "'capacity' needs a value from 0" },
    { "--socket %/s --fault capacity=16E", "'capacity' needs a value from 0" },
    { "--socket %/s --mem-file %/no/hdm", "cannot open memory file '" },
    { "--socket %/s --mem-file /dev/zero", "is not a regular file; name" },
    { "--socket %/s --mem-file %/small", "has 4 bytes, the HDM size is" },
    { "--socket ''", "socket path has 0 bytes, must have 1 to 107" },
    { "--socket %/0123456789012345678901234567890123456789012345678901234567"
      "8901234567890123456789012345678901234567890123456789", "must have 1 " },
    { "--socket %/no/s", "cannot listen on '" },
    { "--socket %/small", "exists and is not a socket; remove it or choose" },
};

static unsigned count_lines(const char *text)
{
    unsigned n = 0;

    for (; *text; text++) {
        n += *text == '\n';
    }
    return n;
}

static void test_mistakes(void)
{
    g_autofree char *dir = g_dir_make_tmp("vfio-user-cxl-XXXXXX", NULL);
    g_autofree char *small = g_build_filename(dir, "small", NULL);

    g_assert(g_file_set_contents(small, "HDM?", 4, NULL));
    for (unsigned i = 0; i < ARRAY_SIZE(mistakes); i++) {
        g_auto(GStrv) parts = g_strsplit(mistakes[i].options, "%", -1);
        g_autofree char *options = g_strjoinv(dir, parts);
        RawRun run;

        raw_run(options, &run);
        g_test_message("%s: %s", mistakes[i].options, run.err);
        g_assert(run.status == 1);
        g_assert(strcmp(run.out, "") == 0);
        g_assert(g_str_has_prefix(run.err, "vfio-user-cxl: "));
        g_assert(strstr(run.err, mistakes[i].expect));
        g_assert(count_lines(run.err) == 1);
        raw_run_free(&run);
    }
    /* nothing but what was there */
    g_assert(g_unlink(small) == 0);
    g_assert(g_rmdir(dir) == 0);
}

static void test_prints(void)
{
    RawRun run;

    raw_run("--list-faults", &run);
    g_assert(run.status == 0);
    g_assert(strstr(run.out, "\n  decoder-size=SIZE      size in decoder 0"));
    g_assert(strstr(run.out, "\n  cap-loop=N             capability chain"));
    g_assert(strstr(run.out, "\n  interleave             decoder 0 inter"));
    raw_run_free(&run);
    raw_run("--version", &run);
    g_assert(run.status == 0);
    g_assert(g_str_has_prefix(run.out, "vfio-user-cxl "));
    g_assert(count_lines(run.out) == 1);
    raw_run_free(&run);
}

/* Every option that is right at once */
static void test_options(void)
{
    RawServer *s = raw_server_start("--hdm-size 512M --host-base 0x20000000 "
                                    "--dma auto --mem-file %/hdm");
    int fd = raw_client(s, NULL);
    QDict *summary;
    RawRun run;

    close(fd);
    raw_server_end(s, &run);
    g_assert(run.status == 0);
    /* a warning only: it is the driver that is not for that size */
    g_assert(strstr(run.err, "warning: the driver of identity sfc takes 256 "
                    "MiB only; use --identity accel"));
    summary = qobject_to(QDict, qobject_from_json(run.out, &error_abort));
    g_assert(qdict_get_int(summary, "hdm_size") == 512 * MiB);
    g_assert(qdict_get_int(summary, "host_base") == 0x20000000);
    qobject_unref(summary);
    raw_run_free(&run);
}

static void test_summary_fails(void)
{
    static const char *const cases[][2] = {
        { "--summary %/no/summary", "cannot open summary file '" },
        { "--summary /dev/full", "cannot write the summary to /dev/full" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        RawRun run;

        raw_server_end(raw_server_start(cases[i][0]), &run);
        g_assert(run.status == 1);
        g_assert(strstr(run.err, cases[i][1]));
        g_assert(strcmp(run.out, "") == 0);
        raw_run_free(&run);
    }
}

static void test_trace(void)
{
    static const char *const expect[] = {
        "vfio-user-cxl: client connected\n",
        " VERSION(1) fds 0: ok\n",
        " REGION_READ(9) region config(7) offset 0x4 count 2 fds 0: ok\n",
        " REGION_WRITE(10) region other(6) offset 0x0 count 2 fds 0: Invalid",
        " DEVICE_GET_REGION_INFO(5) index 9 argsz 32 fds 0: ok\n",
        " DEVICE_SET_IRQS(8) index 2 flags 0x21 start 0 fds 0: ok\n",
        " DEVICE_RESET(13) fds 0 posted: ok\n",
        "connection refused: one client at a time\n",
        "interrupt 1\n",
        "client left: closed\n",
    };
    RawServer *s = raw_server_start("--identity accel --trace");
    int fd = raw_client(s, NULL), second = raw_connect(s);
    uint32_t info[8] = { 32, 0, HDM };
    uint32_t irqs[5] = { 20, VFIO_IRQ_SET_DATA_NONE |
                         VFIO_IRQ_SET_ACTION_TRIGGER, 2, 0, 0 };
    WireHdr posted = { .command = CMD_RESET, .size = sizeof(posted),
                       .flags = WIRE_NO_REPLY };
    uint32_t vector = 1;
    uint16_t word = 0;
    RawRun run;

    g_assert(raw_read(fd, CONFIG, 4, &word, sizeof(word)) == 0);
    g_assert(raw_write(fd, VFIO_PCI_ROM_REGION_INDEX, 0, &word,
                       sizeof(word)) == EINVAL);
    g_assert(raw_request(fd, CMD_GET_REGION_INFO, info, sizeof(info), NULL, 0,
                         NULL) == 0);
    g_assert(raw_request(fd, CMD_SET_IRQS, irqs, sizeof(irqs), NULL, 0,
                         NULL) == 0);
    raw_send(fd, &posted, NULL, 0, NULL, 0);
    g_assert(raw_write(fd, 0, 0x10, &vector, sizeof(vector)) == 0);
    g_assert(raw_recv(second).end);
    close(second);
    close(fd);
    /* who comes next does so when the first has left */
    fd = raw_client(s, NULL);
    close(fd);
    raw_server_end(s, &run);
    g_test_message("%s", run.err);
    for (unsigned i = 0; i < ARRAY_SIZE(expect); i++) {
        g_test_message("expect %s", expect[i]);
        g_assert(strstr(run.err, expect[i]));
    }
    raw_run_free(&run);
}

/* -- the socket -- */

static void test_socket_taken(void)
{
    RawServer *s = raw_server_start(NULL);
    g_autofree char *options = g_strdup_printf("--socket %s", s->socket);
    struct stat before, after;
    RawRun run;
    int fd;

    g_assert(lstat(s->socket, &before) == 0);
    raw_run(options, &run);
    g_assert(run.status == 1);
    g_assert(strstr(run.err, "is served by another process; stop it or"));
    raw_run_free(&run);
    g_assert(lstat(s->socket, &after) == 0 && after.st_ino == before.st_ino);
    fd = raw_client(s, NULL);
    close(fd);
    qobject_unref(raw_server_summary(s));
}

/* Bind a socket that nobody serves, as a server that was killed leaves it */
static void leave_socket(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert(g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) <
             sizeof(addr.sun_path));
    g_assert(bind(fd, (void *)&addr, sizeof(addr)) == 0);
    close(fd);
}

/* A dead socket is replaced; what took the name over later is left alone */
static void test_socket_name(void)
{
    g_autofree char *dir = g_dir_make_tmp("vfio-user-cxl-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *option = g_strdup_printf("--socket %s", path);

    for (unsigned i = 0; i < 2; i++) {
        RawServer *s;
        struct stat st;

        leave_socket(path);
        s = raw_server_start(option);   /* the last --socket counts */
        g_free(s->socket);
        s->socket = g_strdup(path);
        close(raw_client(s, NULL));
        if (i) {
            g_assert(g_unlink(path) == 0);
            leave_socket(path);
        }
        qobject_unref(raw_server_summary(s));
        g_assert((lstat(path, &st) == 0) == i);
    }
    g_assert(g_unlink(path) == 0);
    g_assert(g_rmdir(dir) == 0);
}

/* -- clients -- */

static void check_word(int fd, uint32_t region, uint64_t off, uint32_t want)
{
    uint32_t got;

    g_assert(raw_read(fd, region, off, &got, sizeof(got)) == 0);
    g_assert(got == want);
}

/* One at a time, and each finds the device as it is at power-on */
static void test_clients(void)
{
    RawServer *s = raw_server_start(NULL);
    uint32_t word = 0x12345678;
    QDict *summary;
    int fd, second;

    for (unsigned i = 0; i < 3; i++) {
        uint16_t command = ~0;

        fd = raw_client(s, NULL);
        g_assert(raw_read(fd, CONFIG, 4, &command, sizeof(command)) == 0);
        g_assert(command == 0);
        raw_enable(fd);
        check_word(fd, HDM, 4096, 0);
        g_assert(raw_write(fd, HDM, 4096, &word, sizeof(word)) == 0);
        second = raw_connect(s);
        g_assert(raw_recv(second).end);
        close(second);
        check_word(fd, HDM, 4096, word);
        close(fd);
    }
    summary = raw_server_summary(s);
    g_assert(qdict_get_int(summary, "clients") == 3);
    g_assert(qdict_get_int(summary, "refused") == 3);
    qobject_unref(summary);
}

/* Wherever the stream is cut: a message counts when all of it is there */
static void test_pieces(void)
{
    struct {
        WireHdr hdr;
        uint32_t argsz;
    } msg = { { .command = CMD_GET_INFO, .size = sizeof(msg) }, 16 };
    RawServer *s = raw_server_start(NULL);
    int fd = raw_client(s, NULL);
    QDict *summary;
    RawMsg reply;

    for (unsigned i = 0; i < sizeof(msg); i++) {
        g_assert(send(fd, (char *)&msg + i, 1, MSG_NOSIGNAL) == 1);
        g_usleep(1000);
    }
    reply = raw_recv(fd);
    g_assert(reply.len == 16);
    g_free(reply.data);
    g_assert(send(fd, &msg, sizeof(msg) - 1, MSG_NOSIGNAL) ==
             sizeof(msg) - 1);
    close(fd);
    close(raw_client(s, NULL));
    summary = raw_server_summary(s);
    g_assert(qdict_get_int(qdict_get_qdict(summary, "commands"),
             "DEVICE_GET_INFO") == 1);
    qobject_unref(summary);
}

/* More at once than the server takes before it looks around */
static void test_burst(void)
{
    WireHdr hdr = { .command = CMD_RESET, .size = sizeof(hdr),
                    .flags = WIRE_NO_REPLY };
    RawServer *s = raw_server_start(NULL);
    int fd = raw_client(s, NULL);
    uint16_t word;
    QDict *summary;

    kill(s->pid, SIGSTOP);
    for (unsigned i = 0; i < 200; i++) {
        raw_send(fd, &hdr, NULL, 0, NULL, 0);
    }
    kill(s->pid, SIGCONT);
    g_assert(raw_read(fd, CONFIG, 0, &word, sizeof(word)) == 0);
    close(fd);
    summary = raw_server_summary(s);
    g_assert(qdict_get_int(summary, "resets") == 200);
    qobject_unref(summary);
}

/* After such a header nobody can tell where the next message begins */
static void test_bad_header(void)
{
    static const WireHdr headers[] = {
        { .command = CMD_GET_INFO, .size = sizeof(WireHdr) - 1 },
        { .command = CMD_GET_INFO, .size = 0 },
        { .command = CMD_GET_INFO,
          .size = sizeof(WireHdr) + WIRE_MAX_PAYLOAD + 1 },
        { .command = CMD_GET_INFO, .size = sizeof(WireHdr), .flags = 2 },
    };
    RawServer *s = raw_server_start(NULL);

    for (unsigned i = 0; i < ARRAY_SIZE(headers); i++) {
        int fd = raw_client(s, NULL);

        raw_send(fd, &headers[i], NULL, 0, NULL, 0);
        g_assert(raw_recv(fd).end);
        close(fd);
    }
    qobject_unref(raw_server_summary(s));
}

/* A client that sends requests, and does not take the answers for long */
static void test_backlog(const void *opaque)
{
    const bool takes = opaque != NULL;
    const unsigned n = 12;      /* more than the server keeps unsent */
    struct {
        uint64_t offset;
        uint32_t region, count;
    } read = { 0, HDM, WIRE_MAX_DATA };
    RawServer *s = raw_server_start("--trace");
    int fd = raw_client(s, NULL);
    RawRun run;

    raw_enable(fd);
    for (unsigned i = 0; i < n; i++) {
        WireHdr hdr = { .id = i, .command = CMD_REGION_READ,
                        .size = sizeof(hdr) + sizeof(read) };

        raw_send(fd, &hdr, &read, sizeof(read), NULL, 0);
    }
    /* the first answer, so that the others wait already */
    for (unsigned i = 0; i < (takes ? n : 1); i++) {
        RawMsg msg = raw_recv(fd);

        g_assert(msg.hdr.id == i);
        g_assert(msg.len == sizeof(read) + WIRE_MAX_DATA);
        g_free(msg.data);
    }
    close(fd);
    close(raw_client(s, NULL));
    raw_server_end(s, &run);
    g_assert(run.status == 0);
    g_assert(strstr(run.err, takes ? "client left: closed" :
                    "client left: it takes no more replies"));
    raw_run_free(&run);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/server/program/mistakes", test_mistakes);
    g_test_add_func("/server/program/prints", test_prints);
    g_test_add_func("/server/program/options", test_options);
    g_test_add_func("/server/program/summary-fails", test_summary_fails);
    g_test_add_func("/server/program/trace", test_trace);
    g_test_add_func("/server/program/socket-taken", test_socket_taken);
    g_test_add_func("/server/program/socket-name", test_socket_name);
    g_test_add_func("/server/clients/one-at-a-time", test_clients);
    g_test_add_func("/server/clients/pieces", test_pieces);
    g_test_add_func("/server/clients/burst", test_burst);
    g_test_add_func("/server/clients/bad-header", test_bad_header);
    g_test_add_data_func("/server/clients/slow", "takes", test_backlog);
    g_test_add_data_func("/server/clients/gone", NULL, test_backlog);
    return g_test_run();
}
