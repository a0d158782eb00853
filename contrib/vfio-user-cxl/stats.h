/*
 * Counts of what a client asked for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_STATS_H
#define VFIO_USER_CXL_STATS_H

#include "hw/cxl/cxl_accel_copy.h"

#define STATS_COMMANDS 19       /* 0 counts unknown commands */

typedef enum StatsRegion {
    STATS_BAR0,                 /* and the five that follow */
    STATS_CONFIG = 6,
    STATS_HDM,
    STATS_DECODER,
    STATS_OTHER,
    STATS_REGIONS,
} StatsRegion;

/* How bytes went between the device and guest memory */
typedef enum StatsDma {
    STATS_DMA_SHARED,
    STATS_DMA_MESSAGE,
    STATS_DMA_KINDS,
} StatsDma;

typedef struct StatsAccess {
    uint64_t reads;
    uint64_t writes;
    uint64_t read_bytes;
    uint64_t write_bytes;
} StatsAccess;

typedef struct CxlStats {
    uint64_t clients;
    uint64_t refused;           /* connections while another was served */
    uint64_t requests;
    uint64_t errors;            /* error replies and failed posted writes */
    uint64_t interrupts;
    uint64_t resets;
    uint64_t commands[STATS_COMMANDS];
    uint64_t dma_errors;        /* DMA messages that the client refused */
    StatsAccess dma[STATS_DMA_KINDS];
    StatsAccess regions[STATS_REGIONS];
} CxlStats;

/* What the JSON summary says besides the counts */
typedef struct CxlSummary {
    const char *identity;
    uint64_t hdm_size;
    uint64_t host_base;
    CxlCopyStats copies;
} CxlSummary;

/* Name of vfio-user command @cmd as in the specification, or "UNKNOWN". */
const char *stats_command_name(unsigned cmd);
const char *stats_region_name(StatsRegion r);

void stats_command(CxlStats *st, unsigned cmd);

/* Count one access of @bytes to region @r. */
void stats_access(CxlStats *st, StatsRegion r, bool write, uint32_t bytes);

/* Count one step of @bytes of DMA; @write: the device wrote. */
void stats_dma(CxlStats *st, StatsDma kind, bool write, uint32_t bytes);

/*
 * Write the summary as one JSON object to @path, or to stdout if NULL.
 * False and @errp: the file could not be written.
 */
bool stats_write(const CxlStats *st, const CxlSummary *sum, const char *path,
                 Error **errp);

#endif /* VFIO_USER_CXL_STATS_H */
