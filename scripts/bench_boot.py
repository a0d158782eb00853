# SPDX-License-Identifier: GPL-2.0-or-later
"""What a device costs at boot: pairs of guests, with and without it, that
boot at the same time in alternating slices.

What else runs on the machine, or slows it down, meets both guests of a pair
alike, and only the ratio within a pair is used. A guest whose turn it is not
is stopped, its clock too.
"""

import queue
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_machine import Plan, Started, with_machine
from bench_memory import resident
from bench_stats import figure, ratios
from common import UserError
from guest_machine import BOOT_LIMIT_S, MIB256, Machine, Setup

SLICE_S = 0.1
MARKER = "=== begin report ==="
# Pairs are added until the median ratio is known this well (half the width
# of its 95 % interval), or there are enough of them.
WANTED_HALF_WIDTH = 0.02
PAIRS_MIN = 8
PAIRS_MAX = 40
QUICK_PAIRS_MAX = 10

Row = dict[str, Any]


def scheduled(pid: int) -> tuple[float, float]:
    """Seconds that a process's threads ran, and that they had to wait for a
    processor."""
    ran = waited = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            words = (task / "schedstat").read_text().split()
        except OSError:
            continue                    # a thread that has just ended
        ran += int(words[0])
        waited += int(words[1])
    return ran / 1e9, waited / 1e9


@dataclass
class Booting:
    """One guest of a pair."""
    started: Started
    wall_s: float = 0.0
    done: bool = False
    cpu_s: float = 0.0
    wait_s: float = 0.0

    @property
    def machine(self) -> Machine:
        return self.started.machine

    def run_slice(self) -> None:
        """Let the guest run until it has booted or its turn is over."""
        begin = time.monotonic()
        self.machine.qmp.command("cont")
        end = begin + SLICE_S
        while not self.done and (left := end - time.monotonic()) > 0:
            try:
                line = self.machine.lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                raise UserError("QEMU ended while its guest was booting; "
                                f"console: {self.machine.console_log}")
            self.done = line == MARKER
        if self.done:
            self.wall_s += time.monotonic() - begin
            self._account()
        self.machine.qmp.command("stop")
        if not self.done:
            self.wall_s += time.monotonic() - begin
        if self.wall_s > BOOT_LIMIT_S:
            raise UserError(f"a guest did not boot in {BOOT_LIMIT_S:.0f} s "
                            f"of its own time; console: "
                            f"{self.machine.console_log}")

    def _account(self) -> None:
        """Processor time of QEMU and of the device's server."""
        for pid in (self.machine.proc.pid,
                    *(server.proc.pid for server in self.started.servers)):
            ran, waited = scheduled(pid)
            self.cpu_s += ran
            self.wait_s += waited

    def row(self, pair: int, hdm: int) -> Row:
        start = self.started.qemu_s
        return {"pair": pair, "hdm": hdm, "start_s": start,
                "wall_s": self.wall_s + start, "cpu_s": self.cpu_s,
                "wait_s": self.wait_s,
                "kib": vars(resident(self.machine.proc.pid))}


def boot_pair(setup: Setup, pair: int, hdm: int) -> list[Row]:
    """Boot with and without the device; [without, with]."""
    plans = [Plan(setup, devices=n, hdm=hdm, windows_for=1, paused=True,
                  log=f"bench-boot-{n}") for n in (0, 1)]
    rows: list[Row] = [{}, {}]
    # Every other pair begins with the other guest.
    first = pair % 2

    def second_runs(other: Booting) -> Callable[[Started], None]:
        def body(started: Started) -> None:
            both = [other, Booting(started)]
            while not all(guest.done for guest in both):
                for guest in both:
                    if not guest.done:
                        guest.run_slice()
            rows[first] = both[0].row(pair, hdm if first else 0)
            rows[1 - first] = both[1].row(pair, 0 if first else hdm)
        return body

    with_machine(plans[first], lambda started: with_machine(
        plans[1 - first], second_runs(Booting(started))))
    return rows


class BootBench:
    """Pairs of boots until the ratio is known well enough."""

    def __init__(self, setup: Setup, quick: bool,
                 say: Callable[[str], None]) -> None:
        self.setup = setup
        self.most = QUICK_PAIRS_MAX if quick else PAIRS_MAX
        self.say = say
        self.pairs: list[list[Row]] = []

    def ratios(self, key: str) -> list[float]:
        return ratios([p[1][key] for p in self.pairs],
                      [p[0][key] for p in self.pairs])

    def _enough(self) -> bool:
        if len(self.pairs) < PAIRS_MIN:
            return False
        seen = figure(self.ratios("wall_s"))
        return (seen.ci_high - seen.ci_low) / 2 <= WANTED_HALF_WIDTH

    def run(self) -> Row:
        while len(self.pairs) < self.most and not self._enough():
            number = len(self.pairs)
            self.pairs.append(boot_pair(self.setup, number, MIB256))
            seen = statistics.median(self.ratios("wall_s"))
            self.say(f"pair of boots {number + 1} of at most {self.most}, "
                     f"ratio so far {seen:.3f}")
        return {"pairs": self.pairs, "slice_s": SLICE_S,
                "enough": self._enough()}
