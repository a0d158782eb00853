#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the guest's kernel image and initramfs in build/guest/.

The initramfs holds busybox, the cxl and daxctl tools with the libraries
they load, the stock kernel modules of the CXL stack and of the sfc driver,
our own driver, and the test programs and the init of tests/guest. The same
inputs give the same bytes, and it is made again only when an input changes.
"""

import argparse
import gzip
import hashlib
import io
import json
import lzma
import shutil
import stat
import subprocess
from pathlib import Path

from common import BUILD, ROOT, UserError, run_main, write_atomic
from guest_elf import module_info, needed
from guest_fetch import GUEST, STAMP, fetch
from guest_module import ACCEL, make_module
from progress import run_step

SOURCES = ROOT / "tests/guest"
VMLINUZ = GUEST / "vmlinuz"
INITRAMFS = GUEST / "initramfs.gz"
KEY = GUEST / "initramfs.key"
CROSS_CC = "aarch64-linux-gnu-gcc"
CFLAGS = ("-static", "-O2", "-Wall", "-Wextra", "-Werror", "-s",
          "-pthread")
# Each program with its sources besides SOURCES/NAME.c.
PROGRAMS: dict[str, tuple[str, ...]] = {
    "hdm-check": ("guest-mem.c",),
    "cxl-regs": ("guest-mem.c",),
    "accel-check": ("guest-mem.c", "accel-test.c", "accel-test-mem.c",
                    "accel-test-irq.c", "accel-test-engine.c",
                    "accel-test-bind.c"),
    "hdm-bench": ("guest-mem.c", "bench-loops.c", "bench-target.c"),
}
SCRIPTS = ("bench-setup", "cxl-state")
TOOLS = ("cxl", "daxctl")
# In this order a stock guest assembles a committed region.
CXL_MODULES = ("libnvdimm", "cxl_pmem", "cxl_acpi", "cxl_mem")
SFC_MODULES = ("mtd", "sfc")
# QEMU's emulated memory device, which the benchmark compares with.
TYPE3_MODULES = ("cxl_pci", "device_dax", "dax_hmem", "dax_cxl")
LIBRARY_DIRS = ("usr/lib/aarch64-linux-gnu", "lib/aarch64-linux-gnu",
                "usr/lib", "lib")


# --- programs --------------------------------------------------------------

def build_programs() -> None:
    """Cross-compile the test programs, statically, into build/guest/."""
    if not shutil.which(CROSS_CC):
        raise UserError(f"{CROSS_CC} is missing: install packages "
                        "gcc-aarch64-linux-gnu and libc6-dev-arm64-cross")
    for name, more in PROGRAMS.items():
        run_step(f"compile {name} for the guest",
                 [CROSS_CC, *CFLAGS, "-I", ACCEL.place, "-o", GUEST / name,
                  *(SOURCES / part for part in (f"{name}.c", *more))],
                 BUILD / f"log/guest-{name}.log")


# --- cpio ------------------------------------------------------------------

class Cpio:
    """A "newc" archive in memory, the same bytes for the same content."""

    def __init__(self) -> None:
        self.out = io.BytesIO()
        self.seen: set[str] = set()

    def _entry(self, name: str, mode: int, data: bytes = b"",
               device: tuple[int, int] = (0, 0)) -> None:
        raw = name.encode() + b"\0"
        inode = len(self.seen) + 1
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device,
                  len(raw), 0)
        self.out.write(b"070701" + b"".join(b"%08X" % f for f in fields))
        self.out.write(raw)
        self._pad()
        self.out.write(data)
        self._pad()
        self.seen.add(name)

    def _pad(self) -> None:
        self.out.write(b"\0" * (-self.out.tell() % 4))

    def directory(self, name: str) -> None:
        """Add a directory and those above it, once."""
        if not name or name in self.seen:
            return
        self.directory(name.rpartition("/")[0])
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, data: bytes, mode: int = 0o755) -> None:
        self.directory(name.rpartition("/")[0])
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name: str, target: str) -> None:
        self.directory(name.rpartition("/")[0])
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def node(self, name: str, major: int, minor: int) -> None:
        self.directory(name.rpartition("/")[0])
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def finish(self) -> bytes:
        self._entry("TRAILER!!!", 0)
        return self.out.getvalue()


# --- kernel ----------------------------------------------------------------

def find_kernel() -> Path:
    """The kernel image among the unpacked packages."""
    root = GUEST / "kernel"
    found = sorted([*root.glob("usr/lib/modules/*/vmlinuz"),
                    *root.glob("lib/modules/*/vmlinuz"),
                    *root.glob("boot/vmlinu[xz]-*")])
    if len(found) != 1:
        raise UserError(f"{len(found)} kernel images in {root}, must be 1: "
                        "remove build/guest and repeat")
    return found[0]


class Modules:
    """The unpacked packages' kernel modules by name."""

    def __init__(self) -> None:
        self.paths = {path.name.split(".ko")[0].replace("-", "_"): path
                      for path in (GUEST / "kernel").rglob("*.ko*")}
        self.images: dict[str, bytes] = {}

    def load(self, name: str) -> bytes:
        """A module's file, decompressed."""
        if name not in self.images:
            path = self.paths[name]
            data = path.read_bytes()
            if path.suffix == ".xz":
                data = lzma.decompress(data)
            elif path.suffix == ".gz":
                data = gzip.decompress(data)
            elif path.suffix == ".zst":
                data = subprocess.run(["zstd", "-dcq"], input=data,
                                      capture_output=True, check=True).stdout
            self.images[name] = data
        return self.images[name]

    def order(self, wanted: tuple[str, ...]) -> list[str]:
        """The modules to load for `wanted`, dependencies first.

        A wanted module that has no file is taken for built in; the guest's
        report shows it when that is wrong.
        """
        result: list[str] = []

        def visit(name: str) -> None:
            if name in result or name not in self.paths:
                return
            info = module_info(self.load(name), str(self.paths[name]))
            for dep in info.get("depends", "").split(","):
                visit(dep.replace("-", "_"))
            result.append(name)

        for name in wanted:
            visit(name)
        return result


# --- libraries -------------------------------------------------------------

def find_tool(name: str) -> Path:
    for place in ("usr/bin", "bin", "usr/sbin", "sbin"):
        path = GUEST / "tools" / place / name
        if path.exists():
            return path
    raise UserError(f"the fetched packages have no program {name}: "
                    "remove build/guest and repeat")


def library_closure(programs: list[Path]) -> dict[str, bytes]:
    """All shared libraries (by the name asked for) that programs load."""
    found: dict[str, bytes] = {}
    todo = [(path, path.read_bytes()) for path in programs]
    while todo:
        user, image = todo.pop()
        for name in needed(image, str(user)):
            if name not in found:
                path = _find_library(name, user)
                found[name] = path.read_bytes()
                todo.append((path, found[name]))
    return found


def _find_library(name: str, user: Path) -> Path:
    for place in LIBRARY_DIRS:
        path = GUEST / "tools" / place / name
        if path.is_file():
            return path
    raise UserError(f"library {name}, needed by {user.name}, is in none of "
                    "the fetched packages: remove build/guest and repeat")


# --- the image -------------------------------------------------------------

def pack() -> bytes:
    """The initramfs, uncompressed."""
    cpio = Cpio()
    for name in ("proc", "sys", "dev", "tmp", "run", "etc", "root", "sbin"):
        cpio.directory(name)
    cpio.node("dev/console", 5, 1)
    cpio.node("dev/null", 1, 3)
    cpio.file("init", (SOURCES / "init").read_bytes())
    cpio.file("bin/busybox", find_tool("busybox").read_bytes())
    cpio.link("bin/sh", "busybox")
    for name in PROGRAMS:
        cpio.file(f"bin/{name}", (GUEST / name).read_bytes())
    for name in SCRIPTS:
        cpio.file(f"bin/{name}", (SOURCES / name).read_bytes())
    tools = [find_tool(name) for name in TOOLS]
    for path in tools:
        cpio.file(f"bin/{path.name}", path.read_bytes())
    for name, image in sorted(library_closure(tools).items()):
        cpio.file(f"lib/{name}", image)
    modules = Modules()
    base = modules.order(CXL_MODULES)
    cpio.file("modules/cxl.list", _lines(base), 0o644)
    all_names = list(base)
    for list_name, wanted in (("sfc", SFC_MODULES),
                              ("type3", TYPE3_MODULES)):
        more = [n for n in modules.order(CXL_MODULES + wanted)
                if n not in base]
        cpio.file(f"modules/{list_name}.list", _lines(more), 0o644)
        all_names += [n for n in more if n not in all_names]
    for name in all_names:
        cpio.file(f"modules/{name}.ko", modules.load(name), 0o644)
    cpio.file(f"modules/{ACCEL.file.name}", ACCEL.file.read_bytes(), 0o644)
    cpio.file("modules/accel.list", _lines([ACCEL.name]), 0o644)
    return cpio.finish()


def _lines(names: list[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _input_key() -> str:
    """Changes whenever an input of the image may have changed."""
    digest = hashlib.sha256()
    inputs = [Path(__file__), Path(__file__).with_name("guest_elf.py"), STAMP,
              ACCEL.file, ACCEL.place / "cxl-accel.h",
              *sorted(p for p in SOURCES.iterdir() if p.suffix in (".c", ".h")
                      or p.name == "init" or p.name in SCRIPTS)]
    for path in inputs:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def make_image() -> None:
    """Fetch, compile and pack what is missing or out of date."""
    fetch()
    make_module(ACCEL)
    key = _input_key()
    if (KEY.is_file() and KEY.read_text() == key and VMLINUZ.is_file()
            and INITRAMFS.is_file()):
        return
    KEY.unlink(missing_ok=True)
    build_programs()
    packed = gzip.compress(pack(), compresslevel=6, mtime=0)
    temp = INITRAMFS.with_suffix(".part")
    temp.write_bytes(packed)
    temp.replace(INITRAMFS)
    VMLINUZ.unlink(missing_ok=True)
    VMLINUZ.symlink_to(find_kernel().relative_to(GUEST))
    write_atomic(KEY, key)
    print(f"guest image: {INITRAMFS.relative_to(ROOT)}, "
          f"{len(packed) / 1e6:.1f} MB")


def kernel_version() -> str:
    """The version of the fetched kernel package."""
    kernel = json.loads(STAMP.read_text(encoding="utf-8"))["kernel"]
    return str(next(iter(kernel.values())))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    make_image()
    return 0


if __name__ == "__main__":
    run_main(main)
