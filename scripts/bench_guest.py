# SPDX-License-Identifier: GPL-2.0-or-later
"""What kinds of memory cost inside one guest, side by side: bandwidth,
latency, first touch, and accesses that reach QEMU."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import guest_trace
from bench_machine import Plan, Started, with_machine
from common import UserError
from guest_machine import BOOT_LIMIT_S, GIB, MIB256, Machine, Setup

MIB = 1 << 20
HDM = 2 * GIB
# Small enough for the TLB of emulation, and for every kind of memory.
SMALL_SPAN = 64 << 10
LARGE_SPAN = 64 * MIB
SRAM_OFFSET = MIB
CPUS = 2
ORDER_LIMIT_S = 600.0
# Parts of the HDM that no order touched yet are taken from here on.
FRESH_FROM = 256 * MIB
FAULT_SPAN = 16 * MIB
HUGE_STEP = 2 * MIB

Row = dict[str, Any]
_PAIR = re.compile(r"(\w+)=(\S+)")
_FACT = re.compile(r"REPORT ([\w.-]+)=(.*)")


def parse_samples(lines: list[str]) -> list[Row]:
    """The SAMPLE lines of hdm-bench; anything else it says is an error."""
    rows: list[Row] = []
    for line in lines:
        if not line.startswith("SAMPLE "):
            raise UserError(f"the guest's benchmark says: {line}")
        row: Row = dict(_PAIR.findall(line))
        for key in ("width", "threads", "span", "accesses", "step"):
            if key in row:
                row[key] = int(row[key])
        row["value"] = float(row["value"])
        rows.append(row)
    return rows


def parse_report(lines: list[str]) -> dict[str, str]:
    """The REPORT lines of a guest program."""
    return {m[1]: m[2] for m in map(_FACT.match, lines) if m}


def free_huge_pages() -> int:
    """Huge pages of 2 MiB that the host has set aside and not used."""
    path = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
    return int(path.read_text()) if path.exists() else 0


class GuestBench:
    """The in-guest measurements of one boot."""

    def __init__(self, setup: Setup, rounds: int, quick: bool,
                 say: Callable[[str], None], huge: bool = False) -> None:
        self.setup = setup
        self.rounds = rounds
        self.widths = "8,64" if quick else "8,16,32,64"
        self.sample_ms = 50 if quick else 60
        self.say = say
        self.samples: list[Row] = []
        self.facts: Row = {}
        self.fresh = FRESH_FROM
        self.targets: dict[str, str] = {"ram": "4k", "ram-huge": "huge"}
        self.huge = ""
        free = free_huge_pages()
        wanted = MIB256 // HUGE_STEP
        self.huge_hdm = MIB256 if huge and free >= wanted else 0
        if not huge:
            self.facts["no_huge"] = "scripts/bench.py --huge asks for it"
        elif not self.huge_hdm:
            self.facts["no_huge"] = (
                f"{free} huge pages are free on this host, {wanted} are "
                "needed (vm.nr_hugepages)")

    def _run(self, machine: Machine, text: str) -> list[str]:
        machine.order(f"run {text}")
        return machine.frame("run", ORDER_LIMIT_S)

    def _bench(self, machine: Machine, number: int, text: str,
               targets: list[str]) -> list[Row]:
        """One order to hdm-bench; its samples are kept with the round."""
        names = " ".join(f"{name}={self.targets[name]}" for name in targets)
        rows = parse_samples(self._run(machine, f"hdm-bench {text} {names}"))
        for row in rows:
            row["round"] = number
        self.samples += rows
        return rows

    def _find_targets(self, machine: Machine) -> None:
        """Have the guest set everything up, and say what can be mapped."""
        lines = self._run(machine, f"bench-setup 1 {MIB256}")
        found = parse_report(lines)
        self.facts["setup"] = found
        if "bench.accel0" not in found:
            raise UserError("the guest finds no accelerator: "
                            + "; ".join(lines))
        path = f"/sys/bus/pci/devices/{found['bench.accel0']}"
        if int(found.get("bench.bar0", "0"), 0) >= 2 * SRAM_OFFSET:
            self.targets["bar"] = f"{path}/resource0@{SRAM_OFFSET:#x}"
        else:
            self.targets["bar"] = f"{path}/resource2@0"
        if "bench.hdm0" in found:
            self.targets["hdm"] = f"{found['bench.hdm0']}@0"
        else:
            # Without a driver: Device memory, and slow for that reason.
            self.targets["hdm-device"] = f"/dev/mem@{found['bench.base0']}"
        self.huge = found.get("bench.hdm1", "")
        if "bench.type3" in found:
            self.targets["type3"] = f"{found['bench.type3']}@0"
        elif "bench.type3-base" in found:
            self.targets["type3-device"] = \
                f"/dev/mem@{found['bench.type3-base']}"

    @property
    def hdm(self) -> str:
        return "hdm" if "hdm" in self.targets else "hdm-device"

    def _round(self, machine: Machine, number: int) -> None:
        """Every measurement once; targets alternate inside each order."""
        everything = list(self.targets)
        memory = [self.hdm, "ram", "ram-huge"]
        for cpus in (1, CPUS):
            for span, targets in ((SMALL_SPAN, everything),
                                  (LARGE_SPAN, memory)):
                self._bench(machine, number,
                            f"bandwidth {self.sample_ms} {cpus} {number} "
                            f"{span} {self.widths}", targets)
        for span, targets in ((SMALL_SPAN, everything),
                              (LARGE_SPAN, memory)):
            self._bench(machine, number,
                        f"latency {self.sample_ms} {number} {span}", targets)
        self._faults(machine, number)

    def _faults(self, machine: Machine, number: int) -> None:
        """First touch: of memory that the host has as well to provide, then
        of the same memory again through a new mapping."""
        device = self.targets[self.hdm].rpartition("@")
        base = int(device[2], 0)
        for step, span in ((4096, FAULT_SPAN), (HUGE_STEP, 2 * FAULT_SPAN)):
            offset = self.fresh
            self.fresh += 2 * FAULT_SPAN
            if self.fresh > HDM:
                raise UserError(f"{self.rounds} rounds need more than the "
                                "guest's HDM: use fewer")
            more = {"hdm-new": f"{device[0]}@{base + offset:#x}"}
            more["hdm-again"] = more["hdm-new"]
            # The smaller memory on huge pages is new in the first rounds.
            if self.huge and offset - FRESH_FROM + span <= self.huge_hdm:
                more["huge-new"] = \
                    f"{self.huge}@{offset - FRESH_FROM:#x}"
                more["huge-again"] = more["huge-new"]
            self.targets |= more
            self._bench(machine, number, f"fault {step} {span}",
                        [*more, "ram", "ram-huge"]
                        + [t for t in ("type3",) if t in self.targets])
            for name in more:
                del self.targets[name]

    def _count_exits(self, started: Started) -> None:
        """All accesses to HDM once more with QEMU's access trace on."""
        machine, name = started.machine, self.hdm
        spec = self.targets[name]
        missing = guest_trace.switch(machine.qmp, True)
        rows = parse_samples(self._run(
            machine, f"hdm-bench bandwidth 5 {CPUS} 0 {LARGE_SPAN} "
            f"{self.widths} {name}={spec}"))
        # An access that must show up, so that a count of 0 means something.
        lines = self._run(machine, f"cxl-regs endpoint "
                          f"{self.facts['setup']['bench.accel0']}")
        guest_trace.switch(machine.qmp, False)
        base = int(parse_report(lines)["endpoint.0.base"], 0)
        hdm, other = guest_trace.count(machine.trace_log, base, HDM)
        self.facts["exits"] = {
            "accesses": sum(row["accesses"] for row in rows),
            "to_qemu": hdm, "register_accesses_seen": other,
            "events_missing": missing}

    def _body(self, started: Started) -> None:
        machine = started.machine
        machine.read_until("=== ready ===", BOOT_LIMIT_S)
        self.say("guest has booted")
        self._find_targets(machine)
        for number in range(self.rounds):
            self.say(f"memory in the guest, round {number + 1} of "
                     f"{self.rounds}")
            self._round(machine, number)
        self._count_exits(started)
        machine.power_off()
        summary = started.servers[0].summary()
        self.facts["exits"]["to_server"] = sum(
            summary["regions"]["hdm"][key] for key in ("reads", "writes"))

    def run(self) -> Row:
        """Boot and measure; the raw samples and what the guest said."""
        with_machine(Plan(self.setup, devices=1, hdm=HDM, type3=MIB256,
                          huge_hdm=self.huge_hdm, cpus=CPUS, prealloc=True,
                          log="bench-guest"), self._body)
        return {"facts": self.facts, "samples": self.samples,
                "small_span": SMALL_SPAN, "large_span": LARGE_SPAN,
                "sample_ms": self.sample_ms, "targets": self.targets}
