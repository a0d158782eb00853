/*
 * Test the cxl_accel driver from a program's side.
 *
 * Usage: accel-check PCI-ADDRESS
 *
 * Prints "CHECK ok|FAIL NAME: WHAT WAS SEEN" for each test and at the end
 * "CHECKS n", so that a program that ended early shows.  The driver is left
 * bound.  scripts/guest_accel.py reads the lines.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>

#include "accel-test.h"
#include "guest-mem.h"

int main(int argc, char **argv)
{
    if (argc != 2) {
        die("usage: accel-check PCI-ADDRESS");
    }
    test_memory();
    test_interrupts();
    test_engine();
    test_binding(argv[1]);
    test_module();
    printf("CHECKS %u\n", checks_done());
    return 0;
}
