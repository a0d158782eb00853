# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages from Debian's archive without touching the system's apt.

A PrivateApt has its own state, cache and source list below one directory.
The mirror and the way to reach it (proxy, timeouts) are the system's own;
signatures are checked against Debian's archive keyring. What was fetched
is kept by its SHA-256 in the user's cache, together with what a question
for "the newest version" was answered, so that a second run, or a second
clone, needs no network.
"""

import contextlib
import functools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cache import (Record, cached, copy_whole, load_answer, save_answer,
                   store)
from common import (LOGS, UserError, atomic_dir, cache_dir, need_space,
                    sha256_file, write_atomic)
from progress import StepFailed, run_step

# An answer younger than this is used without asking the archive again.
ANSWER_DAYS = 7
KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg",
            "/usr/share/keyrings/debian-archive-keyring.pgp")


class Source(NamedTuple):
    """One line of the private source list; component main is meant."""
    kind: str           # "deb" or "deb-src"
    suite: str
    arch: str = ""      # "" is the machine's own


@functools.cache
def native_arch() -> str:
    """The architecture Debian calls this machine's."""
    return subprocess.run(["dpkg", "--print-architecture"], check=True,
                          capture_output=True, text=True).stdout.strip()


@functools.cache
def codename() -> str:
    """Debian's code name of the running system, for instance bookworm."""
    with contextlib.suppress(OSError):
        for line in Path("/etc/os-release").read_text().splitlines():
            name, _, value = line.partition("=")
            if name == "VERSION_CODENAME":
                return value.strip().strip('"')
    return ""


def _deb822_entries(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """(URIs, suites) of each enabled stanza of a .sources file."""
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and key:
                fields[key] += " " + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "main" in fields.get("components", "").split():
            yield (fields.get("uris", "").split(),
                   fields.get("suites", "").split())


def _list_entries(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """(URIs, suites) of each line of a one-line-style source list."""
    for line in text.splitlines():
        line = re.sub(r"\[[^\]]*\]", " ", line.partition("#")[0])
        words = line.split()
        if len(words) >= 4 and words[0] in ("deb", "deb-src") \
                and "main" in words[3:]:
            yield [words[1]], [words[2]]


@functools.cache
def mirror() -> str:
    """The archive the system's own apt takes its release from."""
    given = os.environ.get("DEBIAN_MIRROR", "")
    if given:
        return given
    wanted = {codename(), "stable", "testing", "unstable", "sid"} - {""}
    etc = Path("/etc/apt")
    parts = etc / "sources.list.d"
    files = [etc / "sources.list"]
    files += sorted(parts.glob("*.list")) + sorted(parts.glob("*.sources"))
    for path in files:
        try:
            text = path.read_text()
        except OSError:
            continue
        # A .list file may hold deb822 text by mistake; the suffix decides.
        parse = (_deb822_entries if path.suffix == ".sources"
                 else _list_entries)
        for uris, suites in parse(text):
            if not wanted.intersection(s.rstrip("/") for s in suites):
                continue
            for uri in uris:
                if not uri.startswith("cdrom:") and "security" not in uri:
                    return uri.rstrip("/")
    raise UserError("no Debian mirror in /etc/apt/sources.list or "
                    "/etc/apt/sources.list.d: add one, or give "
                    "DEBIAN_MIRROR=URL")


def _keyring() -> str:
    for path in KEYRINGS:
        if Path(path).exists():
            return path
    raise UserError(f"{KEYRINGS[0]} is missing: install package "
                    "debian-archive-keyring")


def version_ge(left: str, right: str) -> bool:
    """Whether version `left` is at least `right`, as dpkg compares."""
    return subprocess.run(["dpkg", "--compare-versions", left, "ge", right],
                          check=False).returncode == 0


def _records(text: str) -> Iterator[Record]:
    """The stanzas of a control file."""
    for stanza in re.split(r"\n\s*\n", text.strip()):
        record: Record = {}
        key = ""
        for line in stanza.splitlines():
            if line[:1].isspace() and key:
                record[key] += "\n" + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                record[key] = value.strip()
        if record:
            yield record


def _newest(records: list[Record]) -> Record:
    best = records[0]
    for record in records[1:]:
        if not version_ge(best["Version"], record["Version"]):
            best = record
    return best


# --- apt -------------------------------------------------------------------

class PrivateApt:
    """apt with its own directories; see the module's text."""

    def __init__(self, root: Path, sources: list[Source]) -> None:
        self.root = root.absolute()
        self.sources = sources
        self.log = LOGS / f"apt-{root.name}.log"
        self._updated = False

    # -- configuration --

    def _quote(self, value: object) -> str:
        return '"' + str(value).replace('"', "") + '"'

    def _configure(self) -> None:
        """Write the private configuration and source list."""
        for sub in ("lists/partial", "archives/partial", "etc/empty"):
            (self.root / sub).mkdir(parents=True, exist_ok=True)
        arches = [native_arch()]
        arches += sorted({s.arch for s in self.sources} - {"", *arches})
        lines = [
            # How the archive is reached is the system's business: proxies,
            # certificates, timeouts. Hooks and pins are left out.
            self._system_acquire(),
            f"Dir::State {self._quote(self.root)};",
            f"Dir::State::lists {self._quote(self.root / 'lists')};",
            f"Dir::State::status {self._quote(self.root / 'status')};",
            f"Dir::Cache {self._quote(self.root)};",
            f"Dir::Cache::archives {self._quote(self.root / 'archives')};",
            f"Dir::Etc::main {self._quote('/dev/null')};",
            f"Dir::Etc::parts {self._quote(self.root / 'etc/empty')};",
            f"Dir::Etc::preferences {self._quote('/dev/null')};",
            "Dir::Etc::preferencesparts "
            f"{self._quote(self.root / 'etc/empty')};",
            "Dir::Etc::sourcelist "
            f"{self._quote(self.root / 'etc/sources.list')};",
            f"Dir::Etc::sourceparts {self._quote(self.root / 'etc/empty')};",
            f"APT::Architecture {self._quote(native_arch())};",
            "APT::Architectures { "
            + " ".join(f"{self._quote(a)};" for a in arches) + " };",
            # The checkout may lie where the user _apt cannot read.
            'APT::Sandbox::User "root";',
            'APT::Update::Error-Mode "any";',
            'Acquire::Languages "none";',
            'Acquire::PDiffs "false";',
            'Acquire::Retries "2";',
        ]
        write_atomic(self.root / "etc/apt.conf", "\n".join(lines) + "\n")
        keyring = _keyring()
        text = ""
        for source in self.sources:
            arch = f"arch={source.arch} " \
                if source.arch and source.kind == "deb" else ""
            text += (f"{source.kind} [{arch}signed-by={keyring}] "
                     f"{mirror()} {source.suite} main\n")
        write_atomic(self.root / "etc/sources.list", text)
        if not (self.root / "status").exists():
            write_atomic(self.root / "status", "")

    @staticmethod
    def _system_acquire() -> str:
        dump = subprocess.run(
            ["apt-config", "dump", "--format", '%F "%v";%n'],
            capture_output=True, text=True, check=True).stdout
        kept = [line for line in dump.splitlines()
                if re.match(r"(?i)acquire::", line)
                and not re.match(r"(?i)acquire::(indextargets|languages)",
                                 line)
                and not line.endswith(' "";')]
        return "\n".join(kept)

    def _env(self) -> dict[str, str]:
        return {"APT_CONFIG": str(self.root / "etc/apt.conf"), "LC_ALL": "C"}

    def query(self, argv: list[str]) -> str:
        """What a command of apt's prints about the private state."""
        return subprocess.run(argv, capture_output=True, text=True,
                              check=False,
                              env={**os.environ, **self._env()}).stdout

    def _step(self, title: str, argv: list[str], cwd: Path | None,
              size: int = 0) -> None:
        """Run apt-get as a shown step; its errors become one line."""
        watched = cwd or self.root / "lists"

        def how_far() -> str:
            done = 0
            for path in watched.rglob("*"):
                with contextlib.suppress(OSError):
                    done += path.stat().st_size if path.is_file() else 0
            total = f"/{size / 1e6:.0f}" if size else ""
            return f"{done / 1e6:.0f}{total} MB"

        try:
            run_step(title, argv, self.log, env=self._env(), cwd=cwd,
                     probe=how_far, append=True)
        except StepFailed as failed:
            raise UserError(self._reason(title)) from failed

    def _reason(self, title: str) -> str:
        """One line for what apt complained about last."""
        text = self.log.read_text(errors="replace").rpartition("\n$ ")[2]
        faults = re.findall(r"^E: *(.*)$", text, re.MULTILINE) + \
            re.findall(r"^W: *(.*)$", text, re.MULTILINE)
        first = re.sub(r"\s+", " ", faults[0]) if faults \
            else "apt-get failed"
        if re.search(r"No space left", text):
            first = f"no space left under {self.root} or /var"
            remedy = "free some space"
        elif re.search(r"resolv|connect|unreachable|timed? ?out|proxy",
                       text, re.IGNORECASE):
            remedy = "check the network and http_proxy"
        elif re.search(r"NO_PUBKEY|not signed|EXPKEYSIG|signature", text):
            remedy = "update package debian-archive-keyring"
        elif re.search(r"[Hh]ash [Ss]um|size mismatch", text, re.IGNORECASE):
            remedy = "try again, the mirror may be in the middle of an update"
        else:
            remedy = "see the log"
        return f"{title}: {first[:300]} ({remedy}; log: {self.log})"

    # -- questions --

    def update(self) -> None:
        """Fetch the package lists, once in the life of this object."""
        if self._updated:
            return
        need_space(self.root, 700, "fetching Debian's package lists")
        self._configure()
        suites = ", ".join(dict.fromkeys(s.suite for s in self.sources))
        title = f"fetch Debian's package lists ({suites})"
        try:
            self._step(title, ["apt-get", "update"], None)
        except UserError as error:
            if "is expired" not in str(error):
                raise
            # A mirror that stands still: what it has is signed all the
            # same, and only an old list is the price.
            print(f"note: {mirror()} has not been updated for long, its "
                  "lists are past their date; going on with them",
                  file=sys.stderr, flush=True)
            self._step(title, ["apt-get", "-o",
                               "Acquire::Check-Valid-Until=false", "update"],
                       None)
        self._updated = True

    def _name(self, package: str) -> str:
        """The package with its architecture: as given, or the sources'."""
        if ":" in package:
            return package
        arches = {s.arch or native_arch() for s in self.sources
                  if s.kind == "deb"}
        return f"{package}:{arches.pop()}" if len(arches) == 1 else package

    def _key(self, name: str, rule: str) -> str:
        where = " ".join(sorted("/".join(s) for s in self.sources))
        return f"{where}|{name}|{rule}"

    def newest(self, package: str, minimum: str | None = None) -> str:
        """The newest version of `package` over all sources.

        package: its name, or name:arch
        minimum: the version it must reach, as Debian compares versions
        """
        return self._resolve(package, minimum)["Version"]

    def _resolve(self, package: str, minimum: str | None) -> Record:
        name = self._name(package)
        key = self._key(name, f">={minimum or ''}")
        fresh = bool(os.environ.get("FRESH"))
        record = None if fresh or self._updated \
            else load_answer(key, ANSWER_DAYS)
        if record is not None:
            return record
        try:
            self.update()
        except UserError as error:
            record = load_answer(key, None)
            if record is None or fresh:
                raise
            print(f"note: {error}; going on with {package} "
                  f"{record['Version']} of an earlier run", file=sys.stderr,
                  flush=True)
            return record
        found = list(_records(self.query(["apt-cache", "show", name])))
        found = [r for r in found if "SHA256" in r and "Version" in r]
        suites = ", ".join(s.suite for s in self.sources)
        if not found:
            raise UserError(f"package {name} is not in {suites} at "
                            f"{mirror()}")
        best = _newest(found)
        if minimum and not version_ge(best["Version"], minimum):
            raise UserError(f"package {name} must be at least {minimum}, the "
                            f"newest in {suites} is {best['Version']}")
        save_answer(key, best)
        save_answer(self._key(name, f"={best['Version']}"), best)
        return best

    def show(self, package: str, version: str) -> Record:
        """The control fields of one version (Depends, SHA256, ...)."""
        name = self._name(package)
        key = self._key(name, f"={version}")
        record = load_answer(key, None)
        if record is None:
            self.update()
            for found in _records(self.query(
                    ["apt-cache", "show", f"{name}={version}"])):
                if found.get("Version") == version and "SHA256" in found:
                    record = found
                    save_answer(key, record)
        if record is None:
            raise UserError(f"package {name} {version} is not in "
                            f"{', '.join(s.suite for s in self.sources)} at "
                            f"{mirror()}; set FRESH=1 to look for a newer one")
        return record

    # -- downloads --

    def download(self, package: str, version: str, dest_dir: Path) -> Path:
        """Bring one .deb, verified, into dest_dir; return its path."""
        record = self.show(package, version)
        sha256 = record["SHA256"]
        dest = dest_dir / Path(record["Filename"]).name
        if dest.is_file() and sha256_file(dest) == sha256:
            return dest
        kept = cached(sha256)
        if kept is None:
            kept = self._fetch(package, version, record)
        copy_whole(kept, dest)
        return dest

    def fetch(self, title: str, packages: list[str], dest: Path,
              size: int) -> None:
        """Download name=version packages into dest as one shown step."""
        self.update()
        self._step(title, ["apt-get", "download", *packages], dest, size)

    def _fetch(self, package: str, version: str, record: Record) -> Path:
        size = int(record.get("Size", "0"))
        need_space(self.root, (size >> 19) + 16, f"fetching {package}")
        with tempfile.TemporaryDirectory(dir=self.root) as temp:
            self.fetch(f"fetch {package} {version}",
                       [f"{self._name(package)}={version}"], Path(temp), size)
            debs = list(Path(temp).glob("*.deb"))
            if len(debs) != 1:
                raise UserError(f"apt-get download {package}={version} gave "
                                f"{len(debs)} files, must be 1")
            return store(debs[0], record["SHA256"])

    def download_source(self, package: str, version: str,
                        files: dict[str, str], dest_dir: Path) -> list[Path]:
        """Bring a source package's files, with recorded checksums.

        files: name -> SHA-256 of each file that is wanted. apt checks them
        against the signed lists as well when they come from the archive.
        """
        if any(cached(sha256) is None for sha256 in files.values()):
            need_space(self.root, 300, f"fetching the source of {package}")
            self.update()
            with tempfile.TemporaryDirectory(dir=self.root) as temp:
                self._step(f"fetch the source of {package} {version}",
                           ["apt-get", "source", "--download-only",
                            "--only-source", f"{package}={version}"],
                           Path(temp))
                for name, sha256 in files.items():
                    path = Path(temp) / name
                    if not path.is_file():
                        raise UserError(f"source package {package} {version} "
                                        f"has no file {name}")
                    store(path, sha256)
        result = []
        for name, sha256 in files.items():
            copy_whole(cache_dir() / sha256, dest_dir / name)
            result.append(dest_dir / name)
        return result


def unpack_deb(deb: Path, dest: Path) -> None:
    """Unpack a .deb's files below `dest` (made when missing).

    `dest` may hold other packages already; a failure leaves nothing of
    this one when `dest` was not there before.
    """
    if dest.exists():
        _unpack(deb, dest)
        return
    with atomic_dir(dest) as temp:
        _unpack(deb, temp)


def _unpack(deb: Path, dest: Path) -> None:
    done = subprocess.run(["dpkg-deb", "-x", str(deb), str(dest)],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"cannot unpack {deb.name}: {reason}")
