#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot a stock Debian guest with the reference CXL Type-2 device, and show
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

import guest_pattern
import guest_trace
from common import BUILD, LOGS, UserError, run_main
from guest_image import kernel_version, make_image
from guest_machine import (BOOT_LIMIT_S, GIB, MIB256, Machine, Server, Setup,
                           check_programs, end_process, machine_args, run_dir,
                           run_lock, size_text)
from guest_report import Facts, judge, parse_report, print_table, print_tap
from progress import elapsed_text

HDM_MAX = 1 << 40
# The sfc driver declares exactly this capacity; more fails inside it.
SFC_HDM = MIB256
FULL_PASS_MAX = 4 * GIB
SAMPLES = 1 << 14
# A divisor of the samples: what is written again was written before.
REWRITES = 1 << 10
# Generous: a pass takes 1 s for each GiB on an idle machine.
PASS_LIMIT_S = 60.0
PASS_LIMIT_PER_GIB_S = 60.0
CONSOLE_LIMIT_S = 60.0


def parse_size(text: str) -> int:
    """A size such as 256M, 4G or 1T, in bytes."""
    match = re.fullmatch(r"(\d+)([MGT])(?:i?B)?", text.strip(), re.IGNORECASE)
    if not match:
        raise UserError(f"HDM size '{text}' is not a number followed by M, G "
                        "or T, for instance 256M or 4G")
    size = int(match[1]) << {"M": 20, "G": 30, "T": 40}[match[2].upper()]
    if size == 0 or size % MIB256 or size > HDM_MAX:
        raise UserError(f"HDM size {text} must be a multiple of 256M from "
                        "256M to 1T")
    return size


def choose_identity(wanted: str, hdm: int) -> str:
    """The identity for `auto`, and a check of the other choices."""
    if wanted == "auto":
        return "sfc" if hdm == SFC_HDM else "accel"
    if wanted == "sfc" and hdm != SFC_HDM:
        raise UserError(f"identity sfc needs an HDM of 256M, not "
                        f"{size_text(hdm)}: its driver declares that capacity;"
                        " use --identity accel")
    return wanted


class Steps:
    """Says on stderr what runs and how long it has taken."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{elapsed_text(time.monotonic() - self.start):>6}] {text}",
              file=sys.stderr, flush=True)


def pass_limit(size: int) -> float:
    return PASS_LIMIT_S + PASS_LIMIT_PER_GIB_S * min(size, FULL_PASS_MAX) / GIB


def guest_pass(machine: Machine, facts: Facts, verb: str, seed: int) -> str:
    """Have the guest write or verify; returns "" or what went wrong."""
    machine.order(f"{verb} {seed:#x} {facts.stride}")
    lines = machine.frame(verb, pass_limit(facts.setup.hdm))
    match = re.search(r"words=(\d+) errors=(\d+)", "\n".join(lines))
    if not match:
        return f"guest: {lines[-1] if lines else 'no answer'}"
    facts.words = int(match[1])
    return "" if match[2] == "0" else f"{match[2]} words differ: {lines[0]}"


def check_memory(machine: Machine, server: Server, facts: Facts,
                 steps: Steps) -> None:
    """The pattern in both directions, with the access trace on."""
    size = facts.setup.hdm
    facts.stride = 8 if size <= FULL_PASS_MAX else size // SAMPLES
    to_host, to_guest = secrets.randbits(63), secrets.randbits(63)
    facts.trace_missing = guest_trace.switch(machine.qmp, True)
    # Register accesses that must show up, so that a count of 0 means it.
    machine.order("endpoint")
    facts.text += machine.frame("endpoint", CONSOLE_LIMIT_S)

    steps.say(f"guest writes a pattern over {size_text(size)}")
    wrong = guest_pass(machine, facts, "write", to_host)
    facts.guest_to_host = wrong or guest_pattern.verify(
        server.memory, size, to_host, facts.stride)
    facts.allocated = guest_pattern.allocated(server.memory)
    steps.say("host has read it back and writes its own")
    guest_pattern.write(server.memory, size, to_guest, facts.stride)
    facts.host_to_guest = guest_pass(machine, facts, "verify", to_guest)
    steps.say("guest has verified it")
    guest_trace.switch(machine.qmp, False)


def check_rewrites(machine: Machine, facts: Facts) -> None:
    """Write again, to pages that were written before: nothing may trap."""
    size = facts.setup.hdm
    block = guest_trace.hdm_block(machine.qmp, size)
    event = (guest_trace.REWRITE_EVENT,)
    if block < 0 or guest_trace.switch(machine.qmp, True, event):
        return
    machine.order(f"write {secrets.randbits(63):#x} {size // REWRITES}")
    machine.frame("write", CONSOLE_LIMIT_S)
    guest_trace.switch(machine.qmp, False, event)
    facts.rewrites = guest_trace.count_rewrites(machine.trace_log, block, size)


def observe(machine: Machine, server: Server, facts: Facts,
            steps: Steps) -> None:
    """Collect everything one run shows."""
    machine.read_until("=== begin report ===", BOOT_LIMIT_S)
    facts.boot_s = time.monotonic() - machine.started
    steps.say("guest has booted")
    lines = machine.read_until("=== end report ===", BOOT_LIMIT_S)
    facts.report = parse_report(lines)
    if facts.report.get("address", "none") == "none":
        raise UserError(f"the guest finds no CXL device: {lines[-1]}; its "
                        f"console: {machine.console_log}")
    facts.iomem = machine.frame("iomem", CONSOLE_LIMIT_S)
    facts.cxl_list = machine.frame("cxl-list", CONSOLE_LIMIT_S)
    machine.read_until("=== ready ===", CONSOLE_LIMIT_S)
    facts.text += lines + facts.iomem + facts.cxl_list
    steps.say("guest has reported")
    check_memory(machine, server, facts, steps)
    check_rewrites(machine, facts)
    for name in ("dump", "dmesg"):
        machine.order(name)
        facts.text += machine.frame(name, CONSOLE_LIMIT_S)
    machine.power_off()
    base = facts.number("endpoint.0.base")
    if base >= 0:
        facts.qemu_hdm, facts.qemu_other = guest_trace.count(
            machine.trace_log, base, facts.setup.hdm)
    facts.summary = server.summary()


def run_once(setup: Setup) -> Facts:
    """One run with the device, from start to power-off."""
    facts, steps = Facts(setup), Steps()
    with run_lock(), run_dir(setup.keep) as where:
        steps.say(f"start the device server: {setup.identity}, "
                  f"{size_text(setup.hdm)} HDM")
        server = Server(setup, where)
        try:
            steps.say("start QEMU")
            machine = Machine(machine_args(setup, server))
            try:
                observe(machine, server, facts, steps)
            finally:
                machine.close()
        finally:
            server.close()
    return facts


def show(facts: Facts, tap: bool) -> int:
    """Print the table, or TAP; returns the exit status."""
    rows = judge(facts)
    listing = LOGS / "guest-cxl-list.json"
    listing.write_text("\n".join(facts.cxl_list) + "\n", encoding="utf-8")
    (LOGS / "guest-device.json").write_text(
        json.dumps(facts.summary, indent=1) + "\n", encoding="utf-8")
    if tap:
        print_tap(rows)
    else:
        setup = facts.setup
        print_table(rows, "CXL Type-2 device in a Debian guest, kernel "
                    f"{facts.report.get('kernel', '?')} ({kernel_version()}),"
                    f" identity {setup.identity}")
        if not facts.stock:
            print("No stock driver binds to the generic identity: decoders, "
                  "placement and memory were checked without one.")
        print("cxl list -BPEDMTR: build/log/guest-cxl-list.json, console: "
              "build/log/guest-console.log")
    return 1 if any(row.expected for row in rows) else 0


def run_shell(setup: Setup) -> int:
    """An interactive guest on this terminal."""
    setup.options.append("shell")
    with run_dir(setup.keep) as where:
        server = Server(setup, where, "shell")
        try:
            print("Leave the guest with 'exit', or end QEMU with Ctrl-A X.")
            proc = subprocess.Popen(machine_args(setup, server)
                                    + ["-serial", "mon:stdio"])
            try:
                return proc.wait()
            finally:
                end_process(proc)
        finally:
            server.close()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hdm", default="256M", metavar="SIZE",
                        help="size of the device's memory, 256M to 1T")
    parser.add_argument("--identity", default="auto",
                        choices=("auto", "sfc", "accel"),
                        help="what the device poses as; auto: sfc at 256M")
    parser.add_argument("--shell", action="store_true",
                        help="interactive guest instead of the table")
    parser.add_argument("--check", action="store_true",
                        help="TAP output, one line for each row")
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
    setup = Setup(qemu=args.qemu.absolute(), server=args.server.absolute(),
                  hdm=hdm, identity=choose_identity(args.identity, hdm),
                  keep=args.keep)
    check_programs(setup)
    make_image()
    LOGS.mkdir(parents=True, exist_ok=True)
    if args.shell:
        return run_shell(setup)
    try:
        return show(run_once(setup), args.check)
    except UserError as error:
        if args.check:
            print("Bail out! "
                  + " ".join(line.strip() for line
                             in str(error).splitlines()[:2]))
        raise


if __name__ == "__main__":
    run_main(main)
