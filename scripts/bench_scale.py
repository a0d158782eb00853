# SPDX-License-Identifier: GPL-2.0-or-later
"""What a device costs by the size of its memory and by the number of
devices: start, resident memory, and commit, map, unmap and reset."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_machine import Plan, Started, port_place, with_machine
from bench_memory import resident
from common import UserError
from guest_machine import GIB, MIB256, Setup, size_text

SIZES = (MIB256, GIB, 4 * GIB, 16 * GIB, 64 * GIB, 256 * GIB, 1024 * GIB)
QUICK_SIZES = (MIB256, 16 * GIB, 1024 * GIB)
COUNTS = (1, 2, 4, 8, 16)
QUICK_COUNTS = (1, 16)
RESETS = 15
SWITCHES = 15
# Of PCI config space.
COMMAND, BUS_NUMBERS, MEMORY_SPACE = 0x04, 0x18, 0x2
# From which event to which each step goes.
STEPS = {"commit": ("cxl_hdm_regs_commit", "cxl_hdm_regs_map"),
         "map": ("cxl_hdm_gate", "cxl_hdm_gate_open"),
         "unmap": ("cxl_hdm_gate", "cxl_hdm_gate_open")}
EVENTS = tuple(sorted({event for pair in STEPS.values() for event in pair}))

Row = dict[str, Any]
_STAMP = re.compile(r"(\d\d):(\d\d):(\d\d)\.(\d{6})Z (\w+)\s+\((?:vfio )?(\S+?)\)"
                    r"(.*)")
_DAY_US = 86400 * 1000000


def step_times(log: Path, device: str) -> list[Row]:
    """Microseconds of each step of one device, from the trace's stamps.

    device: as the trace names it
    """
    rows: list[Row] = []
    last: dict[str, int] = {}
    mapped = False
    for line in log.read_text(errors="replace").splitlines():
        match = _STAMP.search(line)
        if not match or match[6] != device:
            continue
        hour, minute, second, micro = (int(match[i]) for i in range(1, 5))
        now = ((hour * 60 + minute) * 60 + second) * 1000000 + micro
        event = match[5]
        step = ("commit" if event == "cxl_hdm_regs_map" else
                "map" if match[7].endswith(" 1") else "unmap")
        begin, end = STEPS[step]
        if event == end:
            # A reset closes gates of what is not mapped, which is no work.
            if begin in last and mapped == (step == "unmap"):
                rows.append({"step": step,
                             "us": (now - last[begin]) % _DAY_US})
            mapped = step == "map" or (mapped and step == "commit")
        last[event] = now
    return rows


class ScaleBench:
    """Paused machines of many kinds, one after the other, in rounds."""

    def __init__(self, setup: Setup, rounds: int, quick: bool,
                 say: Callable[[str], None]) -> None:
        self.setup = setup
        self.rounds = rounds
        self.sizes = QUICK_SIZES if quick else SIZES
        self.counts = QUICK_COUNTS if quick else COUNTS
        self.say = say
        self.starts: list[Row] = []
        self.plain: list[Row] = []
        self.resets: list[Row] = []
        self.switches: list[Row] = []
        self.steps: list[Row] = []

    def _start(self, devices: int, hdm: int, places: int) -> None:
        """One machine without trace: its start, memory and resets."""

        def body(started: Started) -> None:
            machine = started.machine
            self.starts.append({
                "devices": devices, "hdm": hdm, "places": places,
                "server_s": started.server_s, "qemu_s": started.qemu_s,
                "kib": vars(resident(machine.proc.pid))})
            machine.qmp.command("set-action", reboot="reset")
            for _ in range(RESETS):
                begin = time.monotonic()
                machine.qmp.command("system_reset")
                # The reset itself happens in the main loop, which announces
                # it when it is done.
                machine.qmp.wait_event("RESET")
                self.resets.append({
                    "devices": devices, "hdm": hdm, "places": places,
                    "ms": (time.monotonic() - begin) * 1e3})

        with_machine(Plan(self.setup, devices=devices, hdm=hdm,
                          windows_for=places, paused=True,
                          log="bench-scale"), body)

    def _start_plain(self, devices: int) -> None:
        """The same without the devices' CXL side: what any device costs."""

        def body(started: Started) -> None:
            self.plain.append({"devices": devices,
                               "qemu_s": started.qemu_s})

        with_machine(Plan(self.setup, devices=devices, plain=True,
                          paused=True, log="bench-scale"), body)

    def _steps(self, devices: int, hdm: int) -> None:
        """Commit by resets; map and unmap as the guest does, by turning the
        last device's Memory Space on and off. All with the trace on."""

        def body(started: Started) -> None:
            qmp, probe = started.machine.qmp, started.probe
            assert probe
            qmp.command("set-action", reboot="reset")
            for _ in range(SWITCHES):
                qmp.command("system_reset")
                qmp.wait_event("RESET")
                bus, slot = port_place(devices - 1)
                probe.config(bus, slot, BUS_NUMBERS,
                             bus | (bus + 1) << 8 | (bus + 1) << 16)
                for value in (MEMORY_SPACE, 0):
                    begin = time.monotonic()
                    probe.config(bus + 1, 0, COMMAND, value, "w")
                    self.switches.append({
                        "devices": devices, "hdm": hdm, "on": bool(value),
                        "ms": (time.monotonic() - begin) * 1e3})
            started.machine.close()
            device = f"vfio-user:{started.servers[-1].socket}"
            rows = step_times(started.machine.trace_log, device)
            for step in STEPS:
                seen = sum(row["step"] == step for row in rows)
                if seen < SWITCHES:
                    raise UserError(
                        f"{step} of {device} is {seen} times in the trace, "
                        f"must be {SWITCHES} times: "
                        f"{started.machine.trace_log}")
            for row in rows:
                row |= {"devices": devices, "hdm": hdm}
            self.steps += rows

        with_machine(Plan(self.setup, devices=devices, hdm=hdm, paused=True,
                          trace=EVENTS, qtest=True, log="bench-scale"),
                     body)

    def _round(self) -> None:
        for hdm in self.sizes:
            self._start(0, hdm, 1)
            self._start(1, hdm, 1)
            self._steps(1, hdm)
        for count in self.counts:
            self._start(0, MIB256, count)
            self._start(count, MIB256, count)
            self._start_plain(count)
            if count > 1:
                self._steps(count, MIB256)

    def run(self) -> Row:
        """All sizes and numbers in each round."""
        for number in range(self.rounds):
            self.say(f"sizes {size_text(self.sizes[0])} to "
                     f"{size_text(self.sizes[-1])} and up to "
                     f"{self.counts[-1]} devices, round {number + 1} of "
                     f"{self.rounds}")
            self._round()
        return {"starts": self.starts, "plain": self.plain,
                "resets": self.resets,
                "steps": self.steps, "switches": self.switches,
                "sizes": self.sizes, "counts": self.counts}
