/*
 * What placement and the host bridge's side of a path share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_HDM_PATH_INT_H
#define HW_CXL_HDM_PATH_INT_H

#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_hdm_path.h"

struct CXLHDMPath {
    PCIDevice *endpoint;
    CXLHost *host;
    PXBCXLDev *pxb;
    bool guest;                 /* the guest commits, not QEMU */
    uint8_t port;               /* of the root port: the decoder's target */
    CXLFixedWindow *fw;         /* around the range, NULL without a range */
    CXLHDMRange range;          /* its size is the HDM's, placed or not */
    int decoder;                /* QEMU's in the bridge, -1: not committed */
    MemoryRegion *mr;           /* what the endpoint wants there, or NULL */
    bool mapped;                /* and the bridge leads there */
    bool open;                  /* and it is the memory that is there */
    CXLHDMRange told;           /* where QMP thinks the guest reaches it */
    QLIST_ENTRY(CXLHDMPath) next;
};

/* How to call a device in a message: by the name that the user gave it */
const char *cxl_hdm_dev_name(const void *dev);

/**
 * cxl_hdm_host_add: give a path to its host bridge
 * @path: the path; one that QEMU commits has its range
 *
 * From the first one on, the rules for decoders hold for the bridge.
 */
void cxl_hdm_host_add(CXLHDMPath *path);

/**
 * cxl_hdm_host_remove: undo cxl_hdm_host_add(), and free the decoder
 * @path: the path
 */
void cxl_hdm_host_remove(CXLHDMPath *path);

/**
 * cxl_hdm_host_commit: commit and lock a decoder of the bridge for a path
 * @path: the path
 * @decoder: index of a decoder that is free
 * @errp: what a guest committed beside it may be in the way
 */
bool cxl_hdm_host_commit(CXLHDMPath *path, int decoder, Error **errp);

#endif /* HW_CXL_HDM_PATH_INT_H */
