# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's resident memory, sorted by what it is."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Resident:
    """Resident memory of QEMU in KiB, by what it is."""
    own: int = 0            # heap, stacks and other private data
    file: int = 0           # program and libraries, shared with the disk
    code: int = 0           # buffer of translated guest code
    ram: int = 0            # the guest's RAM
    hdm: int = 0            # pages of the device's memory
    tables: int = 0         # page tables, which the kernel counts apart


def resident(pid: int) -> Resident:
    """Read a process's mappings and sort them."""
    found = Resident()
    kind = "own"
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            kind = _kind(" ".join(words[5:]), words[1])
        elif words[0] == "Rss:":
            setattr(found, kind, getattr(found, kind) + int(words[1]))
    status = Path(f"/proc/{pid}/status").read_text()
    tables = re.search(r"VmPTE:\s*(\d+)", status)
    found.tables = int(tables[1]) if tables else 0
    return found


def _kind(name: str, access: str) -> str:
    """What a mapping is, from its name and its rights."""
    if "memfd:memory-backend" in name:
        return "ram"
    if "memfd:" in name:
        return "hdm"
    if access.startswith("rwx") or "tcg" in name:
        return "code"
    if name.startswith("/") and "w" not in access:
        return "file"
    return "own"
