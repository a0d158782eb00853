#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compile vfio-cxl-check for the host of the nested guest.

The C library's copy of the kernel's headers may be older than iommufd, so
those that QEMU brings along are used.
"""

import argparse
from pathlib import Path

from common import BUILD, LOGS, ROOT, run_main
from guest_image import CFLAGS, CROSS_CC
from progress import run_step
from tree import TREE, make_tree

PROGRAM = "vfio-cxl-check"
SOURCES = ROOT / "tests/kernel"
ABI = ROOT / "include/hw/vfio"
RESULT = BUILD / "kernel" / PROGRAM


def make_check() -> Path:
    """The compiled program, compiled again when a source is newer."""
    make_tree()
    sources = sorted(SOURCES.glob("vfio-cxl-*.c"))
    inputs = [*sources, *SOURCES.glob("vfio-cxl-*.h"), *ABI.iterdir(),
              Path(__file__)]
    if RESULT.is_file() and all(path.stat().st_mtime < RESULT.stat().st_mtime
                                for path in inputs):
        return RESULT
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    run_step(f"compile {PROGRAM}",
             [CROSS_CC, *CFLAGS, "-I", ABI, "-isystem",
              TREE / "linux-headers", "-o", RESULT, *sources],
             LOGS / f"{PROGRAM}.log")
    return RESULT


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    print(make_check())
    return 0


if __name__ == "__main__":
    run_main(main)
