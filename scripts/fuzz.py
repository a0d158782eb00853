#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the fuzz targets of tests/fuzz and let libFuzzer run them.

Each target is linked like a program of the build (a unit test, the device
server), with itself in place of that program's main file and with the
project's files compiled for fuzzing, under the address and the undefined
behaviour sanitizer. The last line is "N passed, N failed".
"""

import argparse
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from build import OUT, TREE, compiler, configure, ninja, tools_env
from common import BUILD, LOGS, ROOT, UserError, run_main
from overlay import DoesNotCompile, Overlay, run_quietly
from progress import elapsed_text, end_group, log_tail
from results import Results
from series import load
from test_programs import STOPPING, wait_for
from tree import make_tree

FUZZ = BUILD / "fuzz"
SOURCES = ROOT / "tests" / "fuzz"
SANITIZE = "address,undefined"
FLAGS = ("-g", "-O1", "-w", "-fno-omit-frame-pointer",
         f"-fsanitize=fuzzer-no-link,{SANITIZE}", "-fno-sanitize-recover=all")
# Beyond the time that it was given, before it counts as hung.
GRACE_SECONDS = 60
# Lines of the output that say what was found.
FINDING = re.compile(
    r"broken rule: |runtime error: |ERROR: (?!libFuzzer: deadly)")
MEMORY_MB = 2048
AT_ONCE = 2


@dataclass(frozen=True)
class Target:
    """A fuzz target and the program in whose place it is linked."""
    name: str           # of tests/fuzz/fuzz-NAME.c
    program: str        # a program of the build
    main: str           # its file that the target replaces
    max_len: int        # bytes of an input

    def source(self) -> Path:
        return SOURCES / f"fuzz-{self.name}.c"

    def home(self) -> Path:
        return FUZZ / self.name

    def binary(self) -> Path:
        return self.home() / f"fuzz-{self.name}"


TARGETS = (
    Target("vfio-info", "test-vfio-cxl-info",
           "tests/unit/test-vfio-cxl-info.c", 512),
    Target("vfio-config", "test-vfio-cxl-info",
           "tests/unit/test-vfio-cxl-info.c", 512),
    Target("cxl-decoder", "test-cxl-hdm-decoder",
           "tests/unit/test-cxl-hdm-decoder.c", 512),
    Target("cxl-range", "test-cxl-hdm-range",
           "tests/unit/test-cxl-hdm-range.c", 64),
    Target("user-wire", "vfio-user-cxl", "contrib/vfio-user-cxl/main.c",
           4096),
    Target("user-request", "vfio-user-cxl", "contrib/vfio-user-cxl/main.c",
           2048),
)


@dataclass
class Run:
    """What came of a target's run."""
    target: Target
    seconds: float = 0.0
    executions: int = 0
    edges: int = 0
    inputs: int = 0
    reproducer: Path | None = None
    problem: str = ""


# --- building --------------------------------------------------------------

def fuzz_compiler() -> str:
    """clang, with ccache where it is."""
    return compiler().replace("ccache cc", "ccache clang") \
        if compiler() == "ccache cc" else "clang"


def build_targets(targets: list[Target]) -> None:
    """Build the programs that the targets stand in for, then the targets."""
    make_tree()
    env = tools_env()
    configure(TREE, OUT, LOGS / "configure.log", env)
    ninja(OUT, "build what the fuzz targets are linked like",
          sorted({t.program for t in targets}), LOGS / "build.log", env)
    overlay = Overlay()
    ours = set(load().files())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda t: _build(overlay, ours, t), targets))


def _build(overlay: Overlay, ours: set[str], target: Target) -> None:
    link = overlay.link_of(target.program)
    home = target.home()
    home.mkdir(parents=True, exist_ok=True)
    clang = shlex.split(fuzz_compiler())
    objects: dict[str, Path] = {}
    try:
        for how in overlay.compiles:
            if how.source not in ours or not link.takes(how.output):
                continue
            is_main = how.source == target.main
            source = target.source() if is_main else TREE / how.source
            # Two files may have the same name in different folders.
            made = home / "obj" / how.output.replace("/", "_")
            made.parent.mkdir(exist_ok=True)
            run_quietly([*clang, *how.portable(), *FLAGS,
                         "-iquote", (TREE / how.source).parent,
                         "-c", source, "-o", made])
            objects[how.output] = made
        words = shlex.join(str(w) for w in FLAGS).replace("-no-link", "")
        overlay.relink(target.program, target.binary(), objects,
                       shlex.split(words), driver="clang")
    except DoesNotCompile as error:
        raise UserError(f"tests/fuzz/{target.source().name} does not build:\n"
                        f"{error}") from None


def seed_corpus(target: Target, corpus: Path) -> None:
    """Write the inputs that a target starts from; others are kept."""
    spec = importlib.util.spec_from_file_location("seeds",
                                                  SOURCES / "seeds.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(module.SEEDS[target.name]):
        (corpus / f"seed-{number}").write_bytes(data)


# --- running ---------------------------------------------------------------

def _number(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def fuzz(target: Target, seconds: int, seed: int, fresh: bool) -> Run:
    """Run one target for so long; a fresh run forgets what was found."""
    run = Run(target)
    corpus = target.home() / ("corpus-short" if fresh else "corpus")
    if fresh and corpus.is_dir():
        for path in corpus.iterdir():
            path.unlink()
    seed_corpus(target, corpus)
    found = target.home() / "found"
    found.mkdir(exist_ok=True)
    log = LOGS / f"fuzz-{target.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    argv = [str(target.binary()), f"-seed={seed}",
            f"-max_total_time={seconds}", f"-max_len={target.max_len}",
            f"-rss_limit_mb={MEMORY_MB}", "-timeout=10",
            "-print_final_stats=1", f"-artifact_prefix={found}/", str(corpus)]
    env = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}
    start = time.monotonic()
    with log.open("wb") as stream:
        proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                stdout=stream, stderr=stream, env=env,
                                start_new_session=True)
        status = wait_for(proc, seconds + GRACE_SECONDS)
        if status == 124:
            end_group(proc)
            run.problem = f"did not end {GRACE_SECONDS} s after its time"
    run.seconds = time.monotonic() - start
    text = log.read_text(errors="replace")
    run.executions = _number(r"stat::number_of_executed_units:\s+(\d+)", text)
    run.edges = _number(r"\bcov: (\d+)", text)
    run.inputs = len(list(corpus.iterdir()))
    if not run.problem and proc.returncode:
        run.problem = (f"ended by {signal.Signals(-proc.returncode).name}"
                       if proc.returncode < 0
                       else f"ended with status {proc.returncode}")
    elif not run.problem and not run.executions:
        run.problem = "no input was run"
    if run.problem:
        written = re.findall(r"Test unit written to (\S+)", text)
        run.reproducer = Path(written[-1]) if written else None
        said = [line for line in text.splitlines() if FINDING.search(line)]
        run.problem += "\n" + "\n".join(said[:5] or [log_tail(log)])
        run.problem += f"\nfull log: {log}"
    return run


def report(results: Results, run: Run) -> None:
    """One line on what a target did, and how to see a finding again."""
    name = f"fuzz/{run.target.name}"
    if not run.problem:
        results.passed(f"{name} {run.executions} executions in "
                       f"{elapsed_text(run.seconds)}, {run.edges} edges, "
                       f"{run.inputs} inputs")
        return
    how = ""
    if run.reproducer:
        how = (f"\nreproducer: {run.reproducer}\nrun it again: "
               f"{run.target.binary()} {run.reproducer}")
    results.failed(name, run.problem + how)


def run_targets(results: Results, targets: list[Target], total: int,
                seed: int, fresh: bool) -> None:
    """Build and run targets, two at a time, in `total` seconds."""
    build_targets(targets)
    rounds = -(-len(targets) // AT_ONCE)
    each = max(total // rounds, 1)
    print(f"fuzz {len(targets)} targets, {each} s each, {AT_ONCE} at a time, "
          f"seed {seed}", flush=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for run in pool.map(lambda t: fuzz(t, each, seed, fresh),
                                targets):
                report(results, run)
        except BaseException:
            STOPPING.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="*",
                        help=", ".join(t.name for t in TARGETS))
    parser.add_argument("--seconds", type=int, default=600,
                        help="of the whole run (default 600)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fresh", action="store_true",
                        help="start from the seeds, not from earlier inputs")
    options = parser.parse_args()
    names = {t.name: t for t in TARGETS}
    for name in options.target:
        if name not in names:
            raise UserError(f"no fuzz target '{name}': there are "
                            f"{', '.join(names)}")
    if options.seconds < 1:
        raise UserError(f"{options.seconds} seconds of fuzzing: give 1 or "
                        "more")
    results = Results()
    run_targets(results, [names[n] for n in options.target or names],
                options.seconds, options.seed, options.fresh)
    print(results.summary())
    return 0 if results.good() else 1


if __name__ == "__main__":
    run_main(main)
