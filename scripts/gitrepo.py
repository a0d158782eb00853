# SPDX-License-Identifier: GPL-2.0-or-later
"""git as a tool for building trees: plumbing commands on one repository,
with the user's own configuration kept out of the result."""

import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from common import ROOT, UserError


class Blob(NamedTuple):
    """A file in a tree."""
    mode: str
    oid: str


class Identity(NamedTuple):
    """Who a commit is by, and its date in seconds since 1970."""
    name: str
    email: str
    date: int


FALLBACK = Identity("CXL Passthrough Project",
                    "cxl-passthrough@example.org", 1767225600)


def clean_env(**extra: str) -> dict[str, str]:
    """The environment without git variables of whoever called us."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return {**env, "LC_ALL": "C", **extra}


def checkout_git(*args: str) -> str:
    """Output of git in this checkout; "" when it is none or git refuses."""
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", str(ROOT), *args],
        capture_output=True, text=True, check=False, env=clean_env())
    return done.stdout.strip() if done.returncode == 0 else ""


def identity() -> Identity:
    """Who signs the series: the checkout's git identity, and its date."""
    name = checkout_git("config", "user.name")
    email = checkout_git("config", "user.email")
    date = checkout_git("log", "-1", "--format=%ct")
    if not name or not email:
        name, email = FALLBACK.name, FALLBACK.email
    return Identity(name, email, int(date) if date else FALLBACK.date)


class GitError(UserError):
    """A git command failed; `output` is what it said."""

    def __init__(self, what: str, output: str) -> None:
        self.output = output
        lines = output.strip().splitlines() or ["no reason given"]
        super().__init__(f"git {what}: {lines[-1]}")


class Git:
    """One repository with a work tree."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.dir = tree / ".git"
        self.config = ("-c", "safe.directory=*", "-c", "core.autocrlf=false",
                       "-c", "core.compression=1", "-c", "gc.auto=0",
                       "-c", "advice.detachedHead=false",
                       "-c", "core.hooksPath=/dev/null",
                       "-c", "commit.gpgSign=false",
                       "-c", "core.safecrlf=false", "-c", "core.quotePath=no")

    def init(self) -> None:
        """Make the repository when it is not there."""
        if (self.dir / "HEAD").exists():
            return
        if self.tree.exists() and any(
                p.name != ".git" for p in self.tree.iterdir()):
            raise UserError(f"{self.tree} is not the tree that make build "
                            "makes: move it away")
        self.tree.mkdir(parents=True, exist_ok=True)
        self.run("init", "-q", "-b", "series")

    def raw(self, *args: str, stdin: bytes | None = None,
            index: Path | None = None, work_tree: Path | None = None,
            who: Identity | None = None,
            ok: Iterable[int] = (0,)) -> tuple[int, bytes]:
        """Run git; return its status and output."""
        env = clean_env(GIT_DIR=str(self.dir), GIT_CONFIG_NOSYSTEM="1",
                        GIT_CONFIG_GLOBAL="/dev/null",
                        GIT_WORK_TREE=str(work_tree or self.tree))
        if index:
            env["GIT_INDEX_FILE"] = str(index)
        if who:
            for role in ("AUTHOR", "COMMITTER"):
                env[f"GIT_{role}_NAME"] = who.name
                env[f"GIT_{role}_EMAIL"] = who.email
                env[f"GIT_{role}_DATE"] = f"{who.date} +0000"
        done = subprocess.run(["git", *self.config, *args], check=False,
                              input=stdin, capture_output=True, env=env,
                              cwd=work_tree or self.tree)
        if done.returncode not in ok:
            raise GitError(args[0], (done.stderr + done.stdout).decode(
                "utf-8", "replace"))
        return done.returncode, done.stdout

    def run(self, *args: str, stdin: bytes | None = None,
            index: Path | None = None, work_tree: Path | None = None,
            who: Identity | None = None) -> str:
        """Run git; return what it printed."""
        return self.raw(*args, stdin=stdin, index=index, work_tree=work_tree,
                        who=who)[1].decode("utf-8", "replace").strip()

    def rev(self, name: str) -> str:
        """The object a name stands for, "" when there is none."""
        status, out = self.raw("rev-parse", "-q", "--verify", name,
                               ok=(0, 1, 128))
        return out.decode().strip() if status == 0 else ""

    def scratch_index(self) -> tempfile.TemporaryDirectory[str]:
        """A directory for a temporary index file."""
        return tempfile.TemporaryDirectory(dir=self.dir, prefix="scratch.")

    def hash_files(self, root: Path, paths: list[str]) -> dict[str, Blob]:
        """Store files' contents; return their blobs."""
        if not paths:
            return {}
        text = "".join(f"{root / path}\n" for path in paths)
        oids = self.run("hash-object", "-w", "--no-filters", "--stdin-paths",
                        stdin=text.encode()).split()
        modes = ["100755" if os.access(root / p, os.X_OK) else "100644"
                 for p in paths]
        return {p: Blob(m, o)
                for p, m, o in zip(paths, modes, oids, strict=True)}

    def put(self, index: Path, blobs: dict[str, Blob | None]) -> None:
        """Set (or, with None, remove) entries of an index."""
        lines = [f"{b.mode} {b.oid}\t{p}" if b else f"0 {'0' * 40}\t{p}"
                 for p, b in blobs.items()]
        self.run("update-index", "--add", "--index-info",
                 stdin=("\n".join(lines) + "\n").encode(), index=index)

    def blob(self, tree: str, path: str) -> Blob | None:
        """A file in a tree."""
        line = self.run("ls-tree", tree, "--", path)
        if not line:
            return None
        mode, _kind, oid = line.partition("\t")[0].split()
        return Blob(mode, oid)

    def diff(self, old: str, new: str) -> dict[str, tuple[Blob | None,
                                                          Blob | None]]:
        """Files that differ between two trees: path -> (old, new)."""
        out = self.run("diff-tree", "-r", "-z", "--no-renames",
                       "--full-index", old, new)
        fields = out.split("\0")
        result: dict[str, tuple[Blob | None, Blob | None]] = {}
        for meta, path in zip(fields[0::2], fields[1::2]):
            mode_a, mode_b, oid_a, oid_b, _ = meta.lstrip(":").split()
            result[path] = (
                Blob(mode_a, oid_a) if set(oid_a) != {"0"} else None,
                Blob(mode_b, oid_b) if set(oid_b) != {"0"} else None)
        return result

    def content(self, oid: str) -> bytes:
        """A blob's bytes."""
        return self.raw("cat-file", "blob", oid)[1]
