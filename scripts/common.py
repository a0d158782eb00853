# SPDX-License-Identifier: GPL-2.0-or-later
"""What every script here shares: places, errors a person reads, atomic
results."""

import contextlib
import errno
import hashlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "log"


class UserError(Exception):
    """An error that is told in plain words, without a traceback."""


def run_main(main: Callable[[], int]) -> None:
    """Run main() and leave the process with its status.

    A UserError is printed as one line (longer only when it carries the end
    of a log); Ctrl-C and SIGTERM end with the shell's customary status after
    the children were ended by whoever started them.
    """

    def on_term(_signum: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, on_term)
    try:
        status = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on",
              file=sys.stderr)
        status = 130
    except BrokenPipeError:
        # The reader of our output went away; nobody is left to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS,
                               errno.EACCES, errno.EPERM):
            raise
        where = f": {error.filename}" if error.filename else ""
        print(f"error: {(error.strerror or '').lower()}{where}",
              file=sys.stderr)
        status = 1
    sys.exit(status)


def cache_dir() -> Path:
    """The user's download cache, made when missing."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(base) / "cxl-type2-passthrough"
    path.mkdir(parents=True, exist_ok=True)
    return path


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def need_space(where: Path, mib: int, what: str) -> None:
    """Refuse early when the file system of `where` lacks `mib` MiB."""
    probe = where
    while not probe.exists():
        probe = probe.parent
    free = shutil.disk_usage(probe).free >> 20
    if free < mib:
        raise UserError(f"{what} needs {mib} MiB free under {where}, "
                        f"only {free} MiB are there: free some space")


@contextlib.contextmanager
def atomic_dir(dest: Path) -> Iterator[Path]:
    """Give an empty directory beside `dest` that becomes `dest` on success.

    An earlier `dest` is replaced; on any error nothing is left behind.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    for stale in dest.parent.glob(f".{dest.name}.*.part"):
        shutil.rmtree(stale, ignore_errors=True)
    temp = Path(tempfile.mkdtemp(prefix=f".{dest.name}.", suffix=".part",
                                 dir=dest.parent))
    try:
        temp.chmod(0o755)
        yield temp
        if dest.is_dir() and not dest.is_symlink():
            shutil.rmtree(dest)
        elif dest.exists() or dest.is_symlink():
            dest.unlink()
        temp.rename(dest)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise


def write_atomic(path: Path, text: str) -> None:
    """Write a small text file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
