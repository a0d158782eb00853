# SPDX-License-Identifier: GPL-2.0-or-later
"""A libvirt of our own: its QEMU driver inside of one virsh process.

There is no daemon, and all that it reads and writes is below one directory.
It never sees the user's domains. As root it is made to believe that it is
not: root's driver would write to /run/libvirt, and wants users that only a
whole installation of libvirt has.
"""

import os
import re
import select
import signal
import subprocess
import time
import tty
from contextlib import suppress
from pathlib import Path

from common import LOGS, UserError
from guest_machine import GRACE_S, end_process

PROMPT = b"virsh # "
COMMAND_LIMIT_S = 60.0
# Nothing of the host that a test could disturb, or that it would need.
CONFIG = """\
stdio_handler = "file"
security_driver = "none"
namespaces = []
cgroup_controllers = []
clear_emulator_capabilities = 0
"""
# "daemon" on every Debian system. It keeps root's right to reach the sockets
# of servers that root has started.
OTHER_USER = "1"
KEPT = "+dac_override"


def as_user(where: Path) -> list[str]:
    """The words in front of a command that run it as no root.

    where: a directory that the command uses
    """
    if os.geteuid():
        return []
    user = ["setpriv", "--reuid", OTHER_USER, "--regid", OTHER_USER,
            "--clear-groups"]
    if _runs([*user, "test", "-x", str(where.parent)]):
        os.chown(where, int(OTHER_USER), int(OTHER_USER))
        return [*user, "--inh-caps", KEPT, "--ambient-caps", KEPT]
    # The checkout is root's own. There root can have another name.
    named = ["unshare", "--user", f"--map-user={OTHER_USER}",
             f"--map-group={OTHER_USER}"]
    if _runs([*named, "true"]):
        return named
    raise UserError(f"libvirt cannot be tried as root: user {OTHER_USER} has "
                    f"no access to {where.parent}, and there are no user "
                    "namespaces; run it as another user")


def _runs(argv: list[str]) -> bool:
    return subprocess.run(argv, capture_output=True,
                          check=False).returncode == 0


class Libvirt:
    """One virsh that is told one command after the other.

    It has to be one: QEMU outlives a virsh, but a second one that finds it
    may be asked before it has finished looking.
    """

    def __init__(self, where: Path) -> None:
        """where: an empty directory with a short path, for sockets"""
        self.user = as_user(where)
        self.root = where / "root"
        home = where / "home"
        (self.root / "etc").mkdir(parents=True)
        (self.root / "etc/qemu.conf").write_text(CONFIG, encoding="ascii")
        home.mkdir()
        if self.user:
            for path in (self.root, home):
                os.chown(path, where.stat().st_uid, where.stat().st_gid)
        self.log = LOGS / "libvirt.log"
        self.log.unlink(missing_ok=True)
        env = {**os.environ, "HOME": str(home), "LC_ALL": "C", "TERM": "dumb",
               **{f"XDG_{name}": str(home) for name in (
                   "CONFIG_HOME", "CACHE_HOME", "DATA_HOME", "RUNTIME_DIR")},
               "LIBVIRT_LOG_OUTPUTS": f"2:file:{self.log}"}
        self.proc = subprocess.Popen(
            [*self.user, "virsh", "-q", "-c",
             f"qemu:///embed?root={self.root}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=env, start_new_session=True)
        try:
            self._answer("connect")
        except BaseException:
            self.close()
            raise

    def run(self, command: str) -> str:
        """What virsh answers; an error of its own is a UserError."""
        assert self.proc.stdin
        with suppress(BrokenPipeError):
            self.proc.stdin.write(command.encode() + b"\n")
            self.proc.stdin.flush()
        return self._answer(command)

    def _answer(self, command: str) -> str:
        assert self.proc.stdout
        data, end = b"", time.monotonic() + COMMAND_LIMIT_S
        fd = self.proc.stdout.fileno()
        # A line of the answer ends before the prompt, or is not ended.
        while not data.endswith(PROMPT):
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise UserError(f"virsh {command}: no answer after "
                                f"{COMMAND_LIMIT_S:.0f} s; log: {self.log}")
            chunk = os.read(fd, 65536)
            if not chunk:
                break
            data += chunk
        text = data.removesuffix(PROMPT).decode("utf-8", "replace")
        # What was typed is echoed.
        text = text.removeprefix(command).strip()
        errors = re.findall(r"^error: (.*)", text, re.MULTILINE)
        if errors or self.proc.poll() is not None:
            raise UserError(f"virsh {command}: "
                            + (": ".join(errors) or "virsh has ended"))
        return text

    def pid(self, name: str) -> int:
        """The process of a domain, 0 when there is none."""
        path = self.root / "run/qemu" / f"{name}.pid"
        try:
            pid = int(path.read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return 0
        return pid if str(self.root).encode() in words else 0

    def close(self) -> None:
        """End virsh, and every QEMU that it leaves behind."""
        pids = [self.pid(path.stem) for path
                in (self.root / "run/qemu").glob("*.pid")
                if path.stem != "driver"]
        assert self.proc.stdin and self.proc.stdout
        with suppress(OSError):
            self.proc.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.proc.wait(GRACE_S)
        end_process(self.proc)
        self.proc.stdout.close()
        for pid in filter(None, pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Console:
    """A domain's console, as `virsh console` would show it."""

    def __init__(self, path: str, log: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        tty.setraw(self.fd)
        self.log = log
        self.log.write_bytes(b"")

    def lines_until(self, marker: str, limit: float) -> list[str]:
        """The lines up to a marker line.

        limit: seconds to wait for it
        """
        data, end = b"", time.monotonic() + limit
        with self.log.open("ab") as log:
            while True:
                lines = [line.strip() for line
                         in data.decode("utf-8", "replace").splitlines()]
                if marker in lines:
                    return lines[:lines.index(marker)]
                left = end - time.monotonic()
                if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                    raise UserError(f"no '{marker}' on the console after "
                                    f"{limit:.0f} s; log: {self.log}")
                try:
                    chunk = os.read(self.fd, 65536)
                except OSError:
                    chunk = b""
                if not chunk:
                    raise UserError(f"the console ended before '{marker}'; "
                                    f"log: {self.log}")
                log.write(chunk)
                log.flush()
                data += chunk

    def close(self) -> None:
        os.close(self.fd)
