# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the unit tests and qtests under sanitizers:
make check SANITIZE=address,undefined.

Instrumented are this project's files, QEMU's files that its edits touch, and
those parts of QEMU that hold or call what they hand over; the programs are
linked beside build/out. malloc and free are watched wherever they are
called. What a sanitizer finds goes to a file for each process, so that
nothing depends on who looks at that process's output or exit status.
"""

import os
import re
import shutil
import sys

from build import EMULATOR, OUT, SERVER, build, series_tests, unit_tests
from common import BUILD, LOGS, ROOT, UserError
from overlay import DoesNotCompile, Overlay, link_firmware_beside
from results import Results, read_tap
from series import load, read_edit
from test_programs import Programs, run_test
from tree import TREE

NAMES = ("address", "undefined")
# Parts of QEMU that work on a device's memory regions, objects and sockets.
NEIGHBOURS = ("hw/cxl/", "hw/vfio/", "hw/vfio-user/", "hw/pci/",
              "hw/pci-bridge/", "hw/core/", "qom/", "io/", "system/")
SUPPRESSIONS = ROOT / "tests" / "sanitize" / "leaks.txt"
REPORTS = LOGS / "sanitize"
FLAGS = ("-O1", "-g1", "-fno-omit-frame-pointer",
         "-fsanitize-recover=undefined")
FINDING = re.compile(r"^.*(ERROR: \w+Sanitizer|runtime error: ).*$",
                     re.MULTILINE)
# Unlike any status that a test expects.
EXIT_STATUS = 99
TIMEOUT = 1800.0


def wanted() -> tuple[str, ...]:
    """The sanitizers that the environment asks for, in a fixed order."""
    names = os.environ.get("SANITIZE", "").replace(",", " ").split()
    for name in names:
        if name not in NAMES:
            raise UserError(f"SANITIZE={name}: there are "
                            f"{' and '.join(NAMES)}")
    return tuple(name for name in NAMES if name in names)


def instrumented() -> tuple[str, ...]:
    """The files, and directories with a slash, that are compiled so."""
    edited = {path for name in load().edits() for path in
              re.findall(r"^\+\+\+ b/(\S+\.c)\b", read_edit(name),
                         re.MULTILINE)}
    ours = {path for path in load().files() if path.endswith(".c")}
    return (*sorted(edited | ours), *NEIGHBOURS)


def variables() -> dict[str, str]:
    """The environment for what runs under sanitizers; ASAN_OPTIONS of the
    user's are added."""
    common = (f"log_path={REPORTS}/report:exitcode={EXIT_STATUS}:"
              "print_stacktrace=1")
    return {
        "ASAN_OPTIONS": f"{common}:detect_leaks=1:"
                        f"{os.environ.get('ASAN_OPTIONS', '')}",
        "UBSAN_OPTIONS": common,
        "LSAN_OPTIONS": f"suppressions={SUPPRESSIONS}:print_suppressions=0",
    }


def rebuild(overlay: Overlay, tests: list[str]) -> Programs:
    """Link emulator, device server and tests with instrumented files."""
    names = wanted()
    places = instrumented()
    home = BUILD / "-".join(["sanitize", *names])
    flag = f"-fsanitize={','.join(names)}"
    print(f"build under {' and '.join(names)} sanitizer ...", file=sys.stderr,
          flush=True)

    def chosen(source: str) -> bool:
        return source in places or source.startswith(NEIGHBOURS)

    try:
        made = overlay.rebuild(chosen, [*tests, EMULATOR, SERVER], home,
                               [*FLAGS, flag], [flag])
    except DoesNotCompile as error:
        raise UserError(f"cannot build under {flag}:\n{error}") from None
    link_firmware_beside(home / EMULATOR)
    return Programs(made)


def count_reports(results: Results) -> None:
    """Each report is a failure, none is a success.

    A process that only warns has found nothing: the address sanitizer does
    so about the stacks of coroutines.
    """
    found = 0
    for path in sorted(REPORTS.glob("report*")):
        text = path.read_text(errors="replace")
        first = FINDING.search(text)
        if first:
            found += 1
            lines = text[first.start():].splitlines()[:20]
            results.failed(f"sanitize {path.name}", "\n".join(
                [*lines, f"full report: {path}"]))
    if not found:
        results.passed(f"sanitize: {' and '.join(wanted())} report nothing")


def check(results: Results) -> None:
    """Build and run our unit tests and qtests under sanitizers."""
    env = build(tests=True)
    overlay = Overlay()
    tests = [*unit_tests(TREE), *series_tests(TREE, "tests/qtest/*-test.c")]
    programs = rebuild(overlay, tests)
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    for name in tests:
        print(f"run {name} ...", file=sys.stderr, flush=True)
        outcome = run_test(overlay, programs, name, TIMEOUT,
                           {**env, **variables()}, stop=False)
        log = LOGS / f"sanitize-{name}.log"
        log.write_text(outcome.output)
        read_tap(results, name, outcome.output, outcome.status, log)
    count_reports(results)
    print(f"instrumented below {OUT.name}: {', '.join(NEIGHBOURS)} and the "
          "files of the series", file=sys.stderr)
