#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compile the guest's accelerator driver for the fetched kernel.

The kernel's headers want a newer compiler and C library than Debian 12 has,
so the module is compiled inside of a small Debian 13 system that is unpacked
for it, build/module/root. It is compiled again only when its source, the
kernel or a package of that system changes.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from common import BUILD, LOGS, ROOT, UserError, run_main, sha256_file, \
    write_atomic
from debian import PrivateApt, Source
from debian_root import BASE_PACKAGES, Versions, entering, make_root, solve
from guest_fetch import (ARCH, KERNEL_SUITE, RELEASE, STAMP, depends, fetch)
from progress import run_step

SOURCES = ROOT / "tests/guest/cxl-accel"
PLACE = BUILD / "module"
SYSTEM = PLACE / "root"
SYSTEM_STAMP = PLACE / "root.json"
MODULE = PLACE / "cxl_accel.ko"
KEY = PLACE / "module.key"
# Where the source is inside of the system.
INSIDE = "usr/src/cxl-accel"
COMPILER = "gcc-14-aarch64-linux-gnu"
# Without pahole kbuild cannot add type information to the module.
TOOLS = ("make", COMPILER, "kmod", "libelf1t64", "pahole", "xz-utils")
KERNEL_PREFIXES = ("linux-binary-", "linux-image-")


def kernel_release() -> tuple[str, str]:
    """The fetched kernel: its release as uname tells it, its version."""
    packages = json.loads(STAMP.read_text(encoding="utf-8"))["kernel"]
    for name, version in packages.items():
        for prefix in KERNEL_PREFIXES:
            if name.startswith(prefix):
                return name.removeprefix(prefix), version
    raise UserError("build/guest/packages.json names no kernel package: "
                    "remove build/guest and repeat")


def _apt() -> PrivateApt:
    return PrivateApt(BUILD / "apt/module", [
        Source("deb", suite, arch) for arch in ("", ARCH)
        for suite in (RELEASE, KERNEL_SUITE)])


def _headers(apt: PrivateApt, release: str, version: str) -> Versions:
    """The packages with the kernel's headers and its build programs.

    They are of the kernel's own version; others would make a module that
    the guest refuses.
    """
    headers = f"linux-headers-{release}:{ARCH}"
    found = {headers: version}
    for alternatives in depends(apt.show(headers, version)):
        name = alternatives[0][0]
        if name.startswith(("linux-headers-", "linux-kbuild-")):
            found[name] = version
    if len(found) != 3:
        raise UserError(f"package {headers} {version} depends on "
                        f"{len(found) - 1} linux-headers and linux-kbuild "
                        "packages, must be 2: the packages were reorganised")
    return found


def system_packages(apt: PrivateApt) -> Versions:
    """Every package of the system that compiles the module."""
    headers = _headers(apt, *kernel_release())
    build = [f"{name}={version}" for name, version in headers.items()
             if name.startswith("linux-kbuild-")]
    return {**solve(apt, [*BASE_PACKAGES, *TOOLS, *build]), **headers}


def _system() -> str:
    """Have the system in place; returns what it is made of, as a key."""
    recipe = sha256_file(Path(__file__).with_name("debian_root.py"))
    apt = _apt()
    key = json.dumps({"recipe": recipe, "packages": system_packages(apt)},
                     indent=1, sort_keys=True) + "\n"
    if (SYSTEM.is_dir() and SYSTEM_STAMP.is_file()
            and SYSTEM_STAMP.read_text(encoding="utf-8") == key):
        return key
    SYSTEM_STAMP.unlink(missing_ok=True)
    PLACE.mkdir(parents=True, exist_ok=True)
    apt.root.mkdir(parents=True, exist_ok=True)
    make_root(apt, json.loads(key)["packages"], SYSTEM)
    write_atomic(SYSTEM_STAMP, key)
    return key


def _source_key(system: str) -> str:
    """Changes whenever an input of the module may have changed."""
    digest = hashlib.sha256(system.encode())
    for path in sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def sources() -> list[Path]:
    """The files the module is compiled from."""
    return sorted(path for path in SOURCES.iterdir()
                  if path.suffix in (".c", ".h") or path.name == "Kbuild")


def make_module() -> Path:
    """The compiled module, compiled again when something changed."""
    fetch()
    key = _source_key(_system())
    if MODULE.is_file() and KEY.is_file() and KEY.read_text() == key:
        return MODULE
    KEY.unlink(missing_ok=True)
    release, _version = kernel_release()
    inside = SYSTEM / INSIDE
    shutil.rmtree(inside, ignore_errors=True)
    inside.mkdir(parents=True)
    for path in sources():
        shutil.copyfile(path, inside / path.name)
    way = entering(SYSTEM, LOGS / "guest-module-root.log")
    run_step("compile the driver for the guest",
             [*way, "/usr/bin/env", "-i", "PATH=/usr/bin:/usr/sbin",
              "LC_ALL=C", "make", "-C", f"/usr/src/linux-headers-{release}",
              f"M=/{INSIDE}", "ARCH=arm64",
              "CROSS_COMPILE=aarch64-linux-gnu-",
              "CC=aarch64-linux-gnu-gcc-14", "KBUILD_MODPOST_WARN=",
              "modules"], LOGS / "guest-module.log")
    temp = MODULE.with_suffix(".part")
    shutil.copyfile(inside / MODULE.name, temp)
    temp.replace(MODULE)
    write_atomic(KEY, key)
    return MODULE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    print(make_module())
    return 0


if __name__ == "__main__":
    run_main(main)
