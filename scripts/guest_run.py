#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot a stock Debian guest with a CXL Type-2 device, and show
in one table what guest and host really saw.

Exit status 1 when a line of the table is not as it must be.
"""

import argparse
import json
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import guest_accel
import guest_pattern
import guest_plug
import guest_refusal
import guest_trace
from common import BUILD, LOGS, UserError, run_main
from guest_facts import (WORD, Facts, Part, parse_report, print_table,
                         print_tap)
from guest_image import kernel_version, make_image
from guest_machine import (BOOT_LIMIT_S, GIB, Backing, Console, Machine,
                           Setup, check_programs, end_process, machine_args,
                           run_dir, run_lock, size_text, start_device)
from guest_options import (COMMITS, DEVICES, IOMMUS, add_arguments, choose,
                           one_of, parse_size)
from guest_report import judge
from progress import elapsed_text

# Up to this size every word is used; beyond it samples of the whole and
# every word of the end.
FULL_PASS_MAX = 4 * GIB
FULL_PASS_PART = GIB
SAMPLES = 1 << 14
# A divisor of the samples: what is written again was written before.
REWRITES = 1 << 10
# Generous: a pass takes 1 s for each GiB on an idle machine.
PASS_LIMIT_S = 60.0
PASS_LIMIT_PER_GIB_S = 60.0
CONSOLE_LIMIT_S = 60.0
SCENARIOS = {
    "plug": guest_plug.run,
}


class Steps:
    """Says on stderr what runs and how long it has taken."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{elapsed_text(time.monotonic() - self.start):>6}] {text}",
              file=sys.stderr, flush=True)


def pass_limit(size: int) -> float:
    return PASS_LIMIT_S + PASS_LIMIT_PER_GIB_S * min(size, FULL_PASS_MAX) / GIB


def parts(size: int) -> list[Part]:
    """What of the memory is used, and how densely."""
    if size <= FULL_PASS_MAX:
        return [Part(0, size, WORD)]
    return [Part(0, size, size // SAMPLES),
            Part(size - FULL_PASS_PART, FULL_PASS_PART, WORD)]


def guest_pass(machine: Console, part: Part, verb: str, seed: int) -> str:
    """Have the guest write or verify; returns "" or what went wrong."""
    machine.order(f"{verb} {seed:#x} {part.stride} {part.start:#x} "
                  f"{part.size:#x}")
    lines = machine.frame(verb, pass_limit(part.size))
    match = re.search(r"words=(\d+) errors=(\d+)", "\n".join(lines))
    if not match:
        return f"guest: {lines[-1] if lines else 'no answer'}"
    part.words = int(match[1])
    return "" if match[2] == "0" else f"{match[2]} words differ: {lines[0]}"


def check_part(machine: Console, memory: int, facts: Facts,
               part: Part) -> None:
    """The pattern in both directions over one part.

    memory: a descriptor of the file that is the device's memory
    """
    to_host, to_guest = secrets.randbits(63), secrets.randbits(63)
    where = part.start, part.size
    wrong = guest_pass(machine, part, "write", to_host)
    facts.guest_to_host = facts.guest_to_host or wrong or \
        guest_pattern.verify(memory, *where, to_host, part.stride)
    if part.stride != WORD:
        facts.allocated = guest_pattern.allocated(memory)
    guest_pattern.write(memory, *where, to_guest, part.stride)
    facts.host_to_guest = facts.host_to_guest or \
        guest_pass(machine, part, "verify", to_guest)


def check_memory(machine: Machine, device: Backing, facts: Facts,
                 steps: Steps) -> None:
    """The pattern over all parts, with the access trace on."""
    facts.parts = parts(facts.setup.hdm)
    facts.trace_missing = guest_trace.switch(machine.qmp, True)
    # Register accesses that must show up, so that a count of 0 means it.
    machine.order("endpoint")
    facts.text += machine.frame("endpoint", CONSOLE_LIMIT_S)
    facts.guest_to_host = facts.host_to_guest = ""
    for part in facts.parts:
        steps.say("guest and host write and verify "
                  f"{part.describe(facts.setup.hdm)}")
        check_part(machine, device.memory, facts, part)
    guest_trace.switch(machine.qmp, False)


def check_rewrites(machine: Machine, facts: Facts) -> None:
    """Write again, to pages that were written before: nothing may trap."""
    size = facts.setup.hdm
    block = guest_trace.hdm_block(machine.qmp, size)
    event = (guest_trace.REWRITE_EVENT,)
    if block < 0 or guest_trace.switch(machine.qmp, True, event):
        return
    machine.order(f"write {secrets.randbits(63):#x} {size // REWRITES} 0 "
                  f"{size:#x}")
    machine.frame("write", CONSOLE_LIMIT_S)
    guest_trace.switch(machine.qmp, False, event)
    facts.rewrites = guest_trace.count_rewrites(machine.trace_log, block, size)


def read_report(machine: Console, facts: Facts, steps: Steps,
                limit: float = BOOT_LIMIT_S) -> None:
    """Read what the guest reports once it has booted.

    limit: seconds for the boot, and again for the report
    """
    machine.read_until("=== begin report ===", limit)
    facts.boot_s = time.monotonic() - machine.started
    steps.say("guest has booted")
    lines = machine.read_until("=== end report ===", limit)
    facts.report = parse_report(lines)
    facts.driver_says = [line.partition("=")[2] for line in lines
                         if line.startswith("REPORT accel.message=")]
    if facts.report.get("address", "none") == "none":
        raise UserError(f"the guest finds no CXL device: {lines[-1]}; its "
                        f"console: {machine.console_log}")
    facts.iomem = machine.frame("iomem", CONSOLE_LIMIT_S)
    facts.cxl_list = machine.frame("cxl-list", CONSOLE_LIMIT_S)
    machine.read_until("=== ready ===", CONSOLE_LIMIT_S)
    facts.text += lines + facts.iomem + facts.cxl_list
    steps.say("guest has reported")


def observe(machine: Machine, device: Backing, facts: Facts,
            steps: Steps) -> None:
    """Collect everything one run shows."""
    read_report(machine, facts, steps)
    check_memory(machine, device, facts, steps)
    check_rewrites(machine, facts)
    guest_accel.observe(machine, facts, steps.say)
    machine.order("dump")
    facts.text += machine.frame("dump", CONSOLE_LIMIT_S)
    machine.order("dmesg")
    facts.dmesg = machine.frame("dmesg", CONSOLE_LIMIT_S)
    facts.text += facts.dmesg
    machine.power_off()
    base = facts.number("endpoint.0.base")
    if base >= 0:
        facts.qemu_hdm, facts.qemu_other = guest_trace.count(
            machine.trace_log, base, facts.setup.hdm)
    facts.summary = device.summary()


def run_once(setup: Setup, thorough: bool) -> Facts:
    """One run with the device, from start to power-off.

    thorough: have the guest run the tests of its driver as well
    """
    facts, steps = Facts(setup, thorough=thorough), Steps()
    with run_lock(), run_dir(setup.keep) as where:
        if setup.device == "reference":
            steps.say(f"start the device server: {setup.identity}, "
                      f"{size_text(setup.hdm)} HDM")
        device = start_device(setup, where)
        try:
            steps.say("start QEMU")
            machine = Machine(machine_args(setup, device))
            try:
                observe(machine, device, facts, steps)
            finally:
                machine.close()
        finally:
            device.close()
    return facts


def show(facts: Facts, tap: bool) -> int:
    """Print the table, or TAP; returns the exit status."""
    rows = judge(facts)
    listing = LOGS / "guest-cxl-list.json"
    listing.write_text("\n".join(facts.cxl_list) + "\n", encoding="utf-8")
    if facts.summary:
        (LOGS / "guest-device.json").write_text(
            json.dumps(facts.summary, indent=1) + "\n", encoding="utf-8")
    if tap:
        print_tap(rows)
    else:
        setup = facts.setup
        print_table(rows, "CXL Type-2 device in a Debian guest, kernel "
                    f"{facts.report.get('kernel', '?')} ({kernel_version()}),"
                    f" {setup.device} device, identity {setup.identity}, driver "
                    f"{setup.driver}")
        print("cxl list -BPEDMTR: build/log/guest-cxl-list.json, console: "
              "build/log/guest-console.log")
    return 1 if any(row.expected for row in rows) else 0


def run_shell(setup: Setup) -> int:
    """An interactive guest on this terminal."""
    setup.options.append("shell")
    with run_dir(setup.keep) as where:
        device = start_device(setup, where, "shell")
        try:
            print("Leave the guest with 'exit', or end QEMU with Ctrl-A X.")
            proc = subprocess.Popen(machine_args(setup, device)
                                    + ["-serial", "mon:stdio"])
            try:
                return proc.wait()
            finally:
                end_process(proc)
        finally:
            device.close()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--shell", action="store_true",
                        help="interactive guest instead of the table")
    parser.add_argument("--check", action="store_true",
                        help="TAP output, one line for each row")
    parser.add_argument("--refusals", action="store_true",
                        help="devices that our driver must refuse, as TAP")
    parser.add_argument("--scenario", choices=SCENARIOS, metavar="NAME",
                        help="devices that are plugged while the guest runs, "
                        f"as TAP: {', '.join(SCENARIOS)}")
    parser.add_argument("--keep", action="store_true",
                        help="keep the run's files")
    parser.add_argument("--qemu", type=Path, metavar="PATH",
                        default=BUILD / "qemu-system-aarch64")
    parser.add_argument("--server", type=Path, metavar="PATH",
                        default=BUILD / "vfio-user-cxl")
    return parser.parse_args()


def _end_on(signum: int) -> None:
    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signum, leave)


def main() -> int:
    args = arguments()
    # A closed terminal must not leave processes behind.
    _end_on(signal.SIGHUP)
    hdm = parse_size(args.hdm)
    identity, driver = choose(args.identity, args.driver, hdm)
    setup = Setup(qemu=args.qemu.absolute(), server=args.server.absolute(),
                  hdm=hdm, identity=identity, driver=driver,
                  iommu=one_of("IOMMU", args.iommu, IOMMUS),
                  commit=one_of("COMMIT", args.commit, COMMITS),
                  device=one_of("DEVICE", args.device, DEVICES),
                  keep=args.keep)
    check_programs(setup)
    make_image()
    LOGS.mkdir(parents=True, exist_ok=True)
    if args.shell:
        return run_shell(setup)
    try:
        if args.refusals:
            return guest_refusal.run(setup)
        if args.scenario:
            rows = SCENARIOS[args.scenario](setup)
            print_tap(rows)
            return 1 if any(row.expected for row in rows) else 0
        return show(run_once(setup, args.check), args.check)
    except UserError as error:
        if args.check or args.refusals or args.scenario:
            print("Bail out! "
                  + " ".join(line.strip() for line
                             in str(error).splitlines()[:2]))
        raise


if __name__ == "__main__":
    run_main(main)
