#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The series as patches for Debian's own source package of QEMU.

Writes build/deb-patches, to be put into debian/patches, and proves that the
package takes them: quilt applies all without fuzz on top of Debian's own, and
dpkg-source builds a source package. The tests go on with debian/rules.
"""

import argparse
import re
import shutil
import subprocess
import textwrap
import time
from pathlib import Path

import fetch_base
from build import SERVER, compiler, tools_env
from common import BUILD, LOGS, UserError, atomic_dir, need_space, run_main
from gitrepo import Git
from progress import run_step
from results import Results, run_in_order
from tree import BASE, make_tree

PATCHES = BUILD / "deb-patches"
ROOM = "cxl-type2"
SOURCE = BUILD / "deb-source"
# Not for a package: its build runs none of them, and some are binary, which
# a patch for quilt cannot be.
TESTS = "tests/"
# What the compile proof keeps of the features that Debian turns on: those
# whose libraries the build of this project has. None is about VFIO.
KEPT_FEATURES = ("--enable-fdt", "--enable-pixman", "--enable-kvm",
                 "--enable-vhost-net")
# Not the whole device server: to link it takes most of what QEMU shares.
OURS = re.compile(r"^build (\S+\bhw_(?:vfio|vfio-user|cxl)_\S+\.o"
                  rf"|contrib/{SERVER}/\S+\.o):", re.MULTILINE)


# --- the patches -----------------------------------------------------------

def _field(name: str, lines: list[str]) -> str:
    """A field with its text as in a control file."""
    return "\n".join([f"{name}: {lines[0]}",
                      *(f" {line}" if line.strip() else " ."
                        for line in lines[1:])])


def dep3(git: Git, commit: str) -> str:
    """The header of a patch, as Debian's DEP-3 has it."""
    subject, author, date, body = git.run(
        "log", "-1", "--date=short",
        "--format=%s%x00%an <%ae>%x00%ad%x00%b", commit).split("\0")
    body = re.sub(r"^Signed-off-by:.*\n?", "", body, flags=re.MULTILINE)
    return "\n".join([
        _field("Description", [subject, *body.strip().splitlines()]),
        f"Author: {author}", "Forwarded: no", f"Last-Update: {date}",
        "---", ""])


def export() -> list[Path]:
    """Write build/deb-patches; returns the patches, in order."""
    git, commits = make_tree()
    parent, names = git.rev(BASE), []
    with atomic_dir(PATCHES) as temp:
        (temp / ROOM).mkdir()
        for commit in commits:
            files = git.diff(parent, commit)
            if not all(path.startswith(TESTS) for path in files):
                subject = git.run("log", "-1", "--format=%f", commit)
                name = f"{ROOM}/{len(names) + 1:02}-{subject[:60]}.patch"
                # Not run(), which takes an empty last line away.
                diff = git.raw("diff-tree", "-p", "--no-renames", "--binary",
                               parent, commit)[1].decode("utf-8")
                if "\nGIT binary patch\n" in diff:
                    raise UserError(f"{name} has a binary file, which quilt "
                                    "cannot apply: give it a commit of its "
                                    f"own below {TESTS}")
                (temp / name).write_text(dep3(git, commit) + diff,
                                         encoding="utf-8")
                names.append(name)
            parent = commit
        (temp / "series").write_text("".join(f"{n}\n" for n in names),
                                     encoding="utf-8")
    return [PATCHES / name for name in names]


# --- the proof -------------------------------------------------------------

def unpack() -> Path:
    """Debian's source package with its own patches, and ours added."""
    need_space(BUILD, 2500, "Debian's source package")
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    # Their checksums are verified there; whose signature it is does not
    # matter after that.
    fetch_base.fetch_files(list(fetch_base.FILES), SOURCE)
    tree = SOURCE / "qemu"
    run_step(f"unpack Debian's source package {fetch_base.VERSION}",
             ["dpkg-source", "--no-check", "-x", SOURCE / fetch_base.DSC,
              tree], LOGS / "deb-unpack.log", cwd=SOURCE)
    patches = tree / "debian/patches"
    shutil.copytree(PATCHES / ROOM, patches / ROOM)
    with (patches / "series").open("a", encoding="utf-8") as stream:
        stream.write((PATCHES / "series").read_text(encoding="utf-8"))
    return tree


def apply(tree: Path) -> int:
    """Have quilt apply everything; returns how many patches are applied."""
    log = LOGS / "deb-quilt.log"
    quilt = {"QUILT_PATCHES": "debian/patches"}
    run_step("apply the series with quilt", ["quilt", "push", "-a",
                                             "--fuzz=0"], log, env=quilt,
             cwd=tree)
    if re.search(r"^Hunk .* with fuzz", log.read_text("utf-8"), re.MULTILINE):
        raise UserError(f"a patch applies with fuzz only, which dpkg-source "
                        f"refuses: see {log}")
    return len((tree / ".pc/applied-patches").read_text("utf-8").split())


def source_package(tree: Path) -> str:
    """Have dpkg-source make a source package, with a version of its own."""
    version = f"{fetch_base.VERSION}+cxl1"
    changelog = tree / "debian/changelog"
    entry = textwrap.dedent(f"""\
        qemu ({version}) UNRELEASED; urgency=medium

          * Add passthrough of CXL Type-2 devices.

         -- CXL Passthrough Project <cxl-passthrough@example.org>  {{}}

        """).format(time.strftime("%a, %d %b %Y %H:%M:%S +0000",
                                  time.gmtime()))
    changelog.write_text(entry + changelog.read_text("utf-8"), "utf-8")
    run_step("build the source package with dpkg-source",
             ["dpkg-source", "-b", tree.name], LOGS / "deb-source.log",
             cwd=SOURCE)
    dsc = SOURCE / f"qemu_{version.partition(':')[2]}.dsc"
    if not dsc.is_file():
        raise UserError(f"dpkg-source made no {dsc.name}: see "
                        f"{LOGS / 'deb-source.log'}")
    return dsc.name


def configure_options(tree: Path) -> list[str]:
    """What to add to Debian's own options for configure: one target, and
    nothing that needs a library which is not there."""
    told = subprocess.run(
        ["sh", "debian/extract-config-opts", "linux-amd64", "debian/control"],
        cwd=tree, check=True, capture_output=True, text=True).stdout.split()
    return ["--target-list=aarch64-softmmu", "--audio-drv-list=",
            f"--cc='{compiler()}'",
            *(option.replace("--enable-", "--disable-") for option in told
              if option.startswith("--enable-")
              and option not in KEPT_FEATURES)]


def compile_ours(tree: Path) -> str:
    """debian/rules configures; ninja compiles hw/vfio, hw/vfio-user,
    hw/cxl and the device. Returns what was compiled."""
    env = {**tools_env(), "DEB_BUILD_OPTIONS": "nocheck terse"}
    log = LOGS / "deb-configure.log"
    run_step("configure with debian/rules",
             ["make", "-f", "debian/rules", "configure-qemu",
              "BUILD_PACKAGES=qemu-system",
              f"QEMU_CONFIGURE_OPTIONS={' '.join(configure_options(tree))}"],
             log, env=env, cwd=tree)
    out = tree / "b/qemu"
    objects = sorted(set(OURS.findall((out / "build.ninja").read_text())))
    if not any("hw_vfio_cxl.c.o" in name for name in objects):
        raise UserError(f"debian/rules configured no hw/vfio/cxl.c: see {log}")
    run_step("compile hw/vfio*, hw/cxl and the device as Debian does",
             ["ninja", "-C", out, *objects], LOGS / "deb-compile.log",
             env=env)
    return f"{len(objects)} objects of hw/vfio*, hw/cxl and the device"


def check(results: Results) -> None:
    """All of it as tests."""
    tree = SOURCE / "qemu"
    LOGS.mkdir(parents=True, exist_ok=True)

    def patches(notes: list[str]) -> None:
        notes.append(f"{len(export())} in build/{PATCHES.name}")

    def quilt(notes: list[str]) -> None:
        notes.append(f"{apply(unpack())} applied, Debian's among them")

    if run_in_order(results, "deb", {
            "patches": patches, "quilt": quilt,
            "dpkg-source": lambda notes: notes.append(source_package(tree)),
            "debian/rules": lambda notes: notes.append(compile_ours(tree))}):
        shutil.rmtree(SOURCE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    count = len(export())
    tree = unpack()
    total = apply(tree)
    print(f"{count} patches in {PATCHES}; quilt applied {total}, Debian's "
          f"among them; dpkg-source made {source_package(tree)}. To have "
          "them compiled: make check GROUP=deb")
    shutil.rmtree(SOURCE)
    return 0


if __name__ == "__main__":
    run_main(main)
