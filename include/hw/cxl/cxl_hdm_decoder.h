/*
 * Virtual HDM decoders of a CXL component
 *
 * A register model and its commit state machine, and nothing else: it knows
 * neither PCI nor VFIO nor memory maps.  The owner forwards guest accesses,
 * says which ranges may be decoded, and acts on the event that a write
 * returns.
 *
 * CXL r3.1 section 8.2.4.20: CXL HDM Decoder Capability Structure
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_HDM_DECODER_H
#define HW_CXL_HDM_DECODER_H

#include "exec/hwaddr.h"
#include "qemu/units.h"

/* Base and size have their lowest 28 bits hardwired to 0 */
#define CXL_HDM_DECODER_ALIGN (256 * MiB)

/* Header registers, then one decoder after the other */
#define CXL_HDM_BLOCK_HEADER 0x10
#define CXL_HDM_BLOCK_STRIDE 0x20
#define CXL_HDM_BLOCK_SIZE(n) (CXL_HDM_BLOCK_HEADER + \
                               (n) * CXL_HDM_BLOCK_STRIDE)
#define CXL_HDM_BLOCK_DECODERS 4

typedef struct CXLHDMDecoder {
    uint64_t base;
    uint64_t size;
    uint64_t target;        /* of a bridge: target list; endpoint: DPA skip */
    uint32_t control;
} CXLHDMDecoder;

/*
 * May decoder @decoder decode [@base, @base + @size)?
 * Returns: NULL if it may, else the reason for the log.
 */
typedef const char *CXLHDMAccept(void *opaque, unsigned int decoder,
                                 uint64_t base, uint64_t size);

typedef struct CXLHDMBlock {
    uint32_t capability;
    uint32_t global_control;
    unsigned int count;     /* decoders that there are */
    uint64_t hdm_size;      /* endpoint: bytes of HDM; 0 for a bridge */
    bool host_only;         /* endpoint: HDM-H, not HDM-D */
    CXLHDMAccept *accept;   /* NULL: every range is allowed */
    void *opaque;
    const char *refused;    /* why the last commit was refused */
    CXLHDMDecoder decoder[CXL_HDM_BLOCK_DECODERS];
} CXLHDMBlock;

typedef enum CXLHDMEvent {
    CXL_HDM_NONE,           /* nothing that an owner must act on */
    CXL_HDM_CHANGED,        /* what is decoded may have changed */
    CXL_HDM_REFUSED,        /* commit asked for, error bit set */
    CXL_HDM_IGNORED,        /* write had no effect: the guest erred */
} CXLHDMEvent;

/**
 * cxl_hdm_endpoint_init: set up one decoder of an endpoint in reset state
 * @block: the decoder block
 * @hdm_size: bytes of HDM that a commit must cover exactly
 * @host_capability: capability register of the host's decoder; the features
 *                   that one endpoint decoder can have are taken over
 */
void cxl_hdm_endpoint_init(CXLHDMBlock *block, uint64_t hdm_size,
                           uint32_t host_capability);

/**
 * cxl_hdm_bridge_init: set up the decoders of a host bridge in reset state
 * @block: the decoder block
 * @capability: capability register: decoder and target count, interleave
 */
void cxl_hdm_bridge_init(CXLHDMBlock *block, uint32_t capability);

/**
 * cxl_hdm_block_reset: all decoders uncommitted and unlocked
 * @block: the decoder block
 */
void cxl_hdm_block_reset(CXLHDMBlock *block);

/**
 * cxl_hdm_block_read: read a register as the guest does
 * @block: the decoder block
 * @offset: bytes from the start of the capability block, any width allowed
 * @size: access width in bytes
 *
 * Registers are 32 bits wide and partial or wider reads are not permitted
 * (CXL r3.1 section 8.2.2): those return all ones.
 */
uint64_t cxl_hdm_block_read(const CXLHDMBlock *block, hwaddr offset,
                            unsigned int size);

/**
 * cxl_hdm_block_write: write a register as the guest does
 * @block: the decoder block
 * @offset: bytes from the start of the capability block
 * @value: the value
 * @size: access width in bytes; anything but 4 is ignored
 *
 * Returns: what the owner must act on.
 */
CXLHDMEvent cxl_hdm_block_write(CXLHDMBlock *block, hwaddr offset,
                                uint64_t value, unsigned int size);

/**
 * cxl_hdm_block_program: commit and lock, as platform firmware does
 * @block: the decoder block
 * @decoder: index of a decoder that is not committed
 * @base: guest physical address
 * @size: bytes
 * @target: target list of a bridge's decoder; 0 for an endpoint's
 *
 * Returns: true when committed; else block->refused tells the broken rule.
 */
bool cxl_hdm_block_program(CXLHDMBlock *block, unsigned int decoder,
                           uint64_t base, uint64_t size, uint64_t target);

/**
 * cxl_hdm_block_release: give up a decoder that firmware programmed
 * @block: the decoder block
 * @decoder: its index
 */
void cxl_hdm_block_release(CXLHDMBlock *block, unsigned int decoder);

/**
 * cxl_hdm_block_committed: whether COMMITTED is set
 */
bool cxl_hdm_block_committed(const CXLHDMBlock *block, unsigned int decoder);

/**
 * cxl_hdm_block_decodes: whether a decoder's range is in effect: committed,
 * and an endpoint's decoders are enabled
 */
bool cxl_hdm_block_decodes(const CXLHDMBlock *block, unsigned int decoder);

#endif /* HW_CXL_HDM_DECODER_H */
