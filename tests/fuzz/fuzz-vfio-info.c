/*
 * Region information, as an unfriendly other side sends it
 *
 * The input is the reply. It stands at the end of its heap block, so that
 * the sanitizer sees any byte read behind it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/cxl/cxl_hdm_decoder.h"
#include "hw/vfio/cxl-info.h"
#include "hw/vfio/region-caps.h"
#include "fuzz.h"

static const uint64_t bar_size[6] = {
    1 << 20, 0, 64 << 10, 256 * MiB, 4096, 0x30,
};

static void check_sparse(const struct vfio_region_info *info, size_t len)
{
    const struct vfio_region_info_cap_sparse_mmap *cap =
        vfio_region_info_cap(info, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
    uint32_t i;

    if (!cap) {
        return;
    }
    FUZZ_RULE((const uint8_t *)&cap->areas[cap->nr_areas] <=
              (const uint8_t *)info + len, "areas are inside the reply");
    for (i = 0; i < cap->nr_areas; i++) {
        uint64_t end;

        FUZZ_RULE(!__builtin_add_overflow(cap->areas[i].offset,
                                          cap->areas[i].size, &end) &&
                  end <= info->size, "areas are inside the region");
    }
}

static void check_accepted(const struct vfio_region_info *info, size_t len)
{
    VFIOCXLGeometry geometry;
    Error *err = NULL;
    uint16_t id;

    for (id = 0; id < 16; id++) {
        const struct vfio_info_cap_header *cap =
            vfio_region_info_cap(info, id);

        FUZZ_RULE(!cap || cap->id == id, "the capability asked for");
    }
    check_sparse(info, len);
    if (vfio_cxl_check_hdm_region(info, &err)) {
        FUZZ_RULE(info->size && info->size % CXL_HDM_DECODER_ALIGN == 0,
                  "HDM has a size that a decoder can express");
    } else {
        FUZZ_RULE(err, "a refusal has a reason");
    }
    error_free(err);
    err = NULL;
    if (vfio_cxl_check_geometry(info, bar_size, &geometry, &err)) {
        uint64_t end;

        FUZZ_RULE(!err && geometry.bar < ARRAY_SIZE(bar_size) &&
                  !__builtin_add_overflow(geometry.offset, geometry.size,
                                          &end) &&
                  end <= bar_size[geometry.bar],
                  "the decoder block is inside its BAR");
        FUZZ_RULE(geometry.offset % 4 == 0 && geometry.size % 4 == 0 &&
                  geometry.size >= CXL_HDM_BLOCK_SIZE(1),
                  "the decoder block has whole registers");
    } else {
        FUZZ_RULE(err, "a refusal has a reason");
    }
    error_free(err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree struct vfio_region_info *info = NULL;
    Error *err = NULL;
    bool ok;

    if (size < sizeof(*info)) {
        return 0;
    }
    info = g_memdup2(data, size);
    ok = vfio_region_info_check(info, size, &err);
    FUZZ_RULE(ok == !err, "a refusal has a reason, and nothing else has");
    error_free(err);
    if (ok) {
        check_accepted(info, size);
    }
    return 0;
}
