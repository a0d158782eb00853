# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes of a guest run: the reference device, if it is that one,
and QEMU with its
console and its QMP monitor. All are ended by whoever started them."""

import contextlib
import fcntl
import json
import os
import queue
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common import BUILD, LOGS, UserError
from guest_image import INITRAMFS, VMLINUZ
from progress import log_tail
from qmp import Qmp

RUN = BUILD / "run"
FIRMWARE = Path("/usr/share/qemu-efi-aarch64/QEMU_EFI.fd")
GIB = 1 << 30
MIB256 = 256 << 20
# A unix socket's path must fit in 108 bytes.
SOCKET_PATH_MAX = 107
SERVER_START_S = 30.0
# A boot takes about 7 s on an idle machine.
BOOT_LIMIT_S = 180.0
GRACE_S = 10.0
BRIDGE_BUS = 12
# QEMU's name for the emulated device's memory.
HDM_BACKEND = "hdm"
RAM = "1G"


@dataclass
class Setup:
    """What a run consists of. Sizes in bytes; hdm 0 means no device."""
    qemu: Path
    server: Path
    hdm: int
    identity: str
    # The driver that the guest loads, or none.
    driver: str = "none"
    # The machine's IOMMU, or none.
    iommu: str = "none"
    # Who commits the HDM decoders: firmware, which is QEMU, or guest.
    commit: str = "firmware"
    # Which device: reference, which a server of its own presents, or
    # emulated, which is QEMU's.
    device: str = "reference"
    # What the device is to do wrong: --fault values of its server.
    faults: list[str] = field(default_factory=list)
    keep: bool = False
    options: list[str] = field(default_factory=list)

    @property
    def window(self) -> int:
        """The window's size: a power of two that holds the HDM."""
        size = 4 * GIB
        while size < self.hdm:
            size *= 2
        return size


def size_text(size: int) -> str:
    """A size in bytes as people write it."""
    for shift, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift} {unit}"
    return f"{size} bytes"


def check_programs(setup: Setup) -> None:
    """Refuse early, by name, what is not there."""
    needed = [(setup.qemu, "build it first, or name another with --qemu"),
              (FIRMWARE, "install package qemu-efi-aarch64")]
    if setup.device == "reference":
        needed.append((setup.server, "build it first, or name another with "
                       "--server"))
    for path, remedy in needed:
        if not path.exists():
            raise UserError(f"{path} is missing: {remedy}")


@contextlib.contextmanager
def run_lock() -> Iterator[None]:
    """Let one run after the other have the logs of this checkout."""
    RUN.mkdir(parents=True, exist_ok=True)
    with (RUN / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another guest run of this checkout to end",
                  file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def run_dir(keep: bool) -> Iterator[Path]:
    """A directory for one run, short enough for sockets, removed after."""
    RUN.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="guest-", dir=RUN))
    if len(str(path)) > SOCKET_PATH_MAX - 16:
        path.rmdir()
        path = Path(tempfile.mkdtemp(prefix="cxl-guest-"))
    try:
        yield path
    finally:
        if keep:
            print(f"kept: {path}")
        else:
            shutil.rmtree(path, ignore_errors=True)


def end_process(proc: "subprocess.Popen[bytes]") -> None:
    """End one child that we started; by force when it does not listen."""
    if proc.poll() is not None:
        return
    proc.terminate()
    try:
        proc.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        proc.kill()
        proc.wait()


class Backing:
    """The device's memory, which this process shares. By itself it makes
    QEMU's emulated device.

    The memory is an anonymous file: it never reaches a disk and is gone
    with the processes that hold it.
    """

    def __init__(self, setup: Setup,
                 memory_flags: int = os.MFD_CLOEXEC,
                 name: str = "hdm0") -> None:
        self.setup = setup
        self.name = name
        self.memory = os.memfd_create("hdm", memory_flags)
        os.ftruncate(self.memory, setup.hdm)
        self.memory_path = f"/proc/{os.getpid()}/fd/{self.memory}"

    @property
    def backend(self) -> str:
        """QEMU's name for the memory."""
        return HDM_BACKEND if self.name == "hdm0" else f"{self.name}-memory"

    def object_args(self) -> list[str]:
        """QEMU's arguments for what has to be there before the device."""
        return ["-object", f"memory-backend-file,id={self.backend},"
                f"mem-path={self.memory_path},size={self.setup.hdm},"
                "share=on"]

    def properties(self, port: str) -> dict[str, Any]:
        """The device as -device and device_add take it.

        port: the root port's ID
        """
        return {"driver": "cxl-type2", "id": self.name, "bus": port,
                "memdev": self.backend, "identity": self.setup.identity,
                "cxl-hdm-commit": self.setup.commit}

    def device_args(self, port: str = "rp0") -> list[str]:
        """QEMU's arguments for the device."""
        return [*self.object_args(), "-device",
                json.dumps(self.properties(port))]

    def summary(self) -> dict[str, Any]:
        """What a server has counted."""
        return {}

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.memory)


class Server(Backing):
    """The reference device."""

    def __init__(self, setup: Setup, where: Path,
                 log_name: str = "guest",
                 memory_flags: int = os.MFD_CLOEXEC,
                 name: str = "hdm0") -> None:
        super().__init__(setup, memory_flags, name)
        own = "device" if name == "hdm0" else name
        self.socket = where / f"{own}.sock"
        self.summary_path = where / f"{own}.json"
        self.log = LOGS / f"{log_name}-{own}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        argv = [str(setup.server), "--socket", str(self.socket),
                "--hdm-size", str(setup.hdm), "--identity", setup.identity,
                "--mem-file", self.memory_path,
                "--summary", str(self.summary_path)]
        for fault in setup.faults:
            argv += ["--fault", fault]
        with self.log.open("wb") as log:
            self.proc = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True)
        try:
            self._wait_ready()
        except BaseException:
            self.close()
            raise

    def _wait_ready(self) -> None:
        end = time.monotonic() + SERVER_START_S
        while b"listening on" not in self.log.read_bytes():
            if self.proc.poll() is not None:
                raise UserError(
                    f"the device server ended with status "
                    f"{self.proc.returncode}:\n{log_tail(self.log)}\n"
                    f"full log: {self.log}")
            if time.monotonic() > end:
                raise UserError(f"the device server was not ready after "
                                f"{SERVER_START_S:.0f} s; log: {self.log}")
            time.sleep(0.02)

    def object_args(self) -> list[str]:
        return []

    def properties(self, port: str) -> dict[str, Any]:
        return {"driver": "vfio-user-pci", "id": self.name, "bus": port,
                "cxl-hdm-commit": self.setup.commit,
                "socket": {"path": str(self.socket), "type": "unix"}}

    def summary(self) -> dict[str, Any]:
        """End the server and return what it counted."""
        end_process(self.proc)
        try:
            text = self.summary_path.read_text(encoding="utf-8")
            return dict(json.loads(text))
        except (OSError, ValueError) as error:
            raise UserError(f"the device server left no summary (status "
                            f"{self.proc.returncode}): {error}; "
                            f"log: {self.log}") from None

    def close(self) -> None:
        end_process(self.proc)
        super().close()


def start_device(setup: Setup, where: Path, log_name: str = "guest",
                 name: str = "hdm0") -> Backing:
    """Whatever has to be there before QEMU for the device that is asked."""
    return Backing(setup, name=name) if setup.device == "emulated" else \
        Server(setup, where, log_name, name=name)


def base_args(setup: Setup, window: int, ram: str = RAM,
              initramfs: Path = INITRAMFS,
              reboots: bool = False) -> list[str]:
    """QEMU's arguments for the guest's machine without any bridge, console
    apart.

    window:  size of the fixed memory window of bridge cxl.1
    reboots: whether a reset starts the guest anew, and does not end QEMU
    """
    options = " ".join(["console=ttyAMA0", "rdinit=/init", "iomem=relaxed",
                        "quiet", "loglevel=3", f"driver={setup.driver}",
                        *setup.options])
    return [
        str(setup.qemu), "-nodefaults", "-display", "none",
        "-action", f"reboot={'reset' if reboots else 'shutdown'}",
        "-M", "virt,cxl=on,gic-version=3,memory-backend=ram,"
        f"cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size={window},"
        f"iommu={setup.iommu}",
        "-object", f"memory-backend-memfd,id=ram,size={ram},share=on",
        "-cpu", "max,pauth-impdef=on", "-m", ram, "-smp", "1",
        "-bios", str(FIRMWARE), "-kernel", str(VMLINUZ),
        "-initrd", str(initramfs), "-append", options]


def bridge_args(ports: Sequence[str], decoders: bool) -> list[str]:
    """QEMU's arguments for bridge cxl.1 and its root ports rp0, rp1, ...

    ports:    for each one more of its properties, or ""
    decoders: whether a bridge of one port has HDM decoders before a device
              needs one
    """
    args = ["-device", f"pxb-cxl,bus_nr={BRIDGE_BUS},bus=pcie.0,id=cxl.1,"
            f"hdm_for_passthrough={'on' if decoders else 'off'}"]
    for number, more in enumerate(ports):
        args += ["-device", f"cxl-rp,port={number},bus=cxl.1,id=rp{number},"
                 f"chassis=0,slot={number + 2}{',' if more else ''}{more}"]
    return args


def machine_args(setup: Setup, device: Backing | None) -> list[str]:
    """QEMU's arguments for the demo's machine, console apart."""
    guest = setup.commit == "guest"
    if guest:
        setup = replace(setup, options=[f"commit={setup.hdm}",
                                        *setup.options])
    # A stock kernel assembles nothing below a bridge without decoders.
    return [*base_args(setup, setup.window), *bridge_args([""], guest),
            *(device.device_args() if device else [])]


class Console:
    """A guest's console: the lines it prints, and orders to its init."""

    def __init__(self, log: Path) -> None:
        self.console_log = log
        # When the guest was started.
        self.started = time.monotonic()
        self.lines: "queue.Queue[str | None]" = queue.Queue()

    def start_reader(self, source: int) -> threading.Thread:
        """Read the console from a descriptor until that ends."""
        reader = threading.Thread(target=self._read_console, args=(source,),
                                  daemon=True)
        reader.start()
        return reader

    def _read_console(self, source: int) -> None:
        rest = b""
        with self.console_log.open("wb") as log:
            while chunk := self._receive(source):
                log.write(chunk)
                log.flush()
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    self.seen(line.decode("utf-8", "replace").strip())
        self.lines.put(None)

    def seen(self, line: str) -> None:
        """Called by the reader's thread with each line."""
        self.lines.put(line)

    @staticmethod
    def _receive(source: int) -> bytes:
        try:
            return os.read(source, 65536)
        except ConnectionResetError:
            return b""

    def dead(self) -> UserError:
        """Why there is nothing more to read."""
        return UserError("the guest is gone; the end of its console:\n"
                         f"{log_tail(self.console_log)}\n"
                         f"full log: {self.console_log}")

    def send(self, data: bytes) -> None:
        """Write to the console; BrokenPipeError when nobody reads it."""
        raise NotImplementedError

    def late(self, what: str, limit: float) -> UserError:
        """The guest has not said in time what it should."""
        return UserError(f"no {what} from the guest after {limit:.0f} s; the "
                         f"end of its console:\n{log_tail(self.console_log)}"
                         f"\nfull log: {self.console_log}")

    def read_until(self, marker: str, limit: float,
                   keep: Callable[[str], bool] = lambda _line: True
                   ) -> list[str]:
        """The console's lines up to a marker line (not included).

        limit: seconds to wait for the marker
        keep:  which lines to return
        """
        end = time.monotonic() + limit
        found: list[str] = []
        while True:
            try:
                line = self.lines.get(
                    timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise self.late(f"'{marker}'", limit) from None
            if line is None:
                raise self.dead()
            if line == marker:
                return found
            if keep(line):
                found.append(line)

    def frame(self, name: str, limit: float) -> list[str]:
        """The lines of a framed part of the report."""
        self.read_until(f"=== begin {name} ===", limit)
        return self.read_until(f"=== end {name} ===", limit)

    def order(self, text: str) -> None:
        """Send the guest's init one line."""
        try:
            self.send(text.encode() + b"\n")
        except BrokenPipeError:
            raise self.dead() from None


class Machine(Console):
    """QEMU with the guest's console on pipes and QMP on a socket pair."""

    def __init__(self, args: list[str], log_name: str = "guest",
                 pass_fds: Sequence[int] = ()) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        super().__init__(LOGS / f"{log_name}-console.log")
        self.qemu_log = LOGS / f"{log_name}-qemu.log"
        self.trace_log = LOGS / f"{log_name}-trace.log"
        self.trace_log.unlink(missing_ok=True)
        ours, theirs = socket.socketpair()
        argv = [*args, "-chardev", "stdio,id=console,signal=off",
                "-serial", "chardev:console",
                "-chardev", f"socket,id=qmp,fd={theirs.fileno()}",
                "-mon", "chardev=qmp,mode=control",
                "-D", str(self.trace_log), "-msg", "timestamp=on"]
        self.started = time.monotonic()
        (LOGS / f"{log_name}-qemu-command.log").write_text(
            shlex.join(argv) + "\n", encoding="utf-8")
        with self.qemu_log.open("wb") as log:
            self.proc = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, pass_fds=[theirs.fileno(), *pass_fds],
                start_new_session=True)
        theirs.close()
        self.qmp = Qmp(ours)
        assert self.proc.stdout
        self.reader = self.start_reader(self.proc.stdout.fileno())
        try:
            self.qmp.connect(BOOT_LIMIT_S)
        except (UserError, OSError):
            error = self.dead()
            self.close()
            raise error from None

    def send(self, data: bytes) -> None:
        assert self.proc.stdin
        self.proc.stdin.write(data)
        self.proc.stdin.flush()

    def dead(self) -> UserError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.proc.wait(GRACE_S)
        return UserError(f"QEMU ended with status {self.proc.returncode}:\n"
                         f"{log_tail(self.qemu_log)}\n"
                         f"full log: {self.qemu_log}")

    def power_off(self) -> None:
        """Have the guest power off, and end QEMU.

        The guest's own way down waits for a driver that is still probing,
        so QEMU is ended as soon as the guest has begun.
        """
        self.order("off")
        self.read_until("=== off ===", BOOT_LIMIT_S)
        self.qmp.command("quit")
        try:
            status = self.proc.wait(BOOT_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise self.late("end", BOOT_LIMIT_S) from None
        if status:
            raise self.dead()

    def close(self) -> None:
        end_process(self.proc)
        self.reader.join(GRACE_S)
        self.qmp.stream.close()
        self.qmp.sock.close()
        for pipe in (self.proc.stdin, self.proc.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
