/*
 * What a VFIO CXL device says of itself, right and wrong
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "hw/vfio/cxl-info.h"

static void expect_error(Error *err, const char *text)
{
    g_assert_nonnull(err);
    g_assert_nonnull(strstr(error_get_pretty(err), text));
    g_assert_null(strchr(error_get_pretty(err), '\n'));
    error_free(err);
}

static void test_hdm_region(void)
{
    struct vfio_region_info info = {
        .argsz = sizeof(info),
        .flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
                 VFIO_REGION_INFO_FLAG_MMAP,
        .index = 9,
    };
    static const uint64_t bad_sizes[] = {
        0, 1, 128 * MiB, 256 * MiB + 4096, 1 * TiB - 1,
    };
    static const uint32_t needed[] = {
        VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
        VFIO_REGION_INFO_FLAG_MMAP,
    };
    Error *err = NULL;
    int i;

    info.size = 256 * MiB;
    g_assert_true(vfio_cxl_check_hdm_region(&info, &error_abort));
    info.size = 1 * TiB;
    g_assert_true(vfio_cxl_check_hdm_region(&info, &error_abort));

    for (i = 0; i < ARRAY_SIZE(bad_sizes); i++) {
        info.size = bad_sizes[i];
        err = NULL;
        g_assert_false(vfio_cxl_check_hdm_region(&info, &err));
        expect_error(err, "multiple of 256 MiB");
    }

    info.size = 256 * MiB;
    for (i = 0; i < ARRAY_SIZE(needed); i++) {
        info.flags &= ~needed[i];
        err = NULL;
        g_assert_false(vfio_cxl_check_hdm_region(&info, &err));
        expect_error(err, "mappable as a whole");
        info.flags |= needed[i];
    }
}

typedef struct {
    struct vfio_region_info info;
    struct vfio_region_info_cap_cxl_comp_regs cap;
} CompRegs;

static CompRegs comp_regs(uint32_t bar, uint64_t offset)
{
    CompRegs r = {
        .info = {
            .argsz = sizeof(r), .index = 10, .size = 0x30,
            .flags = VFIO_REGION_INFO_FLAG_CAPS,
            .cap_offset = offsetof(CompRegs, cap),
        },
        .cap = {
            .header = { .id = VFIO_REGION_INFO_CAP_CXL_COMP_REGS,
                        .version = 1 },
            .bar = bar,
            .offset = offset,
        },
    };

    return r;
}

static const uint64_t bars[6] = { 0, 0x1000, 0, 0, 0x10000, 0 };

static void test_geometry_good(void)
{
    CompRegs r = comp_regs(4, 0x1128);
    VFIOCXLGeometry g = { 0 };

    g_assert_true(vfio_cxl_check_geometry(&r.info, bars, &g, &error_abort));
    g_assert_cmpuint(g.bar, ==, 4);
    g_assert_cmphex(g.offset, ==, 0x1128);
    g_assert_cmphex(g.size, ==, 0x30);

    r.cap.offset = 0x10000 - 0x30;
    g_assert_true(vfio_cxl_check_geometry(&r.info, bars, &g, &error_abort));
}

static void test_geometry_bad(void)
{
    static const struct {
        uint32_t bar;
        uint64_t offset;
        uint64_t size;
        const char *text;
    } bad[] = {
        { 0, 0x1128, 0x30, "no memory BAR" },
        { 6, 0x1128, 0x30, "no memory BAR" },
        { 0xffffffff, 0x1128, 0x30, "no memory BAR" },
        { 4, 0x112a, 0x30, "multiple of 4" },
        { 4, 0x10000 - 0x2c, 0x30, "inside its 0x10000 bytes" },
        { 4, UINT64_MAX - 3, 0x30, "inside its 0x10000 bytes" },
        { 1, 0, 0x2000, "inside its 0x1000 bytes" },
        { 4, 0x1128, 0x2c, "one decoder needs 0x30" },
        { 4, 0x1128, 0x32, "multiple of 4" },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        CompRegs r = comp_regs(bad[i].bar, bad[i].offset);
        VFIOCXLGeometry g;
        Error *err = NULL;

        r.info.size = bad[i].size;
        g_assert_false(vfio_cxl_check_geometry(&r.info, bars, &g, &err));
        expect_error(err, bad[i].text);
    }
}

static void test_geometry_capability(void)
{
    CompRegs r = comp_regs(4, 0x1128);
    VFIOCXLGeometry g;
    Error *err = NULL;

    r.cap.header.version = 2;
    g_assert_false(vfio_cxl_check_geometry(&r.info, bars, &g, &err));
    expect_error(err, "version 2");

    r.cap.header.id = 7;
    err = NULL;
    g_assert_false(vfio_cxl_check_geometry(&r.info, bars, &g, &err));
    expect_error(err, "no geometry capability");
}

/* An index that is used with 8 bits, 265 as 9 */
static void test_index(void)
{
    struct vfio_region_info hdm = {
        .argsz = sizeof(hdm), .size = 256 * MiB, .index = 255,
        .flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
                 VFIO_REGION_INFO_FLAG_MMAP,
    };
    CompRegs r = comp_regs(4, 0x1128);
    VFIOCXLGeometry g;
    Error *err = NULL;

    r.info.index = 255;
    g_assert_true(vfio_cxl_check_hdm_region(&hdm, &error_abort));
    g_assert_true(vfio_cxl_check_geometry(&r.info, bars, &g, &error_abort));

    hdm.index = 265;
    g_assert_false(vfio_cxl_check_hdm_region(&hdm, &err));
    expect_error(err, "HDM memory region has index 265, but only regions 0 "
                 "to 255");

    r.info.index = 256;
    err = NULL;
    g_assert_false(vfio_cxl_check_geometry(&r.info, bars, &g, &err));
    expect_error(err, "decoder register region has index 256");
}

/* A host decoder as firmware leaves it; dword index = register offset / 4 */
static void good_decoder(uint32_t *regs)
{
    memset(regs, 0, VFIO_CXL_DECODER_DWORDS * 4);
    regs[0] = 0x300;
    regs[1] = 2;
    regs[4] = 0xc0000000;
    regs[5] = 0x4a;
    regs[6] = 0x40000000;
    regs[7] = 1;
    regs[8] = 0x700;
}

static void test_decoder(void)
{
    static const struct {
        int reg;
        uint32_t value;
        const char *text;
    } bad[] = {
        { 0, 0x301, "code 1" },
        { 0, 0x30c, "code 12" },
        { 8, 0x300, "not committed" },
        { 8, 0xf00, "not committed" },
        { 8, 0x710, "ways code 1" },
        { 8, 0x780, "ways code 8" },
        { 6, 0x50000000, "both must be equal" },
        { 7, 0, "both must be equal" },
    };
    uint32_t regs[VFIO_CXL_DECODER_DWORDS];
    int i;

    good_decoder(regs);
    g_assert_true(vfio_cxl_check_decoder(regs, 5 * GiB, &error_abort));

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        Error *err = NULL;

        good_decoder(regs);
        regs[bad[i].reg] = bad[i].value;
        g_assert_false(vfio_cxl_check_decoder(regs, 5 * GiB, &err));
        /* The host's base is nobody's business */
        g_assert_null(strstr(error_get_pretty(err), "4ac0000000"));
        expect_error(err, bad[i].text);
    }
}

static void test_coherency(void)
{
    static const struct {
        uint32_t ctrl;
        bool cache;
        bool host_only;
        const char *text;       /* NULL: accepted */
    } cases[] = {
        { 0x0700, true, false, NULL },
        { 0x1700, true, true, NULL },
        { 0x1700, false, true, NULL },
        { 0x0700, false, false, "claims no CXL.cache" },
        { 0x2700, false, false, "HDM-DB is not" },
        { 0x2700, true, false, "HDM-DB is not" },
        { 0x3700, false, false, "HDM-DB is not" },
    };
    uint32_t regs[VFIO_CXL_DECODER_DWORDS];

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        Error *err = NULL;
        bool host_only;

        good_decoder(regs);
        regs[8] = cases[i].ctrl;
        if (cases[i].text) {
            g_assert_false(vfio_cxl_check_coherency(regs, cases[i].cache,
                                                    &host_only, &err));
            g_assert_null(strstr(error_get_pretty(err), "4ac0000000"));
            expect_error(err, cases[i].text);
        } else {
            g_assert_true(vfio_cxl_check_coherency(regs, cases[i].cache,
                                                   &host_only, &error_abort));
            g_assert_cmpint(host_only, ==, cases[i].host_only);
        }
    }
}

static void put_dvsec(uint8_t *config, int pos, uint16_t vendor, uint16_t id,
                      uint16_t length, uint16_t next)
{
    stl_le_p(config + pos, 0x23 | 1 << 16 | (uint32_t)next << 20);
    stl_le_p(config + pos + 4, vendor | (uint32_t)length << 20);
    stw_le_p(config + pos + 8, id);
}

static void test_dvsec(void)
{
    g_autofree uint8_t *config = g_malloc0(4096);

    g_assert_cmphex(vfio_cxl_find_dvsec(config, 4096), ==, 0);

    put_dvsec(config, 0x100, 0x8086, 0, 0x3c, 0x200);
    put_dvsec(config, 0x200, 0x1e98, 7, 0x20, 0x300);
    put_dvsec(config, 0x300, 0x1e98, 0, 0x3c, 0);
    g_assert_cmphex(vfio_cxl_find_dvsec(config, 4096), ==, 0x300);
    g_assert_cmphex(vfio_cxl_find_dvsec(config, 0x300), ==, 0);
    g_assert_cmphex(vfio_cxl_find_dvsec(config, 256), ==, 0);

    put_dvsec(config, 0x300, 0x1e98, 0, 0x30, 0);
    g_assert_cmphex(vfio_cxl_find_dvsec(config, 4096), ==, 0);

    /* A second one could show what the first one hides */
    put_dvsec(config, 0x300, 0x1e98, 0, 0x3c, 0x400);
    put_dvsec(config, 0x400, 0x1e98, 0, 0x3c, 0);
    g_assert_cmphex(vfio_cxl_find_dvsec(config, 4096), ==, 0);

    /* Chains that loop, or go where no capability can be */
    put_dvsec(config, 0x300, 0x1e98, 0, 0x3c, 0x100);
    g_assert_cmphex(vfio_cxl_find_dvsec(config, 4096), ==, 0x300);
    put_dvsec(config, 0x300, 0x1e98, 3, 0x28, 0x100);
    g_assert_cmphex(vfio_cxl_find_dvsec(config, 4096), ==, 0);
    put_dvsec(config, 0x300, 0x1e98, 3, 0x28, 0xffc);
    g_assert_cmphex(vfio_cxl_find_dvsec(config, 4096), ==, 0);
    put_dvsec(config, 0x300, 0x1e98, 3, 0x28, 0x40);
    g_assert_cmphex(vfio_cxl_find_dvsec(config, 4096), ==, 0);
}

/* As many capabilities as there is room for, the wanted one last */
static void test_dvsec_long_chain(void)
{
    g_autofree uint8_t *config = g_malloc0(4096);
    int last = 4096 - 0x3c, pos;

    for (pos = 0x100; pos < last; pos += 4) {
        stl_le_p(config + pos, 0x1 | 1 << 16 | (uint32_t)(pos + 4) << 20);
    }
    put_dvsec(config, last, 0x1e98, 0, 0x3c, 0);
    g_assert_cmphex(vfio_cxl_find_dvsec(config, 4096), ==, last);
    g_assert_cmphex(vfio_cxl_find_dvsec(config, 4095), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vfio/cxl-info/hdm-region", test_hdm_region);
    g_test_add_func("/vfio/cxl-info/geometry/good", test_geometry_good);
    g_test_add_func("/vfio/cxl-info/geometry/bad", test_geometry_bad);
    g_test_add_func("/vfio/cxl-info/geometry/capability",
                    test_geometry_capability);
    g_test_add_func("/vfio/cxl-info/index", test_index);
    g_test_add_func("/vfio/cxl-info/decoder", test_decoder);
    g_test_add_func("/vfio/cxl-info/coherency", test_coherency);
    g_test_add_func("/vfio/cxl-info/dvsec", test_dvsec);
    g_test_add_func("/vfio/cxl-info/dvsec/long-chain", test_dvsec_long_chain);
    return g_test_run();
}
