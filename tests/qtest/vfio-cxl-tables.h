/*
 * Reading the ACPI tables that a virt machine has built
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_VFIO_CXL_TABLES_H
#define TESTS_VFIO_CXL_TABLES_H

#include "libqtest.h"

/* All tables, one behind the other, as fw_cfg has them */
typedef struct ACPITables {
    uint8_t *data;
    size_t size;
} ACPITables;

/**
 * acpi_tables_read: have the tables built, as firmware does, and copy them
 *
 * Uses the first bytes of the machine's RAM. QEMU builds the tables anew at
 * the first read after a reset. Free with acpi_tables_free().
 */
ACPITables acpi_tables_read(QTestState *qts);
void acpi_tables_free(ACPITables *t);

/**
 * acpi_tables_find: the first table with a signature, NULL when there is none
 * @length: bytes of the table, its header of 36 included
 */
const uint8_t *acpi_tables_find(const ACPITables *t, const char *signature,
                                uint32_t *length);

/* A device of the DSDT; names are as in ACPI 6.5 section 6.1 */
typedef struct ACPIDevice {
    char name[5];
    char hid[9];            /* "" when it is no string */
    uint64_t uid, bbn;      /* UINT64_MAX when there is none */
    const uint8_t *crs;     /* resource descriptors, NULL without _CRS */
    size_t crs_size;
} ACPIDevice;

/**
 * acpi_devices: devices with a _HID that is a string, in the DSDT's order
 * @max: room in @devices; more devices than that are a failure
 * Returns: how many there are
 */
unsigned int acpi_devices(const ACPITables *t, ACPIDevice *devices,
                          unsigned int max);

/* Resource types of an address space descriptor, ACPI 6.5 section 6.4.3.5 */
enum { ACPI_RANGE_MEMORY = 0, ACPI_RANGE_IO = 1, ACPI_RANGE_BUS = 2 };

typedef struct ACPIRange {
    unsigned int type;
    uint64_t min, max;      /* max is the last address */
} ACPIRange;

/**
 * acpi_ranges: address ranges of one resource template
 * @max: room in @ranges; more ranges than that are a failure
 * Returns: how many there are
 */
unsigned int acpi_ranges(const uint8_t *crs, size_t size, ACPIRange *ranges,
                         unsigned int max);

/**
 * acpi_all_ranges: address ranges of every _CRS in the DSDT
 */
unsigned int acpi_all_ranges(const ACPITables *t, ACPIRange *ranges,
                             unsigned int max);

#endif /* TESTS_VFIO_CXL_TABLES_H */
