# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the newest commit changes what the nested test covers."""

import subprocess

from common import ROOT

# What runs in it, or makes what runs in it.
COVERED = ("hw", "include", "edits", "tests/kernel", "tests/guest",
           "scripts/build.py", "scripts/debian*.py", "scripts/guest_*.py",
           "scripts/kernel_*.py")


def changed() -> bool:
    """Compare with the first parent, so that a merge counts as a whole.

    True also where there is no parent to compare with.
    """
    done = subprocess.run(
        ["git", "-C", str(ROOT), "diff", "--quiet", "HEAD^", "--", *COVERED],
        stderr=subprocess.DEVNULL, check=False)
    return done.returncode != 0
