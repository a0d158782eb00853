#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Configure and build build/tree in build/out.

Without arguments: the tree, the emulator and the reference device.
--tests also builds the unit tests and qtests that `make check` runs.
"""

import argparse
import functools
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from common import (BUILD, LOGS, ROOT, UserError, atomic_dir, need_space,
                    run_main, write_atomic)
from debian import PrivateApt, Source, codename, unpack_deb
from progress import run_step
from tree import TREE, make_tree

OUT = BUILD / "out"
TOOLS = BUILD / "tools"
EMULATOR = "qemu-system-aarch64"
SERVER = "vfio-user-cxl"
PYTHON = "/usr/bin/python3"
MESON_MINIMUM = "1.5"
# Programs to test with: QEMU's own qtests beside those of the series.
BASE_QTESTS = ("cxl-test", "qom-test", "qmp-test", "device-introspect-test")
# Built like those, but run by acpi_tables.py.
ACPI_TEST = "bios-tables-test"

CONFIGURE = (
    f"--python={PYTHON}",
    "--target-list=aarch64-softmmu",
    "--without-default-features",
    "--enable-tcg", "--enable-fdt", "--enable-pixman",
    "--disable-install-blobs", "--disable-docs", "--disable-download",
    "--disable-tools",
    "--enable-werror",
    # Without a fixed word here the version would be that of build/tree's
    # newest commit, and each new commit would link everything again.
    "--with-pkgversion=CXL Type-2",
)

# Debian's source has no firmware; its packages do. The emulator finds these
# files, and so it needs no -L where it runs from the build. Later patterns
# win where names are equal.
BOOTROMS = BUILD / "bootroms"
FIRMWARE = ("/usr/lib/ipxe/qemu/*.rom", "/usr/share/seabios/*.bin",
            "/usr/share/qemu-efi-aarch64/*.fd",
            str(TOOLS / "usr/share/qemu/*_bootrom.bin"),
            str(TREE / "pc-bios/*_bootrom.bin"),
            str(BOOTROMS / "*/*_bootrom.bin"))
FIRMWARE_DIR = "qemu-bundle/usr/local/share/qemu-firmware"


# --- meson -----------------------------------------------------------------

def tools_env() -> dict[str, str]:
    """The environment in which configure, meson and ninja run.

    Makes meson and pycotap available, privately: Debian 12's own meson is
    too old, Debian 12's backports and later releases have both.
    qemu-system-data has the one boot ROM that takes a 32-bit Arm compiler
    to build; see build_bootroms().
    """
    packages = TOOLS / "usr/lib/python3/dist-packages"
    if not (TOOLS / ".complete").is_file():
        _fetch_tools()
    path = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": f"{packages}:{path}" if path else str(packages)}


def _fetch_tools() -> None:
    release = codename()
    if not release:
        raise UserError("/etc/os-release has no VERSION_CODENAME: Debian 12 "
                        "or 13 is needed")
    suite = "bookworm-backports" if release == "bookworm" else release
    apt = PrivateApt(BUILD / "apt" / "tools", [Source("deb", suite)])
    shutil.rmtree(TOOLS, ignore_errors=True)
    for package, minimum in (("meson", MESON_MINIMUM),
                             ("python3-pycotap", "1.1.0"),
                             ("qemu-system-data", "1:7.0")):
        version = apt.newest(package, minimum)
        deb = apt.download(package, version, BUILD / "apt" / "tools")
        unpack_deb(deb, TOOLS)
        deb.unlink()
    write_atomic(TOOLS / ".complete", "")


# --- configure -------------------------------------------------------------

def compiler(cc: str = "") -> str:
    """The C compiler to configure with: through ccache when it is there."""
    cc = cc or os.environ.get("CC", "cc")
    return f"ccache {cc}" if shutil.which("ccache") and "ccache" not in cc \
        else cc


def configure(tree: Path, out: Path, log: Path, env: dict[str, str],
              extra: tuple[str, ...] = (), cc: str = "") -> None:
    """Configure `tree` in `out` unless that was done with these words.

    extra: words after those of CONFIGURE, which they can take back
    cc:    the C compiler, instead of the machine's own
    """
    cc = compiler(cc)
    argv = [str(tree / "configure"), *CONFIGURE, *extra, f"--cc={cc}"]
    stamp = out / ".configured"
    # Another compiler means another result of every check.
    version = subprocess.run([*cc.split(), "--version"], check=False,
                             capture_output=True, text=True).stdout
    want = hashlib.sha256("\0".join([*argv, version]).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == want and \
            (out / "build.ninja").is_file():
        return
    need_space(out, 3000, "building QEMU")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    run_step("configure QEMU", argv, log, env=env, cwd=out)
    # ninja may run meson again without our environment, by hand.
    packages = TOOLS / "usr/lib/python3/dist-packages"
    for site in out.glob("pyvenv/lib/python3*/site-packages"):
        write_atomic(site / "cxl-tools.pth", f"{packages}\n")
    write_atomic(stamp, want)


# --- ninja -----------------------------------------------------------------

def linked_programs(out: Path) -> dict[str, str]:
    """The programs that the build can link: name -> path below `out`."""
    plan = out / "build.ninja"
    return _linked_programs(plan, plan.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _linked_programs(plan: Path, _version: int) -> dict[str, str]:
    text = plan.read_text()
    found = re.findall(r"^build ([^\s:$]+): c(?:pp)?_LINKER(?:_RSP)?\b", text,
                       re.MULTILINE)
    return {Path(path).name: path for path in found}


def series_tests(tree: Path, pattern: str) -> list[str]:
    """Names of the tests that the series adds, by their files' pattern."""
    return [path.stem for path in sorted(ROOT.glob(pattern))
            if (tree / path.relative_to(ROOT)).is_file()]


def unit_tests(tree: Path) -> list[str]:
    """Our unit tests that the tree has."""
    return (series_tests(tree, "tests/unit/test-*.c")
            + series_tests(tree, "contrib/*/test-*.c"))


def qtests(tree: Path) -> list[str]:
    """Our qtests that the tree has, then the base's."""
    return [*series_tests(tree, "tests/qtest/*-test.c"), *BASE_QTESTS]


def ninja(out: Path, title: str, names: list[str], log: Path,
          env: dict[str, str]) -> None:
    """Build programs by their names; names that are unknown are refused."""
    if not linked_programs(out).keys() >= set(names):
        # build.ninja may be older than the meson.build files: renew it.
        run_step(f"{title}: plan", ["ninja", "-C", out, "build.ninja"],
                 log, env=env)
    known = linked_programs(out)
    for name in names:
        if name not in known:
            raise UserError(f"{name} is not built: no meson.build in "
                            "build/tree names it")
    run_step(title, ["ninja", "-C", out, *(known[n] for n in names)], log,
             env=env)


def base_programs(tree: Path) -> list[str]:
    """The emulator, and the reference device where the tree builds it."""
    has_server = (tree / "contrib" / SERVER / "meson.build").is_file()
    return [EMULATOR, *([SERVER] if has_server else [])]


def build_bootroms(tree: Path) -> None:
    """Build the boot ROMs without which some machines do not start.

    qom-test starts every machine; two kinds want a ROM that Debian does not
    package, but whose source is in the base (not in every git checkout).
    """
    source = tree / "roms" / "vbootrom"
    if BOOTROMS.is_dir() or not (source / "ast27x0" / "Makefile").is_file():
        return
    with atomic_dir(BOOTROMS) as temp:
        shutil.copytree(source, temp, dirs_exist_ok=True)
        for name in ("npcm8xx", "ast27x0"):
            run_step(f"build the boot ROM of {name}",
                     ["make", "-C", temp / name,
                      "CROSS_COMPILE=aarch64-linux-gnu-"],
                     LOGS / f"bootrom-{name}.log", quiet=True)


def link_firmware(out: Path) -> None:
    """Make Debian's firmware visible to the emulator in `out`."""
    place = out / FIRMWARE_DIR
    place.mkdir(parents=True, exist_ok=True)
    for pattern in FIRMWARE:
        for path in Path("/").glob(pattern.lstrip("/")):
            _link(place / path.name, str(path))


def _link(link: Path, target: str) -> None:
    if link.is_symlink() and os.readlink(link) == target:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def build(tests: bool = False, only_unit: bool = False) -> dict[str, str]:
    """Bring everything up to date; returns the environment for tools."""
    make_tree()
    env = tools_env()
    configure(TREE, OUT, LOGS / "configure.log", env)
    if only_unit:
        names = unit_tests(TREE)
        title = "build the unit tests"
    else:
        names = base_programs(TREE)
        title = "build QEMU"
        if tests:
            names += [*unit_tests(TREE), *qtests(TREE), ACPI_TEST]
            title += " and its tests"
    if names:
        ninja(OUT, title, names, LOGS / "build.log", env)
    if tests:
        build_bootroms(TREE)
    link_firmware(OUT)
    known = linked_programs(OUT)
    for name in (EMULATOR, SERVER):
        if name in known and (OUT / known[name]).exists():
            _link(BUILD / name, f"out/{known[name]}")
    return env


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", action="store_true",
                        help="build the test programs as well")
    options = parser.parse_args()
    build(tests=options.tests)
    return 0


if __name__ == "__main__":
    run_main(main)
