/*
 * What topology, placement and the host bridge's side of a path share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_HDM_PATH_INT_H
#define HW_CXL_HDM_PATH_INT_H

#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_hdm_decoder.h"
#include "hw/cxl/cxl_hdm_path.h"
#include "hw/qdev-core.h"

#define TYPE_CXL_ROOT_PORT "cxl-rp"

typedef struct CXLHDMBridge CXLHDMBridge;

/*
 * A range that QEMU leads to one port of a bridge.  It belongs to the bridge
 * and not to a device: a guest reads the decoder for it once and relies on it
 * until the bridge's reset, whatever is plugged and unplugged meanwhile.
 */
typedef struct CXLHDMAlloc {
    uint8_t port;               /* of the root port: the decoder's target */
    CXLFixedWindow *fw;         /* around the range */
    CXLHDMRange range;
    int decoder;                /* committed and locked, -1: at the reset */
    bool reserved;              /* by the port's hdm-reserve: never given up */
    bool shown;                 /* a guest may know the decoder */
    CXLHDMPath *path;           /* of the device there, NULL: vacant */
    QLIST_ENTRY(CXLHDMAlloc) next;
} CXLHDMAlloc;

struct CXLHDMBridge {
    CXLHost *host;
    PXBCXLDev *pxb;
    bool had_endpoint;          /* any CXL endpoint, since the reset */
    QLIST_HEAD(, CXLHDMPath) paths;
    QLIST_HEAD(, CXLHDMAlloc) allocs;   /* by ascending address */
    DeviceListener listener;    /* for endpoints that are plugged */
    /* What is in the range of each decoder while no memory is */
    MemoryRegion vacant[CXL_HDM_DECODER_COUNT];
};

struct CXLHDMPath {
    PCIDevice *endpoint;
    CXLHDMBridge *bridge;
    bool guest;                 /* the guest commits, not QEMU */
    uint8_t port;               /* of the root port: the decoder's target */
    CXLHDMAlloc *alloc;         /* QEMU's, NULL if the guest commits */
    CXLFixedWindow *fw;         /* around the range, NULL without a range */
    CXLHDMRange range;          /* its size is the HDM's, placed or not */
    MemoryRegion *mr;           /* what the endpoint wants there, or NULL */
    bool mapped;                /* and the bridge leads there */
    bool open;                  /* and it is the memory that is there */
    CXLHDMRange reported;       /* where QMP thinks that loads reach it */
    QLIST_ENTRY(CXLHDMPath) next;
};

/* How to call a device in a message: by the name that the user gave it */
const char *cxl_hdm_dev_name(const void *dev);

/* -- cxl-hdm-topology.c: ports and endpoints of a bridge -- */

/**
 * cxl_hdm_topology_check: may this endpoint have HDM where it is?
 * @path: its endpoint is set; bridge and port are filled in
 * @opt_out_hint: for messages: what to set to do without HDM, or NULL
 * @errp: the broken rule and how to keep it
 */
bool cxl_hdm_topology_check(CXLHDMPath *path, const char *opt_out_hint,
                            Error **errp);

/** cxl_hdm_topology_port: the root port with a number, NULL if there is none */
PCIDevice *cxl_hdm_topology_port(const CXLHDMBridge *bridge, uint8_t port);

/** cxl_hdm_topology_has_endpoint: is any CXL endpoint below the bridge? */
bool cxl_hdm_topology_has_endpoint(const CXLHDMBridge *bridge);

/**
 * cxl_hdm_topology_contains_endpoint: is a device a CXL endpoint below it?
 * @bridge: the bridge
 * @dev: any device
 */
bool cxl_hdm_topology_contains_endpoint(const CXLHDMBridge *bridge,
                                        const DeviceState *dev);

/* -- cxl-hdm-placement.c: a place in a window -- */

/* A search for a range */
typedef struct CXLHDMPlace {
    const CXLHDMBridge *bridge;
    const char *name;           /* who needs it, for the trace */
    uint64_t size;              /* bytes, a multiple of 256 MiB */
    uint64_t from;              /* lowest address that its decoder may have */
    CXLFixedWindow *fw;         /* result: the window ... */
    uint64_t base;              /* ... and the address in it */
} CXLHDMPlace;

/**
 * cxl_hdm_place: find a range that nothing else has
 * @place: the search; @fw and @base are filled in
 * @offset: in the bridge's first window, or CXL_HDM_OFFSET_AUTO for the first
 *          free range of any window
 * @errp: what is missing and how to add it
 */
bool cxl_hdm_place(CXLHDMPlace *place, uint64_t offset, Error **errp);

/* -- cxl-hdm-alloc.c: which range a port has -- */

/** cxl_hdm_alloc_find: the range of a port, NULL if it has none */
CXLHDMAlloc *cxl_hdm_alloc_find(const CXLHDMBridge *bridge, uint8_t port);

/**
 * cxl_hdm_alloc_reserve: a range for what is to be plugged below a port
 * @bridge: the bridge
 * @port: number of the port
 * @size: bytes, a multiple of 256 MiB
 * @name: of the port, for the trace
 * @errp: what is missing and how to add it
 */
bool cxl_hdm_alloc_reserve(CXLHDMBridge *bridge, uint8_t port, uint64_t size,
                           const char *name, Error **errp);

/**
 * cxl_hdm_alloc_claim: give a path the range of its port, or a new one
 * @path: the path, whose bridge, port and size are set
 * @offset: in the bridge's first window, or CXL_HDM_OFFSET_AUTO
 * @errp: the broken rule, with the remedy
 *
 * A hot-plugged endpoint gets what a guest that has read the bridge's
 * decoders can use, or nothing.
 */
bool cxl_hdm_alloc_claim(CXLHDMPath *path, uint64_t offset, Error **errp);

/**
 * cxl_hdm_alloc_release: undo cxl_hdm_alloc_claim(); no effect without one
 * @path: the path
 *
 * A range that a guest may have seen stays until the reset of the bridge.
 */
void cxl_hdm_alloc_release(CXLHDMPath *path);

/** cxl_hdm_alloc_free: end one that has neither a path nor a decoder */
void cxl_hdm_alloc_free(CXLHDMAlloc *alloc);

/* -- cxl-hdm-vacant.c: a range without memory -- */

/** cxl_hdm_vacant_init: prepare the regions of a bridge */
void cxl_hdm_vacant_init(CXLHDMBridge *bridge);

/** cxl_hdm_vacant_map: reads of a committed range give all ones from now on */
void cxl_hdm_vacant_map(CXLHDMBridge *bridge, const CXLHDMAlloc *alloc);

/** cxl_hdm_vacant_unmap: undo that, before the decoder is given up */
void cxl_hdm_vacant_unmap(CXLHDMBridge *bridge, const CXLHDMAlloc *alloc);

/* -- cxl-hdm-host.c: the decoders of the bridge -- */

/** cxl_hdm_host_bridge: what this series knows of a bridge */
CXLHDMBridge *cxl_hdm_host_bridge(CXLHost *host);

/**
 * cxl_hdm_host_add: give a path to its host bridge
 * @path: the path; one that QEMU commits has its range
 *
 * From the first one on, the rules for decoders hold for the bridge.
 */
void cxl_hdm_host_add(CXLHDMPath *path);

/**
 * cxl_hdm_host_remove: undo cxl_hdm_host_add()
 * @path: the path
 */
void cxl_hdm_host_remove(CXLHDMPath *path);

/**
 * cxl_hdm_host_commit: commit and lock a decoder of the bridge
 * @bridge: the bridge
 * @alloc: what to commit it to; its decoder is filled in
 * @decoder: index of a decoder that is free
 * @errp: what a guest committed beside it may be in the way
 */
bool cxl_hdm_host_commit(CXLHDMBridge *bridge, CXLHDMAlloc *alloc,
                         int decoder, Error **errp);

/** cxl_hdm_host_uncommit: undo that, of the last one that was committed */
void cxl_hdm_host_uncommit(CXLHDMBridge *bridge, CXLHDMAlloc *alloc);

/** cxl_hdm_host_load: the decoders of the bridge as they are now */
void cxl_hdm_host_load(const CXLHDMBridge *bridge, CXLHDMBlock *block);

/* -- cxl-hdm-path.c -- */

/** cxl_hdm_path_update: map the memory if the bridge leads to it, or not */
void cxl_hdm_path_update(CXLHDMPath *path);

#endif /* HW_CXL_HDM_PATH_INT_H */
