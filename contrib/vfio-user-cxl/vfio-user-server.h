/*
 * vfio-user server: one device, one client at a time
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_SERVER_H
#define VFIO_USER_CXL_SERVER_H

#include "regions.h"
#include "stats.h"

/* How the device reaches guest memory */
typedef enum CxlDmaMode {
    CXL_DMA_AUTO,               /* mapped where possible, else by message */
    CXL_DMA_SHARED,             /* mapped, or not at all */
    CXL_DMA_BY_MESSAGE,         /* always by message */
} CxlDmaMode;

typedef struct CxlServerConfig {
    CxlModel *model;
    const CxlFaults *faults;
    CxlStats *stats;
    int hdm_fd;                 /* the caller's */
    uint64_t hdm_size;          /* bytes */
    int listen_fd;              /* the caller's, non-blocking */
    int stop_fd;                /* readable: end */
    CxlDmaMode dma;
    bool trace;                 /* one line for each message, on stderr */
} CxlServerConfig;

/*
 * Serve clients, one after the other, until stop_fd gets readable.  The
 * device is back at power-on for each client.  False and @errp: no memory,
 * or the listening socket failed.
 */
bool server_run(const CxlServerConfig *config, Error **errp);

#endif /* VFIO_USER_CXL_SERVER_H */
