# SPDX-License-Identifier: GPL-2.0-or-later
"""Run what the texts tell their reader to type.

Every block of code in our pages and in README has a kind, by what it begins
with; one without is a failure. docs/contributing.md has the list.
"""

import contextlib
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build import EMULATOR, SERVER
from common import BUILD, LOGS, ROOT, UserError
from guest_machine import Machine, Server, Setup, run_dir
from guest_options import parse_size
from results import Results

LIMIT_S = 60
# The end of a command line as far as a text gives it.
REST = "..."
# What vfio-pci says last when all of its options were understood.
NO_HARDWARE = re.compile(r"no such host device|no iommu_group found")
# Without a guest. (With qtest the default CPU would be another one.)
NOT_RUNNING = ["-S", "-accel", "tcg", "-display", "none"]
# Output, and files: nothing to run. The other languages are as good as none.
NOT_COMMANDS = ("none", "text")
COMMAND = re.compile(r"^\s*(?:[$#] )?(?:sudo )?"
                     rf"(?:{EMULATOR}|{SERVER}|make|virsh|-> \{{|\(qemu\) )")


@dataclass(frozen=True)
class Block:
    """A block of code: where it begins, what language it claims, its text."""
    place: str
    language: str
    text: str


# --- finding them ----------------------------------------------------------

def _indented(lines: list[str], start: int) -> tuple[list[str], int]:
    """The indented lines from `start` on, and where they end."""
    end = start
    while end < len(lines) and (not lines[end].strip()
                                or lines[end].startswith(" ")):
        end += 1
    return lines[start:end], end


def _dedent(lines: list[str]) -> str:
    width = min((len(line) - len(line.lstrip()) for line in lines
                 if line.strip()), default=0)
    return "\n".join(line[width:] for line in lines).strip("\n")


def rst_blocks(name: str, text: str) -> Iterator[Block]:
    """The literal blocks and code blocks of a page for Sphinx."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        directive = re.match(r"^\s*\.\. (?:code-block|code)::\s*(\S*)", line)
        if not directive and not (line.rstrip().endswith("::")
                                  and not line.lstrip().startswith("..")):
            continue
        indent = len(line) - len(line.lstrip())
        body = []
        for more in lines[number + 1:]:
            if more.strip() and len(more) - len(more.lstrip()) <= indent:
                break
            body.append(more)
        yield Block(f"{name}:{number + 1}", directive[1] if directive else "",
                    _dedent(body))


def md_blocks(name: str, text: str) -> Iterator[Block]:
    """The fenced and the indented blocks of a Markdown file."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        fence = re.match(r"^(\s*)```(\S*)", line)
        if fence:
            end = number + 1
            while end < len(lines) and lines[end].strip() != "```":
                end += 1
            yield Block(f"{name}:{number + 1}", fence[2],
                        _dedent(lines[number + 1:end]))
            number = end
        elif line.startswith("    ") and (number == 0
                                          or not lines[number - 1].strip()):
            body, end = _indented(lines, number)
            yield Block(f"{name}:{number + 1}", "", _dedent(body))
            number = end - 1
        number += 1


def make_words(text: str) -> list[str]:
    """Each `make ...` that stands in a line of Markdown."""
    return re.findall(r"`(make(?: [^`]*)?)`", text)


# --- make ------------------------------------------------------------------

def check_make(command: str) -> str:
    """What is wrong with a `make` command, or ""."""
    words = [word for word in shlex.split(command, comments=True)
             if REST not in word]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words[1:]:
        name, is_value, _ = word.partition("=")
        if is_value and not re.search(rf"\$\({name}\)|^export .*\b{name}\b"
                                      rf"|^{name} \?=", makefile,
                                      re.MULTILINE):
            return f"no target knows {name}="
    if "run" in words or "shell" in words:
        # Not only whether make knows it: whether it can be done.
        words = ["make", "guest-options", *(w for w in words if "=" in w)]
    else:
        words.insert(1, "-n")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True,
                          check=False, stdin=subprocess.DEVNULL)
    return (done.stdout + done.stderr).strip() if done.returncode else ""


# --- the emulator and its device -------------------------------------------

def command_words(text: str) -> list[str]:
    """The words of a command that a text gives over several lines."""
    return [word for word in shlex.split(text.replace("\\\n", " "))
            if word != REST]


class Page:
    """What runs while the blocks of one page are gone through."""

    def __init__(self, where: Path) -> None:
        self.where = where
        # The options of a server, by the socket's path in the text.
        self.options: dict[str, dict[str, str]] = {}
        self.running = contextlib.ExitStack()
        self.machine: Machine | None = None
        self.servers = 0

    def stop(self) -> None:
        """End the machine and the devices of the last command."""
        self.machine = None
        self.running.close()

    def serve(self, path: str) -> str:
        """Start the device that a text has at `path`; its real socket."""
        self.servers += 1
        where = self.where / str(self.servers)
        where.mkdir()
        given = self.options.get(path, {})
        setup = Setup(BUILD / EMULATOR, BUILD / SERVER,
                      parse_size(given.get("--hdm-size", "256M")),
                      given.get("--identity", "sfc"))
        server = Server(setup, where, f"docs-{self.servers}")
        self.running.callback(server.close)
        return str(server.socket)

    def device(self, given: dict[str, Any]) -> dict[str, Any]:
        """A device of a text, with a reference device that is running."""
        device = dict(given)
        if device.get("driver") == "vfio-pci":
            device["driver"] = "vfio-user-pci"
            for name in ("host", "iommufd"):
                device.pop(name, None)
            device["socket"] = {"type": "unix"}
        if device.get("driver") == "vfio-user-pci":
            device["socket"] = {
                **device["socket"],
                "path": self.serve(device["socket"].get("path", ""))}
        return device

    def device_option(self, option: str) -> str:
        """The value of -device with that in place."""
        if option.startswith("{"):
            return json.dumps(self.device(json.loads(option)))
        if not option.startswith("vfio-pci"):
            return option
        driver, *rest = option.split(",")
        fields = dict(part.split("=", 1) for part in rest)
        return json.dumps(self.device({"driver": driver, **fields}))


def _no_hardware(words: list[str]) -> str:
    """A command line with vfio-pci fails for want of the device only."""
    done = subprocess.run([*words, *NOT_RUNNING], capture_output=True,
                          text=True, check=False, timeout=LIMIT_S,
                          stdin=subprocess.DEVNULL)
    said = done.stderr.strip()
    if done.returncode == 1 and NO_HARDWARE.search(said):
        return ""
    return (f"status {done.returncode}, but not for want of the device: "
            f"{said or 'nothing said'}")


def run_emulator(page: Page, text: str) -> str:
    """Start QEMU so; it stays for what follows on the page."""
    page.stop()
    words = command_words(text)
    words[0] = str(BUILD / EMULATOR)
    if any(word.startswith("vfio-pci") for word in words):
        fault = _no_hardware(words)
        if fault:
            return fault
    for number, word in enumerate(words):
        if words[number - 1] == "-device":
            words[number] = page.device_option(word)
    machine = Machine([*words, *NOT_RUNNING], "docs")
    page.machine = machine
    page.running.callback(machine.close)
    machine.qmp.command("query-status")
    return ""


def run_server(page: Page, text: str) -> str:
    """Start the reference device so, and keep what it was asked for."""
    words = command_words(text)[1:]
    given = dict(zip(words[::2], words[1::2], strict=False))
    path = given.pop("--socket", "")
    unknown = given.keys() - {"--hdm-size", "--identity"}
    if len(words) % 2 or not path or unknown:
        return (f"{' '.join(words)}: --socket, --hdm-size and --identity can "
                "be tried, each with a value")
    page.options[path] = given
    page.serve(path)
    return ""


def _requests(text: str) -> list[tuple[dict[str, Any], bool]]:
    """The requests of a block, and whether an error follows each."""
    found: list[tuple[dict[str, Any], bool]] = []
    for part in re.split(r"^(?=-> |<- )", text, flags=re.MULTILINE):
        if part.startswith("-> "):
            found.append((json.loads(part[3:]), False))
        elif part.startswith('<- { "error"') and found:
            found[-1] = (found[-1][0], True)
    return found


def run_qmp(page: Page, text: str) -> str:
    """Send requests to the machine that the page started last."""
    if not page.machine:
        return "no QEMU was started before it on this page"
    qmp = page.machine.qmp
    for request, fails in _requests(text):
        name, given = request["execute"], request.get("arguments", {})
        if name == "device_add":
            if given.get("driver") == "vfio-pci":
                with contextlib.suppress(UserError):
                    qmp.command(name, **given)
                    return "vfio-pci works without the device"
            given = page.device(given)
        try:
            qmp.command(name, **given)
            said = "no error"
        except UserError as error:
            said = str(error)
        if fails == (said == "no error"):
            return f"{name}: {said}"
    return ""


def run_monitor(page: Page, text: str) -> str:
    """The same for lines of the human monitor."""
    if not page.machine:
        return "no QEMU was started before it on this page"
    for line in re.findall(r"^\(qemu\) (.*)", text, re.MULTILINE):
        said = page.machine.qmp.command("human-monitor-command",
                                        **{"command-line": line})
        if re.match(r"unknown command|Error: ", said):
            return f"{line}: {said.strip()}"
    return ""


def run_shell(_page: Page, text: str) -> str:
    """Commands for guest or host are understood by a shell."""
    lines = "\n".join(line[2:] for line in text.splitlines()
                      if line.startswith(("$ ", "# ")))
    done = subprocess.run(["sh", "-n"], input=lines, text=True, check=False,
                          capture_output=True)
    return done.stderr.strip()


def run_make(_page: Page, text: str) -> str:
    """Each line is a make command that can be given."""
    faults = [check_make(line) if line.startswith("make") else
              f"not a make command: {line}"
              for line in text.splitlines() if line.strip()]
    return "\n".join(fault for fault in faults if fault)


KINDS: dict[str, tuple[str, Callable[[Page, str], str]]] = {
    EMULATOR: ("starts", run_emulator),
    SERVER: ("serves", run_server),
    "-> {": ("is answered", run_qmp),
    "(qemu) ": ("is answered", run_monitor),
    "$ ": ("is shell", run_shell),
    "# ": ("is shell", run_shell),
    "make": ("can be made", run_make),
}


def _run_block(results: Results, page: Page, block: Block) -> None:
    if block.language in NOT_COMMANDS:
        commands = [line for line in block.text.splitlines()
                    if COMMAND.match(line)]
        if commands:
            results.failed(f"docs/{block.place} has no command",
                           f"language {block.language}, but: {commands[0]}")
        return
    for start, (title, run) in KINDS.items():
        if not block.text.startswith(start):
            continue
        name = f"docs/{block.place} {title}"
        try:
            fault = run(page, block.text)
        except (UserError, OSError, ValueError, KeyError,
                subprocess.TimeoutExpired) as error:
            fault = f"{type(error).__name__}: {error}"
        if fault:
            results.failed(name, fault)
        else:
            results.passed(name)
        return
    first = block.text.partition("\n")[0]
    results.failed(f"docs/{block.place} has a kind",
                   f"nothing is known of a block that begins with '{first}'; "
                   f"what is no command has language {NOT_COMMANDS[0]}")


def _short(path: Path) -> str:
    """A text as test names have it, behind "docs/"."""
    return str(path.relative_to(ROOT)).removeprefix("docs/")


def pages(files: list[Path]) -> list[Path]:
    """The texts whose blocks are run: our pages, README and docs."""
    return [path for path in files
            if path.suffix in (".rst", ".md")
            and (path.parent == ROOT or path.is_relative_to(ROOT / "docs"))]


def check(results: Results, files: list[Path]) -> None:
    """Run the commands of all texts.

    files: every file of the checkout
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    for path in pages(files):
        name = _short(path)
        text = path.read_text(encoding="utf-8")
        find = rst_blocks if path.suffix == ".rst" else md_blocks
        with run_dir(False) as where:
            page = Page(where)
            try:
                for block in find(name, text):
                    _run_block(results, page, block)
            finally:
                page.stop()
    for path in (path for path in files if path.suffix == ".md"):
        name = _short(path)
        faults = [f"{command}: {fault}" for command in sorted(set(make_words(
            path.read_text(encoding="utf-8")))) if
            (fault := check_make(command))]
        if faults:
            results.failed(f"docs/{name} make commands", "\n".join(faults))
        else:
            results.passed(f"docs/{name} make commands")
