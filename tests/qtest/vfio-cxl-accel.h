/*
 * The accelerator that the reference device and the emulated one pose as:
 * registers and copies
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_VFIO_CXL_ACCEL_H
#define TESTS_VFIO_CXL_ACCEL_H

#include "vfio-cxl-util.h"

/* Where its BARs 0 and 4 go: bridge window for non-prefetchable memory */
#define ACCEL_BAR0 0x10000000ull
#define ACCEL_BAR4 0x10200000ull
#define ACCEL_SRAM (ACCEL_BAR0 + 1 * MiB)

/* Registers in BAR 0, see contrib/vfio-user-cxl/README.md */
enum {
    ACCEL_ID = 0x00, ACCEL_CAPACITY = 0x08,
    COPY_SRC = 0x40, COPY_DST = 0x48, COPY_LEN = 0x50, COPY_PATTERN = 0x58,
    COPY_CONTROL = 0x60, COPY_COMMAND = 0x64, COPY_STATUS = 0x68,
    COPY_ERROR = 0x6c, COPY_DONE = 0x70, COPY_COUNT = 0x78,
};

enum { COPY_IN = 1, COPY_OUT = 2, COPY_FILL = 3, COPY_HDM = 4 };
enum { COPY_START = 1, COPY_ABORT = 2 };
enum { STATUS_IDLE, STATUS_BUSY, STATUS_DONE, STATUS_FAILED };

enum {
    ERROR_NONE, ERROR_LENGTH, ERROR_HDM_START, ERROR_HDM_END, ERROR_DMA,
    ERROR_OVERLAP, ERROR_OP, ERROR_VECTOR, ERROR_ABORTED, ERROR_GATED,
};

#define HDM_SIZE (256 * MiB)

/* What the tests keep where in guest memory */
#define MSI_AT (VIRT_RAM + 1 * MiB)
#define SOURCE (VIRT_RAM + 2 * MiB)
#define TARGET (VIRT_RAM + 8 * MiB)
#define TABLES (VIRT_RAM + 16 * MiB)

/* More than the engine moves at a time, and than a socket takes at once */
#define LENGTH (1 * MiB + 4321)

/* An MSI of these tests is a write to memory, where a test can see it */
#define ACCEL_VECTOR 2
#define ACCEL_IRQ_DATA 0x5a5a0001

/**
 * accel_setup: give BARs 0 and 4 addresses and enable one MSI-X vector
 * @msi: bus address that the interrupt writes ACCEL_IRQ_DATA to
 */
void accel_setup(VFIOCXLMachine *m, uint64_t msi);

uint32_t accel_read(VFIOCXLMachine *m, unsigned int reg);

/**
 * accel_start: write a request, with an interrupt at its end, and start it
 */
void accel_start(VFIOCXLMachine *m, unsigned int op, uint64_t src,
                 uint64_t dst, uint64_t len);

/**
 * accel_wait: wait until the engine is not busy, and return its error
 */
unsigned int accel_wait(VFIOCXLMachine *m);

/**
 * accel_copy: start a request, wait for its end, and return the error
 */
unsigned int accel_copy(VFIOCXLMachine *m, unsigned int op, uint64_t src,
                        uint64_t dst, uint64_t len);

/**
 * accel_wait_irq: wait until the interrupt's write is at @mem, and clear it
 */
void accel_wait_irq(VFIOCXLMachine *m, uint64_t mem);

/* Bytes that are the same for the same seed */
uint8_t *accel_pattern(unsigned int seed, size_t len);

void accel_check_mem(VFIOCXLMachine *m, uint64_t addr, const uint8_t *data,
                     size_t len);

/**
 * accel_check_round: copy memory, HDM, memory, each at odd addresses; the
 * guest looks in between
 * @bus_offset: what to add to an address of guest memory for the device
 */
void accel_check_round(VFIOCXLMachine *m, uint64_t bus_offset);

/**
 * accel_check_bad: requests that must be refused, each with its error
 */
void accel_check_bad(VFIOCXLMachine *m);

#endif /* TESTS_VFIO_CXL_ACCEL_H */
