#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the initramfs of the machine in the middle, in build/kernel/.

It is the host of a nested guest: the kernel is the guest's own, and the
initramfs holds busybox, the modules of VFIO with our vfio_cxl_test, stock and
with iommufd, programs that test it, our emulator for arm64, and what that
emulator boots: firmware, kernel and initramfs of the guest. It is not
compressed, as it goes from one memory to another. It is made again only when
an input changes.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import kernel_qemu
from common import ROOT, UserError, run_main, sha256_file, write_atomic
from guest_image import (INITRAMFS, VMLINUZ, Cpio, Modules, find_tool,
                         make_image)
from guest_module import VFIO_CXL, make_module
from kernel_check import make_check
from kernel_iommufd import make_iommufd
from kernel_qemu import PLACE

FIRMWARE = Path("/usr/share/qemu-efi-aarch64/QEMU_EFI.fd")
SOURCES = ROOT / "tests/kernel"
IMAGE = PLACE / "initramfs.cpio"
KEY = PLACE / "initramfs.key"
# The stock modules, without iommufd as Debian has none.
STOCK_MODULES = ("vfio", "vfio_iommu_type1", "vfio_pci_core")
# Where the parts of the nested guest are inside of the image.
INSIDE = "guest"


def parts(emulator: Path, check: Path) -> dict[str, Path]:
    """The files besides modules: name in the image -> file."""
    return {
        "init": SOURCES / "init",
        "bin/dma-check": SOURCES / "dma-check",
        "bin/busybox": find_tool("busybox"),
        "bin/qemu-system-aarch64": emulator,
        f"bin/{check.name}": check,
        f"{INSIDE}/QEMU_EFI.fd": FIRMWARE,
        f"{INSIDE}/vmlinuz": VMLINUZ.resolve(),
        f"{INSIDE}/initramfs.gz": INITRAMFS,
    }


def module_sets() -> dict[str, list[tuple[str, bytes]]]:
    """The modules of VFIO in the order of loading: set -> (name, file)."""
    modules = Modules()
    stock = [(name, modules.load(name))
             for name in modules.order(STOCK_MODULES)]
    stock.append((VFIO_CXL.name, make_module(VFIO_CXL).read_bytes()))
    return {"stock": stock,
            "iommufd": [(path.stem, path.read_bytes())
                        for path in make_iommufd()]}


def pack(files: dict[str, Path],
         sets: dict[str, list[tuple[str, bytes]]]) -> bytes:
    """The initramfs."""
    cpio = Cpio()
    for name in ("proc", "sys", "dev", "tmp", "run", "etc", "root"):
        cpio.directory(name)
    cpio.node("dev/console", 5, 1)
    cpio.node("dev/null", 1, 3)
    for name, path in files.items():
        cpio.file(name, path.read_bytes())
    cpio.link("bin/sh", "busybox")
    for place, modules in sets.items():
        for name, data in modules:
            cpio.file(f"modules/{place}/{name}.ko", data, 0o644)
        cpio.file(f"modules/{place}/list",
                  "".join(f"{name}\n" for name, _ in modules).encode(), 0o644)
    return cpio.finish()


def make() -> Path:
    """Build and pack what is missing or out of date."""
    make_image()
    files = parts(kernel_qemu.build(), make_check())
    sets = module_sets()
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name, path in files.items():
        if not path.is_file():
            raise UserError(f"{path} is missing")
        digest.update(f"{name} {sha256_file(path)}\n".encode())
    for place, modules in sets.items():
        for name, data in modules:
            digest.update(f"{place} {name}\n".encode() + data)
    key = digest.hexdigest()
    if IMAGE.is_file() and KEY.is_file() and KEY.read_text() == key:
        return IMAGE
    KEY.unlink(missing_ok=True)
    packed = pack(files, sets)
    temp = IMAGE.with_suffix(".part")
    temp.write_bytes(packed)
    temp.replace(IMAGE)
    write_atomic(KEY, key)
    print(f"image of the nested guest's host: {IMAGE.relative_to(ROOT)}, "
          f"{len(packed) / 1e6:.0f} MB", file=sys.stderr, flush=True)
    return IMAGE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    print(make())
    return 0


if __name__ == "__main__":
    run_main(main)
