#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compile this project's kernel modules for the fetched kernel.

The kernel's headers want a newer compiler and C library than Debian 12 has,
so a module is compiled inside of a small Debian 13 system that is unpacked
for it, build/module/root. It is compiled again only when its source, the
kernel or a package of that system changes.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import NamedTuple

from common import BUILD, LOGS, ROOT, UserError, run_main, sha256_file, \
    write_atomic
from debian import PrivateApt, Source
from debian_root import BASE_PACKAGES, Versions, entering, make_root, solve
from guest_fetch import (ARCH, KERNEL_SUITE, RELEASE, STAMP, depends, fetch)
from progress import run_step

PLACE = BUILD / "module"
SYSTEM = PLACE / "root"
SYSTEM_STAMP = PLACE / "root.json"
# Where the sources of modules are inside of the system.
INSIDE = "usr/src"
COMPILER = "gcc-14-aarch64-linux-gnu"
# Without pahole kbuild cannot add type information to the module.
TOOLS = ("make", COMPILER, "kmod", "libelf1t64", "pahole", "xz-utils")
KERNEL_PREFIXES = ("linux-binary-", "linux-image-")


class Module(NamedTuple):
    """A kernel module of this project."""
    name: str                       # without .ko
    place: Path                     # its sources
    headers: tuple[Path, ...] = ()  # those that it shares with others

    @property
    def file(self) -> Path:
        """The compiled module."""
        return PLACE / f"{self.name}.ko"

    @property
    def sources(self) -> list[Path]:
        """All files it is compiled from."""
        return [*self.headers, *sorted(
            path for path in self.place.iterdir()
            if path.suffix in (".c", ".h") or path.name == "Kbuild")]


ACCEL = Module("cxl_accel", ROOT / "tests/guest/cxl-accel")
VFIO_CXL = Module("vfio_cxl_test", ROOT / "tests/kernel/vfio-cxl-test",
                  (ROOT / "include/hw/vfio/vfio-cxl-abi.h",))
MODULES = (ACCEL, VFIO_CXL)


def kernel_release() -> tuple[str, str]:
    """The fetched kernel: its release as uname tells it, its version."""
    packages = json.loads(STAMP.read_text(encoding="utf-8"))["kernel"]
    for name, version in packages.items():
        for prefix in KERNEL_PREFIXES:
            if name.startswith(prefix):
                return name.removeprefix(prefix), version
    raise UserError("build/guest/packages.json names no kernel package: "
                    "remove build/guest and repeat")


def module_apt() -> PrivateApt:
    """The archive that modules and what compiles them come from."""
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
    """Every package of the system that compiles modules."""
    headers = _headers(apt, *kernel_release())
    build = [f"{name}={version}" for name, version in headers.items()
             if name.startswith("linux-kbuild-")]
    return {**solve(apt, [*BASE_PACKAGES, *TOOLS, *build]), **headers}


def make_system() -> str:
    """Have the system in place; returns what it is made of, as a key."""
    recipe = sha256_file(Path(__file__).with_name("debian_root.py"))
    apt = module_apt()
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


def _source_key(system: str, module: Module) -> str:
    """Changes whenever an input of the module may have changed."""
    digest = hashlib.sha256(system.encode())
    for path in module.sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def kbuild(what: str, inside: Path, log: Path) -> None:
    """Compile the modules in a directory of the system."""
    release, _version = kernel_release()
    way = entering(SYSTEM, LOGS / "guest-module-root.log")
    run_step(f"compile {what}",
             [*way, "/usr/bin/env", "-i", "PATH=/usr/bin:/usr/sbin",
              "LC_ALL=C", "make", "-C", f"/usr/src/linux-headers-{release}",
              f"M=/{inside.relative_to(SYSTEM)}", "ARCH=arm64",
              "CROSS_COMPILE=aarch64-linux-gnu-",
              "CC=aarch64-linux-gnu-gcc-14", "KBUILD_MODPOST_WARN=",
              "modules"], log)


def make_module(module: Module) -> Path:
    """The compiled module, compiled again when something changed."""
    fetch()
    stamp = module.file.with_suffix(".key")
    key = _source_key(make_system(), module)
    if module.file.is_file() and stamp.is_file() and stamp.read_text() == key:
        return module.file
    stamp.unlink(missing_ok=True)
    inside = SYSTEM / INSIDE / module.name
    shutil.rmtree(inside, ignore_errors=True)
    inside.mkdir(parents=True)
    for path in module.sources:
        shutil.copyfile(path, inside / path.name)
    kbuild(f"the kernel module {module.name}", inside,
           LOGS / f"module-{module.name}.log")
    temp = module.file.with_suffix(".part")
    shutil.copyfile(inside / module.file.name, temp)
    temp.replace(module.file)
    write_atomic(stamp, key)
    return module.file


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", help="modules to compile: "
                        + ", ".join(module.name for module in MODULES)
                        + "; all when none is named")
    names = parser.parse_args().name
    known = {module.name: module for module in MODULES}
    for name in names or known:
        if name not in known:
            raise UserError(f"no module {name}: there are "
                            + " and ".join(known))
        print(make_module(known[name]))
    return 0


if __name__ == "__main__":
    run_main(main)
