#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure which lines and branches of the project's C files the unit tests
and the qtests reach, with gcov.

Only those files are instrumented; the programs are linked beside build/out,
which is only read. What is not reached is listed by function, with the
reason that tests/coverage/reasons.txt gives. A line that is not reached and
has no reason there makes the exit status 1.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from build import EMULATOR, OUT, SERVER, build, series_tests, unit_tests
from common import BUILD, ROOT, UserError, run_main, write_atomic
from overlay import (DoesNotCompile, Overlay, fast_linker,
                     link_firmware_beside)
from results import Results
from series import load
from test_programs import Programs, run_test
from tree import TREE

COVERAGE = BUILD / "coverage"
REASONS = ROOT / "tests" / "coverage" / "reasons.txt"
FLAGS = ("-O0", "-g0", "--coverage", "-fprofile-update=atomic")
TIMEOUT = 900.0


@dataclass
class Line:
    """A line with code."""
    function: str
    count: int = 0
    branches: list[int] = field(default_factory=list)

    def add(self, count: int, branches: list[int]) -> None:
        """What another object of the same file saw."""
        self.count += count
        if len(branches) == len(self.branches):
            self.branches = [a + b for a, b in
                             zip(self.branches, branches, strict=True)]
        elif sum(map(bool, branches)) > sum(map(bool, self.branches)):
            # Compiled otherwise there: the better of the two counts.
            self.branches = branches


Coverage = dict[str, dict[int, Line]]


# --- measuring -------------------------------------------------------------

def measured_files(overlay: Overlay) -> list[str]:
    """The project's C files in the emulator and the device server."""
    products = [overlay.link_of(name) for name in (EMULATOR, SERVER)]
    return [path for path in load().files()
            if any(link.takes(how.output) for how in overlay.objects(path)
                   for link in products)]


def instrument(overlay: Overlay, files: list[str],
               hosts: list[str]) -> Programs:
    """Link the programs that have one of the files in them anew."""
    # Counters of an earlier run would be added to.
    shutil.rmtree(COVERAGE, ignore_errors=True)
    made = overlay.rebuild(lambda source: source in files, hosts, COVERAGE,
                           FLAGS, ["--coverage", *fast_linker()])
    link_firmware_beside(COVERAGE / EMULATOR)
    return Programs(made)


def run_tests(results: Results, overlay: Overlay, programs: Programs,
              tests: Iterable[str]) -> None:
    """Run every test program; one that fails makes the figures worthless."""
    for name in tests:
        print(f"run {name}", file=sys.stderr, flush=True)
        outcome = run_test(overlay, programs, name, TIMEOUT)
        if outcome.passed:
            results.passed(name)
        else:
            results.failed(name, f"{outcome.failed_test}\n{outcome.output}")


def read_counts(home: Path, files: list[str]) -> Coverage:
    """What gcov makes of the counters that the programs left."""
    found: Coverage = {}
    # An object that never ran has only its plan, and that counts as 0.
    for plan in sorted(home.glob("*.gcno")):
        done = subprocess.run(
            ["gcov", "--json-format", "--stdout", "--branch-probabilities",
             str(plan)], cwd=OUT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"gcov cannot read {plan}: {done.stderr.strip()}")
        for row in done.stdout.splitlines():
            _merge(found, json.loads(row), files)
    return found


def _merge(found: Coverage, report: dict, files: list[str]) -> None:
    for entry in report["files"]:
        path = (OUT / entry["file"]).resolve()
        if not path.is_relative_to(TREE):
            continue
        name = str(path.relative_to(TREE))
        if name not in files:
            continue
        lines = found.setdefault(name, {})
        for row in entry["lines"]:
            branches = [b["count"] for b in row["branches"]
                        if not b.get("throw")]
            line = lines.get(row["line_number"])
            if line is None:
                lines[row["line_number"]] = Line(
                    row.get("function_name", "?"), row["count"], branches)
            else:
                line.add(row["count"], branches)


# --- reporting -------------------------------------------------------------

def read_reasons() -> dict[tuple[str, str], str]:
    """The committed list: (file, function) -> why it is not reached."""
    reasons: dict[tuple[str, str], str] = {}
    last = ("", "")
    text = REASONS.read_text(encoding="utf-8") if REASONS.is_file() else ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        if line[0].isspace() and last[0]:
            reasons[last] += " " + line.strip()
            continue
        where, _, why = line.partition(" ")
        path, _, function = where.rpartition(":")
        if not path or not function or not why.strip():
            raise UserError(f"{REASONS.relative_to(ROOT)}, line {number}: "
                            "write FILE:FUNCTION REASON")
        last = (path, function)
        reasons[last] = why.strip()
    return reasons


def ranges(numbers: list[int]) -> str:
    """Line numbers as people write them: 3-5, 9."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in parts)


def _share(done: int, total: int) -> str:
    return f"{done:5}/{total:<5} {100 * done / total:5.1f} %" if total \
        else f"{'-':>5}/{'-':<5} {'':7}"


def table(found: Coverage) -> list[str]:
    """One row for each file, and one for all."""
    rows = [f"{'file':<42} {'lines':>13}        {'branches':>13}"]
    total = [0, 0, 0, 0]
    for name, lines in sorted(found.items()):
        branches = [b for line in lines.values() for b in line.branches]
        figures = [sum(line.count > 0 for line in lines.values()),
                   len(lines), sum(b > 0 for b in branches), len(branches)]
        total = [a + b for a, b in zip(total, figures, strict=True)]
        rows.append(f"{name:<42} {_share(*figures[:2])}  "
                    f"{_share(*figures[2:])}")
    rows.append(f"{'all':<42} {_share(*total[:2])}  {_share(*total[2:])}")
    return rows


def gaps(found: Coverage, reasons: dict[tuple[str, str], str]
         ) -> tuple[list[str], int]:
    """What was not reached, by function; and how many functions with such
    lines have no reason."""
    rows, unlisted = [], 0
    for name, lines in sorted(found.items()):
        functions: dict[str, tuple[list[int], list[int]]] = {}
        for number, line in sorted(lines.items()):
            missed, partly = functions.setdefault(line.function, ([], []))
            if not line.count:
                missed.append(number)
            elif not all(line.branches):
                partly.append(number)
        for function, (missed, partly) in functions.items():
            if not missed and not partly:
                continue
            why = reasons.get((name, function), "")
            if missed and not why:
                unlisted += 1
            parts = [f"lines {ranges(missed)}" if missed else "",
                     f"branches in {ranges(partly)}" if partly else ""]
            rows.append(f"{name}:{function}: "
                        f"{'; '.join(filter(None, parts))}")
            if why or missed:
                rows.append(f"    {why or 'NOT LISTED'}")
    return rows, unlisted


def stale(found: Coverage, reasons: dict[tuple[str, str], str]) -> list[str]:
    """Reasons for functions that are gone or wholly reached by now."""
    rows = []
    for name, function in sorted(reasons):
        lines = [line for line in found.get(name, {}).values()
                 if line.function == function]
        if all(line.count and all(line.branches) for line in lines):
            rows.append(f"{name}:{function} is gone or reached: drop it from "
                        f"{REASONS.relative_to(ROOT)}")
    return rows


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    build(tests=True)
    overlay = Overlay()
    units = unit_tests(TREE)
    qtests = series_tests(TREE, "tests/qtest/*-test.c")
    files = measured_files(overlay)
    results = Results()
    try:
        programs = instrument(overlay, files, [*units, EMULATOR, SERVER])
    except DoesNotCompile as error:
        raise UserError(f"a file does not compile for coverage:\n{error}") \
            from None
    run_tests(results, overlay, programs, [*units, *qtests])
    found = read_counts(COVERAGE, files)
    reasons = read_reasons()
    rows, unlisted = gaps(found, reasons)
    report = [*table(found), "", "not reached:", *rows, *stale(found, reasons)]
    write_atomic(COVERAGE / "report.txt", "\n".join(report) + "\n")
    print("\n".join(report))
    if unlisted:
        results.failed("coverage", f"{unlisted} functions have lines that no "
                       "test reaches and no reason: write a test, or the "
                       f"reason in {REASONS.relative_to(ROOT)}")
    else:
        results.passed("coverage: all that is not reached has a reason")
    print(results.summary())
    return 0 if results.good() else 1


if __name__ == "__main__":
    run_main(main)
