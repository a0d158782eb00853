# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of one run: memory the device adds to QEMU, time from decoder
commit to mapped memory, and what the device costs at boot."""

import json
import os
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common import BUILD, UserError, write_atomic
from guest_machine import (BOOT_LIMIT_S, GIB, MIB256, Machine, Server, Setup,
                           machine_args, run_dir, run_lock, size_text)
from guest_facts import parse_report
from progress import elapsed_text

RESULT = BUILD / "bench/guest.json"
SIZES = (MIB256, 256 * GIB)
RESETS = 20
SETTLE_S = 1.0
COMMIT_EVENT = "vfio_cxl_commit"
MAP_EVENT = "vfio_cxl_map"
# What the figures should not exceed.
ADDED_LIMIT_KIB = 2048
BOOT_LIMIT_RATIO = 1.05

_STAMP = re.compile(r"(\d\d):(\d\d):(\d\d)\.(\d{6})Z (\w+)")
_DAY_US = 86400 * 1000000


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
            name = " ".join(words[5:])
            if "memfd:memory-backend" in name:
                kind = "ram"
            elif "memfd:hdm" in name:
                kind = "hdm"
            elif words[1].startswith("rwx") or "tcg" in name:
                kind = "code"
            elif name.startswith("/") and "w" not in words[1]:
                kind = "file"
            else:
                kind = "own"
        elif words[0] == "Rss:":
            setattr(found, kind, getattr(found, kind) + int(words[1]))
    status = Path(f"/proc/{pid}/status").read_text()
    tables = re.search(r"VmPTE:\s*(\d+)", status)
    found.tables = int(tables[1]) if tables else 0
    return found


class Bench:
    """One measurement: its machine, and what it adds to the raw data."""

    def __init__(self, setup: Setup, runs: int) -> None:
        self.setup = setup
        self.runs = runs
        self.start = time.monotonic()
        self.raw: dict[str, list[dict[str, object]]] = {
            "paused": [], "boot": [], "map": []}

    def say(self, text: str) -> None:
        print(f"[{elapsed_text(time.monotonic() - self.start):>7}] {text}",
              flush=True)

    def _with_machine(self, hdm: int, extra: Sequence[str],
                      body: Callable[[Machine], None],
                      window_of: int = 0) -> None:
        """Call body(machine) with a machine; hdm 0: without a device."""
        setup = replace(self.setup, hdm=hdm or window_of or MIB256,
                        identity="accel", options=["idle"])
        with run_dir(False) as where:
            server = Server(setup, where, "bench") if hdm else None
            try:
                machine = Machine([*machine_args(setup, server), *extra],
                                  "bench")
                try:
                    body(machine)
                finally:
                    machine.close()
            finally:
                if server:
                    server.close()

    # -- the measurements --

    def paused(self, hdm: int, window_of: int) -> None:
        """Resident memory before the guest's first instruction."""

        def body(machine: Machine) -> None:
            machine.qmp.command("query-status")
            self.raw["paused"].append({
                "hdm": hdm, "window_of": window_of,
                "kib": vars(resident(machine.proc.pid))})

        self._with_machine(hdm, ["-S"], body, window_of)

    def boot(self, hdm: int) -> None:
        """Boot time, and resident memory with the guest idle."""

        def body(machine: Machine) -> None:
            machine.read_until("=== begin report ===", BOOT_LIMIT_S)
            wall = time.monotonic() - machine.started
            lines = machine.read_until("=== end report ===", BOOT_LIMIT_S)
            machine.read_until("=== ready ===", BOOT_LIMIT_S)
            time.sleep(SETTLE_S)
            cpu = os.sysconf("SC_CLK_TCK")
            used = Path(f"/proc/{machine.proc.pid}/stat").read_text() \
                .rpartition(")")[2].split()
            self.raw["boot"].append({
                "hdm": hdm, "wall_s": round(wall, 3),
                "kernel_s": float(parse_report(lines)["uptime"]),
                "cpu_s": (int(used[11]) + int(used[12])) / cpu,
                "kib": vars(resident(machine.proc.pid))})
            machine.power_off()

        self._with_machine(hdm, [], body)

    def mapping(self, hdm: int) -> None:
        """Time from commit to map, at start and after system resets."""

        def body(machine: Machine) -> None:
            machine.qmp.command("set-action", reboot="reset")
            for _ in range(RESETS):
                machine.qmp.command("system_reset")
                # The reset itself happens in the main loop, afterwards.
                machine.qmp.command("query-status")
                time.sleep(0.05)
            machine.close()
            times = commit_to_map(machine.trace_log)
            if len(times) < RESETS // 2:
                raise UserError(
                    f"only {len(times)} pairs of {COMMIT_EVENT} and "
                    f"{MAP_EVENT} after {RESETS} resets; "
                    f"trace: {machine.trace_log}")
            self.raw["map"].append({"hdm": hdm, "us": times})

        self._with_machine(hdm, ["-S", "-trace", COMMIT_EVENT, "-trace",
                                 MAP_EVENT], body)

    def run(self) -> None:
        """All measurements; what is compared is interleaved."""
        for number in range(self.runs):
            self.say(f"round {number + 1} of {self.runs}")
            for hdm in (0, *SIZES):
                self.boot(hdm)
            for size in SIZES:
                self.paused(0, size)
                self.paused(size, size)
        for size in SIZES:
            self.say(f"commit to map, {size_text(size)}")
            self.mapping(size)


def commit_to_map(log: Path) -> list[int]:
    """Microseconds from each commit to the map that follows it."""
    times: list[int] = []
    committed = -1
    for line in log.read_text(errors="replace").splitlines():
        match = _STAMP.search(line)
        if not match:
            continue
        hour, minute, second, micro = (int(match[i]) for i in range(1, 5))
        now = ((hour * 60 + minute) * 60 + second) * 1000000 + micro
        if match[5] == COMMIT_EVENT:
            committed = now
        elif match[5] == MAP_EVENT and committed >= 0:
            times.append((now - committed) % _DAY_US)
            committed = -1
    return times


# --- figures ---------------------------------------------------------------

def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _spread(values: Sequence[float], digits: int = 2) -> str:
    return (f"median {_median(values):.{digits}f} "
            f"(from {min(values):.{digits}f} to {max(values):.{digits}f})")


def _field(rows: list[dict[str, object]], name: str) -> list[float]:
    return [float(row[name]) for row in rows]   # type: ignore[arg-type]


def _kib(rows: list[dict[str, object]], name: str) -> float:
    return _median([float(row["kib"][name])     # type: ignore[index]
                    for row in rows])


def _memory_lines(raw: dict[str, list[dict[str, object]]],
                  figures: dict[str, object]) -> list[str]:
    lines = ["QEMU's resident memory added by the device (limit "
             f"{ADDED_LIMIT_KIB} KiB), private data only:"]
    for size in SIZES:
        without = [r for r in raw["paused"]
                   if not r["hdm"] and r["window_of"] == size]
        with_it = [r for r in raw["paused"] if r["hdm"] == size]
        idle0 = [r for r in raw["boot"] if not r["hdm"]]
        idle = [r for r in raw["boot"] if r["hdm"] == size]
        name = size_text(size)
        start = _kib(with_it, "own") - _kib(without, "own")
        later = _kib(idle, "own") - _kib(idle0, "own")
        others = {kind: _kib(idle, kind) - _kib(idle0, kind)
                  for kind in ("file", "tables", "code", "hdm")}
        figures[f"added_kib_{name}"] = {
            "at_start": start, "guest_idle": later, **others}
        lines.append(f"  {name:>8}: {start:.0f} KiB before the guest runs, "
                     f"{later:.0f} KiB with the guest idle")
        lines.append(f"  {'':>8}  (apart from that: {others['file']:+.0f} KiB "
                     f"of program text, {others['tables']:+.0f} of page "
                     f"tables, {others['code']:+.0f} of translated code, "
                     f"{others['hdm']:+.0f} of HDM)")
    own = [float(r["kib"]["own"])               # type: ignore[index]
           for r in raw["boot"] if not r["hdm"]]
    lines.append("  With the guest idle, emulation's own data without a "
                 f"device differs by {max(own) - min(own):.0f} KiB")
    lines.append("  between runs; before the guest runs, by next to nothing.")
    return lines


def _map_lines(raw: dict[str, list[dict[str, object]]],
               figures: dict[str, object]) -> list[str]:
    lines = [f"Time from decoder commit to mapped memory, {RESETS} system "
             "resets each, in microseconds:"]
    for row in raw["map"]:
        times = [float(t) for t in row["us"]]   # type: ignore[attr-defined]
        name = size_text(int(row["hdm"]))       # type: ignore[call-overload]
        figures[f"commit_to_map_us_{name}"] = _median(times)
        lines.append(f"  {name:>8}: {_spread(times, 0)}")
    return lines


def _boot_lines(raw: dict[str, list[dict[str, object]]],
                figures: dict[str, object]) -> list[str]:
    without = [r for r in raw["boot"] if not r["hdm"]]
    lines = ["Guest boot, from QEMU's start to the guest's init "
             f"(limit {BOOT_LIMIT_RATIO} times):",
             f"  without a device: {_spread(_field(without, 'wall_s'))} s"]
    for size in SIZES:
        rows = [r for r in raw["boot"] if r["hdm"] == size]
        ratios = {key: _median(_field(rows, key))
                  / _median(_field(without, key))
                  for key in ("wall_s", "kernel_s", "cpu_s")}
        # Other programs only ever make a boot slower, so the fastest ones
        # are compared too.
        ratios["fastest"] = min(_field(rows, "wall_s")) / \
            min(_field(without, "wall_s"))
        name = size_text(size)
        figures[f"boot_ratio_{name}"] = ratios
        lines.append(f"  with {name:>12}: {_spread(_field(rows, 'wall_s'))} "
                     f"s, ratio {ratios['wall_s']:.3f}, of the fastest "
                     f"{ratios['fastest']:.3f}")
        lines.append(f"  {'':>17}  (kernel's own part "
                     f"{ratios['kernel_s']:.3f}, QEMU's processor time "
                     f"{ratios['cpu_s']:.3f})")
    return lines


def run_bench(setup: Setup, runs: int) -> int:
    """Measure, print the figures, and keep them with the raw data."""
    if runs < 1:
        raise UserError(f"--runs {runs} must be at least 1")
    bench = Bench(setup, runs)
    with run_lock():
        bench.run()
    figures: dict[str, object] = {}
    print()
    for part in (_memory_lines, _map_lines, _boot_lines):
        print("\n".join(part(bench.raw, figures)) + "\n")
    load = os.getloadavg()
    write_atomic(RESULT, json.dumps(
        {"figures": figures, "runs": runs, "load": load, "raw": bench.raw},
        indent=1) + "\n")
    print(f"{runs} rounds, load average {load[0]:.1f} on "
          f"{os.cpu_count()} processors; raw data: "
          f"{RESULT.relative_to(BUILD.parent)}")
    return 0
