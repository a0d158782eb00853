# SPDX-License-Identifier: GPL-2.0-or-later
"""Bandwidth of HDM in the nested guest, and what the device costs at boot.

Both compare what is measured side by side in alternating slices, as make
bench does: what else runs on the machine meets both alike. They are figures
with a goal beside them, and no tests: a busy machine must not fail one.
"""

import queue
import time
from dataclasses import dataclass, replace
from typing import Any

from bench_guest import parse_samples
from bench_stats import figure, ratios
from guest_facts import Row
from guest_run import Steps
from kernel_guest import BOOT_LIMIT_S, booted, plan
from kernel_machine import Guest, Host

ROUNDS = 5
SAMPLE_MS = 300
SPANS = (64 << 10, 32 << 20)
WIDTH = 8
TARGETS = "hdm=/dev/cxl_accel0@0 ram=4k ram-huge=huge"
BANDWIDTH_GOAL = 0.95
PAIRS = 3
SLICE_S = 3.0
BOOT_GOAL = 1.05
MARKER = "=== begin report ==="
BENCH_LIMIT_S = 600.0


def bandwidth(host: Host, steps: Steps) -> list[Row]:
    """HDM beside the guest's RAM."""
    guest = Guest(host, plan(True))
    samples: list[dict[str, Any]] = []
    try:
        booted(host, guest, steps)
        for number in range(ROUNDS):
            for span in SPANS:
                guest.order(f"sh hdm-bench bandwidth {SAMPLE_MS} 1 {number} "
                            f"{span} {WIDTH} {TARGETS}")
                samples += parse_samples(guest.frame("sh", BENCH_LIMIT_S))
    finally:
        guest.close()
    return [_bandwidth_row(samples, op) for op in ("read", "write")]


def _bandwidth_row(samples: list[dict[str, Any]], op: str) -> Row:
    """One ratio from all rounds and spans: where the host happens to put
    the pages makes more of a difference than what is measured."""
    over: list[float] = []
    text = []
    for span in SPANS:
        found = {target: [s["value"] for s in samples
                          if (s["target"], s["op"], s["span"], s["pattern"])
                          == (target, op, span, "seq")]
                 for target in ("hdm", "ram", "ram-huge")}
        here = ratios(found["hdm"], found["ram"])
        over += here
        text.append(f"{span >> 10} KiB {figure(here).median:.3f}, MB/s "
                    + ", ".join(f"{name} " + " ".join(f"{v:.0f}" for v in mbs)
                                for name, mbs in found.items()))
    ratio = figure(over).median
    return Row(f"bandwidth, {op}", f"HDM / RAM {ratio:.3f} (goal: at least "
               f"{BANDWIDTH_GOAL}): " + "; ".join(text))


@dataclass
class Booting:
    """One guest of a pair."""
    guest: Guest
    wall_s: float = 0.0
    done: bool = False

    def run_slice(self) -> None:
        """Let the guest run until it has booted or its turn is over."""
        self.guest.qmp.command("cont")
        begin = time.monotonic()
        while not self.done and (left := begin + SLICE_S
                                 - time.monotonic()) > 0:
            try:
                line = self.guest.lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                raise self.guest.dead()
            self.done = line == MARKER
        self.wall_s += time.monotonic() - begin
        self.guest.qmp.command("stop")
        if self.wall_s > BOOT_LIMIT_S:
            raise self.guest.late(MARKER, BOOT_LIMIT_S)


def boot_pair(host: Host, number: int) -> tuple[float, float]:
    """Seconds to boot without and with the device."""
    with_device = replace(plan(True), options=["idle"], paused=True)
    without = replace(with_device, device=None, objects=[])
    both: dict[bool, Booting] = {}
    try:
        for slot, kind in enumerate((False, True) if number % 2
                                    else (True, False)):
            how = replace(with_device if kind else without, slot=slot)
            both[kind] = Booting(Guest(host, how))
        while not all(one.done for one in both.values()):
            for one in both.values():
                if not one.done:
                    one.run_slice()
    finally:
        for one in both.values():
            one.guest.close()
    return both[False].wall_s, both[True].wall_s


def boot(host: Host, steps: Steps) -> list[Row]:
    """What the device costs at boot."""
    pairs = []
    for number in range(PAIRS):
        steps.say(f"pair of boots {number + 1} of {PAIRS}")
        pairs.append(boot_pair(host, number))
    seen = figure(ratios([p[1] for p in pairs], [p[0] for p in pairs]))
    return [Row("boot with / without the device",
                f"{seen.median:.3f} ({seen.low:.3f} to {seen.high:.3f}; goal: "
                f"at most {BOOT_GOAL}); s "
                + ", ".join(f"{p[1]:.2f} / {p[0]:.2f}" for p in pairs))]
