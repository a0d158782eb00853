#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compile iommufd and VFIO with it for the fetched kernel.

Debian's arm64 kernels are built without iommufd. These are the sources of the
very same version, from Debian's package linux-source, compiled as modules
with it on; tests/kernel/iommufd has how. Our vfio_cxl_test comes out once
more too, since its structures differ then.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from common import LOGS, ROOT, UserError, atomic_dir, need_space, run_main, \
    write_atomic
from debian import PrivateApt, unpack_deb
from guest_fetch import fetch
from guest_module import (PLACE, SYSTEM, VFIO_CXL, kbuild, kernel_release,
                          make_system, module_apt)
from progress import run_step

RECIPE = ROOT / "tests/kernel/iommufd"
RESULT = PLACE / "iommufd"
KEY = PLACE / "iommufd.key"
# In the order in which they can be loaded.
MODULES = ("iommufd.ko", "vfio.ko", "vfio_iommu_type1.ko", "vfio-pci-core.ko",
           f"{VFIO_CXL.name}.ko")
# What is taken of the kernel's source.
WANTED = ("drivers/iommu", "drivers/vfio", "lib/interval_tree.c")


def _source(apt: PrivateApt, dest: Path) -> None:
    """The kernel's sources, of its own version, changed as we need them."""
    _release, version = kernel_release()
    name = "linux-source-" + ".".join(re.split(r"[.~-]", version)[:2])
    need_space(PLACE, 500, "unpacking the kernel's source")
    with tempfile.TemporaryDirectory(dir=PLACE) as temp:
        deb = apt.download(name, version, Path(temp))
        unpack_deb(deb, Path(temp) / "deb")
        run_step("unpack the kernel's sources of iommufd and VFIO",
                 ["tar", "-C", dest, "--strip-components=1", "-xJf",
                  Path(temp) / f"deb/usr/src/{name}.tar.xz",
                  *(f"{name}/{path}" for path in WANTED)],
                 LOGS / "module-iommufd-unpack.log")
    # The kernel has these functions; here they are for iommufd alone.
    tree = dest / "lib/interval_tree.c"
    tree.write_text(re.sub(r"(?m)^EXPORT_SYMBOL.*\n", "", tree.read_text()))
    for patch in sorted(RECIPE.glob("*.patch")):
        done = subprocess.run(["patch", "-p1", "-s", "-i", str(patch)],
                              cwd=dest, capture_output=True, text=True,
                              check=False)
        if done.returncode:
            raise UserError(f"{patch.relative_to(ROOT)} does not fit Linux "
                            f"{version}: {done.stdout.strip()}")


def _key(system: str) -> str:
    """Changes whenever an input of the modules may have changed."""
    digest = hashlib.sha256(system.encode())
    for path in [Path(__file__), *sorted(RECIPE.iterdir()),
                 *VFIO_CXL.sources]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def make_iommufd() -> list[Path]:
    """The compiled modules, in the order in which they can be loaded."""
    fetch()
    result = [RESULT / name for name in MODULES]
    key = _key(make_system())
    if (KEY.is_file() and KEY.read_text() == key
            and all(path.is_file() for path in result)):
        return result
    KEY.unlink(missing_ok=True)
    inside = SYSTEM / "usr/src/iommufd"
    shutil.rmtree(inside, ignore_errors=True)
    inside.mkdir(parents=True)
    _source(module_apt(), inside)
    shutil.copyfile(RECIPE / "Kbuild", inside / "Kbuild")
    (inside / VFIO_CXL.name).mkdir()
    for path in VFIO_CXL.sources:
        shutil.copyfile(path, inside / VFIO_CXL.name / path.name)
    kbuild("iommufd and VFIO with it", inside, LOGS / "module-iommufd.log")
    with atomic_dir(RESULT) as temp:
        for path in inside.rglob("*.ko"):
            shutil.copyfile(path, temp / path.name)
    write_atomic(KEY, key)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    for path in make_iommufd():
        print(path)
    return 0


if __name__ == "__main__":
    run_main(main)
