# SPDX-License-Identifier: GPL-2.0-or-later
"""Counting tests, and reading what test programs say in TAP."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from common import UserError

TAP_LINE = re.compile(r"^(not ok|ok)\b\s*(\d+)?\s*-?\s*(.*)$")
TAP_PLAN = re.compile(r"^1\.\.(\d+)(?:\s*#\s*[Ss][Kk][Ii][Pp]\S*\s*(.*))?$")
SKIPPED = re.compile(r"#\s*SKIP\S*\s*(.*)$", re.IGNORECASE)
DETAIL_LINES = 20


class Results:
    """Prints each test's result and keeps count."""

    def __init__(self) -> None:
        self.count = {"passed": 0, "failed": 0, "skipped": 0}

    def passed(self, name: str) -> None:
        self.count["passed"] += 1
        print(f"PASS {name}", flush=True)

    def failed(self, name: str, detail: str) -> None:
        """detail: what is known about it; its last lines are shown."""
        self.count["failed"] += 1
        print(f"FAIL {name}")
        for line in detail.splitlines()[-DETAIL_LINES - 2:]:
            print(f"     {line}")
        print(end="", flush=True)

    def skip(self, name: str, reason: str) -> None:
        self.count["skipped"] += 1
        print(f"SKIP {name}: {reason or 'no reason given'}", flush=True)

    def good(self) -> bool:
        """Whether tests ran and none failed."""
        return self.count["failed"] == 0 and self.count["passed"] > 0

    def summary(self) -> str:
        """The closing line."""
        text = f"{self.count['passed']} passed, {self.count['failed']} failed"
        if self.count["skipped"]:
            text += f", {self.count['skipped']} skipped"
        return text


@contextmanager
def case(results: Results, name: str) -> Iterator[list[str]]:
    """One test in Python: a UserError or OSError fails it; the list that it
    gives is for what the test saw."""
    notes: list[str] = []
    try:
        yield notes
    except (UserError, OSError) as error:
        results.failed(name, str(error))
    else:
        results.passed(": ".join([name, *notes]))


def run_in_order(results: Results, group: str,
                 steps: Mapping[str, Callable[[list[str]], None]]) -> bool:
    """Cases of which each needs the one before; whether none failed.

    steps: what is called with the case's list, by its name
    """
    for name, step in steps.items():
        before = results.count["failed"]
        with case(results, f"{group} {name}") as notes:
            step(notes)
        if results.count["failed"] != before:
            return False
    return True


def need(holds: bool, expected: str) -> None:
    """A rule of such a test."""
    if not holds:
        raise UserError(f"expected: {expected}")


def read_tap(results: Results, program: str, text: str, status: int,
             log: Path, more: str = "") -> None:
    """Count each test of a program's TAP output.

    program: shown before each test's name
    text:    what the program wrote to its standard output
    status:  its exit status; one that no failed test explains counts as a
             failed test of its own, and so do tests that were announced
             and never reported
    more:    what else is known (standard error), shown with a failure
    """
    announced, reported, failed = -1, 0, 0
    tail = "\n".join((text + "\n" + more).strip().splitlines()[-DETAIL_LINES:])
    lines = text.splitlines()
    for number, line in enumerate(lines):
        plan = TAP_PLAN.match(line)
        if plan:
            announced = int(plan[1])
            if announced == 0:
                results.skip(program, plan[2] or "")
                reported += 1
            continue
        match = TAP_LINE.match(line)
        if not match:
            continue
        reported += 1
        skipped = SKIPPED.search(match[3])
        title = match[3].partition(" # ")[0].strip() or f"test {match[2]}"
        name = f"{program} {title}"
        if skipped:
            results.skip(name, skipped[1])
        elif match[1] == "ok":
            results.passed(name)
        else:
            failed += 1
            notes = []
            for note in lines[number + 1:]:
                if not note.startswith("#"):
                    break
                notes.append(note.lstrip("# "))
            results.failed(name, "\n".join([*notes, f"full log: {log}"]))
    if status == 77 and reported == 0:
        results.skip(program, tail.splitlines()[-1] if tail else "")
    elif status != 0 and failed == 0:
        results.failed(program, f"{tail}\nended with status {status}; full "
                       f"log: {log}")
    elif 0 < announced != reported:
        results.failed(program, f"{tail}\nreported {reported} of {announced} "
                       f"tests; full log: {log}")
    elif reported == 0:
        results.passed(program)
