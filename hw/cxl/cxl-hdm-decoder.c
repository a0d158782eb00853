/*
 * Virtual HDM decoder of a CXL endpoint
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
    HDM_BASE_LO = HDM_OFFSET(0_BASE_LO),
    HDM_BASE_HI = HDM_OFFSET(0_BASE_HI),
    HDM_SIZE_LO = HDM_OFFSET(0_SIZE_LO),
    HDM_SIZE_HI = HDM_OFFSET(0_SIZE_HI),
    HDM_CONTROL = HDM_OFFSET(0_CTRL),
    HDM_DPA_SKIP_LO = HDM_OFFSET(0_DPA_SKIP_LO),
    HDM_DPA_SKIP_HI = HDM_OFFSET(0_DPA_SKIP_HI),
};

/* Low registers of a pair implement bits 31:28 only */
#define HDM_LOW_MASK 0xf0000000u

/*
 * What the guest may set.  The target type stays 0, device coherent, as a
 * Type-2 device has no host-only coherent HDM; BI and UIO are not offered.
 */
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
#define HDM_CAPABILITY_MASK \
    (R_CXL_HDM_DECODER_CAPABILITY_INTERLEAVE_256B_MASK | \
     R_CXL_HDM_DECODER_CAPABILITY_INTERLEAVE_4K_MASK | \
     R_CXL_HDM_DECODER_CAPABILITY_POISON_ON_ERR_CAP_MASK | \
     R_CXL_HDM_DECODER_CAPABILITY_SUPPORTED_COHERENCY_MODEL_MASK)

static bool hdm_flag(const CXLHDMDecoder *d, uint32_t mask)
{
    return d->control & mask;
}

bool cxl_hdm_decoder_committed(const CXLHDMDecoder *d)
{
    return hdm_flag(d, R_CXL_HDM_DECODER0_CTRL_COMMITTED_MASK);
}

static bool hdm_locked(const CXLHDMDecoder *d)
{
    return cxl_hdm_decoder_committed(d) &&
           hdm_flag(d, R_CXL_HDM_DECODER0_CTRL_LOCK_ON_COMMIT_MASK);
}

void cxl_hdm_decoder_reset(CXLHDMDecoder *d)
{
    d->global_control = 0;
    d->base = 0;
    d->size = 0;
    d->control = 0;
    d->dpa_skip = 0;
}

void cxl_hdm_decoder_init(CXLHDMDecoder *d, uint64_t hdm_size,
                          uint32_t host_capability)
{
    d->hdm_size = hdm_size;
    d->capability = host_capability & HDM_CAPABILITY_MASK;
    cxl_hdm_decoder_reset(d);
}

uint64_t cxl_hdm_decoder_read(const CXLHDMDecoder *d, hwaddr offset,
                              unsigned size)
{
    if (size != 4 || offset % 4) {
        return UINT64_MAX >> (64 - size * 8);
    }

    switch (offset) {
    case HDM_CAPABILITY:
        return d->capability;
    case HDM_GLOBAL_CONTROL:
        return d->global_control;
    case HDM_BASE_LO:
        return extract64(d->base, 0, 32);
    case HDM_BASE_HI:
        return extract64(d->base, 32, 32);
    case HDM_SIZE_LO:
        return extract64(d->size, 0, 32);
    case HDM_SIZE_HI:
        return extract64(d->size, 32, 32);
    case HDM_CONTROL:
        return d->control;
    case HDM_DPA_SKIP_LO:
        return extract64(d->dpa_skip, 0, 32);
    case HDM_DPA_SKIP_HI:
        return extract64(d->dpa_skip, 32, 32);
    default:
        return 0; /* reserved */
    }
}

/*
 * The host decodes exactly one way and exactly the whole HDM, so nothing
 * else can be honoured: a shorter range, interleave or a skip would show the
 * guest an address map that the hardware does not implement.
 */
static bool hdm_can_commit(const CXLHDMDecoder *d)
{
    return FIELD_EX32(d->control, CXL_HDM_DECODER0_CTRL, IW) == 0 &&
           d->dpa_skip == 0 &&
           d->size == d->hdm_size &&
           d->size != 0 &&
           d->base <= UINT64_MAX - (d->size - 1);
}

static CXLHDMDecoderEvent hdm_write_control(CXLHDMDecoder *d, uint32_t value)
{
    bool commit = value & R_CXL_HDM_DECODER0_CTRL_COMMIT_MASK;

    if (hdm_locked(d)) {
        return CXL_HDM_DECODER_IGNORED;
    }

    if (cxl_hdm_decoder_committed(d)) {
        if (commit) {
            /* The other fields are read-only while committed */
            uint32_t fields = HDM_CONTROL_MASK & (value ^ d->control);

            return fields ? CXL_HDM_DECODER_IGNORED : CXL_HDM_DECODER_NONE;
        }
        d->control = value & HDM_CONTROL_MASK;
        return CXL_HDM_DECODER_UNCOMMITTED;
    }

    /* Whatever the last attempt left in the error bit is over */
    d->control = value & HDM_CONTROL_MASK;
    if (!commit) {
        return CXL_HDM_DECODER_NONE;
    }
    if (!hdm_can_commit(d)) {
        d->control |= R_CXL_HDM_DECODER0_CTRL_ERR_MASK;
        return CXL_HDM_DECODER_REFUSED;
    }
    d->control |= R_CXL_HDM_DECODER0_CTRL_COMMITTED_MASK;
    return CXL_HDM_DECODER_COMMITTED;
}

static CXLHDMDecoderEvent hdm_write_half(CXLHDMDecoder *d, uint64_t *reg,
                                         bool high, uint32_t value)
{
    if (cxl_hdm_decoder_committed(d)) {
        return CXL_HDM_DECODER_IGNORED;
    }
    if (high) {
        *reg = deposit64(*reg, 32, 32, value);
    } else {
        *reg = deposit64(*reg, 0, 32, value & HDM_LOW_MASK);
    }
    return CXL_HDM_DECODER_NONE;
}

CXLHDMDecoderEvent cxl_hdm_decoder_write(CXLHDMDecoder *d, hwaddr offset,
                                         uint64_t value, unsigned size)
{
    if (size != 4 || offset % 4) {
        return CXL_HDM_DECODER_IGNORED;
    }

    switch (offset) {
    case HDM_GLOBAL_CONTROL:
        d->global_control = value & HDM_GLOBAL_CONTROL_MASK;
        return CXL_HDM_DECODER_NONE;
    case HDM_BASE_LO:
        return hdm_write_half(d, &d->base, false, value);
    case HDM_BASE_HI:
        return hdm_write_half(d, &d->base, true, value);
    case HDM_SIZE_LO:
        return hdm_write_half(d, &d->size, false, value);
    case HDM_SIZE_HI:
        return hdm_write_half(d, &d->size, true, value);
    case HDM_DPA_SKIP_LO:
        return hdm_write_half(d, &d->dpa_skip, false, value);
    case HDM_DPA_SKIP_HI:
        return hdm_write_half(d, &d->dpa_skip, true, value);
    case HDM_CONTROL:
        return hdm_write_control(d, value);
    default:
        return CXL_HDM_DECODER_IGNORED; /* read-only or reserved */
    }
}

bool cxl_hdm_decoder_program(CXLHDMDecoder *d, uint64_t base)
{
    uint32_t control = R_CXL_HDM_DECODER0_CTRL_LOCK_ON_COMMIT_MASK |
                       R_CXL_HDM_DECODER0_CTRL_COMMIT_MASK;

    if (base % CXL_HDM_DECODER_ALIGN) {
        return false;
    }

    /*
     * HDM Decoder Enable tells the guest that firmware programmed the
     * decoders and that the DVSEC ranges do not count.
     */
    cxl_hdm_decoder_write(d, HDM_GLOBAL_CONTROL,
                    R_CXL_HDM_DECODER_GLOBAL_CONTROL_HDM_DECODER_ENABLE_MASK,
                    4);
    cxl_hdm_decoder_write(d, HDM_BASE_LO, extract64(base, 0, 32), 4);
    cxl_hdm_decoder_write(d, HDM_BASE_HI, extract64(base, 32, 32), 4);
    cxl_hdm_decoder_write(d, HDM_SIZE_LO, extract64(d->hdm_size, 0, 32), 4);
    cxl_hdm_decoder_write(d, HDM_SIZE_HI, extract64(d->hdm_size, 32, 32), 4);
    return cxl_hdm_decoder_write(d, HDM_CONTROL, control, 4) ==
           CXL_HDM_DECODER_COMMITTED;
}
