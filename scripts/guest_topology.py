# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest below whose ports devices come and go: orders, and what it sees."""

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import guest_pattern
from common import UserError
from guest_facts import parse_report
from guest_image import INITRAMFS
from guest_machine import (BOOT_LIMIT_S, BRIDGE_BUS, GIB, Backing, Machine,
                           Setup, base_args, bridge_args, start_device)
from progress import log_tail

# Generous: a guest waits 5 s before it takes a device in or lets it go.
PLUG_LIMIT_S = 180.0
ORDER_LIMIT_S = 120.0
WINDOW = 4 * GIB
# The pattern's words are this far apart.
STRIDE = 1 << 16
# What the ports reserve for a device of either kind: PCI memory.
PCI_SPACE = "mem-reserve=4M,pref64-reserve=4M"
BRIDGE = f"0000:{BRIDGE_BUS:02x}"


@dataclass(frozen=True)
class DeviceSeen:
    """One device as the guest's kernel has it."""
    address: str
    driver: str
    node: str
    bars: str
    start: str = "-"
    size: str = "-"
    region: str = "-"
    commit: str = "-"

    @property
    def works(self) -> bool:
        """Whether its memory is a committed region of its driver's."""
        return self.commit == "1" and self.driver not in ("-", "")

    def __str__(self) -> str:
        return (f"{self.address} {self.region} commit={self.commit} at "
                f"{self.start} {self.size}")


@dataclass
class Topology:
    """What a machine has."""
    setup: Setup
    # Properties of each root port besides those of all.
    ports: Sequence[str]
    # The device below a port at start, by the port's number.
    cold: Mapping[int, str] = field(default_factory=dict)
    # Each device's kind and size, by its name.
    devices: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    decoders: bool = False
    ram: str = "1G"
    initramfs: Path = INITRAMFS
    # Whether a reset starts the guest anew, and does not end QEMU.
    reboots: bool = False


class PlugGuest:
    """A machine whose devices are plugged and unplugged."""

    def __init__(self, topology: Topology, where: Path, log: str) -> None:
        self.topology = topology
        self.log = log
        self.held = ExitStack()
        self.devices: dict[str, Backing] = {}
        try:
            self._start_devices(where)
            self.machine = Machine(self._args(), log)
            self.held.callback(self.machine.close)
            self.wait_boot()
        except BaseException:
            self.close()
            raise

    def _start_devices(self, where: Path) -> None:
        for name, (kind, size) in self.topology.devices.items():
            setup = replace(self.topology.setup, device=kind, hdm=size)
            self.devices[name] = start_device(setup, where, self.log, name)
            self.held.callback(self.devices[name].close)

    def _args(self) -> list[str]:
        top = self.topology
        args = base_args(top.setup, WINDOW, top.ram, top.initramfs,
                         top.reboots)
        args += bridge_args(top.ports, top.decoders)
        for name, device in self.devices.items():
            if name not in top.cold.values():
                args += device.object_args()
        for port, name in top.cold.items():
            args += self.devices[name].device_args(f"rp{port}")
        return args

    def close(self) -> None:
        self.held.close()

    # -- orders --

    def wait_boot(self) -> None:
        """Until the guest waits for orders, with its CXL drivers loaded."""
        self.machine.read_until("=== ready ===", BOOT_LIMIT_S)
        for name in ("cxl", "accel" if self.topology.setup.driver ==
                     "cxl_accel" else ""):
            if name:
                self.shell(f"while read -r m; do [ -d /sys/module/$m ] || "
                           f"insmod /modules/$m.ko; done </modules/{name}.list")

    def shell(self, command: str, limit: float = ORDER_LIMIT_S) -> list[str]:
        """What a command line prints in the guest."""
        self.machine.order(f"sh {command}")
        return self.machine.frame("sh", limit)

    def messages(self, pattern: str) -> list[str]:
        """The kernel's messages that match."""
        self.machine.order("dmesg")
        lines = self.machine.frame("dmesg", ORDER_LIMIT_S)
        return [line for line in lines if re.search(pattern, line)]

    # -- what the guest sees --

    def seen(self) -> dict[int, DeviceSeen]:
        """The devices below the bridge, by the number of their port."""
        found: dict[int, DeviceSeen] = {}
        for line in self.shell(f"cxl-state {BRIDGE}"):
            if not line.startswith("STATE "):
                continue
            words = dict(word.split("=", 1) for word in line.split()[1:]
                         if "=" in word)
            port = int(words.pop("port").split(".")[0], 16)
            known = {key: words[key] for key in DeviceSeen.__annotations__
                     if key in words}
            found[port] = DeviceSeen(**known)
        return found

    def decoders(self) -> list[tuple[int, int, int]]:
        """The bridge's committed decoders: index, base, size."""
        report = parse_report(self.shell("cxl-regs windows"))
        found = []
        for number in range(int(report.get("bridge.0.decoders", "0"), 0)):
            key = f"bridge.0.{number}"
            if int(report.get(f"{key}.committed", "0"), 0):
                found.append((number, int(report[f"{key}.base"], 0),
                              int(report[f"{key}.size"], 0)))
        return found

    def wait_seen(self, what: str,
                  good: Callable[[dict[int, DeviceSeen]], bool]
                  ) -> dict[int, DeviceSeen]:
        """Until the guest sees what it should; UserError when it does not."""
        end = time.monotonic() + PLUG_LIMIT_S
        while True:
            now = self.seen()
            if good(now):
                return now
            if time.monotonic() > end:
                said = "; ".join(self.messages("cxl|0000:|pcie")[-6:])
                raise UserError(
                    f"{what}: not after {PLUG_LIMIT_S:.0f} s, but "
                    f"{ {port: str(dev) for port, dev in now.items()} }; "
                    f"the guest's kernel: {said}")
            time.sleep(0.5)

    # -- devices that come and go --

    def add(self, name: str, port: int, **more: object) -> str:
        """Plug a device; returns "" or QEMU's error."""
        properties = self.devices[name].properties(f"rp{port}")
        try:
            self.machine.qmp.command("device_add", **{**properties, **more})
        except UserError as error:
            return str(error)
        return ""

    def plug(self, name: str, port: int) -> DeviceSeen:
        """Plug a device and wait until the guest uses its memory."""
        error = self.add(name, port)
        if error:
            raise UserError(error)
        now = self.wait_seen(
            f"device {name} below port {port} with a committed region",
            lambda seen: port in seen and seen[port].works)
        return now[port]

    def unplug(self, name: str, port: int) -> None:
        """Have the guest let go of a device, and wait until it is gone."""
        self.machine.qmp.command("device_del", id=name)
        self.machine.qmp.wait_event("DEVICE_DELETED", device=name)
        self.wait_seen(f"no device below port {port}",
                       lambda seen: port not in seen)

    def bind_ports(self) -> None:
        """Have the kernel read the bridge's decoders once more."""
        self.shell("for p in /sys/bus/cxl/devices/port*; do "
                   "echo ${p##*/} >/sys/bus/cxl/drivers/cxl_port/unbind; "
                   "echo ${p##*/} >/sys/bus/cxl/drivers/cxl_port/bind; done")

    def bind_devices(self) -> None:
        """Bind the devices that lost their driver with the port."""
        driver = self.topology.setup.driver
        for device in self.seen().values():
            if device.driver == "-":
                self.shell(f"echo {device.address} "
                           f">/sys/bus/pci/drivers/{driver}/bind")

    # -- the memory --

    def pattern(self, name: str, device: DeviceSeen) -> str:
        """Write from both sides and verify on the other; "" or what is
        wrong."""
        memory, size = self.devices[name], self.devices[name].setup.hdm
        to_host, to_guest = secrets.randbits(63), secrets.randbits(63)
        return (self._pass(device, "write", size, to_host)
                or guest_pattern.verify(memory.memory, 0, size, to_host,
                                        STRIDE)
                or self._host_write(memory, size, to_guest)
                or self._pass(device, "verify", size, to_guest))

    @staticmethod
    def _host_write(memory: Backing, size: int, seed: int) -> str:
        guest_pattern.write(memory.memory, 0, size, seed, STRIDE)
        return ""

    def fill(self, name: str, device: DeviceSeen) -> int:
        """Let the guest write a pattern; returns its seed."""
        seed = secrets.randbits(63)
        wrong = self._pass(device, "write", self.devices[name].setup.hdm,
                           seed)
        if wrong:
            raise UserError(wrong)
        return seed

    def holds(self, name: str, device: DeviceSeen, seed: int) -> str:
        """Whether the guest still finds a pattern; "" or what is wrong."""
        return self._pass(device, "verify", self.devices[name].setup.hdm,
                          seed)

    def _pass(self, device: DeviceSeen, verb: str, size: int,
              seed: int) -> str:
        lines = self.shell(f"hdm-check {verb} 0 {size:#x} {seed:#x} {STRIDE} "
                           f"/dev/{device.node}")
        match = re.search(r"words=(\d+) errors=(\d+)", "\n".join(lines))
        if not match:
            return f"guest: {lines[-1] if lines else 'no answer'}"
        return "" if match[2] == "0" else f"{match[2]} words differ"

    def end(self) -> str:
        """The end of QEMU's log, for a failure."""
        return log_tail(self.machine.qemu_log)
