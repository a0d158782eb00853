# SPDX-License-Identifier: GPL-2.0-or-later
"""What the nested guest sees of the passed-through device, and the rows that
are made of it: those of the guest's own table that hold here too, and the
exits that KVM counts in the host machine."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import guest_accel
import guest_report
import guest_trace
from common import LOGS
from guest_facts import WORD, Facts, Part, Row, judged
from guest_machine import Setup
from guest_run import Steps, check_part, guest_pass, read_report
from kernel_machine import HDM, Guest, GuestPlan, Host

ADDRESS = "0000:0d:00.0"
# A boot takes 10 s on an idle machine.
BOOT_LIMIT_S = 600.0
ORDER_LIMIT_S = 180.0
PAGE = 4096
SMALL = Part(0, 1 << 20, WORD)
STATISTICS = "/sys/kernel/debug/kvm"
COUNTERS = ("mmio_exit_user", "mmio_exit_kernel", "exits")
# What one order more or less on the console may cost.
CONSOLE_EXITS = 64

# The rows of the guest's table that can be judged without a device server.
TABLE: tuple[Callable[[Facts], Row], ...] = (
    guest_report.window, guest_report.bridge_decoder,
    guest_report.endpoint_decoder, guest_report.dvsec_range,
    guest_report.host_address, guest_report.driver, guest_report.region,
    guest_report.cxl_list, guest_report.iomem, guest_report.guest_to_host,
    guest_report.host_to_guest)
SHORT = (guest_report.endpoint_decoder, guest_report.driver,
         guest_report.region, guest_report.guest_to_host,
         guest_report.host_to_guest)


@dataclass
class Exits:
    """How often the guest was left while it wrote, by KVM's counters."""
    # While it wrote all of its HDM, and while it wrote one page.
    whole: dict[str, int] = field(default_factory=dict)
    page: dict[str, int] = field(default_factory=dict)
    # By QEMU's own trace: accesses to the HDM, and to registers.
    qemu_hdm: int = -1
    qemu_other: int = 0


def device(iommufd: bool, **more: object) -> dict[str, object]:
    """The passed-through device's properties."""
    found: dict[str, object] = {"driver": "vfio-pci", "id": "hdm0",
                                "bus": "rp0", "host": ADDRESS, **more}
    if iommufd:
        found["iommufd"] = "iommufd0"
    return found


def plan(iommufd: bool, **more: object) -> GuestPlan:
    """A guest with the device. more: properties of the device."""
    return GuestPlan(device=device(iommufd, **more),
                     objects=["iommufd,id=iommufd0"] if iommufd else [])


def new_facts(host: Host) -> Facts:
    """For the facts of one boot."""
    facts = Facts(Setup(qemu=Path(), server=Path(), hdm=HDM,
                        identity="accel", driver="cxl_accel"), thorough=True)
    text = host.run("grep vfio_cxl_test /proc/iomem").text
    base = text.strip().partition("-")[0]
    facts.summary["host_base"] = int(base, 16) if base else 0
    return facts


def booted(host: Host, guest: Guest, steps: Steps) -> Facts:
    """The facts of a guest that boots, up to its report."""
    facts = new_facts(host)
    read_report(guest, facts, steps, BOOT_LIMIT_S)
    return facts


def try_memory(host: Host, guest: Guest, facts: Facts, part: Part) -> None:
    """The pattern in both directions, between guest and L0's memory."""
    facts.parts = [part]
    facts.guest_to_host = facts.host_to_guest = ""
    check_part(guest, host.memory, facts, part)


def short_rows(host: Host, guest: Guest, steps: Steps) -> list[Row]:
    """A boot after the first one: the device is there and works."""
    facts = booted(host, guest, steps)
    try_memory(host, guest, facts, SMALL)
    return [make(facts) for make in SHORT]


def _counters(host: Host) -> dict[str, int]:
    values = host.check(f"cd {STATISTICS} && cat "
                        + " ".join(COUNTERS)).split()
    return dict(zip(COUNTERS, map(int, values), strict=True))


def _counted(host: Host, guest: Guest, part: Part) -> dict[str, int]:
    before = _counters(host)
    guest_pass(guest, part, "write", secrets.randbits(63))
    after = _counters(host)
    return {name: after[name] - before[name] for name in COUNTERS}


def count_exits(host: Host, guest: Guest, facts: Facts) -> Exits:
    """Have the guest write memory that it has written before."""
    exits = Exits()
    log = LOGS / "kernel-l2-trace.log"
    host.check(": >/run/guest-trace0.log")
    guest_trace.switch(guest.qmp, True)
    guest.order("endpoint")
    facts.text += guest.frame("endpoint", ORDER_LIMIT_S)
    exits.page = _counted(host, guest, Part(0, PAGE, WORD))
    exits.whole = _counted(host, guest, Part(0, HDM, WORD))
    guest_trace.switch(guest.qmp, False)
    log.write_text(host.check("cat /run/guest-trace0.log") + "\n",
                   encoding="utf-8")
    base = facts.number("endpoint.0.base")
    exits.qemu_hdm, exits.qemu_other = guest_trace.count(log, base, HDM)
    return exits


def exits_row(exits: Exits) -> Row:
    """No access to the HDM left the guest."""
    more = {name: exits.whole[name] - exits.page[name] for name in COUNTERS}
    return judged(
        "HDM exits", "to QEMU, writing "
        f"{HDM // WORD} words {exits.whole['mmio_exit_user']}, one page "
        f"{exits.page['mmio_exit_user']}; in the kernel "
        f"{exits.whole['mmio_exit_kernel']}, {exits.page['mmio_exit_kernel']};"
        f" of all kinds {exits.whole['exits']}, {exits.page['exits']}; QEMU's "
        f"trace: HDM {exits.qemu_hdm}, registers {exits.qemu_other}", [
            (more["mmio_exit_user"] < CONSOLE_EXITS,
             "as many to QEMU as for one page"),
            (more["mmio_exit_kernel"] < CONSOLE_EXITS,
             "as many in the kernel as for one page"),
            (exits.qemu_hdm == 0, "none in QEMU's trace"),
            # Without any line the trace itself would not work.
            (exits.qemu_other > 0, "a trace that sees accesses")])


def table(host: Host, guest: Guest, steps: Steps) -> list[Row]:
    """The whole table of a first boot."""
    facts = booted(host, guest, steps)
    steps.say("guest and host write and verify all of the HDM")
    try_memory(host, guest, facts, Part(0, HDM, WORD))
    steps.say("count exits")
    exits = count_exits(host, guest, facts)
    guest_accel.observe(guest, facts, steps.say)
    guest.order("dump")
    facts.text += guest.frame("dump", ORDER_LIMIT_S)
    guest.order("dmesg")
    facts.dmesg = guest.frame("dmesg", ORDER_LIMIT_S)
    facts.text += facts.dmesg
    return ([make(facts) for make in TABLE] + [exits_row(exits)]
            + guest_accel.rows(facts))


def guest_shell(guest: Guest, command: str) -> list[str]:
    """Have the guest's shell run a command; its words, one space between."""
    guest.order(f"sh {command}")
    return guest.frame("sh", ORDER_LIMIT_S)


def reset_row(host: Host, guest: Guest) -> Row:
    """The guest resets the device, and goes on using it."""
    path = f"/sys/bus/pci/devices/{ADDRESS}"
    said = guest_shell(guest, f"cat {path}/reset_method; "
                       f"echo 1 >{path}/reset; echo status $?")
    facts = new_facts(host)
    try_memory(host, guest, facts, SMALL)
    wrong = facts.guest_to_host or facts.host_to_guest
    return judged("device reset from the guest", "; ".join(said)
                  + (f"; then memory: {wrong}" if wrong else
                     "; then memory works in both directions"), [
                         (said[-1:] == ["status 0"], "status 0"),
                         (not wrong, "memory that works")])
