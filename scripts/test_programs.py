# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the build's test programs one by one, with another emulator or device
server where wanted, and tell which of a program's tests failed."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from build import EMULATOR, OUT, SERVER
from overlay import Overlay

# Set when somebody interrupts: what runs in other threads ends at once.
STOPPING = threading.Event()
# Against a program that was broken so that it eats memory.
DATA_LIMIT = 12 << 30
GLIB_ERROR = re.compile(r"ERROR:[^:\n]*:(\d+):(\w+):")
TAP_RESULT = re.compile(r"^(not ok|ok) (?:\d+ )?(/\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """How a run of a test program ended."""
    passed: bool
    status: int             # 0 when passed
    failed_test: str        # the test that failed, or was running at the end
    seconds: float
    output: str


@dataclass
class Programs:
    """What stands in for programs of the build: name -> path."""
    stand_ins: dict[str, Path]

    def path(self, overlay: Overlay, name: str) -> Path:
        return self.stand_ins.get(name) or OUT / overlay.link_of(name).output


def run_test(overlay: Overlay, programs: Programs, name: str, timeout: float,
             env: dict[str, str] | None = None,
             stop: bool = True) -> Outcome:
    """Run one test program until its end, or its first failure with `stop`.

    The program gets a directory of its own for temporary files, and
    whatever it started is gone when this returns.
    """
    emulator = programs.path(overlay, EMULATOR)
    variables = {
        **os.environ, **(env or {}),
        "QTEST_QEMU_BINARY": str(emulator),
        "QTEST_VFIO_USER_CXL": str(programs.path(overlay, SERVER)),
        "G_TEST_SRCDIR": str(OUT), "G_TEST_BUILDDIR": str(OUT),
    }
    # A sanitizer's shadow memory is data as well, and vast.
    limit = "unlimited" if "ASAN_OPTIONS" in variables else str(DATA_LIMIT)
    argv = ["prlimit", f"--data={limit}", "--core=0",
            str(programs.path(overlay, name)), "--tap",
            *(() if stop else ("-k",))]
    temp = tempfile.mkdtemp(prefix="cxl.")
    variables["TMPDIR"] = temp
    start = time.monotonic()
    try:
        status, output = _run(argv, variables, timeout, Path(temp))
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    seconds = time.monotonic() - start
    return Outcome(status == 0, status, "" if status == 0
                   else _failed_test(output, status), seconds, output)


def wait_for(proc: "subprocess.Popen[bytes]", timeout: float) -> int:
    """Wait for a program's status; 124 when its time is up or STOPPING."""
    end = time.monotonic() + timeout
    while time.monotonic() < end and not STOPPING.is_set():
        with contextlib.suppress(subprocess.TimeoutExpired):
            return proc.wait(0.5)
    return 124


def _run(argv: list[str], env: dict[str, str], timeout: float,
         temp: Path) -> tuple[int, str]:
    log = temp / "output"
    with log.open("wb") as stream:
        proc = subprocess.Popen(argv, cwd=OUT, env=env, stdout=stream,
                                stderr=stream, stdin=subprocess.DEVNULL,
                                start_new_session=True)
        try:
            status = wait_for(proc, timeout)
        finally:
            # An emulator or server that the program left behind as well.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(proc.pid, signal.SIGKILL)
            proc.wait()
    return status, log.read_text(errors="replace")


def _failed_test(output: str, status: int) -> str:
    """The test that failed, as far as the output tells."""
    assertion = GLIB_ERROR.search(output)
    if assertion:
        return f"{assertion[2]} (line {assertion[1]})"
    last = ""
    for word, test in TAP_RESULT.findall(output):
        if word == "not ok":
            return test
        last = test
    how = "hangs" if status == 124 else "ends the program"
    return f"{how} after {last}" if last else f"{how} at its start"
