# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of build/out with some of their files compiled otherwise.

A changed or instrumented copy of a few files needs no build of its own:
those files are compiled with the build's own command and a few words more,
and the program is linked anew with their objects in place of the build's.
Nothing is written below build/out.
"""

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from build import OUT
from common import UserError
from tree import TREE

AT_ONCE = 2
LINKERS = ("c_LINKER", "c_LINKER_RSP")
# Of a compile command: words that take the next one, and words that say
# where the result goes or which compiler it is for.
TAKES_NEXT = ("-o", "-c", "-MF", "-MQ", "-MT")
PORTABLE = ("-I", "-D", "-U", "-std=", "-fwrapv", "-fno-strict-aliasing",
            "-fno-common", "-m64", "-mcx16", "-msse2")
PORTABLE_NEXT = ("-iquote", "-isystem", "-include")


class DoesNotCompile(Exception):
    """The compiler or the linker refused; the text is what it said."""


@dataclass(frozen=True)
class Compile:
    """How the build makes one object."""
    source: str             # below build/tree
    output: str             # below build/out
    words: tuple[str, ...]  # compiler and options, without source and output

    def portable(self) -> list[str]:
        """The options that another compiler understands as well."""
        kept: list[str] = []
        words = iter(self.words[1:])
        for word in words:
            if word in PORTABLE_NEXT:
                kept += [word, next(words)]
            elif word.startswith(PORTABLE):
                kept.append(word)
        return kept


@dataclass(frozen=True)
class Link:
    """How the build links one program."""
    output: str
    words: tuple[str, ...]  # the linker's driver and all its words

    def takes(self, obj: str) -> bool:
        """Whether an object goes into this program."""
        return obj in self.words or _archive(obj) in self.words


def _archive(obj: str) -> str:
    """The archive that an object would be a member of."""
    return obj.partition(".p/")[0]


def _compile_of(entry: dict[str, str]) -> Compile:
    words: list[str] = []
    rest = iter(shlex.split(entry["command"]))
    for word in rest:
        if word in TAKES_NEXT:
            next(rest)
        elif word not in ("-MD", "-MMD") and not word.endswith("ccache"):
            words.append(word)
    source = (OUT / entry["file"]).resolve()
    name = str(source.relative_to(TREE)) if source.is_relative_to(TREE) \
        else str(source)
    return Compile(name, entry["output"], tuple(words))


def run_quietly(argv: Sequence[str | Path]) -> None:
    """Run a compiler in build/out; its complaints become an exception."""
    done = subprocess.run([str(word) for word in argv], cwd=OUT, check=False,
                          capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    if done.returncode:
        raise DoesNotCompile((done.stderr + done.stdout).strip())


class Overlay:
    """The build's commands, to be used with changes."""

    def __init__(self) -> None:
        with (OUT / "compile_commands.json").open() as stream:
            entries = json.load(stream)
        self.compiles = [_compile_of(e) for e in entries
                         if e["file"].endswith(".c")]
        done = subprocess.run(["ninja", "-C", OUT, "-t", "compdb", "-x",
                               *LINKERS], check=False, capture_output=True,
                              text=True)
        if done.returncode:
            raise UserError(f"ninja cannot list what build/out links: "
                            f"{done.stderr.strip()}")
        text = done.stdout[done.stdout.index("["):]
        self.links = {e["output"]: Link(e["output"],
                                        tuple(shlex.split(e["command"])))
                      for e in json.loads(text)}

    def objects(self, source: str) -> list[Compile]:
        """Every object that the build makes of a source file."""
        return [c for c in self.compiles if c.source == source]

    def link_of(self, name: str) -> Link:
        """How a program is linked, by its name or path below build/out."""
        for output, link in self.links.items():
            if name in (output, Path(output).name):
                return link
        raise UserError(f"{name} is not built: no meson.build in build/tree "
                        "names it")

    def compile(self, how: Compile, source: Path, output: Path,
                extra: Iterable[str] = ()) -> None:
        """Make an object of `source` in the way the build does.

        The copy may stand anywhere: what it includes from beside itself is
        looked for beside the original.
        """
        output.parent.mkdir(parents=True, exist_ok=True)
        beside = (TREE / how.source).parent
        run_quietly([*_cache(), *how.words, "-w", "-Wno-error", *extra,
                     "-iquote", beside, "-c", source, "-o", output])

    def relink(self, name: str, output: Path, objects: dict[str, Path],
               extra: Iterable[str] = (), driver: str = "") -> None:
        """Link a program with other objects in place of the build's.

        objects: the build's object -> what stands in for it
        extra:   more words for the linker
        driver:  the compiler to link with, when not the build's
        """
        link = self.link_of(name)
        # In front of an archive, an object wins over the member it replaces.
        members = [path for obj, path in objects.items()
                   if obj not in link.words]
        words: list[str | Path] = [driver or link.words[0]]
        rest = iter(link.words[1:])
        for word in rest:
            if word == "-o":
                next(rest)
                words += ["-o", output, *extra, *members]
            else:
                words.append(objects.get(word, word))
        output.parent.mkdir(parents=True, exist_ok=True)
        run_quietly(words)


    def rebuild(self, chosen: Callable[[str], bool], names: Iterable[str],
                home: Path, flags: Sequence[str],
                link_flags: Sequence[str]) -> dict[str, Path]:
        """Compile the chosen files with more flags and link programs anew.

        chosen: says of a source file below build/tree whether it is one
        names:  the programs; those without a chosen file are left out
        home:   where objects and programs go
        """
        home.mkdir(parents=True, exist_ok=True)
        links = {name: self.link_of(name) for name in names}
        made = {how.output: home / how.output.replace("/", "_")
                for how in self.compiles if chosen(how.source)
                and any(link.takes(how.output) for link in links.values())}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(self.compile, how, TREE / how.source,
                                     made[how.output], flags)
                         for how in self.compiles if how.output in made]:
                done.result()
        programs = {}
        for name, link in links.items():
            objects = {obj: path for obj, path in made.items()
                       if link.takes(obj)}
            if objects:
                programs[name] = home / name
                self.relink(name, programs[name], objects, link_flags)
        return programs


def _cache() -> list[str]:
    return ["ccache"] if shutil.which("ccache") else []


def fast_linker() -> list[str]:
    """Words that make linking quick: no debug data, lld where it is."""
    words = ["-Wl,--strip-debug"]
    if shutil.which("ld.lld"):
        words.append("-fuse-ld=lld")
    return words


def link_firmware_beside(program: Path) -> None:
    """Let a copy of the emulator find its firmware as the build's does."""
    link = program.parent / "qemu-bundle"
    if not link.is_symlink():
        link.symlink_to(OUT / "qemu-bundle")
