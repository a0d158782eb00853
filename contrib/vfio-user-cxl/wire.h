/*
 * vfio-user messages on a UNIX stream socket
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_WIRE_H
#define VFIO_USER_CXL_WIRE_H

#define WIRE_MAX_FDS 16
#define WIRE_MAX_DATA (1024 * 1024)
/* payload: the largest transfer and the fields in front of it */
#define WIRE_MAX_PAYLOAD (WIRE_MAX_DATA + 64)
/* a client that takes nothing of what waits for so long is given up */
#define WIRE_SEND_TIMEOUT_MS 10000
/* unsent bytes with which no more requests are taken */
#define WIRE_OUT_FULL (4 * WIRE_MAX_DATA)

#define WIRE_TYPE_MASK 0xf
#define WIRE_TYPE_REQUEST 0
#define WIRE_TYPE_REPLY 1
#define WIRE_NO_REPLY 0x10
#define WIRE_ERROR 0x20

typedef struct WireHdr {
    uint16_t id;
    uint16_t command;
    uint32_t size;              /* with this header */
    uint32_t flags;
    uint32_t error;
} WireHdr;

/* One message as it arrives; keep it between calls of wire_recv() */
typedef struct WireMsg {
    WireHdr hdr;
    uint8_t *data;              /* payload, hdr.size - sizeof(hdr) bytes */
    uint32_t len;
    uint32_t have;              /* bytes of header and payload received */
    int fds[WIRE_MAX_FDS];
    unsigned n_fds;
    bool fds_lost;              /* more came than can be taken */
} WireMsg;

/* What the socket had no room for; all zero at first */
typedef struct WireOut {
    GQueue parts;
    size_t bytes;
    int64_t since;              /* when it last took some, us */
} WireOut;

typedef enum WireStatus {
    WIRE_AGAIN,                 /* nothing more to read now */
    WIRE_MSG,                   /* the message is complete */
    WIRE_EOF,                   /* the peer has gone */
    WIRE_BAD,                   /* the stream cannot be understood */
} WireStatus;

/* Go on receiving @msg from non-blocking socket @fd. */
WireStatus wire_recv(int fd, WireMsg *msg);

/* Make @msg empty: free the payload, close descriptors nobody took. */
void wire_msg_reset(WireMsg *msg);

/*
 * Send a header, @len bytes of payload and descriptor @pass_fd (-1: none,
 * stays the caller's and open).  Never waits: what the socket does not take
 * goes to @out.  False: the connection is of no more use.
 */
bool wire_send(int fd, WireOut *out, const WireHdr *hdr, const void *data,
               uint32_t len, int pass_fd);

/* Send what waits in @out, as far as the socket takes it.  False: as above. */
bool wire_flush(int fd, WireOut *out);

/* Milliseconds until the client has to be given up, -1: nothing waits. */
int wire_out_timeout(const WireOut *out);

/* Forget what waits. */
void wire_out_reset(WireOut *out);

/*
 * Listen on @path: a socket nobody serves is replaced, a live one is an
 * error, as is any other kind of file.  Return a descriptor or -1 and @errp.
 */
int wire_listen(const char *path, Error **errp);

#endif /* VFIO_USER_CXL_WIRE_H */
