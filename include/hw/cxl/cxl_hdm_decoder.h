/*
 * Virtual HDM decoder of a CXL endpoint
 *
 * A register model and its commit state machine, and nothing else: it knows
 * neither PCI nor VFIO nor memory maps.  The owner forwards guest accesses
 * and acts on the event that a write returns.
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

/* Header registers, then one decoder */
#define CXL_HDM_DECODER_BLOCK_SIZE 0x30

typedef struct CXLHDMDecoder {
    uint64_t hdm_size;      /* bytes of HDM behind the decoder */
    uint32_t capability;
    uint32_t global_control;
    uint64_t base;
    uint64_t size;
    uint32_t control;
    uint64_t dpa_skip;
} CXLHDMDecoder;

typedef enum CXLHDMDecoderEvent {
    CXL_HDM_DECODER_NONE,           /* nothing that an owner must act on */
    CXL_HDM_DECODER_COMMITTED,      /* now decodes [base, base + size) */
    CXL_HDM_DECODER_UNCOMMITTED,    /* decodes no longer */
    CXL_HDM_DECODER_REFUSED,        /* commit asked for, error bit set */
    CXL_HDM_DECODER_IGNORED,        /* write had no effect: the guest erred */
} CXLHDMDecoderEvent;

/**
 * cxl_hdm_decoder_init: set up a decoder in its reset state
 * @d: the decoder
 * @hdm_size: bytes of HDM that a commit must cover exactly
 * @host_capability: capability register of the host's decoder; the features
 *                   that one endpoint decoder can have are taken over
 */
void cxl_hdm_decoder_init(CXLHDMDecoder *d, uint64_t hdm_size,
                          uint32_t host_capability);

/**
 * cxl_hdm_decoder_reset: back to uncommitted and unlocked
 * @d: the decoder
 */
void cxl_hdm_decoder_reset(CXLHDMDecoder *d);

/**
 * cxl_hdm_decoder_read: read a register as the guest does
 * @d: the decoder
 * @offset: bytes from the start of the capability block, any width allowed
 * @size: access width in bytes
 *
 * Registers are 32 bits wide and partial or wider reads are not permitted
 * (CXL r3.1 section 8.2.2): those return all ones.
 */
uint64_t cxl_hdm_decoder_read(const CXLHDMDecoder *d, hwaddr offset,
                              unsigned size);

/**
 * cxl_hdm_decoder_write: write a register as the guest does
 * @d: the decoder
 * @offset: bytes from the start of the capability block
 * @value: the value
 * @size: access width in bytes; anything but 4 is ignored
 *
 * Returns: what the owner must act on.
 */
CXLHDMDecoderEvent cxl_hdm_decoder_write(CXLHDMDecoder *d, hwaddr offset,
                                         uint64_t value, unsigned size);

/**
 * cxl_hdm_decoder_program: commit and lock, as platform firmware does
 * @d: the decoder, in its reset state
 * @base: guest physical address of DPA 0
 *
 * Returns: true when committed; false when a rule of the state machine
 * refuses @base (not a multiple of CXL_HDM_DECODER_ALIGN, or wraps).
 */
bool cxl_hdm_decoder_program(CXLHDMDecoder *d, uint64_t base);

/**
 * cxl_hdm_decoder_committed: whether the decoder decodes
 * @d: the decoder
 */
bool cxl_hdm_decoder_committed(const CXLHDMDecoder *d);

#endif /* HW_CXL_HDM_DECODER_H */
