/*
 * Access to physical addresses from a guest program, through /dev/mem or
 * another file that maps memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef GUEST_MEM_H
#define GUEST_MEM_H

#include <stddef.h>
#include <stdint.h>

/*
 * Print one line "PROGRAM: MESSAGE" on stderr and end with exit status 1.
 * Never returns.
 */
void die(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/*
 * Parse a whole unsigned 64-bit number (decimal, or hexadecimal with 0x).
 * @what names the number in the error; a malformed one ends the program.
 */
uint64_t parse_u64(const char *text, const char *what);

/*
 * Have phys_map() map @path instead of /dev/mem; addresses are offsets in it.
 * Call it before the first mapping.
 */
void phys_use_file(const char *path);

/*
 * Map @size bytes of physical memory at @base (any alignment), for reading
 * and writing.  Ends the program with an error if the kernel refuses.
 * Release with phys_unmap() and the same @base and @size.
 */
volatile void *phys_map(uint64_t base, size_t size);

/* Undo phys_map(). */
void phys_unmap(volatile void *ptr, uint64_t base, size_t size);

#endif
