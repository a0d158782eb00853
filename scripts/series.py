# SPDX-License-Identifier: GPL-2.0-or-later
"""The file `series`: which commits there are, and what each one carries."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from common import ROOT, UserError
from gitrepo import checkout_git

SERIES = ROOT / "series"
EDITS = ROOT / "edits"
# Where a file of ours is also a file of the resulting QEMU tree.
ROOMS = ("hw/", "include/", "contrib/", "docs/", "tests/unit/",
         "tests/qtest/", "tests/functional/")
# Where golden tables are: files that the build makes and the series carries.
GOLDEN_ROOM = "tests/data/acpi/"
BODY_COLUMNS = 72
SUBJECT_COLUMNS = 76


@dataclass
class Entry:
    """One commit to be made."""
    subject: str
    line: int
    files: list[str] = field(default_factory=list)
    edits: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    # Path of a golden table -> its SHA-256
    golden: dict[str, str] = field(default_factory=dict)

    def carried(self) -> list[str]:
        """Every whole file of this commit: ours, and golden tables."""
        return [*self.files, *self.golden]

    def message(self, name: str, email: str) -> str:
        """The whole commit message."""
        body = "\n".join(self.body).strip("\n")
        return (f"{self.subject}\n\n{body}\n\n"
                f"Signed-off-by: {name} <{email}>\n")


@dataclass
class Series:
    """All of them, in order."""
    entries: list[Entry]
    text: str

    def files(self) -> list[str]:
        """Every file of ours that the series carries."""
        return [path for entry in self.entries for path in entry.files]

    def golden(self) -> dict[str, str]:
        """Every golden table: its path, and its SHA-256."""
        return {path: digest for entry in self.entries
                for path, digest in entry.golden.items()}

    def edits(self) -> list[str]:
        """Every edit's name, in the order they are applied."""
        return [name for entry in self.entries for name in entry.edits]


def project_files() -> list[str]:
    """The files below ROOMS that are there and are not ignored by git."""
    listed = checkout_git("ls-files", "-z", "--cached", "--others",
                          "--exclude-standard", "--", *ROOMS)
    if listed:
        names = set(listed.split("\0")) - {""}
    else:
        names = set()
        for room in ROOMS:
            for top, dirs, files in os.walk(ROOT / room):
                dirs[:] = [d for d in dirs if d != "__pycache__"]
                names.update(str(Path(top, f).relative_to(ROOT))
                             for f in files)
    return sorted(n for n in names
                  if (ROOT / n).is_file() and not n.endswith((".pyc", "~")))


class _Parser:
    def __init__(self, text: str, present: list[str]) -> None:
        self.text = text
        self.present = present
        self.entries: list[Entry] = []
        self.skipped: list[str] = []
        self.owner: dict[str, str] = {}

    def fail(self, number: int, why: str) -> UserError:
        return UserError(f"series, line {number}: {why}")

    def parse(self) -> Series:
        for number, line in enumerate(self.text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("|"):
                self.body(number, line)
                continue
            word, _, rest = line.partition(" ")
            rest = rest.strip()
            if word == "commit" and rest:
                self.commit(number, rest)
            elif word == "skip" and rest and not self.entries:
                self.skipped += rest.split()
            elif word in ("files", "edit") and rest and self.entries:
                for item in rest.split():
                    if word == "files":
                        self.add_files(number, item)
                    else:
                        self.add_edit(number, item)
            elif word == "golden" and rest and self.entries:
                self.add_golden(number, rest)
            else:
                raise self.fail(number, f"cannot read '{line}': a line is "
                                "'skip', 'commit', 'files', 'edit', "
                                "'golden', '| text' or '# comment'")
        return Series(self.entries, self.text)

    def commit(self, number: int, subject: str) -> None:
        if len(subject) > SUBJECT_COLUMNS:
            raise self.fail(number, f"subject has {len(subject)} columns, "
                            f"must be at most {SUBJECT_COLUMNS}")
        self.entries.append(Entry(subject, number))

    def body(self, number: int, line: str) -> None:
        if not self.entries:
            raise self.fail(number, "text before the first commit")
        text = line[1:].removeprefix(" ").rstrip()
        if len(text) > BODY_COLUMNS and " " in text.strip():
            raise self.fail(number, f"text has {len(text)} columns, must be "
                            f"at most {BODY_COLUMNS}")
        self.entries[-1].body.append(text)

    def add_files(self, number: int, item: str) -> None:
        item = item.rstrip("/")
        found = [p for p in self.present
                 if p == item or p.startswith(item + "/")]
        if not found:
            raise self.fail(number, f"{item} is not there, or outside of "
                            f"{' '.join(ROOMS)}")
        for path in found:
            if path in self.owner:
                raise self.fail(number, f"{path} is carried by the commit "
                                f"'{self.owner[path]}' already: exactly one "
                                "may carry it")
            self.owner[path] = self.entries[-1].subject
            self.entries[-1].files.append(path)

    def add_golden(self, number: int, rest: str) -> None:
        match = re.fullmatch(rf"({GOLDEN_ROOM}\S+) ([0-9a-f]{{64}})", rest)
        if not match or ".." in rest:
            raise self.fail(number, f"cannot read 'golden {rest}': it is a "
                            f"path below {GOLDEN_ROOM} and a SHA-256 in "
                            "hexadecimal, as make golden writes it")
        if match[1] in self.owner:
            raise self.fail(number, f"{match[1]} is carried by the commit "
                            f"'{self.owner[match[1]]}' already: exactly one "
                            "may carry it")
        self.owner[match[1]] = self.entries[-1].subject
        self.entries[-1].golden[match[1]] = match[2]

    def add_edit(self, number: int, item: str) -> None:
        if any(item in entry.edits for entry in self.entries):
            raise self.fail(number, f"edit {item} is named twice")
        self.entries[-1].edits.append(item)

    def check(self) -> None:
        skipped = tuple(s.rstrip("/") for s in self.skipped)
        for path in self.present:
            if path not in self.owner and not any(
                    path == s or path.startswith(s + "/") for s in skipped):
                raise UserError(f"{path} is carried by no commit: name it in "
                                "a 'files' line of series (or 'skip' it)")
        named = {name for entry in self.entries for name in entry.edits}
        for edit in sorted(EDITS.rglob("*")):
            name = str(edit.relative_to(EDITS))
            if edit.is_file() and name not in named:
                raise UserError(f"edits/{name} is used by no commit: name it "
                                "in an 'edit' line of series")
        for entry in self.entries:
            if not entry.carried() and not entry.edits:
                raise self.fail(entry.line, f"commit '{entry.subject}' "
                                "carries nothing")
            if not any(entry.body):
                raise self.fail(entry.line, f"commit '{entry.subject}' has "
                                "no text: say why")


def load() -> Series:
    """Read and check `series`."""
    try:
        text = SERIES.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{SERIES} is missing") from None
    parser = _Parser(text, project_files())
    series = parser.parse()
    parser.check()
    return series


def read_edit(name: str, must_exist: bool = True) -> str:
    """An edit's text."""
    path = EDITS / name
    if not path.is_file():
        if must_exist:
            raise UserError(f"edits/{name} is missing, series names it")
        return ""
    return path.read_text(encoding="utf-8")
