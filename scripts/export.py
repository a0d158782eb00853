#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The series as others see it: patches for a mailing list, checkpatch's
verdict, and whether every commit builds on its own."""

import argparse
import os
import re
import shutil
import subprocess
from pathlib import Path

import acpi_tables
from build import (ACPI_TEST, EMULATOR, SERVER, configure, linked_programs,
                   tools_env)
from common import BUILD, LOGS, ROOT, UserError, atomic_dir, run_main
from gitrepo import Git, identity
from progress import run_step
from series import load
from tree import BASE, make_tree

COVER = ROOT / "series-cover.txt"
PATCHES = BUILD / "series"
COMMITS = BUILD / "commits"


def titles(git: Git, commits: list[str]) -> list[str]:
    """The commits' subjects."""
    return [git.run("log", "-1", "--format=%s", commit)
            for commit in commits]


# --- patches ---------------------------------------------------------------

def export(prefix: str) -> int:
    """Write build/series: the patches and their cover letter."""
    acpi_tables.ensure()
    git, commits = make_tree()
    if not commits:
        raise UserError("series has no commit to export")
    try:
        subject, _, body = COVER.read_text(encoding="utf-8").partition("\n")
    except FileNotFoundError:
        raise UserError(f"{COVER.name} is missing: its first line is the "
                        "cover letter's subject, the rest its text") from None
    with atomic_dir(PATCHES) as temp:
        git.run("format-patch", "-q", "--cover-letter", "--no-signature",
                "--thread=shallow", "--no-renames", "--stat=72",
                f"--subject-prefix={prefix}", "-o", str(temp),
                f"{git.rev(BASE)}..{commits[-1]}", who=identity())
        cover = next(temp.glob("0000-*.patch"))
        text = cover.read_text(encoding="utf-8")
        text = text.replace("*** SUBJECT HERE ***", subject.strip())
        text = text.replace("*** BLURB HERE ***", body.strip())
        cover.write_text(text, encoding="utf-8")
    for path in sorted(PATCHES.iterdir()):
        print(path.relative_to(ROOT))
    return 0


# --- checkpatch ------------------------------------------------------------

def check_commit(git: Git, commit: str) -> tuple[int, int, str]:
    """checkpatch.pl on one commit: how many errors and warnings, and each
    of them with the place it is about."""
    script = git.tree / "scripts" / "checkpatch.pl"
    if not script.is_file():
        raise UserError("the base has no scripts/checkpatch.pl")
    patch = git.raw("format-patch", "-1", "--stdout", "--no-renames",
                    commit)[1]
    done = subprocess.run(["perl", str(script), "--no-color", "-"],
                          input=patch, capture_output=True, check=False,
                          cwd=git.tree)
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    total = re.search(r"total: (\d+) errors?, (\d+) warnings?", output)
    if not total:
        raise UserError("checkpatch.pl gave no verdict: "
                        + (output.strip().splitlines() or ["nothing"])[-1])
    faults = re.findall(r"^(?:ERROR|WARNING): .*(?:\n#\d+: .*)?", output,
                        re.MULTILINE)
    return int(total[1]), int(total[2]), "\n".join(faults)


def checkpatch() -> int:
    """Run it on all commits; warnings are counted, errors fail."""
    git, commits = make_tree()
    bad, warned = 0, 0
    for commit, title in zip(commits, titles(git, commits), strict=True):
        errors, warnings, output = check_commit(git, commit)
        bad += errors
        warned += warnings
        print(f"{'FAIL' if errors else 'ok  '} {title}"
              f"{f' ({warnings} warnings)' if warnings else ''}")
        if errors or warnings:
            print("\n".join("     " + line for line in output.splitlines()))
    print(f"{len(commits)} commits, {bad} errors, {warned} warnings")
    return 1 if bad else 0


# --- every commit builds ---------------------------------------------------

def _programs(out: Path) -> list[str]:
    """What is built of one commit: all that the series adds or changes."""
    ours = re.compile(r"^(?:tests/(?:unit|qtest)|contrib)/")
    known = linked_programs(out)
    names = {EMULATOR, SERVER, "cxl-test", ACPI_TEST}
    for pattern in ("tests/unit/test-*.c", "tests/qtest/*-test.c",
                    "contrib/*/test-*.c"):
        names |= {path.stem for path in ROOT.glob(pattern)}
    return [path for name, path in known.items()
            if name in names and (name == EMULATOR or ours.match(path))]


def check_commits() -> int:
    """Build each commit in turn, in a build directory of its own.

    Golden tables come out as recorded where the series adds them, before
    it changes anything that they could depend on.
    """
    acpi_tables.ensure()
    git, commits = make_tree()
    entries = load().entries
    env = tools_env()
    tree, out = COMMITS / "tree", COMMITS / "out"
    tree.mkdir(parents=True, exist_ok=True)
    index = COMMITS / "index"
    done_file = COMMITS / "built"
    built = set(done_file.read_text().split()) if done_file.is_file() else set()
    for number, (commit, title) in enumerate(
            zip(commits, titles(git, commits), strict=True), 1):
        key = git.rev(commit + "^{tree}")
        name = f"{number}/{len(commits)} {title}"
        if key in built:
            print(f"{name}: built before")
            continue
        if index.exists():
            git.raw("update-index", "-q", "--refresh", index=index,
                    work_tree=tree, ok=(0, 1))
        git.run("read-tree", "--reset", "-u", commit, index=index,
                work_tree=tree)
        log = LOGS / f"commit-{number}.log"
        configure(tree, out, log, env)
        run_step(f"{name}: plan", ["ninja", "-C", out, "build.ninja"], log,
                 env=env, quiet=True)
        run_step(name, ["ninja", "-C", out, *_programs(out)], log, env=env)
        if entries[number - 1].golden:
            acpi_tables.verify(tree, out)
        with done_file.open("a") as stream:
            stream.write(key + "\n")
    print(f"each of {len(commits)} commits builds")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("patches", "checkpatch", "commits"))
    parser.add_argument("--prefix",
                        default=os.environ.get("PREFIX") or "RFC PATCH",
                        help="subject prefix of the patches")
    parser.add_argument("--fresh", action="store_true",
                        help="commits: build even what was built before")
    options = parser.parse_args()
    if options.what == "patches":
        return export(options.prefix)
    if options.what == "checkpatch":
        return checkpatch()
    if options.fresh:
        shutil.rmtree(COMMITS, ignore_errors=True)
    return check_commits()


if __name__ == "__main__":
    run_main(main)
