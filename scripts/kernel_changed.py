# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the newest work changes what the nested test covers."""

import subprocess

from common import ROOT

# What runs in it, or makes what runs in it.
COVERED = ("hw", "include", "edits", "tests/kernel", "tests/guest",
           "scripts/build.py", "scripts/debian*.py", "scripts/guest_*.py",
           "scripts/kernel_*.py")
# What is handed in at once may be many commits, or one merge of many.
DAY_S = 24 * 3600


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], check=False,
                          capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def changed() -> bool:
    """Compare with the newest commit that is a day older than HEAD.

    True also where there is none to compare with.
    """
    newest = _git("log", "-1", "--format=%ct")
    if not newest:
        return True
    before = _git("rev-list", "-1", f"--before={int(newest) - DAY_S}", "HEAD")
    return not before or bool(_git("diff", "--name-only", before, "--",
                                   *COVERED))
