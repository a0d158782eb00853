#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure what a passed-through CXL device costs and how fast its memory is.

Everything of one run is measured side by side. The tables go to stdout; raw
data and figures as JSON, and plots as SVG, to build/bench. docs/benchmark.md
says how it is done.
"""

import argparse
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_boot import BootBench
from bench_charts import PLOT_OF_README, draw
from bench_guest import GuestBench
from bench_report import BootFigures, Goal, GuestFigures, ScaleFigures
from bench_scale import ScaleBench
from common import BUILD, ROOT, UserError, run_main, write_atomic
from guest_image import make_image
from guest_machine import MIB256, Setup, check_programs, run_lock
from progress import elapsed_text

RESULTS = BUILD / "bench"
PARTS = ("guest", "scale", "boot")
GUEST_ROUNDS, QUICK_GUEST_ROUNDS = 9, 5
SCALE_ROUNDS, QUICK_SCALE_ROUNDS = 7, 5


def machine_facts() -> dict[str, object]:
    """What this was measured on."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*: (.*)", text)
    memory = re.search(r"MemTotal:\s*(\d+)",
                       Path("/proc/meminfo").read_text(encoding="utf-8"))
    return {"processor": model[1] if model else platform.machine(),
            "processors": os.cpu_count() or 0,
            "memory_gib": round(int(memory[1]) / (1 << 20)) if memory else 0,
            "kernel": platform.release(), "load": os.getloadavg(),
            "when": time.strftime("%Y-%m-%d %H:%M:%S %Z")}


def machine_text(facts: dict[str, Any]) -> str:
    return (f"{facts['processors']} x {facts['processor']}, "
            f"{facts['memory_gib']} GiB, Linux {facts['kernel']}, TCG")


class Run:
    """The parts of one run and their results."""

    def __init__(self, setup: Setup, quick: bool, rounds: int,
                 huge: bool) -> None:
        self.start = time.monotonic()
        self.machine = machine_facts()
        self.raw: dict[str, dict[str, Any]] = {}
        self.steps: dict[str, Callable[[], dict[str, Any]]] = {
            "guest": GuestBench(setup, rounds or (
                QUICK_GUEST_ROUNDS if quick else GUEST_ROUNDS), quick,
                self.say, huge).run,
            "scale": ScaleBench(setup, rounds or (
                QUICK_SCALE_ROUNDS if quick else SCALE_ROUNDS), quick,
                self.say).run,
            "boot": BootBench(setup, quick, self.say).run}

    def say(self, text: str) -> None:
        print(f"[{elapsed_text(time.monotonic() - self.start):>9}] {text}",
              flush=True)

    def measure(self, parts: list[str]) -> None:
        for part in parts:
            self.raw[part] = self.steps[part]()
            self.raw[part]["load_after"] = os.getloadavg()
            write_atomic(RESULTS / f"{part}.json", json.dumps(
                {"machine": self.machine, **self.raw[part]}, indent=1) + "\n")


def tell(raw: dict[str, dict[str, Any]]) -> tuple[list[str], list[Goal]]:
    """The tables of what was measured, and the figures to reach."""
    lines: list[str] = []
    goals: list[Goal] = []
    if "guest" in raw:
        guest = GuestFigures(raw["guest"])
        lines += (guest.bandwidth_lines() + guest.latency_lines()
                  + guest.fault_lines() + guest.exit_lines())
        goals += guest.goals()
    if "scale" in raw:
        scale = ScaleFigures(raw["scale"])
        lines += scale.lines()
        goals += scale.goals()
    if "boot" in raw:
        boot = BootFigures(raw["boot"])
        lines += boot.lines()
        goals += boot.goals()
    return lines, goals


def show(raw: dict[str, dict[str, Any]], machine: dict[str, Any],
         save: bool) -> None:
    """Print the tables, draw the plots, and keep the summary."""
    lines, goals = tell(raw)
    print("\n" + "\n".join(lines))
    print("Figures to reach:")
    for goal in goals:
        print(goal.line())
    plots = draw(raw, machine_text(machine))
    for name, text in plots.items():
        write_atomic(RESULTS / name, text)
    write_atomic(RESULTS / "summary.json", json.dumps(
        {"machine": machine, "goals": [
            {**vars(goal), "met": goal.met} for goal in goals]},
        indent=1) + "\n")
    where = RESULTS.relative_to(ROOT)
    load = os.getloadavg()
    print(f"\nMeasured on {machine_text(machine)}; load average "
          f"{machine['load'][0]:.1f} before, {load[0]:.1f} after.")
    print(f"Raw data: {where}/*.json; plots: "
          + ", ".join(f"{where}/{name}" for name in plots))
    if save and PLOT_OF_README in plots:
        shutil.copyfile(RESULTS / PLOT_OF_README,
                        ROOT / "docs" / PLOT_OF_README)
        print(f"Saved docs/{PLOT_OF_README}")


def load_results(parts: list[str]) -> tuple[dict[str, dict[str, Any]],
                                            dict[str, Any]]:
    """The results of an earlier run."""
    raw = {}
    for part in parts:
        path = RESULTS / f"{part}.json"
        if not path.is_file():
            raise UserError(f"{path} is missing: run make bench first")
        raw[part] = json.loads(path.read_text(encoding="utf-8"))
    return raw, raw[parts[0]]["machine"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true",
                        help="fewer sizes, widths and rounds")
    parser.add_argument("--rounds", type=int, default=0,
                        help="rounds of the memory and size measurements")
    parser.add_argument("--part", action="append", choices=PARTS,
                        help="only this part; may be repeated")
    parser.add_argument("--huge", action="store_true",
                        help="first touch on huge pages of the host too")
    parser.add_argument("--again", action="store_true",
                        help="measure nothing: tables and plots of the last "
                        "results")
    parser.add_argument("--save", action="store_true",
                        help="copy the plot that README shows to docs/")
    parser.add_argument("--qemu", type=Path, metavar="PATH",
                        default=BUILD / "qemu-system-aarch64")
    parser.add_argument("--server", type=Path, metavar="PATH",
                        default=BUILD / "vfio-user-cxl")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    parts = args.part or list(PARTS)
    if args.rounds < 0:
        raise UserError(f"--rounds {args.rounds} must be at least 1")
    if args.again:
        raw, machine = load_results(parts)
        show(raw, machine, args.save)
        return 0
    setup = Setup(qemu=args.qemu.absolute(), server=args.server.absolute(),
                  hdm=MIB256, identity="accel")
    check_programs(setup)
    make_image()
    run = Run(setup, args.quick, args.rounds, args.huge)
    with run_lock():
        run.measure(parts)
    show(run.raw, run.machine, args.save)
    return 0


if __name__ == "__main__":
    run_main(main)
