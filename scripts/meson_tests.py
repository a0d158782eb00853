# SPDX-License-Identifier: GPL-2.0-or-later
"""Run tests that meson knows, and count what each of them reported."""

import contextlib
import json
from pathlib import Path

from common import LOGS, UserError
from progress import StepFailed, run_step
from results import Results, read_tap

# Of the time limit that QEMU sets for each test.
TIMEOUT_FACTOR = "4"


def run_meson_tests(results: Results, group: str, names: list[str],
                    out: Path, env: dict[str, str]) -> None:
    """Run tests by their meson names, two at a time.

    group: names the logs
    names: as `meson test` takes them
    out:   the build directory; the programs are there already
    """
    if not names:
        results.skip(group, "the series adds no such test")
        return
    log = LOGS / f"check-{group}.log"
    journal = out / "meson-logs" / f"check-{group}.json"
    journal.unlink(missing_ok=True)
    variables = {**env, "QTEST_VFIO_USER_CXL":
                 str(out / "contrib/vfio-user-cxl/vfio-user-cxl")}
    with contextlib.suppress(StepFailed):
        # Failures are told below, test by test.
        run_step(f"run {group} tests",
                 [out / "pyvenv/bin/meson", "test", "-C", out, "--no-rebuild",
                  "--num-processes", "2", "-t", TIMEOUT_FACTOR,
                  "--logbase", f"check-{group}", *names], log, env=variables)
    if not journal.is_file():
        raise UserError(f"meson ran no {group} test; full log: {log}")
    missing = set(names)
    full = journal.with_suffix(".txt")
    for line in journal.read_text(errors="replace").splitlines():
        entry = json.loads(line)
        short = entry["name"].rpartition(" / ")[2]
        missing.discard(short)
        status = entry.get("returncode") or 0
        more = entry.get("stderr") or ""
        if entry["result"] == "TIMEOUT":
            status = status or 124
            more += f"\nran out of time after {entry['duration']:.0f} s"
        elif entry["result"] not in ("OK", "SKIP", "EXPECTEDFAIL"):
            status = status or 1
        read_tap(results, short, entry.get("stdout") or "", status, full,
                 more)
    for name in sorted(missing):
        results.failed(name, f"meson did not run it; full log: {log}")
