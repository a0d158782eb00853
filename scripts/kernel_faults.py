# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong between kernel, emulator and guest, and what each says.

The switches are those of vfio_cxl_test; after each case the device works
again, in the guest or in the next one.
"""

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from common import UserError
from guest_facts import WORD, Part, Row, judged
from guest_run import Steps, guest_pass
from kernel_guest import (ADDRESS, ORDER_LIMIT_S, PAGE, SMALL, booted,
                          guest_shell, new_facts, plan, try_memory)
from kernel_machine import HDM, Guest, GuestPlan, Host

PARAMETERS = "/sys/module/vfio_cxl_test/parameters"
POISON = f"/sys/kernel/debug/vfio_cxl_test/{ADDRESS}/poison"
START_LIMIT_S = 120.0
# How much of a message a row shows.
SHOWN = 200
# Two places in the HDM: one that the guest has used, and one in another part
# that it has not.
USED = 0
UNUSED = HDM - (8 << 20)
UNREACHED = "the host cannot reach the HDM (SIGBUS)"


@contextmanager
def switched(host: Host, name: str) -> Iterator[None]:
    """A switch of the driver is on meanwhile."""
    host.check(f"echo 1 >{PARAMETERS}/{name}")
    try:
        yield
    finally:
        host.check(f"echo 0 >{PARAMETERS}/{name}")


class Listener:
    """What emulators in the host machine say from now on."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.since = len(host.said())

    def heard(self) -> str:
        """The messages, without what is in front of the device's."""
        text = self.host.said()[self.since:].replace("Killed", "").strip()
        return re.sub(rf".* (?:vfio )?{ADDRESS}: ", "", text)

    def wait(self, words: str) -> bool:
        """Whether it says something in time."""
        for _ in range(50):
            if words in self.heard():
                return True
            time.sleep(0.2)
        return False


def refused(host: Host, case: str, how: GuestPlan, pattern: str) -> Row:
    """The emulator must end with status 1 and say why in one line."""
    listener = Listener(host)
    try:
        guest = Guest(host, how)
        try:
            guest.wait_end(START_LIMIT_S)
        finally:
            guest.close()
    except UserError:
        pass
    said, status = listener.heard(), host.guest_status
    return judged(case, f"status {status}: {said[-SHOWN:] or 'nothing'}", [
        (status == 1, "status 1"),
        (bool(re.search(pattern, said)), f"'{pattern}'")])


def starts(host: Host, case: str, how: GuestPlan, cxl: bool,
           pattern: str = "") -> Row:
    """The emulator must start; with or without CXL.

    pattern: what it has to say, if anything
    """
    listener = Listener(host)
    guest = Guest(host, how)
    try:
        blocks = str(guest.qmp.command("human-monitor-command", **{
            "command-line": "info mtree -f"}))
        there = "HDM" in blocks
    finally:
        guest.close()
    said = listener.heard()
    found = not pattern or re.search(pattern, said)
    return judged(case, f"starts, {'with' if there else 'without'} HDM: "
                  f"{said[-SHOWN:] or 'nothing said'}", [
                      (there == cxl, "with HDM" if cxl else "without HDM"),
                      (bool(found), f"'{pattern}'")])


def at_start(host: Host) -> Iterator[Row]:
    """What the emulator meets when it opens the device."""
    with switched(host, "hide_cxl"):
        yield refused(host, "no CXL flag, cxl=on", plan(True, cxl="on"),
                      "not offered as CXL device")
        yield starts(host, "no CXL flag, cxl=auto", plan(True), False,
                     "not offered as CXL device")
    with switched(host, "refuse_mmap"):
        yield refused(host, "mmap of the HDM refused", plan(True),
                      "cannot map HDM region .*not permitted")
    with switched(host, "decoder_eio"):
        yield starts(host, "decoder unreadable without Memory Space",
                     plan(True), True)


def alive(guest: Guest) -> list[tuple[bool, str]]:
    """Rules: both machines live."""
    state = str(guest.qmp.command("query-status")["status"])
    answer = guest_shell(guest, "echo alive")
    return [(state == "running", f"a VM that runs, not {state}"),
            (answer == ["alive"], "a guest that answers")]


def reads_error(guest: Guest, offset: int) -> tuple[str, bool]:
    """What the guest meets at an offset, and whether that is an error:
    all ones, or a signal where KVM cannot emulate the access."""
    met = guest_pass(guest, Part(offset, PAGE, WORD), "verify",
                     secrets.randbits(63))
    return met, "read 0xffffffffffffffff" in met or "Bus error" in met


def after_reset(host: Host, guest: Guest) -> str:
    """Reset the device in the guest; then memory works, or what is wrong."""
    said = guest_shell(guest, f"echo 1 >/sys/bus/pci/devices/{ADDRESS}/reset;"
                       " echo status $?")
    if said[-1:] != ["status 0"]:
        return f"reset: {said}"
    facts = new_facts(host)
    try_memory(host, guest, facts, SMALL)
    return facts.guest_to_host or facts.host_to_guest


def failing_memory(host: Host, guest: Guest, case: str, offset: int) -> Row:
    """A page of HDM fails; the guest must see it, and nobody die of it."""
    listener = Listener(host)
    host.check(f"echo {offset} >{POISON}")
    met, wrong = reads_error(guest, offset)
    told = listener.wait(UNREACHED)
    rules = alive(guest)
    healed = after_reset(host, guest)
    return judged(case, f"guest: {met}; QEMU "
                  f"{'said so' if told else 'said nothing'}; after a reset: "
                  f"{healed or 'works'}", [
                      (wrong, "an error in the guest"),
                      (told, f"'{UNREACHED}'"),
                      (not healed, "memory that works after a reset"),
                      *rules])


def failing_reset(host: Host, guest: Guest) -> Row:
    """A reset fails; the memory stays away until one works."""
    listener = Listener(host)
    with switched(host, "fail_reset"):
        said = guest_shell(guest, "echo 1 >/sys/bus/pci/devices/"
                           f"{ADDRESS}/reset; echo status $?")
        met, wrong = reads_error(guest, USED)
        told = listener.wait(UNREACHED)
        rules = alive(guest)
    healed = after_reset(host, guest)
    return judged("device reset that fails", f"guest: {said[-1:]}, then "
                  f"{met}; QEMU {'said so' if told else 'said nothing'}; "
                  f"after another: {healed or 'works'}", [
                      (told, f"'{UNREACHED}'"),
                      (wrong, "an error in the guest"),
                      (not healed, "memory that works after another reset"),
                      *rules])


def unbound(host: Host, guest: Guest) -> Row:
    """The driver is unbound from the device that the guest uses."""
    listener = Listener(host)
    host.check(f"(echo {ADDRESS} >/sys/bus/pci/drivers/vfio_cxl_test/unbind; "
               "echo done >/run/unbound) >/dev/null 2>&1 &")
    gone = False
    end = time.monotonic() + ORDER_LIMIT_S
    while not gone and time.monotonic() < end:
        gone = host.run("[ -e /run/unbound ]").status == 0
        if not gone:
            time.sleep(1)
    said = listener.heard()
    return judged("driver unbound while the guest runs",
                  f"{'released' if gone else 'still held'}; QEMU: "
                  f"{said[-SHOWN:] or 'nothing said'}", [
                      (gone or bool(said), "the device released, or a "
                       "reason from QEMU"), *alive(guest)])


def in_guest(host: Host, steps: Steps) -> Iterator[Row]:
    """What a guest meets that uses the device."""
    guest = Guest(host, plan(True))
    try:
        facts = booted(host, guest, steps)
        try_memory(host, guest, facts, SMALL)
        steps.say("a page fails")
        yield failing_memory(host, guest, "a page fails that is in use", USED)
        steps.say("a page fails that nobody has mapped")
        yield failing_memory(host, guest, "a page fails before its first use",
                             UNUSED)
        steps.say("a reset fails")
        yield failing_reset(host, guest)
        steps.say("the driver is unbound")
        yield unbound(host, guest)
    finally:
        guest.close()
