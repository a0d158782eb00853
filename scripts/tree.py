#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make build/tree: the base as one commit, then one commit per entry of
`series`.

Commits are made beside the work tree; then only the files that differ are
written, so that a rebuild compiles only what changed. What somebody
changed in build/tree is never overwritten.
"""

import argparse
import contextlib
import fcntl
import hashlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import fetch_base
from cache import cached
from common import (BUILD, ROOT, UserError, cache_dir, run_main,
                    write_atomic)
from gitrepo import FALLBACK, Blob, Git, GitError, Identity, identity
from series import Entry, Series, load, read_edit

TREE = BUILD / "tree"
BASE = "refs/cxl/base"
MADE = "refs/cxl/made"          # the newest series commit that we made
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One at a time works on build/tree."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / ".tree.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another make in this checkout",
                  file=sys.stderr, flush=True)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


# --- the base --------------------------------------------------------------

def base_commit(git: Git) -> str:
    """The commit that holds the base; imported when it is a new one."""
    note = git.dir / "cxl-base-origin"
    origin = fetch_base.origin()
    commit = git.rev(BASE)
    if commit and not origin.startswith("tree ") and note.is_file() and \
            note.read_text() == origin:
        return commit
    with fetch_base.unpacked() as base:
        commit = _import(git, base)
    git.run("update-ref", BASE, commit)
    write_atomic(note, origin)
    return commit


def _import(git: Git, base: fetch_base.Base) -> str:
    """Make a commit of an unpacked source."""
    version = (base.path / "VERSION").read_text().strip()
    print(f"import QEMU {version} into build/tree", file=sys.stderr,
          flush=True)
    # Kept for a tree of the user's, to see quickly what changed in it.
    index = git.dir / "cxl-base-index"
    if not base.is_tree:
        index.unlink(missing_ok=True)
    force = () if base.is_tree else ("-f",)
    git.run("add", "-A", *force, ".", index=index, work_tree=base.path)
    if base.is_tree:
        git.run("add", "-f", "subprojects", index=index, work_tree=base.path)
    with git.scratch_index() as temp:
        patched = Path(temp) / "index"
        shutil.copy(index, patched)
        if base.patch:
            git.run("apply", "--cached", "--whitespace=nowarn", "-",
                    stdin=base.patch.encode(), index=patched)
        tree = git.run("write-tree", index=patched)
    if not base.is_tree:
        index.unlink()
    message = (f"QEMU {version}\n\nThe base of the series: the release's "
               "source as it was published.\n")
    return git.run("commit-tree", tree, stdin=message.encode(), who=FALLBACK)


# --- the series ------------------------------------------------------------

def apply_edit(git: Git, index: Path, name: str, text: str) -> None:
    """Apply one edit to an index; tell exactly what does not fit."""
    if not text.strip():
        raise UserError(f"edits/{name} is empty")
    try:
        git.run("apply", "--cached", "--whitespace=nowarn", "-",
                stdin=text.encode(), index=index)
    except GitError as error:
        raise UserError(_apply_reason(name, text, error.output)) from None


def _apply_reason(name: str, text: str, output: str) -> str:
    match = re.search(r"error: patch failed: (.*):(\d+)", output)
    if not match:
        first = re.search(r"error: (.*)", output)
        return (f"edits/{name} does not apply: "
                f"{first[1] if first else 'no reason given'}")
    path, line = match[1], int(match[2])
    number = 0
    here = ""
    for row in text.splitlines():
        if row.startswith("+++ "):
            here, number = row[4:].partition("\t")[0].strip(), 0
            here = here.removeprefix("b/")
        elif row.startswith("@@ ") and here == path:
            number += 1
            if re.match(rf"@@ -{line}\b", row):
                break
    return (f"edits/{name} does not apply to {path}, hunk {number} "
            f"(at line {line}): update the edit")


def carried_blobs(git: Git, series: Series) -> dict[str, Blob]:
    """The contents of every file that a commit carries whole.

    A golden table is in the user's cache once it was built. Until then it
    is an empty file, as it is for QEMU between a new test and its tables.
    """
    blobs = git.hash_files(ROOT, series.files())
    golden = series.golden()
    there = [digest for digest in golden.values() if cached(digest)]
    stored = git.hash_files(cache_dir(), there)
    empty = Blob("100644", git.run("hash-object", "-w", "--stdin", stdin=b""))
    for path, digest in golden.items():
        blobs[path] = stored.get(digest, empty)
    return blobs


def make_commits(git: Git, series: Series, base: str,
                 blobs: dict[str, Blob], who: Identity) -> list[str]:
    """Make the series' commits on top of `base`."""
    commits: list[str] = []
    parent = base
    with git.scratch_index() as temp:
        index = Path(temp) / "index"
        git.run("read-tree", base, index=index)
        base_files = set(git.run("ls-files", "-z", index=index).split("\0"))
        for number, entry in enumerate(series.entries):
            _stage(git, index, entry, blobs, base_files)
            tree = git.run("write-tree", index=index)
            message = entry.message(who.name, who.email)
            parent = git.run(
                "commit-tree", tree, "-p", parent, stdin=message.encode(),
                who=who._replace(date=who.date + 60 * number))
            commits.append(parent)
    return commits


def _stage(git: Git, index: Path, entry: Entry, blobs: dict[str, Blob],
           base_files: set[str]) -> None:
    for path in entry.carried():
        if path in base_files:
            raise UserError(f"{path} is a file of QEMU's own: change it with "
                            "an edit, do not store it")
    if entry.carried():
        git.put(index, {path: blobs[path] for path in entry.carried()})
    for name in entry.edits:
        apply_edit(git, index, name, read_edit(name))


def _key(series: Series, base: str, blobs: dict[str, Blob],
         who: Identity) -> str:
    """Changes when anything that the commits are made of does."""
    digest = hashlib.sha256()
    for part in (series.text, base, repr(sorted(blobs.items())), repr(who),
                 *(read_edit(name) for name in series.edits())):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def commits_of(git: Git, series: Series, base: str) -> list[str]:
    """The series' commits, made anew only when something changed."""
    who = identity()
    blobs = carried_blobs(git, series)
    key = _key(series, base, blobs, who)
    note = git.dir / "cxl-made"
    with contextlib.suppress(OSError):
        lines = note.read_text().split()
        if lines[:1] == [key] and git.rev(lines[-1] + "^{commit}"):
            return lines[1:]
    commits = make_commits(git, series, base, blobs, who)
    write_atomic(note, "\n".join([key, *commits]) + "\n")
    return commits


# --- the work tree ---------------------------------------------------------

def work_tree(git: Git) -> str:
    """A tree object of build/tree's tracked files as they are now."""
    if not git.rev("HEAD"):
        return EMPTY_TREE
    git.raw("update-index", "-q", "--refresh", ok=(0, 1))
    if git.raw("diff-files", "--quiet", ok=(0, 1))[0] == 0:
        return git.run("write-tree")
    with git.scratch_index() as temp:
        index = Path(temp) / "index"
        shutil.copy(git.dir / "index", index)
        git.run("add", "-u", ".", index=index)
        return git.run("write-tree", index=index)


def _trusted(git: Git) -> set[str]:
    """Files that an interrupted move may have left half-written."""
    note = git.dir / "cxl-moving"
    if not note.is_file():
        return set()
    (git.dir / "index.lock").unlink(missing_ok=True)
    old, new = note.read_text().split()
    return set(git.diff(old, new))


def move(git: Git, commit: str) -> None:
    """Take build/tree to `commit`, writing only files that differ.

    Refuses when that would overwrite a change that somebody made there.
    """
    target = git.rev(commit + "^{tree}")
    made = git.rev(MADE + "^{tree}") or EMPTY_TREE
    trusted = _trusted(git)
    now = work_tree(git)
    to_come = git.diff(now, target)
    lost = [path for path in git.diff(made, now)
            if path in to_come and path not in trusted]
    new = [path for path, (old, _) in to_come.items()
           if old is None and (TREE / path).is_file()]
    there = git.hash_files(TREE, new)
    lost += [path for path in new if path not in trusted
             and there[path].oid != (to_come[path][1] or there[path]).oid]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise UserError(
            f"build/tree/{lost[0]}{more} was changed there: 'make refresh' "
            "carries that back, 'git -C build/tree checkout -f series' "
            "drops it")
    if not (to_come or git.rev("HEAD") != commit or trusted):
        return
    write_atomic(git.dir / "cxl-moving", f"{made} {target}\n")
    _write(git, target, trusted, bool(made != EMPTY_TREE))
    git.run("update-ref", "refs/heads/series", commit)
    git.run("symbolic-ref", "HEAD", "refs/heads/series")
    git.run("update-ref", MADE, commit)
    (git.dir / "cxl-moving").unlink()


def _write(git: Git, target: str, trusted: set[str], exists: bool) -> None:
    """Write the files of `target` that the work tree has not."""
    if exists and not trusted:
        # Make the index tell what is on disk, then let git write the rest.
        git.run("add", "-u", ".")
        now = git.run("write-tree")
        new = [p for p, (old, _) in git.diff(now, target).items()
               if old is None and (TREE / p).is_file()]
        if new:
            git.run("add", "-f", "--", *new)
            now = git.run("write-tree")
        git.run("read-tree", "-m", "-u", now, target)
        return
    # The first time, or after an interruption: files that are right
    # already are kept by their content, the others are written.
    git.run("read-tree", target)
    git.raw("update-index", "-q", "--refresh", ok=(0, 1))
    git.run("checkout-index", "-f", "-u", "-a", "-q")
    gone = [p for p in trusted if git.blob(target, p) is None]
    for path in gone:
        (TREE / path).unlink(missing_ok=True)


def make_tree() -> tuple[Git, list[str]]:
    """Bring build/tree up to date; return it and the series' commits."""
    series = load()
    git = Git(TREE)
    with locked():
        git.init()
        base = base_commit(git)
        commits = commits_of(git, series, base)
        move(git, commits[-1] if commits else base)
    return git, commits


def refuse_if_changed() -> None:
    """An error when build/tree has changes that are nowhere else."""
    git = Git(TREE)
    made = git.rev(MADE + "^{tree}") if (git.dir / "HEAD").exists() else ""
    if not made:
        return
    trusted = _trusted(git)
    changed = [path for path in git.diff(made, work_tree(git))
               if path not in trusted]
    changed += git.run("ls-files", "--others",
                       "--exclude-standard").splitlines()
    if changed:
        raise UserError(f"build/tree has {len(changed)} changed or new files "
                        f"that are nowhere else (first: {changed[0]}): 'make "
                        "refresh' carries changes back, FORCE=1 drops them")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--refuse-if-changed", action="store_true",
                        help="only look for changes that would be lost")
    if parser.parse_args().refuse_if_changed:
        refuse_if_changed()
    else:
        make_tree()
    return 0


if __name__ == "__main__":
    run_main(main)
