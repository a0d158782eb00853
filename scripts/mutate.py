# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the places of a C file that can be broken, and break one.

Works on tokens, with the operators that mutation testing usually has. What
it finds need not compile: whoever uses it lets a compiler decide.
"""

import re
from dataclasses import dataclass

TOKEN = re.compile(r"""
    (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<string>L?"(?:\\.|[^"\\\n])*")
  | (?P<char>'(?:\\.|[^'\\\n])*')
  | (?P<number>\b(?:0[xX][0-9a-fA-F]+|\d+)[uUlL]*\b)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<op>\.\.\.|<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=
        |[-+*/%&|^~!<>=?:;,.(){}\[\]#\\])
""", re.VERBOSE | re.DOTALL)

RELATIONAL = {"==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=",
              ">=": ">"}
LOGICAL = {"&&": "||", "||": "&&"}
ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*"}
BITWISE = {"&": "|", "|": "&", "^": "|", "<<": ">>", ">>": "<<"}
ASSIGNING = {"+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=", "<<=": ">>=",
             ">>=": "<<=", "++": "--", "--": "++"}
WORDS = {"true": "false", "false": "true"}
SWAPS = (("relation", RELATIONAL), ("logic", LOGICAL),
         ("arithmetic", ARITHMETIC), ("bits", BITWISE),
         ("assignment", ASSIGNING), ("truth", WORDS))

# What stands between their brackets is left alone: a trace has no effect,
# and an assertion has none unless something else is wrong.
WITHOUT_EFFECT = re.compile(
    r"(trace(_\w+)?|assert|g_assert\w*|QEMU_BUILD_BUG_ON)$")
# Deleting these gives no memory back: that is for the sanitizers to notice.
INVISIBLE = re.compile(r"(g_free|error_free)$")
# A statement that starts so is a declaration, or ends control flow in a way
# that another operator changes.
NO_STATEMENT = {"return", "if", "else", "for", "while", "do", "switch",
                "case", "default", "goto", "static", "const", "struct",
                "union", "enum", "typedef", "unsigned", "int", "bool",
                "char", "void", "g_autofree", "g_autoptr", "QEMU_BUILD_BUG_ON"}


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True)
class Mutant:
    """One change of a file."""
    path: str
    operator: str
    start: int          # of the text that is replaced, in characters
    end: int
    new: str

    def apply(self, text: str) -> str:
        return text[:self.start] + self.new + text[self.end:]

    def line(self, text: str) -> int:
        """The number of the first line that changes."""
        return text.count("\n", 0, self.start) + 1

    def rows(self, text: str) -> tuple[list[str], list[str]]:
        """The lines that change, as they were and as they become."""
        first = text.rfind("\n", 0, self.start) + 1
        last = text.find("\n", self.end)
        old = text[first:last]
        new = text[first:self.start] + self.new + text[self.end:last]
        return old.splitlines(), new.splitlines() or [""]

    def key(self, text: str) -> str:
        """What identifies the change wherever the lines stand."""
        old, new = self.rows(text)
        squeeze = [" ".join(" ".join(part).split()) for part in (old, new)]
        return f"{squeeze[0]} => {squeeze[1]}"


def tokens(text: str) -> list[Token]:
    """The file's tokens, without comments and directives that define
    nothing."""
    blank = [(m.start(), m.end()) for m in
             re.finditer(r"^[ \t]*#[ \t]*(?!define\b)(?:[^\n\\]|\\\n|\\.)*",
                         text, re.MULTILINE)]
    found = []
    for match in TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind != "comment" and not any(a <= match.start() < b
                                         for a, b in blank):
            found.append(Token(kind, match[0], match.start()))
    return found


class _Finder:
    """Walks over one file."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.toks = tokens(text)
        self.found: list[Mutant] = []
        self.pairs = self._pairs()
        self.inside = self._inside()

    def _pairs(self) -> dict[int, int]:
        """Where each bracket closes."""
        stack: list[int] = []
        pairs: dict[int, int] = {}
        for i, tok in enumerate(self.toks):
            if tok.kind != "op":
                continue
            if tok.text in "([{":
                stack.append(i)
            elif tok.text in ")]}" and stack:
                pairs[stack.pop()] = i
        return pairs

    def _inside(self) -> list[str]:
        """For each token: "" outside of what is compiled to something, "code"
        in a function, "data" in an initializer or a macro's text."""
        inside = [""] * len(self.toks)
        for i, tok in enumerate(self.toks):
            if tok.text == "{" and not inside[i]:
                before = self.toks[i - 1].text if i else ""
                kind = {")": "code", "=": "data"}.get(before, "")
                if before == "{":
                    kind = inside[i - 1]
                for k in range(i, self.pairs.get(i, i)):
                    inside[k] = kind or inside[k]
        for match in re.finditer(
                r"^#define \w+(?:\([^)]*\))?((?:[^\n\\]|\\\n)*)", self.text,
                re.MULTILINE):
            for i, tok in enumerate(self.toks):
                if match.start(1) <= tok.start < match.end(1):
                    inside[i] = "data"
        return inside

    def add(self, operator: str, start: int, end: int, new: str) -> None:
        self.found.append(Mutant(self.path, operator, start, end, new))

    def find(self) -> list[Mutant]:
        skip_to = 0
        for i, tok in enumerate(self.toks):
            if not self.inside[i] or i < skip_to:
                continue
            if tok.kind == "word" and WITHOUT_EFFECT.match(tok.text) and \
                    self.next(i) == "(":
                skip_to = self.pairs.get(i + 1, i)
                continue
            self._swap(i, tok)
            self._number(tok)
            if self.inside[i] == "code":
                self._condition(i, tok)
                self._delete(i, tok)
                self._returned(i, tok)
        return self.found

    def next(self, i: int) -> str:
        return self.toks[i + 1].text if i + 1 < len(self.toks) else ""

    def _binary(self, i: int) -> bool:
        """Whether an operator stands between two values (by its spaces)."""
        tok = self.toks[i]
        before = self.toks[i - 1]
        spaced = self.text[tok.start - 1].isspace() and \
            self.text[tok.end].isspace()
        value = before.kind in ("word", "number", "char", "string") or \
            before.text in (")", "]")
        return spaced and value

    def _swap(self, i: int, tok: Token) -> None:
        for operator, table in SWAPS:
            new = table.get(tok.text)
            if new is None:
                continue
            if tok.kind == "op" and operator != "assignment" and \
                    not self._binary(i):
                continue
            self.add(operator, tok.start, tok.end, new)

    def _number(self, tok: Token) -> None:
        match = re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)", tok.text)
        if tok.kind != "number" or not match:
            return
        value = int(match[1], 0) if match[1] != "0" and \
            match[1].startswith(("0x", "0X")) else int(match[1])
        for operator, other in (("constant+1", value + 1),
                                ("constant-1", value - 1)):
            if other >= 0:
                text = hex(other) if match[1][:2].lower() == "0x" \
                    else str(other)
                self.add(operator, tok.start, tok.end, text + match[2])

    def _condition(self, i: int, tok: Token) -> None:
        if tok.text not in ("if", "while") or self.next(i) != "(":
            return
        close = self.pairs.get(i + 1)
        if close is None:
            return
        start, end = self.toks[i + 1].end, self.toks[close].start
        self.add("negate", start, end, f"!({self.text[start:end]})")

    def _delete(self, i: int, tok: Token) -> None:
        """A whole expression statement, which starts here."""
        if tok.kind != "word" and tok.text not in ("*", "++", "--"):
            return
        if self.toks[i - 1].text not in (";", "{", "}") or \
                tok.text in NO_STATEMENT or INVISIBLE.match(tok.text):
            return
        k = i
        while k < len(self.toks) and self.toks[k].text not in (";", "{", "}"):
            k = self.pairs.get(k, k) + 1
        if k >= len(self.toks) or self.toks[k].text != ";":
            return
        second = self.toks[i + 1]
        if second.kind == "word" or (second.text == "*" and k > i + 2 and
                                     tok.kind == "word" and
                                     self.toks[i + 2].kind == "word" and
                                     not self._binary(i + 1)):
            return          # a declaration
        self.add("delete", tok.start, self.toks[k].end, ";")

    def _returned(self, i: int, tok: Token) -> None:
        if tok.text != "return" or self.next(i) == ";":
            return
        k = i + 1
        while self.toks[k].text != ";":
            k = self.pairs.get(k, k) + 1
        start, end = self.toks[i + 1].start, self.toks[k - 1].end
        value = self.text[start:end]
        if value in ("true", "false", "NULL") or value.isdigit():
            if value == "NULL":
                self.add("return", start, end, "(void *)8")
            return
        kind = self._returns(i)
        if kind == "bool":
            self.add("return", start, end, f"!({value})")
        elif kind == "pointer":
            self.add("return", start, end, "NULL")
        elif kind:
            self.add("return", start, end, "0" if value.startswith("-")
                     else f"({value}) + 1")

    def _returns(self, i: int) -> str:
        """What the function around a token returns."""
        for start, end in self.pairs.items():
            if start < i < end and self.toks[start].text == "{" and \
                    self.toks[start - 1].text == ")" and \
                    (start == 0 or not self._depth(start)):
                opening = next(a for a, b in self.pairs.items()
                               if b == start - 1)
                words = []
                k = opening - 2
                while k >= 0 and self.toks[k].text not in (";", "}"):
                    words.append(self.toks[k].text)
                    k -= 1
                if "*" in words[:2]:
                    return "pointer"
                return "bool" if words[:1] == ["bool"] else \
                    "" if words[:1] == ["void"] else "number"
        return ""

    def _depth(self, i: int) -> int:
        return sum(1 for a, b in self.pairs.items()
                   if a < i < b and self.toks[a].text == "{")


def find_mutants(path: str, text: str) -> list[Mutant]:
    """Every change that the operators can make to a file."""
    return _Finder(path, text).find()
