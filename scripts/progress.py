# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a long step: say what runs, how far it is and how long it has taken.

On a terminal one line is updated in place; elsewhere a line is written
about every 15 seconds. The step's whole output goes to a log.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from common import UserError

TAIL_LINES = 20
SPARSE_SECONDS = 15.0
GRACE_SECONDS = 5.0
QUIET_SECONDS = 2.0
# ninja's "[12/345]", meson test's " 12/345 name"
COUNTER = re.compile(rb"[\r\n]\s*\[?\s*(\d+)/(\d+)[\] ]")


class StepFailed(UserError):
    """A step ended with an error; its text carries the end of the log."""

    def __init__(self, title: str, status: int, log: Path) -> None:
        self.status = status
        self.log = log
        how = (f"was ended by signal {-status}" if status < 0
               else f"failed with status {status}")
        super().__init__(f"{title} {how}; the end of its log:\n"
                         f"{log_tail(log)}\nfull log: {log}")


def log_tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented."""
    text = log.read_bytes()[-65536:].decode("utf-8", "replace")
    return "\n".join("    " + line for line in text.splitlines()[-lines:])


def elapsed_text(seconds: float) -> str:
    """A duration as people read it: 7 s, 2:05."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


class _Display:
    """The updating line, or the sparse lines."""

    def __init__(self, title: str, quiet: bool) -> None:
        self.title = title
        self.quiet = quiet
        self.tty = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.start = time.monotonic()
        self.last = self.start
        if self.tty and not quiet:
            self._draw(f"{title} ...")

    def _draw(self, text: str) -> None:
        width = 79
        with contextlib.suppress(OSError):
            width = os.get_terminal_size(2).columns - 1
        if width < 1:
            # A terminal that does not tell its size says 0.
            width = 79
        sys.stderr.write("\r\033[K" + text[:width])
        sys.stderr.flush()

    def update(self, how_far: str) -> None:
        now = time.monotonic()
        if self.quiet and now - self.start < QUIET_SECONDS:
            return
        self.quiet = False
        text = (f"{self.title} ... {elapsed_text(now - self.start)}"
                f"{'  ' + how_far if how_far else ''}")
        if self.tty:
            if now - self.last >= 0.2:
                self.last = now
                self._draw(text)
        elif now - self.last >= SPARSE_SECONDS:
            self.last = now
            print(text, file=sys.stderr, flush=True)

    def finish(self, word: str) -> None:
        if self.quiet and word == "done":
            return
        text = (f"{self.title}: {word}, "
                f"{elapsed_text(time.monotonic() - self.start)}")
        if self.tty:
            self._draw(text + "\n")
        else:
            print(text, file=sys.stderr, flush=True)


class _Counter:
    """Follows a growing log and keeps the newest [n/m] in it."""

    def __init__(self, log: Path) -> None:
        self.stream = log.open("rb")
        self.rest = b""
        self.text = ""

    def read(self) -> str:
        chunk = self.rest + self.stream.read()
        for match in COUNTER.finditer(chunk):
            done, total = int(match[1]), int(match[2])
            if 0 < total and done <= total:
                self.text = f"{done}/{total}"
        # From the last line on: a number may be cut in two by the read.
        cut = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"), 0)
        self.rest = chunk[max(cut, len(chunk) - 4096):]
        return self.text

    def close(self) -> None:
        self.stream.close()


def end_group(proc: "subprocess.Popen[bytes]") -> None:
    """End a child that leads its own process group, and all it started."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(proc.pid, signum)
        try:
            proc.wait(GRACE_SECONDS)
            break
        except subprocess.TimeoutExpired:
            continue


def run_step(title: str, argv: Sequence[str | Path], log_path: Path,
             env: Mapping[str, str] | None = None,
             cwd: Path | None = None,
             probe: Callable[[], str] | None = None,
             append: bool = False, quiet: bool = False) -> None:
    """Run a command as one step; raise StepFailed when it fails.

    title:    what is shown
    argv:     the command
    log_path: where all of its output goes (replaced, or appended to)
    env:      variables set on top of the environment of this process
    cwd:      directory to run in
    probe:    called now and then, tells how far the step is; without it
              the newest "[n/m]" of the log is shown
    append:   keep what the log has
    quiet:    say nothing unless it takes long or fails
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    display = _Display(title, quiet)
    with log_path.open("ab" if append else "wb") as log:
        log.write(("$ " + " ".join(str(a) for a in argv) + "\n").encode())
        log.flush()
        try:
            proc = subprocess.Popen(
                [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, cwd=cwd, start_new_session=True,
                env={**os.environ, **env} if env else None)
        except FileNotFoundError as error:
            display.finish("cannot start")
            raise UserError(f"{title}: no such program or directory: "
                            f"{error.filename}") from None
    counter = _Counter(log_path)
    try:
        while True:
            try:
                proc.wait(0.2)
                break
            except subprocess.TimeoutExpired:
                how_far = counter.read()
                display.update(probe() if probe else how_far)
    except BaseException:
        end_group(proc)
        display.finish("stopped")
        raise
    finally:
        counter.close()
    if proc.returncode != 0:
        display.finish("FAILED")
        raise StepFailed(title, proc.returncode, log_path)
    display.finish("done")
