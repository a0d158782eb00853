/*
 * What the parts of vfio-cxl-check share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_KERNEL_VFIO_CXL_CHECK_H
#define TESTS_KERNEL_VFIO_CXL_CHECK_H

#include <setjmp.h>

#include "vfio-cxl-open.h"

struct check {
    const char *name;
    void (*run)(struct cxl_device *dev);
};

enum verdict { VERDICT_OK, VERDICT_SKIP, VERDICT_FAIL };

extern jmp_buf check_end;
extern enum verdict check_verdict;

/* End the check that runs, with a reason */
#define END_CHECK(verdict, ...) do { \
        printf("# "); \
        printf(__VA_ARGS__); \
        putchar('\n'); \
        check_verdict = (verdict); \
        longjmp(check_end, 1); \
    } while (0)

#define CHECK(good, ...) do { \
        if (!(good)) { \
            END_CHECK(VERDICT_FAIL, __VA_ARGS__); \
        } \
    } while (0)

#define SKIP(...) END_CHECK(VERDICT_SKIP, __VA_ARGS__)

/* Memory Space, resets, and the switches of the test driver; ends with NULL */
extern const struct check gate_checks[];

#endif /* TESTS_KERNEL_VFIO_CXL_CHECK_H */
