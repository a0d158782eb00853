/*
 * Capability chains of VFIO regions, as an unfriendly other side sends them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/vfio/vfio-cxl-abi.h"
#include "hw/vfio/region-caps.h"

#define FIRST sizeof(struct vfio_region_info)

typedef union {
    struct vfio_region_info info;
    uint8_t bytes[256];
    uint64_t align;
} Reply;

static Reply *reply_new(uint32_t first_cap)
{
    Reply *r = g_new0(Reply, 1);

    r->info.argsz = sizeof(*r);
    r->info.index = 9;
    r->info.size = 0x10000;
    r->info.flags = VFIO_REGION_INFO_FLAG_CAPS;
    r->info.cap_offset = first_cap;
    return r;
}

static void *put_cap(Reply *r, uint32_t offset, uint16_t id, uint32_t next)
{
    struct vfio_info_cap_header *cap = (void *)(r->bytes + offset);

    cap->id = id;
    cap->version = 1;
    cap->next = next;
    return cap;
}

/* Also at the heap's end, so that a sanitizer sees any read too far */
static bool check(const Reply *r, size_t len, const char *expect)
{
    g_autofree void *exact = g_memdup2(r, len);
    Error *err = NULL;
    bool ok = vfio_region_info_check(exact, len, &err);

    g_assert_cmpint(ok, ==, !err);
    if (expect) {
        g_assert_false(ok);
        g_assert_nonnull(strstr(error_get_pretty(err), expect));
        g_assert_nonnull(strstr(error_get_pretty(err), "region 9"));
    }
    error_free(err);
    return ok;
}

static void test_none(void)
{
    g_autofree Reply *r = reply_new(0xfffffff0);

    r->info.flags = 0;
    g_assert_true(check(r, FIRST, NULL));
    g_assert_null(vfio_region_info_cap(&r->info, 1));
}

static void test_good(void)
{
    g_autofree Reply *r = reply_new(FIRST);
    struct vfio_region_info_cap_type *type;

    type = put_cap(r, FIRST, VFIO_REGION_INFO_CAP_TYPE, FIRST + 16);
    type->type = 7;
    put_cap(r, FIRST + 16, 77, 0);
    g_assert_true(check(r, FIRST + 24, NULL));
    g_assert_true(vfio_region_info_cap(&r->info, 77) == r->bytes + FIRST + 16);
    g_assert_true(vfio_region_info_cap(&r->info, VFIO_REGION_INFO_CAP_TYPE) ==
                  type);
    g_assert_null(vfio_region_info_cap(&r->info, 78));
}

static void test_outside(void)
{
    static const uint32_t bad[] = {
        0, 8, FIRST - 8, FIRST + 4, 200, 256, 0xfffffff8, 0xffffffff,
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autofree Reply *first = reply_new(bad[i]);
        g_autofree Reply *next = reply_new(FIRST);

        g_assert_false(check(first, 200, "not inside"));
        put_cap(next, FIRST, 77, bad[i]);
        g_assert_true(check(next, 200, bad[i] ? "not inside" : NULL) ==
                      !bad[i]);
    }
}

static void test_loop(void)
{
    g_autofree Reply *r = reply_new(FIRST);

    put_cap(r, FIRST, 77, FIRST);
    g_assert_false(check(r, sizeof(*r), "loops"));
    put_cap(r, FIRST, 77, FIRST + 8);
    put_cap(r, FIRST + 8, 78, FIRST);
    g_assert_false(check(r, sizeof(*r), "loops"));
}

static void test_truncated(void)
{
    static const struct {
        uint16_t id;
        size_t size;
    } caps[] = {
        { VFIO_REGION_INFO_CAP_SPARSE_MMAP, 16 },
        { VFIO_REGION_INFO_CAP_TYPE, 16 },
        { VFIO_REGION_INFO_CAP_CXL_COMP_REGS, 24 },
        { 77, 8 },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(caps); i++) {
        g_autofree Reply *r = reply_new(FIRST);
        g_autofree char *left = NULL;

        put_cap(r, FIRST, caps[i].id, 0);
        g_assert_true(check(r, FIRST + caps[i].size, NULL));
        left = g_strdup_printf("truncated: %zu bytes of the reply are left",
                               caps[i].size - 1);
        g_assert_false(check(r, FIRST + caps[i].size - 1,
                             caps[i].size > 8 ? left : "not inside"));
    }
}

/* What a reply that ended early looks like: zeros where caps should be */
static void test_zeros(void)
{
    g_autofree Reply *r = reply_new(FIRST);

    g_assert_false(check(r, sizeof(*r), "truncated"));
}

static void test_sparse(void)
{
    g_autofree Reply *r = reply_new(FIRST);
    struct vfio_region_info_cap_sparse_mmap *sparse =
        put_cap(r, FIRST, VFIO_REGION_INFO_CAP_SPARSE_MMAP, 0);

    sparse->nr_areas = 2;
    sparse->areas[0].size = 0x1000;
    sparse->areas[1].offset = 0xf000;
    sparse->areas[1].size = 0x1000;
    g_assert_true(check(r, FIRST + 48, NULL));
    g_assert_false(check(r, FIRST + 47, "2 areas"));
    sparse->nr_areas = UINT32_MAX;
    g_assert_false(check(r, sizeof(*r), "areas"));

    sparse->nr_areas = 2;
    sparse->areas[1].size = 0x1001;
    g_assert_false(check(r, sizeof(*r), "leaves the region"));
    sparse->areas[1].offset = UINT64_MAX - 0xfff;
    sparse->areas[1].size = 0x1000;
    g_assert_false(check(r, sizeof(*r), "leaves the region"));
}

/* Nothing that is accepted may make a walk leave the reply or not end */
static void test_random(void)
{
    int round;

    for (round = 0; round < 20000; round++) {
        g_autofree Reply *r = reply_new(FIRST);
        int i;

        for (i = FIRST; i < 128; i += 8) {
            put_cap(r, i, g_test_rand_int_range(0, 8),
                    g_test_rand_int_range(0, 20) * 8);
        }
        if (check(r, 128, NULL)) {
            vfio_region_info_cap(&r->info, 99);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vfio/region-caps/none", test_none);
    g_test_add_func("/vfio/region-caps/good", test_good);
    g_test_add_func("/vfio/region-caps/outside", test_outside);
    g_test_add_func("/vfio/region-caps/loop", test_loop);
    g_test_add_func("/vfio/region-caps/truncated", test_truncated);
    g_test_add_func("/vfio/region-caps/zeros", test_zeros);
    g_test_add_func("/vfio/region-caps/sparse", test_sparse);
    g_test_add_func("/vfio/region-caps/random", test_random);
    return g_test_run();
}
