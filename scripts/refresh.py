#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Carry what was changed in build/tree back into the checkout.

A change to a file of QEMU's own goes to the last edit of the series that
touches the file, or to the edit that EDIT= names. A change to a file of
ours goes to that file. Changes may be committed in build/tree or not. All
edits are written anew with three lines of context.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from common import ROOT, UserError, run_main, write_atomic
from gitrepo import Blob, Git
from series import EDITS, Series, load, read_edit
from tree import (MADE, TREE, apply_edit, base_commit, carried_blobs,
                  commits_of, locked, make_tree, work_tree)

States = list[tuple[str, str, str]]     # edit, tree before, tree after


def _states(git: Git, series: Series, base: str) -> States:
    """The trees before and after each edit of the series."""
    states: States = []
    blobs = carried_blobs(git, series)
    with git.scratch_index() as temp:
        index = Path(temp) / "index"
        git.run("read-tree", base, index=index)
        for entry in series.entries:
            if entry.carried():
                git.put(index, {path: blobs[path]
                                for path in entry.carried()})
            for name in entry.edits:
                before = git.run("write-tree", index=index)
                text = read_edit(name, must_exist=False)
                if text.strip():
                    apply_edit(git, index, name, text)
                states.append((name, before,
                               git.run("write-tree", index=index)))
    return states


def _merge(git: Git, path: str, mine: Blob | None, old: Blob | None,
           new: Blob | None) -> Blob | None:
    """`mine` with the change from `old` to `new` made to it."""
    if mine == old:
        return new
    if mine == new:
        return mine
    if not (mine and old and new):
        raise UserError(f"{path} was added or removed on both sides: carry "
                        "this change by hand")
    with tempfile.TemporaryDirectory() as temp:
        names = []
        for label, blob in (("mine", mine), ("old", old), ("new", new)):
            file = Path(temp) / label
            file.write_bytes(git.content(blob.oid))
            names.append(str(file))
        done = subprocess.run(["git", "merge-file", "-q", "-p", *names],
                              capture_output=True, check=False)
        if done.returncode != 0:
            raise UserError(f"the change to {path} does not fit where it is "
                            "to go (other edits changed the same lines): "
                            "carry it by hand, or give another EDIT=")
        oid = git.run("hash-object", "-w", "--stdin", stdin=done.stdout)
        return Blob(new.mode, oid)


def _choose(states: States, git: Git, path: str, wanted: str) -> int:
    """Which edit a change to `path` goes to."""
    names = [name for name, _, _ in states]
    if wanted:
        if wanted not in names:
            raise UserError(f"EDIT={wanted} is not in series: add a line "
                            f"'edit {wanted}' to the commit it belongs to")
        return names.index(wanted)
    touching = [number for number, (_, before, after) in enumerate(states)
                if git.blob(before, path) != git.blob(after, path)]
    if not touching:
        raise UserError(f"{path} is changed by no edit yet: say where the "
                        "change goes with EDIT=name (named in series)")
    return touching[-1]


def _edit_text(git: Git, old_text: str, before: str, after: str) -> str:
    """An edit as a diff; what stood above the first file is kept."""
    diff = git.raw("diff-tree", "-p", "-r", "-U3", "--no-renames",
                   "--no-ext-diff", "--no-textconv", "--no-color",
                   "--diff-algorithm=histogram", "--indent-heuristic",
                   before, after)[1].decode("utf-8")
    # The ids of blobs tell nothing here and change with each base.
    diff = re.sub(r"^index [0-9a-f]+\.\.[0-9a-f]+( \d+)?\n", "", diff,
                  flags=re.MULTILINE)
    head = re.match(r"(?s)(.*?)(?=^diff --git |^--- |\Z)", old_text,
                    flags=re.MULTILINE)
    return (head[1] if head else "") + diff


def _without_new(series: Series, wanted: str) -> Series:
    """The series less the edit that this run is to bring about."""
    if not wanted or (EDITS / wanted).is_file():
        return series
    return Series([replace(entry, edits=[e for e in entry.edits
                                         if e != wanted])
                   for entry in series.entries], series.text)


class _Carrier:
    """Works out all new contents first, and writes them at the end."""

    def __init__(self, git: Git, series: Series, wanted: str) -> None:
        self.git = git
        self.wanted = wanted
        self.base = base_commit(git)
        commits = commits_of(git, _without_new(series, wanted), self.base)
        self.target = git.rev((commits[-1] if commits else self.base)
                              + "^{tree}")
        self.states = _states(git, series, self.base)
        self.made = git.rev(MADE + "^{tree}")
        self.now = work_tree(git)
        self.ours = set(series.files())
        self.golden = series.golden()
        # path -> number of the first edit that carries a change to it
        self.first: dict[str, int] = {}
        self.change: dict[str, tuple[Blob | None, Blob | None]] = {}
        self.own: dict[str, Blob] = {}

    def collect(self) -> None:
        for path, (old, new) in self.git.diff(self.made, self.now).items():
            here = self.git.blob(self.target, path)
            if here == new:
                continue
            if path in self.golden:
                raise UserError(f"build/tree/{path} is a golden table: drop "
                                "the change, and let make golden record it")
            if path not in self.ours:
                self.change[path] = (here, _merge(self.git, path, here, old,
                                                  new))
                self.first[path] = _choose(self.states, self.git, path,
                                           self.wanted)
            elif new is None:
                raise UserError(f"build/tree/{path} was removed there: remove "
                                "it in the checkout instead")
            else:
                merged = _merge(self.git, path, here, old, new)
                assert merged is not None
                self.own[path] = merged

    def _tree_with(self, tree: str, number: int, after: bool) -> str:
        """A state's tree with the changes that belong in it made."""
        changed: dict[str, Blob | None] = {}
        for path, (old, new) in self.change.items():
            if number > self.first[path] or \
                    (after and number == self.first[path]):
                changed[path] = _merge(self.git, path,
                                       self.git.blob(tree, path), old, new)
        if not changed:
            return tree
        with self.git.scratch_index() as temp:
            index = Path(temp) / "index"
            self.git.run("read-tree", tree, index=index)
            self.git.put(index, changed)
            return self.git.run("write-tree", index=index)

    def texts(self) -> dict[str, str]:
        """All edits as they are to be."""
        result = {}
        for number, (name, before, after) in enumerate(self.states):
            result[name] = _edit_text(
                self.git, read_edit(name, must_exist=False),
                self._tree_with(before, number, False),
                self._tree_with(after, number, True))
        return result

    def write(self) -> int:
        """Write what differs; return how many files that were."""
        count = 0
        for name, text in self.texts().items():
            if "diff --git " not in text:
                print(f"note: edits/{name} changes nothing any more: remove "
                      "it and its line in series", file=sys.stderr)
            if text != read_edit(name, must_exist=False):
                (EDITS / name).parent.mkdir(parents=True, exist_ok=True)
                write_atomic(EDITS / name, text)
                print(f"wrote edits/{name}")
                count += 1
        for path, blob in self.own.items():
            text = self.git.content(blob.oid).decode("utf-8")
            mode = (ROOT / path).stat().st_mode
            write_atomic(ROOT / path, text)
            os.chmod(ROOT / path, mode)
            print(f"wrote {path}")
            count += 1
        return count


def _tell_untracked(git: Git) -> None:
    """New files are nobody's to carry: say so, once."""
    out = git.run("ls-files", "-z", "--others", "--exclude-standard")
    for path in filter(None, out.split("\0")):
        print(f"note: build/tree/{path} is new and stays there: to carry it, "
              "move it into the checkout and name it in series",
              file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edit", default=os.environ.get("EDIT", ""),
                        help="the edit that the changes go to")
    options = parser.parse_args()
    git = Git(TREE)
    if not (git.dir / "HEAD").exists() or not git.rev(MADE):
        raise UserError("there is no build/tree yet: run make build first")
    wanted = options.edit.removeprefix("edits/")
    if wanted and not wanted.endswith(".patch"):
        wanted += ".patch"
    with locked():
        carrier = _Carrier(git, load(), wanted)
        carrier.collect()
        count = carrier.write()
        _tell_untracked(git)
    make_tree()
    print(f"{count} files written" if count
          else "nothing to carry: edits/ is up to date")
    return 0


if __name__ == "__main__":
    run_main(main)
