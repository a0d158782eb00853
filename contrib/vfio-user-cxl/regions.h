/*
 * The device model's parts as numbered VFIO regions
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_REGIONS_H
#define VFIO_USER_CXL_REGIONS_H

#include "cxl-model.h"
#include "faults.h"
#include "stats.h"

#define REGIONS_MAX 11

typedef struct CxlRegions {
    CxlModel *model;
    const CxlFaults *faults;
    uint64_t hdm_size;
    int hdm_fd;                     /* the caller's */
    int short_fd;                   /* for a fault; ours */
    unsigned count;
    StatsRegion kind[REGIONS_MAX];
} CxlRegions;

/*
 * Number the regions of @model; @hdm_fd and @hdm_size are its memory.
 * False and @errp: no memory.
 */
bool regions_init(CxlRegions *r, CxlModel *model, const CxlFaults *faults,
                  int hdm_fd, uint64_t hdm_size, Error **errp);
void regions_cleanup(CxlRegions *r);

/* What region @index is; STATS_OTHER for a number that is not in use. */
StatsRegion regions_kind(const CxlRegions *r, uint32_t index);

/*
 * Put struct vfio_region_info of region @index and its capabilities into the
 * empty @out and the descriptor to send into *@fd (-1: none).  0 or -EINVAL.
 */
int regions_info(const CxlRegions *r, uint32_t index, GByteArray *out,
                 int *fd);

/* Access region @index.  Return bytes done or a negative errno. */
int regions_read(CxlRegions *r, uint32_t index, uint64_t off, void *buf,
                 uint32_t len);
int regions_write(CxlRegions *r, uint32_t index, uint64_t off,
                  const void *buf, uint32_t len);

#endif /* VFIO_USER_CXL_REGIONS_H */
