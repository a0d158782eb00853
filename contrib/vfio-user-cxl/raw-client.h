/*
 * The device server as a process, and a client that sends what it is told
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_RAW_CLIENT_H
#define VFIO_USER_CXL_RAW_CLIENT_H

#include "qobject/qdict.h"
#include "server-int.h"

/* Nothing here waits longer for the server */
#define RAW_LIMIT_S 20

typedef struct RawServer {
    GPid pid;
    int out;                    /* its standard output */
    char *dir;                  /* for files; removed at the end */
    char *socket;
} RawServer;

/* How a run of the program ended */
typedef struct RawRun {
    int status;                 /* exit status, -1: a signal */
    char *out;
    char *err;
} RawRun;

/* Message from the server; free @data */
typedef struct RawMsg {
    WireHdr hdr;
    uint8_t *data;
    uint32_t len;
    bool end;                   /* none: the connection is closed */
} RawMsg;

/* The program's path. */
const char *raw_program(void);

/* Run it with @options, separated by spaces, until it ends by itself. */
void raw_run(const char *options, RawRun *run);
void raw_run_free(RawRun *run);

/*
 * Start it in a new directory with @options (or NULL) and wait until it
 * serves; '%' in them stands for the directory.
 */
RawServer *raw_server_start(const char *options);

/* End it, tell how in @run, and remove its directory. */
void raw_server_end(RawServer *s, RawRun *run);

/* End it, which must work, and return the summary. */
QDict *raw_server_summary(RawServer *s);

/* A connection, as it is before the version exchange. */
int raw_connect(const RawServer *s);

/* Send a message with @fds; the descriptors stay the caller's. */
void raw_send(int fd, const WireHdr *hdr, const void *data, uint32_t len,
              const int *fds, unsigned n_fds);

/* Receive one message; closes descriptors that come with it. */
RawMsg raw_recv(int fd);

/*
 * Send request @cmd and take the answer.  Returns its errno, 0: it worked,
 * and then @reply, unless NULL, gets the payload.
 */
int raw_request(int fd, unsigned cmd, const void *data, uint32_t len,
                const int *fds, unsigned n_fds, RawMsg *reply);

/* A connection after the version exchange; @caps: JSON members or NULL. */
int raw_client(const RawServer *s, const char *caps);

/* Read or write @len bytes of a region; errno or 0. */
int raw_read(int fd, uint32_t region, uint64_t off, void *buf, uint32_t len);
int raw_write(int fd, uint32_t region, uint64_t off, const void *buf,
              uint32_t len);

/* Turn Memory Space and bus mastering on. */
void raw_enable(int fd);

#endif /* VFIO_USER_CXL_RAW_CLIENT_H */
