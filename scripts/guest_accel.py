# SPDX-License-Identifier: GPL-2.0-or-later
"""Our own driver in the guest, cxl_accel: its report and its tests."""

import re
from collections.abc import Callable

from guest_facts import Facts, Row, judged, range_text
from guest_machine import Console

DRIVER = "cxl_accel"
HUGE = 2 << 20
COUNT_LIMIT_S = 60.0
# Most of it is binding and unbinding, 0.1 s each on an idle machine.
TESTS_LIMIT_S = 600.0
# What a kernel says when something went badly wrong.
COMPLAINT = re.compile(r"WARNING: |BUG: |Oops|Call trace:|KASAN|UBSAN|"
                       r"refcount_t|Bad page|blocked for more than")


def observe(machine: Console, facts: Facts,
            say: Callable[[str], None]) -> None:
    """Ask for what only our driver tells; its tests when thorough."""
    if facts.setup.driver != DRIVER:
        return
    machine.order("faults")
    text = " ".join(machine.frame("faults", COUNT_LIMIT_S))
    if match := re.fullmatch(r"(\d+) (\d+)", text):
        facts.faults = int(match[1]), int(match[2])
    if facts.thorough:
        say("guest runs the driver's tests")
        machine.order("accel-check")
        facts.driver_tests = machine.frame("accel-check", TESTS_LIMIT_S)
        facts.text += facts.driver_tests


def rows(facts: Facts) -> list[Row]:
    """What is judged only with our driver."""
    if facts.setup.driver != DRIVER:
        return []
    result = [_character_device(facts)]
    if facts.thorough:
        result += _tests(facts) + [_complaints(facts)]
    return result


def _character_device(facts: Facts) -> Row:
    """The driver's own attributes, and how programs got the memory."""
    base = facts.number("window.0.base")
    want = f"{base:#x}-{base + facts.setup.hdm - 1:#x}"
    name = facts.report.get("accel.device", "none")
    state = facts.report.get("accel.state", "?")
    vectors = len(facts.report.get("accel.interrupts", "").split())
    small, huge = facts.faults
    # A full pass maps enough at once for large pages.
    return judged("character device",
                  f"{name}: {range_text(base, facts.number('accel.size'))}, "
                  f"{state}, {vectors} interrupts, write-back in {huge} pages "
                  f"of 2 MiB and {small} of 4 KiB", [
                      (name == "/dev/cxl_accel0", "/dev/cxl_accel0"),
                      (facts.report.get("accel.range") == want, want),
                      (facts.number("accel.size") == facts.setup.hdm,
                       f"size {facts.setup.hdm}"),
                      (state == "ready", "ready"),
                      (vectors > 0, "interrupts"),
                      (huge * HUGE >= min(facts.parts[-1].size,
                                          facts.setup.hdm),
                       "large pages in the full pass")])


def _tests(facts: Facts) -> list[Row]:
    """One row for each line of the test program."""
    result, announced = [], -1
    for line in facts.driver_tests:
        if match := re.fullmatch(r"CHECK (ok|FAIL) ([^:]+): (.*)", line):
            result.append(Row(f"driver: {match[2]}", match[3],
                              "" if match[1] == "ok" else "see above"))
        elif match := re.fullmatch(r"CHECKS (\d+)", line):
            announced = int(match[1])
    if announced != len(result) or not result:
        last = facts.driver_tests[-1] if facts.driver_tests else "nothing"
        result.append(Row("driver: all tests", last[:80],
                          "the number of tests at the end"))
    return result


def _complaints(facts: Facts) -> Row:
    found = [line for line in facts.dmesg if COMPLAINT.search(line)]
    return judged("kernel after the tests",
                  found[0][:100] if found else "no warning in its messages",
                  [(not found, "no warning")])
