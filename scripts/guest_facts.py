# SPDX-License-Identifier: GPL-2.0-or-later
"""What one guest run has seen, and the rows that are made of it."""

from dataclasses import dataclass, field
from typing import Any

from guest_machine import Setup, size_text

WORD = 8


@dataclass
class Part:
    """A range of the device's memory and how densely it is used."""
    start: int
    size: int
    stride: int
    # As the guest counts them.
    words: int = 0

    def describe(self, whole: int) -> str:
        """The part in words; `whole` is the size of the memory."""
        if self.stride != WORD:
            return f"a word each {size_text(self.stride)}"
        if self.size == whole:
            return f"every word of {size_text(whole)}"
        return f"every word of the last {size_text(self.size)}"


@dataclass
class Facts:
    """What one run has seen; the rows are made from nothing else."""
    setup: Setup
    # Whether the guest ran the tests of its driver as well.
    thorough: bool = False
    report: dict[str, str] = field(default_factory=dict)
    # Everything the guest printed, for the search for the host's address.
    text: list[str] = field(default_factory=list)
    iomem: list[str] = field(default_factory=list)
    cxl_list: list[str] = field(default_factory=list)
    dmesg: list[str] = field(default_factory=list)
    # What each pass found: "" is all right, else the first difference.
    guest_to_host: str = "not run"
    host_to_guest: str = "not run"
    parts: list[Part] = field(default_factory=list)
    # Bytes of backing memory after the sampling pass.
    allocated: int = 0
    # Accesses that reached QEMU's emulation or the server.
    qemu_hdm: int = -1
    qemu_other: int = 0
    # Second writes to a page that trapped; -1: not counted.
    rewrites: int = -1
    trace_missing: list[str] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    boot_s: float = 0.0
    # Pages that our driver gave to programs: small, huge; -1: not told.
    faults: tuple[int, int] = (-1, -1)
    # What our driver logged, and what its tests printed.
    driver_says: list[str] = field(default_factory=list)
    driver_tests: list[str] = field(default_factory=list)

    def number(self, key: str) -> int:
        """A number of the guest's report; -1 when it is not there."""
        try:
            return int(self.report[key], 0)
        except (KeyError, ValueError):
            return -1

    @property
    def driven(self) -> bool:
        """Whether a driver of the guest is expected to bind."""
        return self.setup.driver != "none"


@dataclass
class Row:
    """A line of the table; `expected` is set when it is not as it must be."""
    name: str
    seen: str
    expected: str = ""


def parse_report(lines: list[str]) -> dict[str, str]:
    """The REPORT key=value lines."""
    return dict(line[len("REPORT "):].split("=", 1) for line in lines
                if line.startswith("REPORT ") and "=" in line)


def range_text(base: int, size: int) -> str:
    """A range with its size; what could not be read is said."""
    if base < 0 or size < 0:
        return "not reported"
    if size == 0:
        return f"{base:#x}, size 0"
    return f"{base:#x}-{base + size - 1:#x} ({size_text(size)})"


def judged(name: str, seen: str, rules: list[tuple[bool, str]]) -> Row:
    """A row by its rules: (holds, what was expected)."""
    return Row(name, seen, "; ".join(text for holds, text in rules
                                     if not holds))


def print_table(rows: list[Row], title: str) -> None:
    """The table for people."""
    width = max(len(row.name) for row in rows)
    print(f"\n{title}\n")
    for row in rows:
        mark = "WRONG" if row.expected else "ok   "
        print(f"  {mark}  {row.name:<{width}}  {row.seen}")
        if row.expected:
            print(f"  {'':5}  {'':<{width}}  expected: {row.expected}")
    wrong = sum(bool(row.expected) for row in rows)
    print(f"\n{len(rows) - wrong} of {len(rows)} as they must be"
          + (f", {wrong} WRONG" if wrong else ""))


def print_tap(rows: list[Row]) -> None:
    """The same for a test runner."""
    print(f"1..{len(rows)}")
    for number, row in enumerate(rows, 1):
        word = "not ok" if row.expected else "ok"
        print(f"{word} {number} - {row.name}: {row.seen}")
        if row.expected:
            print(f"# expected: {row.expected}")
