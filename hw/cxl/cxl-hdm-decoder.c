/*
 * Virtual HDM decoders of a CXL component
 *
 * CXL r3.1 section 8.2.4.20: CXL HDM Decoder Capability Structure
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_component.h"
#include "hw/cxl/cxl_hdm_decoder.h"

/* Offsets within the capability block, from those within the CM registers */
#define HDM_OFFSET(reg) (A_CXL_HDM_DECODER##reg - A_CXL_HDM_DECODER_CAPABILITY)

enum {
    HDM_CAPABILITY = HDM_OFFSET(_CAPABILITY),
    HDM_GLOBAL_CONTROL = HDM_OFFSET(_GLOBAL_CONTROL),
    /* The rest is the same for each decoder */
    HDM_BASE_LO = HDM_OFFSET(0_BASE_LO),
    HDM_BASE_HI = HDM_OFFSET(0_BASE_HI),
    HDM_SIZE_LO = HDM_OFFSET(0_SIZE_LO),
    HDM_SIZE_HI = HDM_OFFSET(0_SIZE_HI),
    HDM_CONTROL = HDM_OFFSET(0_CTRL),
    HDM_TARGET_LO = HDM_OFFSET(0_TARGET_LIST_LO),
    HDM_TARGET_HI = HDM_OFFSET(0_TARGET_LIST_HI),
};

/* Low registers of a pair implement bits 31:28 only */
#define HDM_LOW_MASK 0xf0000000u

/* What the guest may set.  BI and UIO are not offered. */
#define HDM_CONTROL_MASK (R_CXL_HDM_DECODER0_CTRL_IG_MASK | \
                          R_CXL_HDM_DECODER0_CTRL_IW_MASK | \
                          R_CXL_HDM_DECODER0_CTRL_LOCK_ON_COMMIT_MASK | \
                          R_CXL_HDM_DECODER0_CTRL_COMMIT_MASK)

#define HDM_GLOBAL_CONTROL_MASK \
    (R_CXL_HDM_DECODER_GLOBAL_CONTROL_POISON_ON_ERR_EN_MASK | \
     R_CXL_HDM_DECODER_GLOBAL_CONTROL_HDM_DECODER_ENABLE_MASK)

/*
 * Features that survive the reduction to one decoder.  The decoder count is
 * encoded as 0, and an endpoint has no targets.
 */
#define HDM_ENDPOINT_CAPABILITY_MASK \
    (R_CXL_HDM_DECODER_CAPABILITY_INTERLEAVE_256B_MASK | \
     R_CXL_HDM_DECODER_CAPABILITY_INTERLEAVE_4K_MASK | \
     R_CXL_HDM_DECODER_CAPABILITY_POISON_ON_ERR_CAP_MASK | \
     R_CXL_HDM_DECODER_CAPABILITY_SUPPORTED_COHERENCY_MODEL_MASK)

/* Granularity codes 0 to 6 are 256 bytes to 16 KiB, the rest is reserved */
#define HDM_IG_MAX 6

static bool hdm_is_endpoint(const CXLHDMBlock *block)
{
    return block->hdm_size != 0;
}

/*
 * The target range type of an endpoint is that of its memory, which a write
 * cannot change.  A bridge serves both types.
 */
static uint32_t hdm_control_mask(const CXLHDMBlock *block)
{
    return hdm_is_endpoint(block) ?
           HDM_CONTROL_MASK :
           HDM_CONTROL_MASK | R_CXL_HDM_DECODER0_CTRL_TYPE_MASK;
}

bool cxl_hdm_block_committed(const CXLHDMBlock *block, unsigned int decoder)
{
    return FIELD_EX32(block->decoder[decoder].control,
                      CXL_HDM_DECODER0_CTRL, COMMITTED);
}

bool cxl_hdm_block_decodes(const CXLHDMBlock *block, unsigned int decoder)
{
    /* A bridge has no enable: CXL r3.1 section 8.2.4.20.2 */
    return cxl_hdm_block_committed(block, decoder) &&
           (!hdm_is_endpoint(block) ||
            FIELD_EX32(block->global_control,
                       CXL_HDM_DECODER_GLOBAL_CONTROL, HDM_DECODER_ENABLE));
}

static bool hdm_locked(const CXLHDMBlock *block, unsigned int decoder)
{
    return cxl_hdm_block_committed(block, decoder) &&
           FIELD_EX32(block->decoder[decoder].control,
                      CXL_HDM_DECODER0_CTRL, LOCK_ON_COMMIT);
}

void cxl_hdm_block_reset(CXLHDMBlock *block)
{
    block->global_control = 0;
    block->refused = NULL;
    memset(block->decoder, 0, sizeof(block->decoder));
}

void cxl_hdm_endpoint_init(CXLHDMBlock *block, uint64_t hdm_size,
                           uint32_t host_capability)
{
    assert(hdm_size);
    memset(block, 0, sizeof(*block));
    block->hdm_size = hdm_size;
    block->count = 1;
    block->capability = host_capability & HDM_ENDPOINT_CAPABILITY_MASK;
}

void cxl_hdm_bridge_init(CXLHDMBlock *block, uint32_t capability)
{
    unsigned int code = FIELD_EX32(capability, CXL_HDM_DECODER_CAPABILITY,
                                   DECODER_COUNT);

    memset(block, 0, sizeof(*block));
    /* Code 0 is one decoder, code n is 2 * n of them */
    block->count = MIN(code ? 2 * code : 1, CXL_HDM_BLOCK_DECODERS);
    block->capability = capability;
}

uint64_t cxl_hdm_block_read(const CXLHDMBlock *block, hwaddr offset,
                            unsigned int size)
{
    const CXLHDMDecoder *d;
    hwaddr n;

    if (size != 4 || offset % 4) {
        return UINT64_MAX >> (64 - size * 8);
    }
    if (offset < CXL_HDM_BLOCK_HEADER) {
        return offset == HDM_CAPABILITY ? block->capability :
               offset == HDM_GLOBAL_CONTROL ? block->global_control : 0;
    }
    n = (offset - CXL_HDM_BLOCK_HEADER) / CXL_HDM_BLOCK_STRIDE;
    if (n >= block->count) {
        return 0;
    }
    d = &block->decoder[n];

    switch (offset - n * CXL_HDM_BLOCK_STRIDE) {
    case HDM_BASE_LO:
        return extract64(d->base, 0, 32);
    case HDM_BASE_HI:
        return extract64(d->base, 32, 32);
    case HDM_SIZE_LO:
        return extract64(d->size, 0, 32);
    case HDM_SIZE_HI:
        return extract64(d->size, 32, 32);
    case HDM_CONTROL:
        return d->control | (block->host_only ?
                             R_CXL_HDM_DECODER0_CTRL_TYPE_MASK : 0);
    case HDM_TARGET_LO:
        return extract64(d->target, 0, 32);
    case HDM_TARGET_HI:
        return extract64(d->target, 32, 32);
    default:
        return 0; /* reserved */
    }
}

/*
 * The host decodes exactly one way and exactly the whole HDM, so nothing
 * else can be honoured: a shorter range, interleave or a skip would show the
 * guest an address map that the hardware does not implement.
 */
static const char *hdm_refuse_endpoint(const CXLHDMBlock *block,
                                       const CXLHDMDecoder *d)
{
    if (FIELD_EX32(d->control, CXL_HDM_DECODER0_CTRL, IW)) {
        return "an endpoint's HDM is not interleaved";
    }
    if (d->target) {
        return "DPA skip must be 0";
    }
    if (d->size != block->hdm_size) {
        return "size is not that of the HDM";
    }
    return NULL;
}

/* Ways of an interleave code, 0 if the bridge cannot do it */
static unsigned int hdm_bridge_ways(const CXLHDMBlock *block,
                                    const CXLHDMDecoder *d)
{
    unsigned int code = FIELD_EX32(d->control, CXL_HDM_DECODER0_CTRL, IW);
    unsigned int targets = FIELD_EX32(block->capability,
                                      CXL_HDM_DECODER_CAPABILITY,
                                      TARGET_COUNT);
    unsigned int ways = 0;

    if (code <= 3) {
        ways = 1 << code;
    } else if (code == 4 && FIELD_EX32(block->capability,
                                       CXL_HDM_DECODER_CAPABILITY, 16_WAY)) {
        ways = 16;
    } else if (code >= 8 && code <= 10 &&
               FIELD_EX32(block->capability, CXL_HDM_DECODER_CAPABILITY,
                          3_6_12_WAY)) {
        ways = 3 << (code - 8);
    }
    return ways <= targets ? ways : 0;
}

static const char *hdm_refuse_bridge(const CXLHDMBlock *block,
                                     const CXLHDMDecoder *d)
{
    unsigned int ways = hdm_bridge_ways(block, d);

    if (!ways) {
        return "interleave ways beyond the bridge's capability";
    }
    if (d->size % (ways * CXL_HDM_DECODER_ALIGN)) {
        return "size is not a multiple of ways times 256 MiB";
    }
    return NULL;
}

/* Decoders decode ascending addresses: no overlap, and the order is known */
static const char *hdm_refuse_order(const CXLHDMBlock *block, unsigned int n,
                                    bool in_turn)
{
    const CXLHDMDecoder *d = &block->decoder[n];
    unsigned int i;

    if (in_turn && n && !cxl_hdm_block_committed(block, n - 1)) {
        return "the decoder before it is not committed";
    }
    for (i = 0; i < block->count; i++) {
        const CXLHDMDecoder *other = &block->decoder[i];

        if (i == n || !cxl_hdm_block_committed(block, i)) {
            continue;
        }
        if (i < n && d->base <= other->base + (other->size - 1)) {
            return "range is not above that of a decoder before it";
        }
        if (i > n && d->base + (d->size - 1) >= other->base) {
            return "range is not below that of a decoder after it";
        }
    }
    return NULL;
}

static const char *hdm_refuse(const CXLHDMBlock *block, unsigned int n,
                              bool in_turn)
{
    const CXLHDMDecoder *d = &block->decoder[n];
    const char *why;

    if (!d->size) {
        return "size is 0";
    }
    if (d->base > UINT64_MAX - (d->size - 1)) {
        return "range passes the end of the address space";
    }
    if (FIELD_EX32(d->control, CXL_HDM_DECODER0_CTRL, IG) > HDM_IG_MAX) {
        return "interleave granularity is reserved";
    }
    why = hdm_is_endpoint(block) ? hdm_refuse_endpoint(block, d) :
                                   hdm_refuse_bridge(block, d);
    if (!why) {
        why = hdm_refuse_order(block, n, in_turn);
    }
    if (!why && block->accept) {
        why = block->accept(block->opaque, n, d->base, d->size);
    }
    return why;
}

static CXLHDMEvent hdm_write_control(CXLHDMBlock *block, unsigned int n,
                                     uint32_t value)
{
    CXLHDMDecoder *d = &block->decoder[n];
    bool commit = FIELD_EX32(value, CXL_HDM_DECODER0_CTRL, COMMIT);
    uint32_t fields = value & hdm_control_mask(block);

    if (hdm_locked(block, n)) {
        return CXL_HDM_IGNORED;
    }

    if (cxl_hdm_block_committed(block, n)) {
        if (commit) {
            /* The other fields are read-only while committed */
            return fields == (d->control & hdm_control_mask(block)) ?
                   CXL_HDM_NONE : CXL_HDM_IGNORED;
        }
        d->control = fields;
        return CXL_HDM_CHANGED;
    }

    /* Whatever the last attempt left in the error bit is over */
    d->control = fields;
    if (!commit) {
        return CXL_HDM_NONE;
    }
    block->refused = hdm_refuse(block, n, true);
    if (block->refused) {
        d->control |= R_CXL_HDM_DECODER0_CTRL_ERR_MASK;
        return CXL_HDM_REFUSED;
    }
    d->control |= R_CXL_HDM_DECODER0_CTRL_COMMITTED_MASK;
    return CXL_HDM_CHANGED;
}

static void hdm_set_half(uint64_t *reg, bool high, uint32_t value,
                         uint32_t low_mask)
{
    if (high) {
        *reg = deposit64(*reg, 32, 32, value);
    } else {
        *reg = deposit64(*reg, 0, 32, value & low_mask);
    }
}

static CXLHDMEvent hdm_write_decoder(CXLHDMBlock *block, unsigned int n,
                                     hwaddr reg, uint32_t value)
{
    CXLHDMDecoder *d = &block->decoder[n];
    bool high = reg == HDM_BASE_HI || reg == HDM_SIZE_HI ||
                reg == HDM_TARGET_HI;

    if (reg == HDM_CONTROL) {
        return hdm_write_control(block, n, value);
    }
    if (cxl_hdm_block_committed(block, n)) {
        return CXL_HDM_IGNORED;
    }

    switch (reg) {
    case HDM_BASE_LO:
    case HDM_BASE_HI:
        hdm_set_half(&d->base, high, value, HDM_LOW_MASK);
        return CXL_HDM_NONE;
    case HDM_SIZE_LO:
    case HDM_SIZE_HI:
        hdm_set_half(&d->size, high, value, HDM_LOW_MASK);
        return CXL_HDM_NONE;
    case HDM_TARGET_LO:
    case HDM_TARGET_HI:
        hdm_set_half(&d->target, high, value,
                     hdm_is_endpoint(block) ? HDM_LOW_MASK : ~0u);
        return CXL_HDM_NONE;
    default:
        return CXL_HDM_IGNORED; /* reserved */
    }
}

CXLHDMEvent cxl_hdm_block_write(CXLHDMBlock *block, hwaddr offset,
                                uint64_t value, unsigned int size)
{
    hwaddr n;

    if (size != 4 || offset % 4) {
        return CXL_HDM_IGNORED;
    }
    if (offset == HDM_GLOBAL_CONTROL) {
        uint32_t old = block->global_control;

        block->global_control = value & HDM_GLOBAL_CONTROL_MASK;
        return block->global_control == old ? CXL_HDM_NONE : CXL_HDM_CHANGED;
    }
    if (offset < CXL_HDM_BLOCK_HEADER) {
        return CXL_HDM_IGNORED; /* read-only or reserved */
    }
    n = (offset - CXL_HDM_BLOCK_HEADER) / CXL_HDM_BLOCK_STRIDE;
    if (n >= block->count) {
        return CXL_HDM_IGNORED;
    }
    return hdm_write_decoder(block, n, offset - n * CXL_HDM_BLOCK_STRIDE,
                             value);
}

bool cxl_hdm_block_program(CXLHDMBlock *block, unsigned int decoder,
                           uint64_t base, uint64_t size, uint64_t target)
{
    CXLHDMDecoder *d = &block->decoder[decoder];

    assert(decoder < block->count && !cxl_hdm_block_committed(block, decoder));
    if (base % CXL_HDM_DECODER_ALIGN || size % CXL_HDM_DECODER_ALIGN) {
        block->refused = "base or size is not a multiple of 256 MiB";
        return false;
    }

    *d = (CXLHDMDecoder) { .base = base, .size = size, .target = target };
    block->refused = hdm_refuse(block, decoder, false);
    if (block->refused) {
        *d = (CXLHDMDecoder) { 0 };
        return false;
    }
    d->control = R_CXL_HDM_DECODER0_CTRL_LOCK_ON_COMMIT_MASK |
                 R_CXL_HDM_DECODER0_CTRL_COMMIT_MASK |
                 R_CXL_HDM_DECODER0_CTRL_COMMITTED_MASK;
    /*
     * HDM Decoder Enable tells the guest that firmware programmed the
     * decoders and that the DVSEC ranges do not count.
     */
    block->global_control |=
        R_CXL_HDM_DECODER_GLOBAL_CONTROL_HDM_DECODER_ENABLE_MASK;
    return true;
}

void cxl_hdm_block_release(CXLHDMBlock *block, unsigned int decoder)
{
    block->decoder[decoder] = (CXLHDMDecoder) { 0 };
}
