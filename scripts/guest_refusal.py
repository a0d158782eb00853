# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that contradict themselves: our driver must say so and let go.

The guest must go on: it reports, and powers off when it is told to.
"""

from dataclasses import dataclass, replace

from guest_accel import COMPLAINT
from guest_facts import Row, judged, parse_report, print_tap
from guest_machine import (BOOT_LIMIT_S, MIB256, Machine, Server, Setup,
                           machine_args, run_dir, run_lock)

CONSOLE_LIMIT_S = 60.0


@dataclass(frozen=True)
class Case:
    """A capacity register that is not the size of the memory."""
    name: str
    hdm: int
    capacity: str
    # What the driver's last messages must contain.
    words: tuple[str, ...]


CASES = (
    Case("capacity above the decoder's size", MIB256, "512M",
         ("register says 512 MiB", "decoder 0 covers 256 MiB",
          "step 'check the HDM decoder' failed")),
    Case("capacity below the decoder's size", 2 * MIB256, "256M",
         ("register says 256 MiB", "decoder 0 covers 512 MiB",
          "step 'check the HDM decoder' failed")),
    Case("capacity that no decoder can cover", MIB256, "100M",
         ("register says 104857600 bytes", "multiple of 256 MiB",
          "step 'read the device's registers' failed")),
)


def _report(setup: Setup) -> tuple[list[str], list[str]]:
    """The guest's report and its kernel's messages."""
    with run_lock(), run_dir(setup.keep) as where:
        server = Server(setup, where, "refusal")
        try:
            machine = Machine(machine_args(setup, server), "refusal")
            try:
                machine.read_until("=== begin report ===", BOOT_LIMIT_S)
                lines = machine.read_until("=== end report ===", BOOT_LIMIT_S)
                machine.read_until("=== ready ===", CONSOLE_LIMIT_S)
                machine.order("dmesg")
                messages = machine.frame("dmesg", CONSOLE_LIMIT_S)
                machine.power_off()
                return lines, messages
            finally:
                machine.close()
        finally:
            server.close()


def _rows(case: Case, setup: Setup) -> list[Row]:
    lines, messages = _report(replace(
        setup, hdm=case.hdm, identity="accel", driver="cxl_accel",
        faults=[f"capacity={case.capacity}"]))
    facts = parse_report(lines)
    said = " / ".join(line.partition("=")[2] for line in lines
                      if line.startswith("REPORT accel.message="))
    owner = facts.get("driver", "?")
    node = facts.get("accel.device", "none")
    wrong = [line for line in messages if COMPLAINT.search(line)]
    return [judged(case.name, f"driver {owner}, device node {node}: "
                   f"{said or 'nothing said'}",
                   [(owner == "none", "driver none"),
                    (node == "none", "no device node"),
                    *((word in said, f"'{word}'") for word in case.words),
                    (not wrong, f"no {wrong[0][:60]}" if wrong else "")])]


def run(setup: Setup) -> int:
    """Boot a guest for each case; prints TAP, returns the exit status."""
    rows = [row for case in CASES for row in _rows(case, setup)]
    print_tap(rows)
    return 1 if any(row.expected for row in rows) else 0
