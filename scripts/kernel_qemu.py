#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the emulator that runs inside of the nested arm64 machine.

It is compiled by the machine's cross compiler with arm64 libraries of the
same Debian release, which are only unpacked, and linked statically: so it
runs in the nested machine whatever release that is of, and nothing of arm64
runs while it is built. It has KVM and no TCG.
"""

import argparse
import hashlib
import json
from pathlib import Path

from build import EMULATOR, configure, ninja, tools_env
from common import BUILD, LOGS, atomic_dir, run_main, write_atomic
from debian import PrivateApt, Source, codename, unpack_deb
from guest_fetch import ARCH
from progress import run_step
from tree import TREE, make_tree

PLACE = BUILD / "kernel"
SYSROOT = PLACE / "sysroot"
SYSROOT_STAMP = PLACE / "sysroot.json"
OUT = PLACE / "out"
STRIPPED = PLACE / EMULATOR
PREFIX = "aarch64-linux-gnu-"
LIBRARIES = ("libglib2.0-dev", "libpcre2-dev", "zlib1g-dev", "libfdt-dev")
WORDS = ("--disable-tcg", "--enable-kvm", "--disable-pixman", "--static",
         "--cpu=aarch64", f"--cross-prefix={PREFIX}", "--host-cc=cc")


def _sysroot() -> str:
    """Have the libraries in place; returns what they are, as a key."""
    apt = PrivateApt(BUILD / "apt/kernel",
                     [Source("deb", codename(), ARCH)])
    versions = {name: apt.newest(name) for name in LIBRARIES}
    key = json.dumps(versions, indent=1) + "\n"
    if (SYSROOT.is_dir() and SYSROOT_STAMP.is_file()
            and SYSROOT_STAMP.read_text(encoding="utf-8") == key):
        return key
    SYSROOT_STAMP.unlink(missing_ok=True)
    with atomic_dir(SYSROOT) as root:
        for name, version in versions.items():
            deb = apt.download(name, version, PLACE / "debs")
            unpack_deb(deb, root)
            deb.unlink()
    write_atomic(SYSROOT_STAMP, key)
    return key


def _environment() -> dict[str, str]:
    libraries = SYSROOT / "usr/lib/aarch64-linux-gnu"
    return {**tools_env(), "PKG_CONFIG": "pkg-config",
            "PKG_CONFIG_SYSROOT_DIR": str(SYSROOT), "PKG_CONFIG_PATH": "",
            "PKG_CONFIG_LIBDIR": f"{libraries}/pkgconfig:"
                                 f"{SYSROOT}/usr/share/pkgconfig"}


def build() -> Path:
    """The emulator for arm64, brought up to date with build/tree."""
    make_tree()
    key = _sysroot()
    env = _environment()
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    configure(TREE, OUT, LOGS / "kernel-configure.log", env, (
        *WORDS, f"--extra-cflags=-isystem {SYSROOT}/usr/include "
        # Has no effect but that other libraries mean another configuration.
        f"-DLIBRARIES=0x{digest}"),
        # Meson looks for a static library only where the compiler says.
        f"{PREFIX}gcc -B{SYSROOT}/usr/lib/aarch64-linux-gnu")
    ninja(OUT, "build QEMU for arm64", [EMULATOR], LOGS / "kernel-build.log",
          env)
    built = OUT / EMULATOR
    if not STRIPPED.is_file() or \
            STRIPPED.stat().st_mtime < built.stat().st_mtime:
        run_step("strip it", [f"{PREFIX}strip", "-o", STRIPPED, built],
                 LOGS / "kernel-strip.log", quiet=True)
    return STRIPPED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    print(build())
    return 0


if __name__ == "__main__":
    run_main(main)
