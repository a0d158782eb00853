#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Break the project's C code in one place at a time and see which test
notices.

The places are chosen at random from all that scripts/mutate.py finds,
spread over the files. A broken file is compiled and linked beside
build/out, which is only read. A test that fails, hangs or is ended by a
signal has caught the mutant; one that does not compile is not counted.
Survivors are shown with their change. tests/mutants/equivalent.txt lists
those that no test can catch, with the reason.
"""

import argparse
import fnmatch
import hashlib
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from build import EMULATOR, SERVER, build, series_tests, unit_tests
from common import BUILD, ROOT, UserError, run_main
from mutate import Mutant, find_mutants
from overlay import (DoesNotCompile, Overlay, fast_linker,
                     link_firmware_beside)
from progress import elapsed_text
from results import Results
from series import load
from test_programs import STOPPING, Programs, run_test
from tree import TREE

MUTANTS = BUILD / "mutants"
EQUIVALENT = ROOT / "tests" / "mutants" / "equivalent.txt"
# The project's code inside QEMU, and the model of the reference device.
FILES = ("hw/*.c", "contrib/vfio-user-cxl/cxl-*.c",
         "contrib/vfio-user-cxl/hdm-mem.c")
OPTIMIZE = ("-O1", "-g0")
# Per cent that must be caught, by all tests and by unit tests alone.
WANTED, WANTED_QUICK = 90.0, 80.0
# A test of a mutant may take so much longer than it does otherwise.
SLOWER, AT_LEAST = 5.0, 20.0
AT_ONCE = 2


@dataclass
class Verdict:
    """What became of one mutant."""
    mutant: Mutant
    fate: str = ""          # caught, survived, not built
    by: str = ""
    seconds: float = 0.0
    reason: str = ""        # why nothing can catch it


@dataclass
class Job:
    """What all mutants have in common."""
    overlay: Overlay
    texts: dict[str, str]
    units: list[str]
    qtests: list[str]
    limit: dict[str, float] = field(default_factory=dict)


# --- choosing --------------------------------------------------------------

def candidates(patterns: list[str], overlay: Overlay,
               hosts: list[str]) -> dict[str, list[Mutant]]:
    """The mutants of each file that goes into the emulator or the device
    server, and into one of the programs to be built."""
    links = [overlay.link_of(name) for name in hosts]
    products = [overlay.link_of(name) for name in (EMULATOR, SERVER)]
    found = {}
    for path in load().files():
        if not any(fnmatch.fnmatch(path, p) for p in patterns) or \
                Path(path).name.startswith("test-"):
            continue
        objects = [how.output for how in overlay.objects(path)]
        if all(any(link.takes(obj) for obj in objects for link in group)
               for group in (links, products)):
            found[path] = find_mutants(path, (TREE / path).read_text())
    if not any(found.values()):
        raise UserError(f"no C file of the series that is tested matches "
                        f"{' '.join(patterns)}")
    return found


def choose(found: dict[str, list[Mutant]], texts: dict[str, str],
           number: int, seed: int) -> list[Mutant]:
    """Pick mutants: each file has its share by its lines that can be broken,
    at least one, and no line is broken twice.

    The choice is random but depends on the seed and each line's text only,
    so that it stays the same where nothing was edited.
    """
    order: list[tuple[float, str, Mutant]] = []
    for path, mutants in found.items():
        text = texts[path]
        best: dict[int, tuple[str, Mutant]] = {}
        for mutant in mutants:
            word = f"{seed} {path} {mutant.operator} {mutant.key(text)}"
            rank = hashlib.sha256(word.encode()).hexdigest()
            line = mutant.line(text)
            best[line] = min(best.get(line, (rank, mutant)), (rank, mutant),
                             key=lambda pair: pair[0])
        ranked = sorted(best.values(), key=lambda pair: pair[0])
        # Each prefix of the whole is spread evenly over the files, with one
        # line of each in front.
        order += [(i / len(ranked), rank, mutant)
                  for i, (rank, mutant) in enumerate(ranked)]
    order.sort(key=lambda item: item[:2])
    return [mutant for _place, _rank, mutant in order[:number]]


def read_reasons() -> dict[tuple[str, str], str]:
    """The committed list: (file, change) -> why no test can catch it."""
    reasons = {}
    if not EQUIVALENT.is_file():
        return {}
    for block in EQUIVALENT.read_text(encoding="utf-8").split("\n\n"):
        fields: dict[str, list[str]] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0].isspace():
                fields[name].append(line.strip())
                continue
            name, _, rest = line.partition(":")
            fields[name] = [rest.strip()]
        if not fields:
            continue
        if set(fields) != {"file", "old", "new", "why"}:
            raise UserError(f"{EQUIVALENT.relative_to(ROOT)}: an entry has "
                            "the fields file, old, new and why, not "
                            f"{', '.join(fields)}")
        text = {key: " ".join(" ".join(value).split())
                for key, value in fields.items()}
        reasons[text["file"], f"{text['old']} => {text['new']}"] = text["why"]
    return reasons


# --- one mutant ------------------------------------------------------------

def _program(job: Job, home: Path, name: str, mutant: Mutant,
             source: Path) -> Path | None:
    """The program with the broken file in it; None: the file is not in it."""
    link = job.overlay.link_of(name)
    objects = {}
    for how in job.overlay.objects(mutant.path):
        if link.takes(how.output):
            made = home / "obj" / how.output.replace("/", "_")
            job.overlay.compile(how, source, made, OPTIMIZE)
            objects[how.output] = made
    if not objects:
        return None
    output = home / name
    job.overlay.relink(name, output, objects, fast_linker())
    return output


def _try(job: Job, home: Path, verdict: Verdict) -> None:
    mutant = verdict.mutant
    source = home / Path(mutant.path).name
    source.write_text(mutant.apply(job.texts[mutant.path]))
    built = False
    programs = Programs({})
    for name in job.units:
        made = _program(job, home, name, mutant, source)
        if made:
            built = True
            programs.stand_ins[name] = made
            if _caught(job, programs, name, verdict):
                return
    if job.qtests:
        for name in (SERVER, EMULATOR):
            made = _program(job, home, name, mutant, source)
            if made:
                built = True
                programs.stand_ins[name] = made
        if {SERVER, EMULATOR} & set(programs.stand_ins):
            for name in job.qtests:
                if _caught(job, programs, name, verdict):
                    return
    verdict.fate = "survived" if built else "not built"


def _caught(job: Job, programs: Programs, name: str,
            verdict: Verdict) -> bool:
    outcome = run_test(job.overlay, programs, name, job.limit[name])
    if not outcome.passed and name in job.qtests:
        # It has time limits: on a busy machine it may fail without cause.
        outcome = run_test(job.overlay, programs, name, job.limit[name])
    if outcome.passed:
        return False
    verdict.fate = "caught"
    verdict.by = f"{name} {outcome.failed_test}"
    return True


def examine(job: Job, home: Path, mutant: Mutant) -> Verdict:
    """Build one mutant and run tests until one fails."""
    verdict = Verdict(mutant)
    start = time.monotonic()
    try:
        _try(job, home, verdict)
    except DoesNotCompile:
        verdict.fate = "not built"
    verdict.seconds = time.monotonic() - start
    return verdict


# --- all of them -----------------------------------------------------------

def baseline(job: Job) -> None:
    """See that all tests pass unbroken, and how long each takes."""
    taken = {}
    for name in [*job.units, *job.qtests]:
        outcome = run_test(job.overlay, Programs({}), name, 600)
        if not outcome.passed:
            raise UserError(f"{name} fails before anything is broken "
                            f"({outcome.failed_test}): run make check\n"
                            f"{outcome.output[-2000:]}")
        taken[name] = outcome.seconds
        job.limit[name] = max(AT_LEAST, SLOWER * outcome.seconds)
    # The quick ones first.
    job.qtests.sort(key=lambda name: taken[name])


def show(job: Job, verdict: Verdict, count: str) -> None:
    """One line on a mutant, and its change when it survived."""
    mutant = verdict.mutant
    text = job.texts[mutant.path]
    where = f"{mutant.path}:{mutant.line(text)}"
    how = f" by {verdict.by}" if verdict.by else ""
    fate = "listed" if verdict.reason else verdict.fate
    print(f"{count} {fate.upper() if fate == 'survived' else fate:<9} "
          f"{where} {mutant.operator}{how} ({verdict.seconds:.0f} s)")
    if verdict.fate == "survived":
        old, new = mutant.rows(text)
        for row in old:
            print(f"      -{row}")
        for row in new:
            print(f"      +{row}")
        if verdict.reason:
            print(f"      {verdict.reason}")
    sys.stdout.flush()


def run_all(job: Job, chosen: list[Mutant], number: int) -> list[Verdict]:
    """Examine mutants, some at once, until `number` of them were built."""
    homes: queue.Queue[Path] = queue.Queue()
    for i in range(AT_ONCE):
        home = MUTANTS / str(i)
        home.mkdir(parents=True, exist_ok=True)
        link_firmware_beside(home / EMULATOR)
        homes.put(home)
    reasons = read_reasons()
    verdicts: list[Verdict] = []
    lock = threading.Lock()
    waiting = iter(chosen)
    hopeful = 0             # mutants that were built or may yet be

    def worker() -> None:
        nonlocal hopeful
        home = homes.get()
        while True:
            with lock:
                mutant = next(waiting, None) if hopeful < number else None
                hopeful += 1
            if mutant is None:
                return
            verdict = examine(job, home, mutant)
            if STOPPING.is_set():
                return
            if verdict.fate == "survived":
                key = mutant.key(job.texts[mutant.path])
                verdict.reason = reasons.get((mutant.path, key), "")
            with lock:
                hopeful -= verdict.fate == "not built"
                verdicts.append(verdict)
                show(job, verdict, f"[{len(verdicts)}]")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for done in [pool.submit(worker) for _ in range(AT_ONCE)]:
                done.result()
        except BaseException:
            STOPPING.set()
            raise
    return verdicts


def summarize(results: Results, verdicts: list[Verdict], seed: int,
              wanted: float) -> None:
    """The score, and a result: enough of the mutants were caught."""
    fates = [v.fate for v in verdicts]
    caught = fates.count("caught")
    listed = sum(bool(v.reason) for v in verdicts)
    survived = fates.count("survived") - listed
    counted = caught + survived
    score = 100.0 * caught / counted if counted else 0.0
    by: dict[str, int] = {}
    for verdict in verdicts:
        if verdict.by:
            name = verdict.by.split()[0]
            by[name] = by.get(name, 0) + 1
    for name, number in sorted(by.items(), key=lambda item: -item[1]):
        print(f"  {number:4} caught by {name}")
    text = (f"{caught} of {counted} caught ({score:.1f} %, at least "
            f"{wanted:.0f} wanted), {listed} more listed with a reason, "
            f"{fates.count('not built')} did not compile, seed {seed}")
    if score >= wanted:
        results.passed(f"mutants {text}")
    else:
        results.failed("mutants", f"{text}: the survivors are shown above; "
                       "write the tests that they lack, or list those that "
                       f"nothing can catch in {EQUIVALENT.relative_to(ROOT)}")


def mutate_all(results: Results, number: int, seed: int, quick: bool,
               patterns: list[str]) -> None:
    """Build, choose, examine and count.

    quick: only files that have a unit test, and only that test
    """
    build(tests=True, only_unit=quick)
    overlay = Overlay()
    units = unit_tests(TREE)
    qtests = [] if quick else series_tests(TREE, "tests/qtest/*-test.c")
    hosts = [*units, *([] if quick else [EMULATOR, SERVER])]
    found = candidates(patterns, overlay, hosts)
    texts = {path: (TREE / path).read_text() for path in found}
    job = Job(overlay, texts, units, qtests)
    start = time.monotonic()
    baseline(job)
    print(f"break {number} of {sum(len(m) for m in found.values())} places in "
          f"{len(found)} files, seed {seed}", flush=True)
    # More than wanted: some will not compile.
    chosen = choose(found, texts, 2 * number, seed)
    verdicts = run_all(job, chosen, number)
    summarize(results, verdicts, seed,
              WANTED_QUICK if quick else WANTED)
    print(f"mutants: {elapsed_text(time.monotonic() - start)}",
          file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=60,
                        help="of mutants that compile (default 60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true",
                        help="unit tests only")
    parser.add_argument("--files", nargs="+", default=list(FILES),
                        help="patterns of the files to break")
    options = parser.parse_args()
    if options.number < 1:
        raise UserError(f"{options.number} mutants: ask for 1 or more")
    results = Results()
    mutate_all(results, options.number, options.seed, options.quick,
               options.files)
    print(results.summary())
    return 0 if results.good() else 1


if __name__ == "__main__":
    run_main(main)
