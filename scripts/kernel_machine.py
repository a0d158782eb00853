# SPDX-License-Identifier: GPL-2.0-or-later
"""The two machines of the nested test.

Host is an emulated arm64 machine with the emulated CXL Type-2 device, an
SMMUv3 and KVM. Guest is our emulator with KVM inside of it, to which the
device is passed through. Both have a log of their own for each of console
and emulator.
"""

import contextlib
import json
import os
import re
import shlex
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common import BUILD, LOGS, UserError
from guest_machine import (BOOT_LIMIT_S, BRIDGE_BUS, FIRMWARE, GIB, MIB256,
                           VMLINUZ, Console, Machine)
from kernel_image import IMAGE
from progress import log_tail
from qmp import Qmp

ORDER_LIMIT_S = 120.0
HOST_RAM = "4G"
GUEST_RAM = "1G"
HDM = MIB256
WINDOW = 4 * GIB
GUEST_QEMU_LOG = LOGS / "kernel-l2-qemu.log"
# Two guests can run at a time, each in a slot with ports of its own.
PORTS = ("orders", "console0", "qmp0", "console1", "qmp1")
# The log of the emulator inside comes over with this delay.
LOG_LAG_S = 1.5
ENDED = re.compile(r"=== ended (\d+) ===$")


@dataclass
class Answer:
    """What an order to the host came to."""
    status: int
    lines: list[str]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@contextlib.contextmanager
def device_memory() -> Iterator[int]:
    """A descriptor of the file that is the device's memory, HDM bytes.

    It is anonymous: it never reaches a disk.
    """
    memory = os.memfd_create("hdm", os.MFD_CLOEXEC)
    try:
        os.ftruncate(memory, HDM)
        yield memory
    finally:
        os.close(memory)


def host_args(where: Path, memory: int, options: Sequence[str]
              ) -> list[str]:
    """The emulator's arguments for the host machine, console apart.

    where:   a directory for the sockets
    memory:  a descriptor of the file that is the device's memory
    options: words for the kernel
    """
    args = [
        str(BUILD / "qemu-system-aarch64"), "-nodefaults", "-display", "none",
        "-no-reboot", "-M", "virt,virtualization=on,cxl=on,gic-version=3,"
        "iommu=smmuv3,memory-backend=ram,cxl-fmw.0.targets.0=cxl.1,"
        f"cxl-fmw.0.size={WINDOW}",
        # Of the same kind as the HDM, which is compared with it.
        "-object", f"memory-backend-memfd,id=ram,size={HOST_RAM},share=on",
        "-cpu", "max,pauth-impdef=on", "-m", HOST_RAM, "-smp", "2",
        "-bios", str(FIRMWARE), "-kernel", str(VMLINUZ),
        "-initrd", str(IMAGE), "-append",
        " ".join(["console=ttyAMA0", "rdinit=/init", "iomem=relaxed",
                  *options]),
        "-device", f"pxb-cxl,bus_nr={BRIDGE_BUS},bus=pcie.0,id=cxl.1",
        "-device", "cxl-rp,port=0,bus=cxl.1,id=rp0,chassis=0,slot=2",
        "-device", "virtio-serial-pci,bus=pcie.0,id=serial",
    ]
    for name in PORTS:
        args += ["-chardev", f"socket,id=port-{name},server=on,wait=off,"
                 f"path={where / name}",
                 "-device", f"virtserialport,chardev=port-{name},name={name}"]
    args += ["-chardev", f"file,id=port-log,path={GUEST_QEMU_LOG}",
             "-device", "virtserialport,chardev=port-log,name=log"]
    return args + [
        "-object", f"memory-backend-file,id=hdm,size={HDM},share=on,"
        f"mem-path=/proc/{os.getpid()}/fd/{memory}",
        # Where no register of the guest's own looks like it.
        "-device", "cxl-type2,bus=rp0,id=type2,memdev=hdm,"
        f"cxl-hdm-offset={3 * HDM}"]


class Line(Console):
    """A console on a socket."""

    def __init__(self, path: Path, log: Path) -> None:
        super().__init__(log)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))
        self.start_reader(self.sock.fileno())

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def close(self) -> None:
        # Ends the reader as well.
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class Host:
    """The machine in the middle, and orders to it."""

    def __init__(self, where: Path) -> None:
        self.where = where
        # The exit status of the last emulator inside that has ended.
        self.guest_status: int | None = None
        LOGS.mkdir(parents=True, exist_ok=True)
        self.held = contextlib.ExitStack()
        self.memory = self.held.enter_context(device_memory())
        try:
            self.machine = Machine(host_args(where, self.memory, ()),
                                   "kernel-l1")
        except UserError:
            self.held.close()
            raise
        self.held.callback(self.machine.close)
        try:
            self.orders = Line(where / "orders",
                               LOGS / "kernel-l1-orders.log")
            self.held.callback(self.orders.close)
            self.orders.read_until("=== ready ===", BOOT_LIMIT_S)
            self.boot_s = time.monotonic() - self.machine.started
        except UserError as error:
            told = UserError(f"the host machine does not come up: {error}\n"
                             + log_tail(self.machine.console_log))
            self.close()
            raise told from None

    def run(self, command: str, limit: float = ORDER_LIMIT_S) -> Answer:
        """Have the host's shell run a command line."""
        self.orders.order(command)
        lines = self.orders.frame("order", limit)
        for number in range(len(lines) - 1, -1, -1):
            if lines[number].startswith("STATUS "):
                return Answer(int(lines.pop(number).split()[1]), lines)
        raise UserError(f"no status of '{command}' from the host machine")

    def said(self) -> str:
        """All that emulators inside of it have said on stderr."""
        return self.run("cat /run/guest-qemu.log").text

    def check(self, command: str, limit: float = ORDER_LIMIT_S) -> str:
        """The same for what must not fail; returns what it printed."""
        answer = self.run(command, limit)
        if answer.status:
            raise UserError(f"in the host machine: '{command}' failed with "
                            f"status {answer.status}: {answer.text[-400:]}")
        return answer.text

    def close(self) -> None:
        self.held.close()


@dataclass
class GuestPlan:
    """How the nested guest is started."""
    device: dict[str, object] | None = None
    objects: list[str] = field(default_factory=list)
    driver: str = "cxl_accel"
    options: list[str] = field(default_factory=list)
    paused: bool = False
    slot: int = 0


def guest_args(plan: GuestPlan) -> list[str]:
    """The nested emulator's arguments, inside of the host machine."""
    options = ["console=hvc0", "rdinit=/init", "iomem=relaxed", "quiet",
               "loglevel=3", f"driver={plan.driver}", *plan.options]
    args = ["qemu-system-aarch64", "-nodefaults", "-display", "none",
            "-accel", "kvm", "-cpu", "host",
            "-M", "virt,cxl=on,gic-version=3,cxl-fmw.0.targets.0=cxl.1,"
            f"cxl-fmw.0.size={WINDOW}",
            "-m", GUEST_RAM, "-smp", "1", "-bios", "/guest/QEMU_EFI.fd",
            "-kernel", "/guest/vmlinuz", "-initrd", "/guest/initramfs.gz",
            "-append", " ".join(options),
            "-device", f"pxb-cxl,bus_nr={BRIDGE_BUS},bus=pcie.0,id=cxl.1",
            "-device", "cxl-rp,port=0,bus=cxl.1,id=rp0,chassis=0,slot=2"]
    for text in plan.objects:
        args += ["-object", text]
    if plan.device:
        args += ["-device", json.dumps(plan.device)]
    if plan.paused:
        args.append("-S")
    return args + [
        # Each character of a UART leaves the guest twice, which is slow here.
        "-chardev", "stdio,id=console,signal=off",
        "-device", "virtio-serial-pci,bus=pcie.0",
        "-device", "virtconsole,chardev=console",
        "-serial", f"file:/run/guest-serial{plan.slot}.log",
        "-chardev", f"pipe,id=qmp,path=/dev/virtio-ports/qmp{plan.slot}",
        "-mon", "chardev=qmp,mode=control",
        "-pidfile", f"/run/guest{plan.slot}.pid",
        "-D", f"/run/guest-trace{plan.slot}.log", "-msg", "timestamp=on"]


class Guest(Line):
    """The nested guest, and the emulator that runs it."""

    def __init__(self, host: Host, plan: GuestPlan) -> None:
        self.host = host
        self.slot = plan.slot
        # The emulator's exit status, once it has ended.
        self.status: int | None = None
        host.guest_status = None
        command = shlex.join(guest_args(plan))
        (LOGS / "kernel-l2-qemu-command.log").write_text(command + "\n",
                                                         encoding="utf-8")
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(host.where / f"qmp{plan.slot}"))
        self.qmp = Qmp(sock)
        name = f"console{plan.slot}"
        super().__init__(host.where / name, LOGS / f"kernel-l2-{name}.log")
        self.started = time.monotonic()
        ports = "/dev/virtio-ports"
        host.check(f"({command}; status=$?; echo; echo \"=== ended $status "
                   f"===\") <>{ports}/{name} >&0 2>>/run/guest-qemu.log &")
        try:
            self.qmp.connect(BOOT_LIMIT_S)
        except (UserError, OSError):
            error = self.dead()
            self.close()
            raise error from None

    def seen(self, line: str) -> None:
        match = ENDED.match(line)
        if not match:
            super().seen(line)
            return
        self.status = self.host.guest_status = int(match[1])
        self.lines.put(None)
        # Whoever waits for an answer need not wait any longer.
        with contextlib.suppress(OSError):
            self.qmp.sock.shutdown(socket.SHUT_RD)

    def dead(self) -> UserError:
        time.sleep(LOG_LAG_S)
        what = ("said nothing more" if self.status is None
                else f"ended with status {self.status}")
        return UserError(f"QEMU in the host machine {what}:\n"
                         f"{log_tail(GUEST_QEMU_LOG)}\n"
                         f"full log: {GUEST_QEMU_LOG}")

    def wait_end(self, limit: float = ORDER_LIMIT_S) -> int:
        """Wait until the emulator has ended; returns its status."""
        with contextlib.suppress(UserError):
            self.read_until("=== never ===", limit, lambda _line: False)
        if self.status is None:
            raise self.late("end", limit)
        return self.status

    def power_off(self) -> None:
        """Have the guest power off, and end the emulator."""
        self.order("off")
        self.read_until("=== off ===", ORDER_LIMIT_S)
        self.qmp.command("quit")
        if self.wait_end():
            raise self.dead()

    def kill(self) -> int:
        """End the emulator with SIGKILL; returns its status."""
        self.host.check(f"kill -9 $(cat /run/guest{self.slot}.pid)")
        return self.wait_end()

    def close(self) -> None:
        if self.status is None:
            with contextlib.suppress(UserError):
                self.kill()
        super().close()
        self.qmp.stream.close()
        self.qmp.sock.close()
