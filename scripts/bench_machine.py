# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines for the benchmark: any number of devices, each with a server of
its own, and QEMU's emulated memory device beside them."""

import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from common import UserError
from guest_image import INITRAMFS, VMLINUZ
from guest_machine import (FIRMWARE, GIB, MIB256, Machine, Server, Setup,
                           run_dir)

# A bridge has four decoders, so no more devices find a place below it.
PER_BRIDGE = 4
BUS_STEP = 16
# virt's configuration space window, when highmem-ecam is on.
ECAM = 0x4010000000
FIRST_BUS = 12
RAM = "1G"


@dataclass
class Plan:
    """What a measurement's machine consists of; sizes in bytes."""
    setup: Setup
    devices: int = 0
    plain: bool = False         # with cxl=off
    hdm: int = MIB256           # of each device
    windows_for: int = 0        # windows as for this many devices
    huge_hdm: int = 0           # one more device, in huge pages of the host
    type3: int = 0              # size of the emulated device, 0: none
    cpus: int = 1
    paused: bool = False        # started with -S
    prealloc: bool = False      # RAM: none of the host's page faults later
    trace: tuple[str, ...] = ()
    qtest: bool = False         # with a socket for reads and writes as guest
    log: str = "bench"

    @property
    def places(self) -> int:
        """How many root ports there are for devices."""
        return max(self.devices + bool(self.huge_hdm), self.windows_for, 1)

    @property
    def bridges(self) -> int:
        return -(-self.places // PER_BRIDGE)


def port_place(number: int) -> tuple[int, int]:
    """(bus, slot) of a root port that has a device."""
    return (FIRST_BUS + number // PER_BRIDGE * BUS_STEP, number % PER_BRIDGE)


def _window(size: int) -> int:
    """The next power of two, at least 4 GiB."""
    window = 4 * GIB
    while window < size:
        window *= 2
    return window


def device(number: int, server: Server, plain: bool) -> dict[str, object]:
    """A device's properties for the command line."""
    return {"driver": "vfio-user-pci", "id": f"hdm{number}",
            "bus": f"rp{number}", "cxl": "off" if plain else "on",
            "socket": {"path": str(server.socket), "type": "unix"}}


def plan_args(plan: Plan, servers: list[Server]) -> list[str]:
    """QEMU's arguments, console apart."""
    count = plan.places
    machine = "virt,cxl=on,gic-version=3,memory-backend=ram"
    parts: list[str] = []
    for n in range(plan.bridges):
        here = min(PER_BRIDGE, count - n * PER_BRIDGE)
        machine += (f",cxl-fmw.{n}.targets.0=cxl.{n}"
                    f",cxl-fmw.{n}.size={_window(here * plan.hdm)}")
        parts += ["-device", f"pxb-cxl,bus_nr={FIRST_BUS + n * BUS_STEP},"
                  f"bus=pcie.0,id=cxl.{n}"]
        for port in range(here):
            slot = n * PER_BRIDGE + port
            parts += ["-device", f"cxl-rp,port={port},bus=cxl.{n},"
                      f"id=rp{slot},chassis={n},slot={port}"]
    for n in range(plan.devices + bool(plan.huge_hdm)):
        parts += ["-device", json.dumps(device(n, servers[n], plan.plain))]
    if plan.type3:
        n = plan.bridges
        machine += (f",cxl-fmw.{n}.targets.0=cxl.{n}"
                    f",cxl-fmw.{n}.size={_window(plan.type3)}")
        parts += ["-object", f"memory-backend-ram,id=type3,size={plan.type3}",
                  "-device", f"pxb-cxl,bus_nr={FIRST_BUS + n * BUS_STEP},"
                  f"bus=pcie.0,id=cxl.{n},hdm_for_passthrough=on",
                  "-device", f"cxl-rp,port=0,bus=cxl.{n},id=rptype3,"
                  "chassis=100,slot=0",
                  "-device", "cxl-type3,bus=rptype3,volatile-memdev=type3,"
                  "id=emulated,sn=1"]
    options = " ".join(["console=ttyAMA0", "rdinit=/init", "iomem=relaxed",
                        "quiet", "loglevel=3", "identity=accel", "idle",
                        *plan.setup.options])
    args = [
        str(plan.setup.qemu), "-nodefaults", "-display", "none", "-no-reboot",
        "-M", machine, "-object", "memory-backend-memfd,id=ram,"
        f"size={RAM},share=on,prealloc={'on' if plan.prealloc else 'off'}",
        "-cpu", "max,pauth-impdef=on", "-m", RAM, "-smp", str(plan.cpus),
        "-bios", str(FIRMWARE), "-kernel", str(VMLINUZ),
        "-initrd", str(INITRAMFS), "-append", options, *parts]
    if plan.paused:
        args.append("-S")
    for event in plan.trace:
        args += ["-trace", event]
    return args


class GuestAccess:
    """Reads and writes as the guest's processor makes them, by qtest."""

    def __init__(self, sock: socket.socket) -> None:
        self.stream = sock.makefile("rwb")

    def _ask(self, text: str) -> str:
        self.stream.write(text.encode() + b"\n")
        self.stream.flush()
        while True:
            line = self.stream.readline().decode()
            if line.startswith("OK"):
                return line[2:].strip()
            if not line or line.startswith(("FAIL", "ERR")):
                raise UserError(f"qtest '{text}': "
                                f"{line.strip() or 'no answer'}")

    def config(self, bus: int, slot: int, offset: int, value: int,
               width: str = "l") -> None:
        """Write config space; width: b, w or l."""
        address = ECAM + (bus << 20 | slot << 15 | offset)
        self._ask(f"write{width} {address:#x} {value:#x}")


@dataclass
class Started:
    """A machine that runs, and how long its parts took to start."""
    plan: Plan
    machine: Machine
    servers: list[Server]
    server_s: float     # all servers, one after the other
    qemu_s: float       # from QEMU's start to its answer on the monitor
    probe: "GuestAccess | None" = None


def with_machine(plan: Plan, body: Callable[[Started], None]) -> None:
    """Start servers and machine, call body, and end all of them."""
    setup = replace(plan.setup, identity="accel")
    with ExitStack() as stack:
        where = stack.enter_context(run_dir(False))
        begin = time.monotonic()
        servers = []
        cases = [(plan.hdm, os.MFD_CLOEXEC)] * plan.devices
        if plan.huge_hdm:
            cases.append((plan.huge_hdm, os.MFD_CLOEXEC | os.MFD_HUGETLB
                          | os.MFD_HUGE_2MB))
        for n, (hdm, flags) in enumerate(cases):
            place = Path(where, str(n))
            place.mkdir()
            server = Server(replace(setup, hdm=hdm), place,
                            f"{plan.log}-{n}", flags)
            stack.callback(server.close)
            servers.append(server)
        server_s = time.monotonic() - begin
        args = plan_args(plan, servers)
        probe = None
        if plan.qtest:
            ours, theirs = socket.socketpair()
            stack.callback(ours.close)
            # QEMU's own end must outlive the start of its process.
            stack.callback(theirs.close)
            os.set_inheritable(theirs.fileno(), True)
            args += ["-chardev", f"socket,id=probe,fd={theirs.fileno()}",
                     "-qtest", "chardev:probe"]
            probe = GuestAccess(ours)
        machine = Machine(args, plan.log,
                          [theirs.fileno()] if plan.qtest else [])
        stack.callback(machine.close)
        machine.qmp.command("query-status")
        qemu_s = time.monotonic() - machine.started
        body(Started(plan, machine, servers, server_s, qemu_s, probe))
