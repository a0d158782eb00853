#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetch what the guest is made of: Debian's arm64 kernel and a few tools.

Nothing here names a version: the kernel is the newest that reaches a
minimum, the tools are the newest of the same release, and the libraries
they need follow from the packages' own dependencies. The result lies in
build/guest/ and is kept until `FRESH=1` asks for newer packages.
"""

import argparse
import json
import os
import re
import shutil
from pathlib import Path

from common import (BUILD, UserError, atomic_dir, run_main, sha256_file,
                    write_atomic)
from debian import PrivateApt, Source, unpack_deb

GUEST = BUILD / "guest"
STAMP = GUEST / "packages.json"
ARCH = "arm64"
RELEASE = "trixie"
KERNEL_SUITE = f"{RELEASE}-backports"
KERNEL_META = "linux-image-arm64"
# The first kernel whose sfc driver attaches CXL Type-2 memory.
KERNEL_MINIMUM = "7.3"
# The package that holds /usr/bin/cxl was renamed more than once.
CXL_PACKAGES = ("cxl", "cxl-cli", "ndctl")
OTHER_TOOLS = ("daxctl", "busybox-static")
# Tools are only those named above; what they depend on is a library.
LIBRARY_NAMES = ("lib", "zlib")

Versions = dict[str, str]


def depends(record: dict[str, str]) -> list[list[tuple[str, str]]]:
    """The dependencies of a package: for each, its alternatives.

    An alternative is (name, exact version or "").
    """
    fields = ", ".join(record[f] for f in ("Pre-Depends", "Depends")
                       if f in record)
    groups = []
    for group in filter(None, (g.strip() for g in fields.split(","))):
        names = []
        for item in group.split("|"):
            name = re.split(r"[\s(:\[]", item.strip(), maxsplit=1)[0]
            exact = re.search(r"\(\s*=\s*([^)\s]+)\s*\)", item)
            names.append((name, exact[1] if exact else ""))
        groups.append(names)
    return groups


def kernel_packages(apt: PrivateApt) -> Versions:
    """Follow linux-image-arm64 to the packages that hold the kernel.

    Newer kernels are split (linux-image-V depends on linux-binary-V and
    linux-modules-V); older ones have all in linux-image-V.
    """
    meta = apt.newest(KERNEL_META, KERNEL_MINIMUM)
    image = _exact(apt, apt.show(KERNEL_META, meta), "linux-image-")
    if not image:
        raise UserError(f"package {KERNEL_META} {meta} depends on no "
                        "linux-image-VERSION: the packages were reorganised")
    name, version = image
    parts = {}
    record = apt.show(name, version)
    for prefix in ("linux-binary-", "linux-modules-"):
        part = _exact(apt, record, prefix)
        if part:
            parts[part[0]] = part[1]
    return parts if len(parts) == 2 else {name: version}


def _exact(apt: PrivateApt, record: dict[str, str],
           prefix: str) -> tuple[str, str] | None:
    """The dependency whose name starts with `prefix`, with its version."""
    for alternatives in depends(record):
        for name, version in alternatives:
            if name.startswith(prefix):
                return name, version or apt.newest(name)
    return None


def tool_packages(apt: PrivateApt) -> Versions:
    """The tools and, by their dependencies, all libraries below them."""
    found: Versions = {}
    todo = [list(CXL_PACKAGES)] + [[name] for name in OTHER_TOOLS]
    while todo:
        names = todo.pop(0)
        if any(name in found for name in names):
            continue
        name = _first_known(apt, names, found)
        for alternatives in depends(apt.show(name, found[name])):
            libs = [n for n, _ in alternatives if n.startswith(LIBRARY_NAMES)]
            if libs:
                todo.append(libs)
    return found


def _first_known(apt: PrivateApt, names: list[str], found: Versions) -> str:
    """Enter the first of the alternatives that the archive has."""
    for name in names[:-1]:
        try:
            found[name] = apt.newest(name)
            return name
        except UserError:
            continue
    found[names[-1]] = apt.newest(names[-1])
    return names[-1]


def _unpack(apt: PrivateApt, packages: Versions, dest: Path) -> None:
    with atomic_dir(dest) as temp:
        for name, version in packages.items():
            unpack_deb(apt.download(name, version, GUEST / "debs"), temp)


def _recipe() -> str:
    """Changes when this file's choices may have changed."""
    return sha256_file(Path(__file__))


def is_fresh() -> bool:
    """Whether what lies in build/guest is whole and of this recipe."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (stamp.get("recipe") == _recipe()
            and not os.environ.get("FRESH")
            and (GUEST / "kernel").is_dir() and (GUEST / "tools").is_dir())


def fetch() -> None:
    """Bring kernel and tools into build/guest/; nothing to do when warm."""
    if is_fresh():
        return
    GUEST.mkdir(parents=True, exist_ok=True)
    STAMP.unlink(missing_ok=True)
    apt = PrivateApt(BUILD / "apt/guest", [
        Source("deb", RELEASE, ARCH), Source("deb", KERNEL_SUITE, ARCH)])
    kernel = kernel_packages(apt)
    tools = tool_packages(apt)
    _unpack(apt, kernel, GUEST / "kernel")
    _unpack(apt, tools, GUEST / "tools")
    shutil.rmtree(GUEST / "debs", ignore_errors=True)
    write_atomic(STAMP, json.dumps(
        {"recipe": _recipe(), "kernel": kernel, "tools": tools},
        indent=1) + "\n")
    print("guest packages: " + ", ".join(
        f"{name} {version}" for name, version in kernel.items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    fetch()
    return 0


if __name__ == "__main__":
    run_main(main)
