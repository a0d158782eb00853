#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the project's tests and count them.

Each test is named with its result; the last line is "N passed, N failed",
followed by ", N skipped" when some were. The exit status is 0 only when
none failed. Groups can be named to run only those.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

import acpi_tables
import deb_patches
import docs_build
import docs_commands
import fuzz
import install_check
import kernel_changed
import kernel_run
import libvirt_check
import mutants
import sanitize
import static_checks
from build import OUT, build, qtests, unit_tests
from common import LOGS, ROOT, UserError, run_main
from export import check_commit, titles
from meson_tests import run_meson_tests
from progress import elapsed_text, end_group
from results import Results, read_tap
from tree import TREE, make_tree

GUEST_RUN = ROOT / "scripts" / "guest_run.py"
# What a device is tried with in a guest, as arguments of
# guest_run.py: the stock driver first, then the generic identity without a
# driver and, in a size that is no power of two, with ours and its own tests.
GUESTS = {
    "guest-256M": ("--driver", "sfc", "--hdm", "256M"),
    "guest-256M-none": ("--driver", "none", "--hdm", "256M"),
    "guest-5G": ("--driver", "cxl_accel", "--hdm", "5G"),
    "guest-256M-smmu": ("--driver", "cxl_accel", "--hdm", "256M",
                        "--iommu", "smmuv3"),
    "guest-1G-commits": ("--driver", "cxl_accel", "--hdm", "1G",
                         "--commit", "guest"),
    # The same drivers with the emulated device.
    "guest-emulated-sfc": ("--driver", "sfc", "--hdm", "256M",
                           "--device", "emulated"),
    "guest-emulated": ("--driver", "cxl_accel", "--hdm", "1G",
                       "--device", "emulated"),
    "guest-refusals": ("--refusals",),
    "guest-plug": ("--scenario", "plug"),
}
# The short forms that CI runs, about a minute each.
SEED = 1
MUTANTS = 30
FUZZ_SECONDS = 21


def group_static(results: Results) -> None:
    """Checks of the checkout's files; nothing is built."""
    for name, check in static_checks.CHECKS.items():
        faults = check()
        if faults is None:
            results.skip(f"static/{name}", "no file to check")
        elif faults:
            results.failed(f"static/{name}", "\n".join(faults))
        else:
            results.passed(f"static/{name}")


def group_docs(results: Results) -> None:
    """QEMU's manual with our pages, and the commands in our texts."""
    docs_build.check(results)
    build()
    docs_commands.check(results, static_checks.own_files())


def group_checkpatch(results: Results) -> None:
    """The base's checkpatch.pl on every commit."""
    git, commits = make_tree()
    for commit, title in zip(commits, titles(git, commits), strict=True):
        errors, _warnings, output = check_commit(git, commit)
        if errors:
            results.failed(f"checkpatch/{title}", output)
        else:
            results.passed(f"checkpatch/{title}")


def group_unit(results: Results) -> None:
    """Our unit tests."""
    env = build(only_unit=True)
    run_meson_tests(results, "unit", unit_tests(TREE), OUT, env)


def group_qtest(results: Results) -> None:
    """Our qtests, and those of the base that must go on passing."""
    env = build(tests=True)
    run_meson_tests(results, "qtest",
                    [f"qtest-aarch64/{name}" for name in qtests(TREE)], OUT,
                    env)


def group_acpi(results: Results) -> None:
    """QEMU's ACPI tables, with and without CXL, are the expected ones."""
    acpi_tables.check(results)


def group_guest(results: Results) -> None:
    """A stock guest uses the reference device, and the emulated one."""
    build()
    for name, options in GUESTS.items():
        _guest(results, name, options)


def _guest(results: Results, name: str, options: tuple[str, ...]) -> None:
    log = LOGS / f"check-{name}.log"
    start = time.monotonic()
    print(f"{name}: {' '.join(options)} ...", file=sys.stderr, flush=True)
    with log.open("w+") as stream:
        # Its steps are shown as they come; its verdicts are read after.
        proc = subprocess.Popen(
            ["/usr/bin/python3", str(GUEST_RUN), "--check", *options],
            stdin=subprocess.DEVNULL, stdout=stream, start_new_session=True)
        try:
            proc.wait()
        except BaseException:
            end_group(proc)
            raise
    read_tap(results, name, log.read_text(errors="replace"),
             proc.returncode, log)
    print(f"{name}: {elapsed_text(time.monotonic() - start)}",
          file=sys.stderr, flush=True)


def group_libvirt(results: Results) -> None:
    """libvirt takes our examples, and starts guests from them."""
    build()
    libvirt_check.check(results)


def group_install(results: Results) -> None:
    """make install and make uninstall, in a directory of the test's."""
    build()
    install_check.check(results)


def group_mutants(results: Results) -> None:
    """Short form of make mutants: files with a unit test, and only that."""
    mutants.mutate_all(results, MUTANTS, SEED, True, list(mutants.FILES))


def _set_up(what: str) -> None:
    """Install the packages that only some targets need."""
    packages = subprocess.run(["sh", str(ROOT / "scripts" / "setup.sh"),
                               what], check=False)
    if packages.returncode:
        raise UserError(f"the packages that {what} needs are not there")


def group_deb(results: Results) -> None:
    """Debian's own source package takes the series, and compiles it."""
    _set_up("deb")
    deb_patches.check(results)


def group_fuzz(results: Results) -> None:
    """Short form of make fuzz, from the seeds."""
    _set_up("fuzz")
    fuzz.run_targets(results, list(fuzz.TARGETS), FUZZ_SECONDS, SEED, True)


def group_kernel(results: Results) -> None:
    """A real kernel's VFIO passes the emulated device to a nested guest."""
    kernel_run.run_stages(results, kernel_run.TESTS)


GROUPS: dict[str, Callable[[Results], None]] = {
    "static": group_static,
    "docs": group_docs,
    "checkpatch": group_checkpatch,
    "unit": group_unit,
    "qtest": group_qtest,
    "acpi": group_acpi,
    "guest": group_guest,
    "libvirt": group_libvirt,
    "install": group_install,
}
# Run only when named, or by CI.
CI_GROUPS: dict[str, Callable[[Results], None]] = {
    "mutants": group_mutants,
    "fuzz": group_fuzz,
    "deb": group_deb,
    "kernel": group_kernel,
}
SANITIZE_GROUPS: dict[str, Callable[[Results], None]] = {
    "sanitize": sanitize.check,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", nargs="*",
                        help=", ".join({**GROUPS, **CI_GROUPS}))
    parser.add_argument("--ci", action="store_true",
                        help=f"also {', '.join(CI_GROUPS)}")
    options = parser.parse_args()
    groups = {**GROUPS, **CI_GROUPS}
    names = options.group or [*GROUPS, *(CI_GROUPS if options.ci else ())]
    if sanitize.wanted():
        if options.group:
            raise UserError("SANITIZE runs the unit tests and qtests: "
                            "name no GROUP with it")
        groups, names = SANITIZE_GROUPS, list(SANITIZE_GROUPS)
    for name in names:
        if name not in groups:
            raise UserError(f"no test group '{name}': there are "
                            f"{', '.join(groups)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    results = Results()
    if "kernel" in names and not options.group and \
            not kernel_changed.changed():
        names.remove("kernel")
        results.skip("kernel", "no commit of the last day changes it")
    for name in names:
        try:
            groups[name](results)
        except UserError as error:
            # A group that cannot run is a failure, and the others go on.
            results.failed(name, str(error))
    print(results.summary(), flush=True)
    return 0 if results.good() else 1


if __name__ == "__main__":
    run_main(main)
