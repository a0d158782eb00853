# SPDX-License-Identifier: GPL-2.0-or-later
"""Every message that our C code can give, and the list of them in the
manual: neither may have one that the other lacks.

A message is a string of at least three words, wherever it stands: in an
error, a log line, or a reason that such a line ends with. Not one, although
it has words, is what goes to one of NOT_MESSAGES, and what begins with a
space, which is put into a message. In the manual each message is an item of a
list in a section whose title begins with "Messages", and the item's first
paragraph is the message and nothing else. What the code puts in for a
conversion may be called whatever the manual likes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common import ROOT
from series import EDITS

# Calls and fields whose text no error, log line or reason has.
NOT_MESSAGES = re.compile(r"trace_\w+|\w+_set_description|monitor_printf|"
                          r"DEFINE_PROP\w*|desc|description|about")
WORDS = 3
TOKEN = re.compile(r"""/\*.*?\*/ | //[^\n]* | "((?:[^"\\]|\\.)*)"
                       | '(?:[^'\\]|\\.)+' | [A-Za-z_]\w* | \S""",
                   re.DOTALL | re.VERBOSE)
# A macro that is the end of a conversion, or a whole prefix.
FORMAT_MACRO = re.compile(r"(?:[A-Z]+_)?PRI[a-zA-Z]+\d*")
PREFIX_MACRO = re.compile(r"\w+_(?:FMT|FORMAT|PREFIX)")
CONVERSION = re.compile(r"%[-+ #0]*\d*(?:\.\d+)?(?:hh|h|ll|l|z|j|t)?"
                        r"[diouxXcsp]")
ESCAPES = {r"\n": "", r"\"": '"', r"\\": "\\"}
# Which device it is: the same for all, so the manual leaves it out.
WHO = re.compile(r"^(?:vfio )?%s: ")
# Where messages of the emulator come from.
EDITED = re.compile(r"^\+\+\+ b/(?:hw|system|accel)/\S*\.[ch]$")
UNDERLINE = re.compile(r"([=\-~^\"'`*+#])\1{2,}$")
ITEM = re.compile(r"^(\s*)(?:\*|-) ")


@dataclass(frozen=True)
class Message:
    """A message, and the place that gives or lists it."""
    place: str
    text: str


def _strings(text: str) -> Iterator[tuple[int, str, str]]:
    """Each string of C text: its line, where it goes, its contents.

    It goes to the call that it is in, or to what it is assigned to. Strings
    that only follow each other are one.
    """
    calls: list[str] = []
    before, name = "", ""
    line, call, parts = 0, "", ""
    for match in TOKEN.finditer(text):
        token = match[0]
        if token.startswith(("/*", "//")):
            continue
        if token.startswith('"'):
            if not line:
                line = text.count("\n", 0, match.start()) + 1
                call = name if before == "=" else calls[-1] if calls else ""
            parts += match[1]
        elif FORMAT_MACRO.fullmatch(token):
            parts += "d"
        elif PREFIX_MACRO.fullmatch(token):
            parts = ""
        else:
            if line:
                yield line, call, parts
            line, call, parts = 0, "", ""
            if token == "(":
                calls.append(before)
            elif token == ")" and calls:
                calls.pop()
        if token != "=":
            name = token
        before = token


def c_messages(name: str, text: str) -> list[Message]:
    """The messages in C text."""
    found = []
    for line, call, string in _strings(text):
        for escape, plain in ESCAPES.items():
            string = string.replace(escape, plain)
        string = WHO.sub("", string)
        words = [word for word in CONVERSION.sub("", string).split()
                 if re.search(r"\w", word)]
        if len(words) >= WORDS and not string.startswith(" ") and \
                not NOT_MESSAGES.fullmatch(call):
            found.append(Message(f"{name}:{line}", string.strip()))
    return found


def _added(text: str) -> str:
    """What an edit adds to C files of the emulator, line for line."""
    lines, wanted = [], False
    for line in text.splitlines():
        if line.startswith("+++ "):
            wanted = bool(EDITED.match(line))
            lines.append("")
        else:
            lines.append(line[1:] if wanted and line.startswith("+") else "")
    return "\n".join(lines)


def code_messages(files: list[Path]) -> list[Message]:
    """The messages of our own C files and of the edits."""
    found = []
    for path in files:
        name = str(path.relative_to(ROOT))
        if path.suffix in (".c", ".h") and name.startswith(("hw/",
                                                            "include/")):
            found += c_messages(name, path.read_text(encoding="utf-8"))
        elif EDITS in path.parents:
            found += c_messages(name, _added(path.read_text(encoding="utf-8")))
    return found


def page_messages(name: str, text: str) -> tuple[list[Message], list[str]]:
    """The messages that a page lists, and what is wrong with its lists."""
    found, faults = [], []
    lines = text.splitlines()
    listing = False
    for number, line in enumerate(lines, 1):
        if number < len(lines) and line and not line.startswith(" ") and \
                UNDERLINE.match(lines[number]):
            listing = line.startswith("Messages")
        item = ITEM.match(line)
        if not (listing and item):
            continue
        paragraph = [line[item.end():]]
        for more in lines[number:]:
            if not more.strip() or ITEM.match(more):
                break
            paragraph.append(more)
        joined = " ".join(" ".join(paragraph).split())
        if re.fullmatch(r"``[^`]+``", joined):
            found.append(Message(f"{name}:{number}", joined.strip("`")))
        else:
            faults.append(f"{name}:{number}: the first paragraph of an item "
                          "in a list of messages must be ``the message`` "
                          "alone, with what to do in the next one")
    return found, faults


def _pattern(message: Message) -> re.Pattern[str]:
    """What the manual may write for a message of the code."""
    parts = [re.escape(part) for part in CONVERSION.split(message.text)]
    # One that ends so goes on with something of others.
    return re.compile(".*".join(parts)
                      + (".*" if message.text.endswith(":") else ""))


def compare(code: list[Message], listed: list[Message]) -> list[str]:
    """What one side has and the other lacks."""
    faults = []
    used: set[Message] = set()
    for message in code:
        pattern = _pattern(message)
        same = [entry for entry in listed if pattern.fullmatch(entry.text)]
        used.update(same)
        if not same:
            faults.append(f"{message.place}: the manual does not list "
                          f"'{message.text}'")
    faults += [f"{entry.place}: no code gives '{entry.text}'"
               for entry in listed if entry not in used]
    return faults


def check(files: list[Path]) -> list[str] | None:
    """Faults in the manual's lists, given every file of the checkout."""
    code = code_messages(files)
    listed: list[Message] = []
    faults: list[str] = []
    for path in files:
        if path.suffix == ".rst":
            found, wrong = page_messages(str(path.relative_to(ROOT)),
                                         path.read_text(encoding="utf-8"))
            listed += found
            faults += wrong
    if not code and not listed:
        return None
    return faults + compare(code, listed)
