/*
 * Choice of a free range for HDM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_hdm_decoder.h"
#include "hw/cxl/cxl_hdm_path.h"
#include "fuzz.h"

#define MAX_RANGES 12

static bool is_free(uint64_t base, uint64_t size, const CXLHDMRange *used,
                    unsigned int n)
{
    unsigned int i;

    for (i = 0; i < n; i++) {
        if (base < used[i].base + used[i].size &&
            used[i].base < base + size) {
            return false;
        }
    }
    return true;
}

/* A byte's worth of units of 64 MiB: not all of them are aligned */
static uint64_t address(FuzzInput *in)
{
    return (uint64_t)fuzz_u8(in) << 26;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    CXLHDMRange used[MAX_RANGES];
    uint64_t from = address(&in), want, base, lower;
    unsigned int i, n;

    want = (1 + fuzz_u8(&in) % 16) * CXL_HDM_DECODER_ALIGN;
    n = fuzz_u8(&in) % (MAX_RANGES + 1);
    for (i = 0; i < n; i++) {
        used[i].base = address(&in);
        used[i].size = address(&in);
    }

    base = cxl_hdm_first_free(from, used, n, want);
    FUZZ_RULE(base >= from && base % CXL_HDM_DECODER_ALIGN == 0,
              "aligned and not too low");
    FUZZ_RULE(is_free(base, want, used, n), "it overlaps with nothing");
    lower = ROUND_UP(from, CXL_HDM_DECODER_ALIGN);
    for (; lower < base; lower += CXL_HDM_DECODER_ALIGN) {
        FUZZ_RULE(!is_free(lower, want, used, n), "it is the first");
    }
    return 0;
}
