/*
 * What the parts of accel-check share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TEST_H
#define ACCEL_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cxl-accel.h"

#define DEVICE          "/dev/cxl_accel0"
#define ATTRIBUTES      "/sys/class/cxl_accel/cxl_accel0/"
#define MODULE          "cxl_accel"
#define MODULE_FILE     "/modules/cxl_accel.ko"
#define SMALL_PAGE      4096UL
#define HUGE_PAGE       (2UL << 20)
#define MIB             (1UL << 20)

/*
 * Print the result of one test: "CHECK ok|FAIL NAME: DETAIL".  @name has no
 * colon; @fmt says what was seen, also when it is right.
 */
void check(bool ok, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* How many tests were printed by this process and by finished children. */
unsigned checks_done(void);

/* Open the device, or end the program. */
int device_open(void);

/* What the device is; ends the program when it does not say. */
struct cxl_accel_info device_info(int fd);

/* 0, or the error number of an ioctl. */
int device_ioctl(int fd, unsigned long request, void *arg);

/* Map @size bytes of @fd at @offset, shared, or end the program. */
volatile uint64_t *device_map(int fd, uint64_t offset, size_t size);

/* Read one line of a file without its newline; "" when there is none. */
const char *read_line(const char *path, char *line, size_t size);

/* Write a text to a file in one call: 0, or the error number. */
int write_text(const char *path, const char *text);

/* Lines of a file that contain @text. */
unsigned count_lines(const char *path, const char *text);

/* Monotonic time in milliseconds. */
uint64_t now_ms(void);

/* Read @word, or write 1 to it; false when that gives SIGBUS. */
bool can_read(volatile uint64_t *word);
bool can_write(volatile uint64_t *word);

/*
 * Run @body in a child; -1 until child_result() has fetched what it returned.
 * child_result() waits @timeout_ms at most and ends the child then; it gives
 * the value, or -1.
 */
pid_t child_start(int (*body)(void *), void *arg);
int child_result(pid_t pid, unsigned timeout_ms);

/* The parts: each prints its tests. */
void test_memory(void);
void test_interrupts(void);
void test_engine(void);
void test_binding(const char *address);
void test_module(void);

#endif
