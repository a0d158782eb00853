# SPDX-License-Identifier: GPL-2.0-or-later
"""The base: QEMU's source, from Debian or from where QEMU_SRC points.

Debian's source package is fetched with its archive signature checked by
apt and each file's SHA-256 checked against the ones recorded here. The
source is given out unpacked and only for as long as it is needed: the
build tree's git keeps what was in it.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from common import BUILD, LOGS, UserError, need_space
from debian import PrivateApt, Source
from progress import StepFailed, run_step

PACKAGE = "qemu"
VERSION = "1:10.2.2+ds-1"
RELEASE = "10.2"
DSC = "qemu_10.2.2+ds-1.dsc"
ORIG = "qemu_10.2.2+ds.orig.tar.xz"
DEBIAN = "qemu_10.2.2+ds-1.debian.tar.xz"
FILES = {
    DSC: "f1684b3aa5ec500c3389d346c6501dee45041ea91656c6556d4da9023b7987dd",
    ORIG: "be05230fe47a6937cd29f28f562932c8125f9c93c2a82c625198f7a4aa601dfb",
    DEBIAN: "ddf75aceab4f8f77374f3cb34fc97b41514895aeb293ce8b2ddd5e072bb0f5c0",
}
# The patch of Debian's that lets a source without firmware be built.
BLOBS_PATCH = "debian/patches/skip-unpack-edk2-blobs.patch"


class Base(NamedTuple):
    """An unpacked source."""
    path: Path              # its top directory
    is_tree: bool           # the user's own tree: it may hold build products
    patch: str              # to be applied to it first; "" when none


def _source() -> Path | None:
    given = os.environ.get("QEMU_SRC", "")
    if not given:
        return None
    path = Path(given).expanduser().absolute()
    if not path.exists():
        raise UserError(f"QEMU_SRC={given} does not exist: name a QEMU "
                        f"{RELEASE}.x tree or tarball")
    if BUILD in (path, *path.parents):
        raise UserError(f"QEMU_SRC={given} lies in build/, which holds what "
                        "is made from it: name another tree")
    return path


def origin() -> str:
    """What the base is, in one line that changes when it does.

    A tree of the user's is named "tree PATH"; whether its files changed is
    for the reader to find out.
    """
    path = _source()
    if path is None:
        return f"debian {PACKAGE} {VERSION} {FILES[ORIG]}"
    if path.is_dir():
        return f"tree {path}"
    stat = path.stat()
    return f"tarball {path} {stat.st_size} {stat.st_mtime_ns}"


def _check(path: Path, what: str) -> None:
    """The source must be a QEMU of the right release."""
    version = path / "VERSION"
    if not version.is_file() or not (path / "meson.build").is_file():
        raise UserError(f"{what} is not a QEMU source: it has no VERSION or "
                        "meson.build")
    text = version.read_text().strip()
    if not re.fullmatch(re.escape(RELEASE) + r"\.\d+", text):
        raise UserError(f"{what} is QEMU {text}, must be {RELEASE}.x: the "
                        "series is made for that release")
    if not list(path.glob("subprojects/keycodemapdb/*")):
        raise UserError(f"{what} lacks subprojects/keycodemapdb: use a "
                        "release tarball, or run "
                        "'meson subprojects download' in that tree")


def _unpack(tarball: Path, dest: Path, what: str) -> Path:
    """Unpack a source tarball; return its one top directory."""
    need_space(dest, 1500, f"unpacking {what}")
    try:
        run_step(f"unpack {what}",
                 ["tar", "-xf", tarball, "-C", dest, "--no-same-owner"],
                 LOGS / "unpack.log")
    except StepFailed as failed:
        said = re.findall(r"tar: (.*)", failed.log.read_text())
        raise UserError(f"cannot unpack {what}: "
                        f"{said[0] if said else 'tar failed'} "
                        f"(full log: {failed.log})") from None
    tops = [p for p in dest.iterdir() if p.is_dir()]
    if len(tops) != 1:
        raise UserError(f"{what} is not a source tarball: it has "
                        f"{len(tops)} top directories, must be 1")
    return tops[0]


def fetch_files(names: list[str], dest: Path) -> list[Path]:
    """Bring files of Debian's source package, verified, into `dest`."""
    apt = PrivateApt(BUILD / "apt" / "base", [Source("deb-src", "unstable")])
    return apt.download_source(PACKAGE, VERSION,
                               {name: FILES[name] for name in names}, dest)


def _blobs_patch(path: Path, temp: Path) -> str:
    """Debian's patch when the source lacks the firmware and the patch."""
    if list((path / "pc-bios").glob("edk2-*.fd.bz2")):
        return ""
    build_file = (path / "pc-bios" / "meson.build").read_text()
    if "unpack_edk2_blobs and false" in build_file:
        return ""
    tarball = temp / DEBIAN
    if not tarball.exists():
        fetch_files([DEBIAN], temp)
    return subprocess.run(["tar", "-xOf", str(tarball), BLOBS_PATCH],
                          check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def unpacked() -> Iterator[Base]:
    """The base's source for the length of a with statement.

    Whatever was fetched or unpacked for it is removed at the end; the
    downloads stay in the user's cache.
    """
    path = _source()
    BUILD.mkdir(parents=True, exist_ok=True)
    for stale in BUILD.glob(".base.*"):
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".base.", dir=BUILD,
                                     ignore_cleanup_errors=True) as name:
        temp = Path(name)
        (temp / "src").mkdir()
        if path is None:
            what = f"QEMU {VERSION}"
            files = fetch_files(list(FILES), temp)
            top = _unpack(files[list(FILES).index(ORIG)], temp / "src", what)
        elif path.is_dir():
            what = f"QEMU_SRC={path}"
            top = path
        else:
            what = f"QEMU_SRC={path}"
            top = _unpack(path, temp / "src", what)
        _check(top, what)
        yield Base(top, path is not None and path.is_dir(),
                   _blobs_patch(top, temp))
