/*
 * A virt machine with the emulated CXL Type-2 device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_CXL_TYPE2_UTIL_H
#define TESTS_CXL_TYPE2_UTIL_H

#include "vfio-cxl-accel.h"

#define LAST (VIRT_WINDOW + HDM_SIZE - 8)
#define PATTERN 0x1122334455667788ull
#define ONES UINT64_MAX

enum { CTRL2_FLUSH = 1 << 1, CTRL2_RESET = 1 << 2, CTRL2_CLEAR = 1 << 3 };
enum { STATUS2_CLEAN = 1 << 0, STATUS2_DONE = 1 << 1, STATUS2_PM = 1 << 15 };

/* Longer than a CXL reset takes without clearing much */
#define RESET_NS 20000000

typedef struct {
    char *dir;
    char *file;             /* the HDM, so that a test can look at it */
    VFIOCXLMachine *m;
    QTestState *q;
} Type2Rig;

/* The usual device; more properties may follow */
#define TYPE2_DEVICE "-device cxl-type2,id=hdm0,bus=rp0,memdev=mem"

/**
 * type2_start_with: start a machine with 256 MiB in memory backend "mem"
 * @machine: CXL properties of the machine, NULL for the usual window
 * @device: options that come last
 */
void type2_start_with(Type2Rig *r, const char *machine, const char *device);

/**
 * type2_start: start the usual machine
 * @members: more properties of the device, each with a comma in front
 */
void type2_start(Type2Rig *r, const char *members);
void type2_stop(Type2Rig *r);

/* What the host finds in the HDM, the 64 bits at @offset */
uint64_t type2_host_word(Type2Rig *r, uint64_t offset);

/* Guest and host see @value at both ends of the HDM */
void type2_check_open(Type2Rig *r, uint64_t value);

/* The guest writes @value to both ends */
void type2_fill(Type2Rig *r, uint64_t value);

/* A register of the decoder */
uint32_t type2_hdm(Type2Rig *r, unsigned int reg);

/* QEMU has committed and locked the decoder to @base */
void type2_check_committed(Type2Rig *r, uint64_t base);

/* Registers of the CXL Device DVSEC */
uint16_t type2_dvsec_word(Type2Rig *r, unsigned int reg);
void type2_set_ctrl2(Type2Rig *r, uint16_t value);

#endif /* TESTS_CXL_TYPE2_UTIL_H */
