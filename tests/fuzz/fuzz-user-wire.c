/*
 * The byte stream of a vfio-user client
 *
 * The input is sent in pieces; its first byte says how large they are.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/socket.h>
#include "wire.h"
#include "fuzz.h"

#define MAX_SENT (64 * 1024)

/* Receive what is there; false: the stream ended or is not understood */
static bool drain(int fd, WireMsg *msg, size_t *taken)
{
    for (;;) {
        switch (wire_recv(fd, msg)) {
        case WIRE_AGAIN:
            return true;
        case WIRE_MSG:
            FUZZ_RULE(msg->hdr.size == sizeof(msg->hdr) + msg->len &&
                      msg->have == msg->hdr.size, "the message is whole");
            FUZZ_RULE(msg->len <= WIRE_MAX_PAYLOAD, "the length is bounded");
            FUZZ_RULE(msg->data[msg->len] == 0, "a NUL stands behind it");
            *taken += msg->hdr.size;
            wire_msg_reset(msg);
            break;
        default:
            return false;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WireMsg msg = { };
    size_t piece, done, taken = 0;
    bool alive = true;
    int sv[2];

    if (size < 1 || size > MAX_SENT ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) < 0) {
        return 0;
    }
    piece = data[0] ? data[0] : size;
    for (done = 1; alive && done < size; ) {
        ssize_t n = send(sv[0], data + done, MIN(piece, size - done),
                         MSG_NOSIGNAL);

        FUZZ_RULE(n > 0, "the receiver takes what was sent");
        done += n;
        alive = drain(sv[1], &msg, &taken);
    }
    close(sv[0]);
    if (alive) {
        FUZZ_RULE(!drain(sv[1], &msg, &taken), "the end is seen");
    }
    FUZZ_RULE(taken <= size - 1, "no message is made of nothing");
    wire_msg_reset(&msg);
    close(sv[1]);
    return 0;
}
