#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Install the emulator, the reference device and the tools, or take away
exactly what was installed.

All is in a directory of its own, PREFIX/lib/cxl-type2-passthrough, which may
be moved with the rest of PREFIX; PREFIX/bin has links to the programs. The
emulator's is called qemu-system-aarch64-cxl, so that the system's QEMU stays
what it is.
"""

import argparse
import ast
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from build import EMULATOR, FIRMWARE, OUT, SERVER, build, linked_programs
from common import BUILD, ROOT, UserError, run_main, write_atomic

NAME = "cxl-type2-passthrough"
SCRIPTS = ("cxl-domain", "cxl-map")
MAN = ROOT / "docs/man"
EXAMPLES = ROOT / "docs/examples"
MANIFEST = f"lib/{NAME}/manifest"
# Where the emulator looks, from the directory it lies in.
FIRMWARE_DIR = f"lib/{NAME}/share/qemu-firmware"

# What to put at a path below PREFIX, given the path it gets.
Content = Callable[[Path], None]


# --- what there is to install ----------------------------------------------

def _copy(source: Path, mode: int) -> Content:
    def put(dest: Path) -> None:
        shutil.copyfile(source, dest)
        dest.chmod(mode)
    return put


def _program(source: Path) -> Content:
    """A program without what only a debugger reads."""
    def put(dest: Path) -> None:
        done = subprocess.run(["strip", "--strip-unneeded", "-o", dest,
                               source], capture_output=True, text=True,
                              check=False)
        if done.returncode:
            raise UserError(f"cannot strip {source.name}: "
                            + done.stderr.strip())
        dest.chmod(0o755)
    return put


def _link(target: str) -> Content:
    return lambda dest: dest.symlink_to(target)


def modules(script: Path) -> list[Path]:
    """The neighbours that a script imports, and those that they import."""
    found: list[Path] = []
    todo = [script]
    while todo:
        for node in ast.walk(ast.parse(todo.pop().read_text("utf-8"))):
            names = [alias.name for alias in node.names] \
                if isinstance(node, ast.Import) else \
                [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                path = script.with_name(f"{name}.py")
                if path.is_file() and path not in found:
                    found.append(path)
                    todo.append(path)
    return found


def plan() -> Iterator[tuple[str, Content]]:
    """Each path below PREFIX, with what belongs there."""
    home = f"lib/{NAME}"
    known = linked_programs(OUT)
    for name, shown in ((EMULATOR, f"{EMULATOR}-cxl"), (SERVER, SERVER)):
        yield f"{home}/bin/{name}", _program(OUT / known[name])
        yield f"bin/{shown}", _link(f"../{home}/bin/{name}")
    # Debian's own firmware, so that its updates arrive.
    for pattern in FIRMWARE:
        if BUILD not in Path(pattern).parents:
            for path in sorted(Path("/").glob(pattern.lstrip("/"))):
                yield f"{FIRMWARE_DIR}/{path.name}", _link(str(path))
    shared: set[Path] = set()
    for name in SCRIPTS:
        script = ROOT / "scripts" / name
        if script.is_file():
            shared.update(modules(script))
            yield f"{home}/scripts/{name}", _copy(script, 0o755)
            yield f"bin/{name}", _link(f"../{home}/scripts/{name}")
    for path in sorted(shared):
        yield f"{home}/scripts/{path.name}", _copy(path, 0o644)
    for path in sorted(MAN.glob("*.1")):
        yield f"share/man/man1/{path.name}", _copy(path, 0o644)
    for path in sorted(p for p in EXAMPLES.rglob("*") if p.is_file()):
        yield (f"share/doc/{NAME}/examples/{path.relative_to(EXAMPLES)}",
               _copy(path, 0o644))


# --- install and uninstall -------------------------------------------------

def place(prefix: str, destdir: str) -> Path:
    """Where PREFIX is for now, below DESTDIR."""
    if not prefix.startswith("/"):
        raise UserError(f"PREFIX={prefix} is not an absolute path, such as "
                        "/usr/local")
    if destdir and not destdir.startswith("/"):
        raise UserError(f"DESTDIR={destdir} is not an absolute path")
    return Path(os.path.normpath(destdir + prefix))


def recorded(root: Path) -> list[str]:
    """The paths below `root` that were installed, in the order made;
    directories end with a slash."""
    try:
        return (root / MANIFEST).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []


def _make_parents(root: Path, path: Path, made: list[str]) -> None:
    """Make the directories above a path, and record those below DESTDIR
    that were not there."""
    if not path.parent.is_dir():
        _make_parents(root, path.parent, made)
        path.parent.mkdir(mode=0o755)
        made.append(os.path.relpath(path.parent, root) + "/")


def install(root: Path) -> None:
    """Put everything below `root`; what an earlier one left is replaced."""
    contents = dict(plan())
    ours = set(recorded(root))
    for name in contents:
        if os.path.lexists(root / name) and name not in ours:
            raise UserError(f"{root / name} is there and was not installed "
                            "from here: remove it, or give another PREFIX")
    remove(root)
    made: list[str] = []
    try:
        for name, put in {**contents, MANIFEST: _copy(Path(os.devnull),
                                                      0o644)}.items():
            _make_parents(root, root / name, made)
            made.append(name)
            put(root / name)
    finally:
        if (root / MANIFEST).parent.is_dir():
            write_atomic(root / MANIFEST, "\n".join(made) + "\n")


def remove(root: Path) -> int:
    """Take away what the manifest names; returns how many files."""
    count = 0
    for name in reversed(recorded(root)):
        # DESTDIR may be above the root, as "..".
        path = Path(os.path.normpath(root / name))
        if not name.endswith("/"):
            path.unlink(missing_ok=True)
            count += 1
            continue
        # Python leaves these beside modules that root uses.
        if NAME in path.parts:
            shutil.rmtree(path / "__pycache__", ignore_errors=True)
        # Others may have put something there by now.
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("install", "uninstall"))
    parser.add_argument("--prefix", default="/usr/local")
    parser.add_argument("--destdir", default="")
    args = parser.parse_args()
    root = place(args.prefix, args.destdir)
    if args.what == "install":
        build()
        install(root)
        print(f"installed {root}/bin/{EMULATOR}-cxl and what belongs to it; "
              f"{root}/{MANIFEST} has the list")
    elif not recorded(root):
        raise UserError(f"{root}/{MANIFEST} is not there: nothing was "
                        "installed below this PREFIX and DESTDIR")
    else:
        print(f"removed {remove(root)} files below {root}")
    return 0


if __name__ == "__main__":
    run_main(main)
