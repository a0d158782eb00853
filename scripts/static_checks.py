#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of the checkout's own files that need no build.

Each check returns the faults it found, or None when there is nothing to
check. Run by itself, this prints the faults of all checks.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import messages
from common import ROOT, UserError, run_main
from gitrepo import checkout_git
from series import EDITS, load

CONTEXT_LINES = 3
# Paths of one machine, and addresses of archives: neither belongs in a file
# that others use. (Written so that this file does not match itself.)
FORBIDDEN = re.compile(
    r"(?<![\w.$}])/(?:work|root|home/[a-z]\w*)/(?!\*)"
    r"|\b(?:deb|ftp|snapshot|security)\.debian\.org\b")


def own_files() -> list[Path]:
    """Every file of the checkout that git has or would take."""
    listed = checkout_git("ls-files", "-z", "--cached", "--others",
                          "--exclude-standard")
    if listed:
        names = listed.split("\0")
    else:
        names = []
        for top, dirs, files in os.walk(ROOT):
            dirs[:] = [d for d in dirs if d not in (".git", "build",
                                                    "__pycache__")]
            names += [os.path.relpath(os.path.join(top, f), ROOT)
                      for f in files]
    return sorted(ROOT / n for n in names if n and (ROOT / n).is_file())


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _run(argv: list[str], **variables: str) -> list[str]:
    try:
        done = subprocess.run(argv, capture_output=True, text=True,
                              check=False, cwd=ROOT,
                              env={**os.environ, **variables})
    except FileNotFoundError:
        return [f"{argv[0]} is not installed: run make setup"]
    faults = (done.stdout + done.stderr).strip().splitlines()
    if done.returncode and not faults:
        faults = [f"{argv[0]} ended with status {done.returncode}"]
    return faults if done.returncode else []


def shell_scripts() -> list[str] | None:
    """Every shell script passes shellcheck."""
    scripts = [str(p) for p in own_files()
               if re.match(r"#!\s*/bin/(?:busybox )?(?:ba|da)?sh\b",
                           _text(p)[:80])]
    return _run(["shellcheck", *scripts]) if scripts else None


def python_scripts() -> list[str] | None:
    """Every Python file passes pyflakes."""
    scripts = [str(p) for p in own_files() if p.suffix == ".py"
               or re.match(r"#!.*\bpython3\b", _text(p)[:80])]
    return _run(["pyflakes3", *scripts]) if scripts else None


def script_tests() -> list[str] | None:
    """The scripts' own unit tests pass."""
    tests = ROOT / "tests" / "scripts"
    if not any(tests.glob("test_*.py")):
        return None
    return _run([sys.executable, "-B", "-m", "unittest", "discover", "-q",
                 "-s", str(tests)], PYTHONPATH=str(ROOT / "scripts"))


def machine_paths() -> list[str] | None:
    """No file names a path of one machine or an archive's address."""
    faults = []
    for path in own_files():
        for number, line in enumerate(_text(path).splitlines(), 1):
            match = FORBIDDEN.search(line)
            if match:
                faults.append(f"{path.relative_to(ROOT)}:{number}: "
                              f"'{match[0]}' is of one machine or archive")
    return faults


def series_file() -> list[str] | None:
    """`series` can be read and carries every file exactly once."""
    try:
        load()
    except UserError as error:
        return [str(error)]
    return []


def edits_context() -> list[str] | None:
    """No edit keeps more of QEMU than three lines around a change."""
    faults = []
    for path in sorted(p for p in EDITS.rglob("*") if p.is_file()):
        run, seen_change = 0, False
        for number, line in enumerate([*_text(path).splitlines(), "@@ end"],
                                      1):
            if line.startswith(" ") or line == "":
                run += 1
                continue
            starts_hunk = line.startswith(("@@ ", "diff --git "))
            # Between two changes of a hunk up to twice as many may stand.
            limit = CONTEXT_LINES * (2 if seen_change and not starts_hunk
                                     else 1)
            if run > limit:
                faults.append(f"edits/{path.relative_to(EDITS)}:{number - 1}:"
                              f" {run} lines of context, must be at most "
                              f"{limit}: run make refresh")
            run = 0
            seen_change = not starts_hunk and line[0] in "+-"
    return faults


def message_lists() -> list[str] | None:
    """The manual lists each message that the code can give, and no other."""
    return messages.check(own_files())


CHECKS: dict[str, Callable[[], list[str] | None]] = {
    "shellcheck": shell_scripts,
    "pyflakes": python_scripts,
    "script-tests": script_tests,
    "machine-paths": machine_paths,
    "series": series_file,
    "edits-context": edits_context,
    "messages": message_lists,
}


def main() -> int:
    status = 0
    for name, check in CHECKS.items():
        for fault in check() or []:
            print(f"{name}: {fault}")
            status = 1
    if not status:
        print("no faults", file=sys.stderr)
    return status


if __name__ == "__main__":
    run_main(main)
