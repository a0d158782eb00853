# SPDX-License-Identifier: GPL-2.0-or-later
"""Count, with QEMU's own trace events, the accesses that reach QEMU."""

import re
from pathlib import Path

from common import UserError
from guest_machine import Qmp

# Every way in which a guest access can reach QEMU's code instead of memory.
ACCESS_EVENTS = (
    "memory_region_ops_read", "memory_region_ops_write",
    "memory_region_subpage_read", "memory_region_subpage_write",
    "memory_region_ram_device_read", "memory_region_ram_device_write",
    "vfio_region_read", "vfio_region_write", "vfio_user_region_rw")
# Emulation may look at the first write to a page, to track changes; never
# again after that.
REWRITE_EVENT = "memory_notdirty_write_access"
# The reference device's HDM region.
HDM_REGION = 9
# What QEMU calls the registers of the emulated device.
_REGISTERS = re.compile(r" name 'cxl-type2")

_ADDRESS = re.compile(r"\bmemory_region_(?:ops|subpage)_(?:read|write) .*?"
                      r"addr (0x[0-9a-f]+)")
_REWRITE = re.compile(rf"\b{REWRITE_EVENT} .*?ram_addr (0x[0-9a-f]+)")
# A line of QEMU's list of RAM blocks: name, page size, offset, used bytes.
_BLOCK = re.compile(r"^ *(\S*) +\d+ \w+ +(0x[0-9a-f]+) +(0x[0-9a-f]+) ",
                    re.MULTILINE)
_RAM_DEVICE = re.compile(r"\bmemory_region_ram_device_(?:read|write) ")
_REGION = re.compile(r"\bvfio_(?:user_region_rw\s+region |"
                     r"region_(?:read|write)\s+\(.*?:region)(\d+)")


def switch(qmp: Qmp, on: bool,
           events: tuple[str, ...] = ACCESS_EVENTS) -> list[str]:
    """Turn events on or off; returns those that QEMU does not have."""
    missing = []
    for name in events:
        try:
            qmp.command("trace-event-set-state", name=name, enable=on)
        except UserError:
            missing.append(name)
    return missing


def count(log: Path, base: int, size: int) -> tuple[int, int]:
    """(accesses to the HDM, to other regions of the device) in a trace log.

    base, size: the guest's range of the HDM, in bytes
    """
    hdm = other = 0
    if not log.exists():
        return 0, 0
    with log.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if match := _ADDRESS.search(line):
                inside = base <= int(match[1], 16) < base + size
                hdm += inside
                other += not inside and bool(_REGISTERS.search(line))
            elif match := _REGION.search(line):
                hdm += int(match[1]) == HDM_REGION
                other += int(match[1]) != HDM_REGION
            else:
                # A RAM device names no address: in doubt it is ours.
                hdm += bool(_RAM_DEVICE.search(line))
    return hdm, other


def hdm_block(qmp: Qmp, size: int) -> int:
    """QEMU's internal address of the HDM's RAM block; -1 if not found.

    size: the HDM's size in bytes, by which the nameless block is known
    """
    text = str(qmp.command("human-monitor-command",
                           **{"command-line": "info ramblock"}))
    found = [int(offset, 16) for name, offset, used in _BLOCK.findall(text)
             if int(used, 16) == size and not name]
    return found[0] if len(found) == 1 else -1


def count_rewrites(log: Path, block: int, size: int) -> int:
    """Traced writes to a RAM block; block: its internal address."""
    with log.open(encoding="utf-8", errors="replace") as stream:
        return sum(block <= int(match[1], 16) < block + size
                   for match in map(_REWRITE.search, stream) if match)
