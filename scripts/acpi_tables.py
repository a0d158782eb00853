#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The ACPI tables of aarch64 virt, held by golden tables.

QEMU's own bios-tables-test boots each machine with a firmware, takes the
tables from the guest's memory and compares them with expected files. Here
it runs in a directory of its own, so that nothing is written to build/tree,
and with Debian's firmware.

The expected files of the base are files of QEMU's. Those of the series are
made by the build: `series` records their SHA-256, the user's cache keeps
them. Run by itself, this makes them anew and records them.
"""

import argparse
import contextlib
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from build import ACPI_TEST as PROGRAM
from build import EMULATOR, OUT, build
from cache import cached, store
from common import BUILD, LOGS, UserError, run_main, sha256_file, write_atomic
from progress import SPARSE_SECONDS, elapsed_text, run_step
from results import Results
from series import SERIES, load
from tree import BASE, TREE, make_tree

DATA = "tests/data/acpi"
TABLES = f"{DATA}/aarch64/virt"
PLACE = BUILD / "acpi"
LOG = LOGS / "check-acpi.log"
REBUILD = {"TEST_ACPI_REBUILD_AML": "y"}
# What QEMU's test asks for, and where Debian 12, 13 and later have it.
FIRMWARE = {
    "pc-bios/edk2-aarch64-code.fd": (
        "/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd",
        "/usr/share/AAVMF/AAVMF_CODE.fd"),
    "pc-bios/edk2-arm-vars.fd": ("/usr/share/AAVMF/AAVMF_VARS.fd",),
}
CASE_SECONDS = 600


# --- a place to run in -----------------------------------------------------

def _link_firmware(place: Path) -> None:
    for name, choices in FIRMWARE.items():
        found = next((c for c in choices if Path(c).is_file()), None)
        if not found:
            raise UserError(f"{choices[-1]} is missing: install "
                            "qemu-efi-aarch64 (make setup)")
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).symlink_to(found)


@contextlib.contextmanager
def prepared(place: Path, tree: Path, out: Path) -> Iterator[Path]:
    """Make a directory that bios-tables-test takes for a build directory.

    Its expected files are a copy, so that they can be written.
    """
    _prepare(place, tree, out)
    # Sockets go there, and the path of a checkout may be too long for one.
    with tempfile.TemporaryDirectory(prefix="cxl-acpi-") as temp:
        (place / "tmp").symlink_to(temp)
        yield place


def _prepare(place: Path, tree: Path, out: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(tree / DATA, place / DATA)
    (place / "tests/qtest").mkdir()
    shutil.copy(tree / f"tests/qtest/{PROGRAM}-allowed-diff.h",
                place / "tests/qtest")
    for name in (EMULATOR, f"tests/qtest/{PROGRAM}"):
        (place / name).symlink_to(out / name)
    (place / "tests/data/uefi-boot-images").symlink_to(
        tree / "tests/data/uefi-boot-images")
    _link_firmware(place)
    # Read by QEMU's rebuild-expected-aml.sh.
    write_atomic(place / "config-host.mak",
                 f"TARGET_DIRS=aarch64-softmmu\nSRC_PATH={place}\n")


def _environment(place: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "QTEST_QEMU_BINARY": f"./{EMULATOR}", "V": "1",
            "TMPDIR": os.readlink(place / "tmp"), **more}


def cases(place: Path) -> list[str]:
    """The names of the test's cases."""
    done = subprocess.run([f"tests/qtest/{PROGRAM}", "-l"], cwd=place,
                          env=_environment(place), capture_output=True,
                          text=True, check=False)
    names = [line for line in done.stdout.splitlines()
             if line.startswith("/")]
    if done.returncode or not names:
        raise UserError(f"{PROGRAM} names no case: "
                        + (done.stderr.strip().splitlines() or ["?"])[-1])
    return names


def run_case(place: Path, case: str, names: list[str],
             **more: str) -> tuple[bool, str]:
    """Run one case; return whether it passed, and its output."""
    skip = [word for name in names if name.startswith(case + "/")
            for word in ("-s", name)]
    argv = [f"tests/qtest/{PROGRAM}", "--tap", "-k", "-p", case, *skip]
    try:
        done = subprocess.run(argv, cwd=place, stdin=subprocess.DEVNULL,
                              env=_environment(place, **more), check=False,
                              stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, errors="replace",
                              timeout=CASE_SECONDS)
    except subprocess.TimeoutExpired:
        return False, f"no end after {CASE_SECONDS} s"
    good = re.search(rf"^ok \d+ {re.escape(case)}$", done.stdout,
                     re.MULTILINE)
    return bool(done.returncode == 0 and good), done.stdout


# --- comparing -------------------------------------------------------------

def firmware_addresses(table: bytes) -> Iterator[int]:
    """Offsets of the bytes that depend on where the firmware put things.

    QEMU's files hold the addresses that its own firmware build chooses: of
    the error status blocks in HEST, of the NVDIMM buffer in SSDT's MEMA.
    """
    if table[:4] == b"HEST":
        # Two addresses in each source; ACPI 6.5, 18.3.2.8
        for source in range(40, len(table) - 91, 92):
            for address in (source + 24, source + 68):
                yield from range(address, address + 8)
    elif table[:4] == b"SSDT":
        for match in re.finditer(rb"\x08MEMA\x0c", table):
            yield from range(match.end(), match.end() + 4)


def without_addresses(table: bytes) -> bytes:
    """A table with those bytes, and if there are any its checksum, at 0."""
    content = bytearray(table)
    for offset in firmware_addresses(table):
        content[offset] = content[9] = 0
    return bytes(content)


def changed_tables(place: Path, tree: Path) -> list[str]:
    """Names below DATA that are not in `place` as they are in `tree`."""
    found = set()
    for top in (place / DATA, tree / DATA):
        for path in top.rglob("*"):
            name = str(path.relative_to(top))
            pair = place / DATA / name, tree / DATA / name
            if path.is_file() and not all(p.is_file() for p in pair):
                found.add(name)
            elif path.is_file() and pair[0].read_bytes() != \
                    pair[1].read_bytes():
                found.add(name)
    return sorted(found)


def only_addresses(place: Path, tree: Path, name: str) -> bool:
    """Whether a table differs in nothing but the firmware's addresses."""
    pair = [top / DATA / name for top in (place, tree)]
    return all(p.is_file() for p in pair) and \
        len({without_addresses(p.read_bytes()) for p in pair}) == 1


def asl(table: Path) -> list[str]:
    """A table's source, or its bytes where iasl does not know it."""
    with tempfile.TemporaryDirectory() as temp:
        copy = Path(temp, "table.aml")
        shutil.copyfile(table, copy)
        with tempfile.TemporaryFile() as sink:
            status = subprocess.run(["iasl", "-d", copy], stdout=sink,
                                    stderr=sink, check=False,
                                    cwd=temp).returncode
        source = copy.with_suffix(".dsl")
        if status == 0 and source.is_file():
            text = source.read_text(errors="replace")
            return re.sub(r"\A\s*/\*.*?\*/\n", "", text,
                          flags=re.DOTALL).splitlines()
    data = table.read_bytes()
    return [f"{at:04x}: {data[at:at + 16].hex(' ')}"
            for at in range(0, len(data), 16)]


def asl_diff(path: str, digest: str, new: Path, tree: Path) -> str:
    """The difference to the recorded table with that SHA-256.

    Where the cache has it not, the difference to the base's table of that
    kind instead, or to nothing: the text of the golden tables' commit tells
    how that is to be.
    """
    kind = tree / path.partition(".")[0]
    old = cached(digest) or (kind if kind.is_file() else None)
    name = Path(path).name
    title = f"recorded {name}" if cached(digest) else \
        f"base's {kind.name}" if old else "nothing"
    return "\n".join(difflib.unified_diff(
        asl(old) if old else [], asl(new), title, f"built {name}",
        lineterm=""))


# --- golden tables ---------------------------------------------------------

def rebuild(tree: Path = TREE, out: Path = OUT) -> dict[str, Path]:
    """Make the series' golden tables as QEMU's developers do.

    An error when a table of the base comes out otherwise than its expected
    file. Returns path in QEMU's tree -> the new file.
    """
    golden = load().golden()
    log = LOGS / "golden.log"
    with prepared(PLACE / "rebuild", tree, out) as place:
        for path in golden:
            (place / path).write_bytes(b"")
        run_step("build the golden ACPI tables",
                 ["bash", tree / DATA / "rebuild-expected-aml.sh"], log,
                 env=_environment(place), cwd=place)
    text = log.read_text(errors="replace")
    empty = [path for path in golden if not (place / path).stat().st_size]
    if empty or re.search(r"^(?:not ok|Bail out)", text, re.MULTILINE):
        raise UserError(f"{PROGRAM} failed"
                        + (f" and made no {empty[0]}" if empty else "")
                        + f"; full log: {log}")
    for name in changed_tables(place, tree):
        if f"{DATA}/{name}" not in golden and \
                not only_addresses(place, tree, name):
            raise UserError(f"{DATA}/{name} is not as the base's expected "
                            "file any more: see make check GROUP=acpi")
    return {path: place / path for path in golden}


def verify(tree: Path = TREE, out: Path = OUT) -> dict[str, Path]:
    """Make the golden tables with a build; an error when one is not what
    `series` records. Returns path in QEMU's tree -> the new file."""
    golden = load().golden()
    files = rebuild(tree, out)
    for path, file in files.items():
        actual = sha256_file(file)
        if actual != golden[path]:
            diff = LOGS / f"golden-{file.name}.diff"
            write_atomic(diff, asl_diff(path, golden[path], file, tree)
                         + "\n")
            raise UserError(f"golden table {file.name} came out with SHA-256 "
                            f"{actual}, series records {golden[path]}; what "
                            f"differs: {diff}. If that is meant to be, run "
                            "make golden")
    return files


def ensure() -> None:
    """Have every golden table in the cache, and so in build/tree."""
    golden = load().golden()
    if all(cached(digest) for digest in golden.values()):
        return
    build(tests=True)
    for path, file in verify().items():
        store(file, golden[path])
    make_tree()


def record() -> int:
    """Make the golden tables anew; write what changed into `series`."""
    build(tests=True)
    golden = load().golden()
    text = SERIES.read_text(encoding="utf-8")
    changed = 0
    for path, file in rebuild().items():
        actual = sha256_file(file)
        store(file, actual)
        if actual == golden[path]:
            continue
        changed += 1
        print(asl_diff(path, golden[path], file, TREE))
        text = text.replace(f"golden {path} {golden[path]}\n",
                            f"golden {path} {actual}\n")
    if changed:
        write_atomic(SERIES, text)
    make_tree()
    print(f"{changed} of {len(golden)} golden tables recorded anew"
          + (": say why in their commit's text" if changed else ""))
    return 0


# --- the tests -------------------------------------------------------------

def _check_files(results: Results) -> None:
    """The expected files are the base's, and the series' golden tables."""
    git, commits = make_tree()
    golden = load().golden()
    for path, (old, _new) in git.diff(git.rev(BASE), commits[-1]).items():
        if path.startswith(DATA + "/") and (old or path not in golden):
            results.failed(f"acpi expected file {path}", "the series changes "
                           "a table of the base: it may only add golden ones")
    for path, digest in golden.items():
        actual = sha256_file(TREE / path)
        if actual == digest:
            results.passed(f"acpi golden {Path(path).name}")
        else:
            results.failed(f"acpi golden {Path(path).name}",
                           f"SHA-256 is {actual}, series records {digest}")


def _moved_tables(place: Path, case: str, names: list[str]) -> list[str]:
    """Tables of a case that only the firmware's choice of addresses made
    differ; none when the case fails for another reason as well."""
    run_case(place, case, names, **REBUILD)
    moved = changed_tables(place, TREE)
    good = all(only_addresses(place, TREE, name) for name in moved)
    # The test itself has to agree now.
    good = good and run_case(place, case, names)[0]
    shutil.rmtree(place / DATA)
    shutil.copytree(TREE / DATA, place / DATA)
    return [Path(name).name for name in moved] if good else []


def _run_cases(place: Path, names: list[str]) -> list[tuple[bool, str]]:
    """Run the cases, two at a time."""
    start = time.monotonic()
    pool = ThreadPoolExecutor(2)
    try:
        runs: list[Future[tuple[bool, str]]] = [
            pool.submit(run_case, place, case, names) for case in names]
        waiting = set(runs)
        while waiting:
            waiting = wait(runs, SPARSE_SECONDS).not_done
            print("boot machines for their ACPI tables"
                  f"{' ...' if waiting else ': done,'} "
                  f"{elapsed_text(time.monotonic() - start)}  "
                  f"{len(runs) - len(waiting)}/{len(runs)}",
                  file=sys.stderr, flush=True)
        return [run.result() for run in runs]
    finally:
        pool.shutdown(cancel_futures=True)


def check(results: Results) -> None:
    """Run all cases: each table is its expected file, byte for byte."""
    build(tests=True)
    ensure()
    _check_files(results)
    with prepared(PLACE / "check", TREE, OUT) as place:
        names = cases(place)
        done = _run_cases(place, names)
        write_atomic(LOG, "\n".join(text for _, text in done))
        for case, (good, text) in zip(names, done, strict=True):
            _judge(results, case, good, text,
                   [] if good else _moved_tables(place, case, names))


def _judge(results: Results, case: str, good: bool, text: str,
           moved: list[str]) -> None:
    """Count one case: what it said, and what only the firmware changed."""
    title = f"{PROGRAM} {case}"
    if good:
        results.passed(title)
    elif moved:
        results.passed(f"{title} ({', '.join(moved)}: all but the "
                       "firmware's addresses)")
    else:
        tables = re.findall(r"Warning! (\S+) binary file mismatch", text)
        results.failed(title, f"{text}\ntables that differ: "
                       f"{' '.join(tables) or 'none'}; full log: {LOG}")


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    return record()


if __name__ == "__main__":
    run_main(main)
