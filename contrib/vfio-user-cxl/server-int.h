/*
 * Inside of the vfio-user server
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_SERVER_INT_H
#define VFIO_USER_CXL_SERVER_INT_H

#include "dma-table.h"
#include "irqs.h"
#include "vfio-user-server.h"
#include "wire.h"

/* Commands of the protocol, QEMU docs/interop/vfio-user.rst */
enum {
    CMD_VERSION = 1,
    CMD_DMA_MAP = 2,
    CMD_DMA_UNMAP = 3,
    CMD_GET_INFO = 4,
    CMD_GET_REGION_INFO = 5,
    CMD_GET_IRQ_INFO = 7,
    CMD_SET_IRQS = 8,
    CMD_REGION_READ = 9,
    CMD_REGION_WRITE = 10,
    CMD_DMA_READ = 11,
    CMD_DMA_WRITE = 12,
    CMD_RESET = 13,
    CMD_WRITE_MULTI = 15,
};

/* The one request to the client that is not answered yet */
typedef struct CxlDmaRequest {
    bool sent;                  /* there is one */
    uint16_t id;
    uint16_t command;
    uint64_t addr;
    uint32_t len;
    uint8_t *buf;               /* the engine's */
} CxlDmaRequest;

typedef struct CxlServer {
    const CxlServerConfig *config;
    CxlModel *model;
    CxlStats *stats;
    CxlRegions regions;
    CxlIrqs irqs;
    DmaTable *dma;
    int client;                 /* -1: none */
    WireMsg msg;
    WireOut out;
    CxlDmaRequest dma_req;
    uint16_t dma_id;            /* of the last one */
    uint64_t max_xfer;          /* bytes that the client takes at once */
    uint64_t seq;               /* requests of this client so far */
    bool version_done;
} CxlServer;

/* What a handler answers */
typedef struct CxlReply {
    GByteArray *data;           /* payload, empty at first */
    int fd;                     /* to pass along, -1: none; not closed */
} CxlReply;

/*
 * Handle the request in s->msg.  0: send @reply; negative errno: send an
 * error.  Descriptors that are kept become -1 in s->msg.fds.
 */
int server_request(CxlServer *s, CxlReply *reply);

/* Guest memory for the model; the opaque pointer is the CxlServer. */
extern const CxlDmaOps server_dma_ops;

/* s->msg is a reply: if it is the one awaited, tell the model. */
void server_dma_reply(CxlServer *s);

#endif /* VFIO_USER_CXL_SERVER_INT_H */
