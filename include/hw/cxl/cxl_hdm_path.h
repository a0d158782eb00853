/*
 * Placement and commit of the decoder path to a CXL endpoint's HDM
 *
 * QEMU as platform firmware: it picks the guest physical range inside a CXL
 * Fixed Memory Window that the user declared, and commits and locks the host
 * bridge's decoder to it.  The endpoint's own decoder belongs to the device.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_HDM_PATH_H
#define HW_CXL_HDM_PATH_H

#include "exec/hwaddr.h"
#include "hw/cxl/cxl.h"
#include "hw/pci/pci_device.h"
#include "qapi/qapi-types-cxl.h"
#include "system/memory.h"

typedef struct CXLHDMPath CXLHDMPath;

typedef struct CXLHDMRange {
    uint64_t base;
    uint64_t size;
} CXLHDMRange;

/**
 * cxl_hdm_first_free: first range that keeps clear of those in use
 * @from: lowest address to consider
 * @used: ranges in use, in any order
 * @n_used: their number
 * @size: bytes wanted
 *
 * Returns: the base of the first range of @size bytes, aligned as a decoder
 * demands, at or above @from.  The caller compares its end with its limit.
 */
uint64_t cxl_hdm_first_free(uint64_t from, const CXLHDMRange *used,
                            unsigned int n_used, uint64_t size);

/* No wish for a place in the window */
#define CXL_HDM_OFFSET_AUTO UINT64_MAX

typedef struct CXLHDMWish {
    uint64_t size;      /* bytes of HDM, a multiple of 256 MiB */
    bool guest;         /* the guest commits the decoders, not QEMU */
    uint64_t offset;    /* in the window, or CXL_HDM_OFFSET_AUTO */
    const char *instead; /* for messages: what to set to do without, or NULL */
} CXLHDMWish;

/**
 * cxl_hdm_path_new: check the topology and reserve a range for an endpoint
 * @endpoint: a PCI device that is plugged but not yet seen by the guest
 * @wish: what is needed
 * @errp: what rule is broken and how to mend it
 *
 * The endpoint must sit alone and directly below a cxl-rp of a pxb-cxl that
 * is the only target of a window.  The first free range in window order is
 * taken, or the one at @wish->offset of the bridge's first window.  The
 * bridge's decoder is committed and locked to it at each reset of the bridge.
 * A hot-plugged endpoint takes over the decoder that leads to its port, if
 * that has the size of the HDM; a new one is committed below a bridge that has
 * had no endpoint since its reset, and nothing else is possible.  With
 * @wish->guest no range is reserved and the bridge's decoders are left to the
 * guest.  No other device can be plugged below the port until
 * cxl_hdm_path_free().
 *
 * Returns: the path, or NULL.
 */
CXLHDMPath *cxl_hdm_path_new(PCIDevice *endpoint, const CXLHDMWish *wish,
                             Error **errp);

/**
 * cxl_hdm_path_free: undo cxl_hdm_path_new()
 * @path: the path, its memory no longer mapped; may be NULL
 *
 * A decoder that a guest may have read stays locked to the range until the
 * bridge's reset; until then reads of it give all ones.
 */
void cxl_hdm_path_free(CXLHDMPath *path);

/**
 * cxl_hdm_path_base: guest physical address of the range, 0 without one
 * @path: the path
 */
hwaddr cxl_hdm_path_base(const CXLHDMPath *path);

/**
 * cxl_hdm_path_refuse: may the guest commit the endpoint to a range?
 * @path: the path
 * @base: guest physical address
 * @size: bytes, not 0, and the range does not wrap
 *
 * It may when the range lies in a window whose only target is the bridge,
 * is no other device's, and the bridge leads all of it to the endpoint.
 *
 * Returns: NULL if so, else the reason for the log.
 */
const char *cxl_hdm_path_refuse(const CXLHDMPath *path, uint64_t base,
                                uint64_t size);

/**
 * cxl_hdm_path_map: let the guest reach memory
 * @path: the path
 * @base: cxl_hdm_path_base(), or where the guest committed the endpoint
 * @mr: the memory, of the size that cxl_hdm_path_new() got
 *
 * It is there while the bridge's decoders lead to it.
 */
void cxl_hdm_path_map(CXLHDMPath *path, uint64_t base, MemoryRegion *mr);

/**
 * cxl_hdm_path_unmap: undo cxl_hdm_path_map(); no effect when not mapped
 * @path: the path
 */
void cxl_hdm_path_unmap(CXLHDMPath *path);

/**
 * cxl_hdm_path_mapped: do all decoders lead to the memory now?
 * @path: the path
 */
bool cxl_hdm_path_mapped(const CXLHDMPath *path);

/**
 * cxl_hdm_path_report: send an event when loads reach the memory, or no more
 * @path: the path
 * @open: whether what is mapped is the memory, and nothing in its place
 * @reason: what changed last
 *
 * The endpoint calls this after what it did with cxl_hdm_path_map() and
 * cxl_hdm_path_unmap(), and when it opens or closes the memory.  Nothing is
 * sent when all is as before.  What the bridge's decoders do to the path, and
 * the end of it, is sent without that.
 */
void cxl_hdm_path_report(CXLHDMPath *path, bool open, CxlHdmReason reason);

/**
 * cxl_hdm_port_realize: check a root port, and reserve HDM for it
 * @rp: the root port
 * @reserve: bytes of HDM of what is to be plugged below it, or 0
 * @errp: the broken rule, with the remedy
 *
 * The reserved range has a decoder of the bridge from the bridge's next reset
 * on, with or without a device.
 */
bool cxl_hdm_port_realize(PCIDevice *rp, uint64_t reserve, Error **errp);

/**
 * cxl_hdm_host_reset: commit and lock the decoders of a bridge again
 * @host: a host bridge whose registers have just got their reset values
 *
 * Ranges without a device end here, unless they are reserved; the others stay
 * at their addresses.
 */
void cxl_hdm_host_reset(CXLHost *host);

#endif /* HW_CXL_HDM_PATH_H */
