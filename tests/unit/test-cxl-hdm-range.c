/*
 * Choice of a free range for HDM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_hdm_decoder.h"
#include "hw/cxl/cxl_hdm_path.h"

#define UNIT CXL_HDM_DECODER_ALIGN

static void test_empty(void)
{
    g_assert_cmphex(cxl_hdm_first_free(4 * UNIT, NULL, 0, UNIT), ==, 4 * UNIT);
    g_assert_cmphex(cxl_hdm_first_free(4 * UNIT + 1, NULL, 0, UNIT), ==,
                    5 * UNIT);
}

static void test_gap(void)
{
    /* [0] and [3, 5) are taken, in no order */
    static const CXLHDMRange used[] = {
        { 3 * UNIT, 2 * UNIT }, { 0, UNIT },
    };

    g_assert_cmphex(cxl_hdm_first_free(0, used, 2, UNIT), ==, UNIT);
    g_assert_cmphex(cxl_hdm_first_free(0, used, 2, 2 * UNIT), ==, UNIT);
    g_assert_cmphex(cxl_hdm_first_free(0, used, 2, 3 * UNIT), ==, 5 * UNIT);
    g_assert_cmphex(cxl_hdm_first_free(4 * UNIT, used, 2, UNIT), ==, 5 * UNIT);
    g_assert_cmphex(cxl_hdm_first_free(9 * UNIT, used, 2, UNIT), ==, 9 * UNIT);
}

/* Whatever is chosen conflicts with nothing, and nothing lower would do */
static void test_random(void)
{
    int round;

    for (round = 0; round < 2000; round++) {
        CXLHDMRange used[4];
        uint64_t size = g_test_rand_int_range(1, 6) * UNIT;
        uint64_t chosen, at;
        int i;

        for (i = 0; i < 4; i++) {
            used[i].base = g_test_rand_int_range(0, 24) * UNIT;
            used[i].size = g_test_rand_int_range(1, 6) * UNIT;
        }
        chosen = cxl_hdm_first_free(0, used, 4, size);
        for (at = 0; at <= chosen; at += UNIT) {
            bool clear = true;

            for (i = 0; i < 4; i++) {
                if (at < used[i].base + used[i].size &&
                    used[i].base < at + size) {
                    clear = false;
                }
            }
            g_assert_cmpint(clear, ==, at == chosen);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl/hdm-range/empty", test_empty);
    g_test_add_func("/cxl/hdm-range/gap", test_gap);
    g_test_add_func("/cxl/hdm-range/random", test_random);
    return g_test_run();
}
