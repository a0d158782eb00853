# SPDX-License-Identifier: GPL-2.0-or-later
"""An address map as SVG, by the standard library alone."""

from xml.sax.saxutils import escape

import map_model as model
from bench_plot import FONT, INK, LARGE, NORMAL, SMALL, Canvas
from map_layout import (LINE, PAD, RAISED, Drawn, Placed, Stretch,
                        lay_out)
from map_model import Map, size_text

MONO = "font-family='DejaVu Sans Mono, monospace'"
WIDTH = 960
MARGIN = 20
ADDRESS = 112           # room for an address left of a section
LEFT = 345              # width of the column with all but CXL windows
GUTTER = 26
TITLE = 22              # above a section
GAP = 30                # between sections
TOP = 76
BRIDGE_WIDTH, SWITCH_WIDTH = 136, 110
# How wide letters are on the average, as part of their size.
LETTER, BOLD_LETTER = 0.57, 0.65
BOLD = "font-weight='bold'"
# Light, so that the text on them can be read; told apart by text as well.
FILLS = {model.RAM: "#cfe3f5", model.ROM: "#e2e2e2", model.DEVICES: "#e2e2e2",
         model.PCI: "#fdebc3", model.REGISTERS: "#efd9e7",
         model.BRIDGE: "#dcd9f2", model.SWITCH: "#f2ddd2",
         model.DEVICE: "#bfe5d3", model.TRIED: "#ffffff"}
FAULT = "#b00020"
FREE_INK = "#666666"
DEFINITIONS = (
    "<defs><pattern id='gated' width='9' height='9' "
    "patternUnits='userSpaceOnUse' patternTransform='rotate(45)'>"
    "<rect width='9' height='9' fill='white'/>"
    f"<rect width='3' height='9' fill='{FILLS[model.DEVICE]}'/>"
    "</pattern></defs>")


def fit(text: str, width: float, size: int, bold: bool = False) -> str:
    """The text, cut where it would leave the width."""
    room = int(width / ((BOLD_LETTER if bold else LETTER) * size))
    return text if len(text) <= room else text[:max(room - 1, 0)] + "…"


class _Picture:
    """Sections below each other in columns of one canvas."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas

    def text(self, x: float, y: float, text: str, colour: str = INK,
             size: int = SMALL, font: str = FONT, anchor: str = "start",
             extra: str = "") -> None:
        self.canvas.parts.append(
            f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' {font} "
            f"fill='{colour}' text-anchor='{anchor}' {extra}>{escape(text)}"
            "</text>")

    def box(self, x: float, y: float, w: float, h: float, fill: str,
            stroke: str = INK, extra: str = "stroke-width='1'",
            tip: str = "") -> None:
        """A box; a viewer shows the tip at the mouse."""
        end = f"><title>{escape(tip)}</title></rect>" if tip else "/>"
        self.canvas.parts.append(
            f"<rect x='{x:.1f}' y='{y:.1f}' width='{w:.1f}' "
            f"height='{h:.1f}' fill='{fill}' stroke='{stroke}' {extra}{end}")

    def lock(self, x: float, y: float) -> None:
        """A padlock, its right upper corner at (x, y)."""
        self.canvas.parts.append(
            f"<path d='M{x - 10:.1f} {y + 6:.1f}v-2a3 3 0 0 1 6 0v2' "
            f"fill='none' stroke='{INK}' stroke-width='1.5'/>"
            f"<rect x='{x - 12:.1f}' y='{y + 6:.1f}' width='10' height='7' "
            f"fill='{INK}'/>")

    def zigzag(self, x: float, y: float, width: float) -> None:
        """The mark of a break in the scale, across a section."""
        steps = max(4, int(width / 8) // 2 * 2)
        step = width / steps
        for shift in (-2.5, 2.5):
            points = " ".join(f"{x + n * step:.1f},"
                              f"{y + shift + (3 if n % 2 else -3):.1f}"
                              for n in range(steps + 1))
            self.canvas.parts.append(
                f"<polyline points='{points}' fill='none' stroke='"
                f"{FREE_INK}' stroke-width='1'/>")

    # -- one section --

    def _piece(self, placed: Placed, x: float, y: float, w: float) -> None:
        piece, h = placed.piece, placed.height
        w /= placed.lanes
        x += placed.lane * w
        y += placed.top
        fault = "error" in piece.marks
        self.box(x, y, w, h,
                 "url(#gated)" if "gated" in piece.marks else
                 FILLS[piece.kind], FAULT if fault else INK,
                 "stroke-width='2.5' stroke-dasharray='7 4'" if fault else
                 "stroke-width='1'", "; ".join(piece.lines))
        room = w - 12
        if "locked" in piece.marks:
            self.lock(x + w - 5, y + 3)
            room -= 16
        for n, line in enumerate(_lines(placed)):
            bad = "ERROR" in line or "OUT OF REACH" in line
            bold = "ERROR" in line or (n == 0
                                       and piece.kind == model.DEVICE)
            shown = fit(line, room if n == 0 else w - 12, SMALL, bold)
            if "gated" in piece.marks:
                # White behind it, so that no hatch runs through letters.
                letter = BOLD_LETTER if bold else LETTER
                self.box(x + 4, y + 4 + n * LINE,
                         min(len(shown) * letter * SMALL + 4, w - 8),
                         LINE - 1, "white", "none")
            self.text(x + 6, y + 15 + n * LINE, shown,
                      FAULT if bad else INK,
                      extra=BOLD if bold else "")

    def _stretch(self, stretch: Stretch, x: float, y: float,
                 w: float) -> None:
        middle = y + stretch.top + stretch.height / 2
        self.text(x - 7, y + stretch.top + 11, f"{stretch.base:#x}",
                  size=11, font=MONO, anchor="end")
        if not stretch.used:
            self.text(x + w / 2, middle + 4 - (8 if stretch.broken else 0),
                      f"free, {size_text(stretch.size)}", FREE_INK,
                      anchor="middle")
        if stretch.broken:
            self.zigzag(x, middle + (0 if stretch.used else 10), w)

    def section(self, drawn: Drawn, x: float, y: float, width: float) -> None:
        """Draw a section; y is the top of its title."""
        section = drawn.section
        bar, w = x + ADDRESS, width - ADDRESS
        if section.title:
            room = w - (56 if len(drawn.stretches) > 1 else 0)
            self.text(bar, y + 12, fit(section.title, room, NORMAL, True),
                      size=NORMAL, extra=BOLD)
        self._ruler(drawn, bar + w, y + 13)
        y += TITLE
        self.box(bar, y, w, drawn.height, "#fafafa", FREE_INK)
        columns = _columns(drawn, w)
        for placed in drawn.placed:
            place, span = columns[placed.piece.column]
            self._piece(placed, bar + place, y, span)
        for stretch in drawn.stretches:
            self._stretch(stretch, bar, y, w)
        self.text(bar - 7, y + drawn.height + 3, f"{section.end - 1:#x}",
                  FREE_INK, 11, MONO, "end")

    def _ruler(self, drawn: Drawn, x: float, y: float) -> None:
        """How much a certain height is, where it is not just one piece."""
        if len(drawn.stretches) < 2:
            return
        size = 1
        while size / drawn.scale < 7:
            size *= 2
        height = size / drawn.scale
        self.canvas.line(x - 1, y, x - 1, y - height, INK,
                         "stroke-width='2'")
        self.text(x - 7, y, size_text(size), FREE_INK, 11, anchor="end")

    def _gap(self, size: int, x: float, y: float, width: float) -> None:
        """What is left out between two sections."""
        text = f"{size_text(size)} unused"
        room = len(text) * LETTER * SMALL + 12
        self.zigzag(x, y, (width - room) / 2)
        self.zigzag(x + (width + room) / 2, y, (width - room) / 2)
        self.text(x + width / 2, y + 4, text, FREE_INK, anchor="middle")

    def column(self, sections: list[Drawn], x: float, width: float,
               end: int | None) -> float:
        """Sections below each other; returns where they end."""
        y = float(TOP)
        for drawn in sections:
            if end is not None and drawn.section.base > end:
                self._gap(drawn.section.base - end, x + ADDRESS,
                          y - GAP / 2 + 2, width - ADDRESS)
            self.section(drawn, x, y, width)
            y += TITLE + drawn.height + GAP
            end = drawn.section.end
        return y


def _lines(placed: Placed) -> list[str]:
    """As many of a piece's lines as there is room for."""
    piece, height = placed.piece, placed.height
    lines = piece.lines[:max(1, int((height - PAD / 2) / LINE))]
    return [lines[0] + RAISED, *lines[1:]] if placed.raised else lines


def _columns(drawn: Drawn, width: float) -> dict[int, tuple[float, float]]:
    """Place and width of each column of a section."""
    if not drawn.section.window:
        return {0: (0, width)}
    switch = SWITCH_WIDTH if 2 in drawn.columns else 0
    rest = BRIDGE_WIDTH + switch
    return {1: (0, BRIDGE_WIDTH), 2: (BRIDGE_WIDTH, switch),
            3: (rest, width - rest)}


def _legend(picture: _Picture, y: float, notes: list[str]) -> None:
    x = float(MARGIN)
    for fill, text in ((FILLS[model.BRIDGE], "host bridge decoder"),
                       (FILLS[model.DEVICE], "device memory"),
                       ("url(#gated)", "out of the guest's reach")):
        picture.box(x, y - 11, 14, 13, fill)
        picture.text(x + 20, y, text)
        x += 44 + len(text) * LETTER * SMALL
    picture.lock(x + 12, y - 11)
    picture.text(x + 19, y, "locked")
    x += 82
    picture.box(x, y - 10, 14, 11, "white", FAULT,
                "stroke-width='2.5' stroke-dasharray='7 4'")
    picture.text(x + 20, y, "ERROR: commit refused")
    x += 188
    picture.zigzag(x, y - 4, 24)
    picture.text(x + 30, y, "not to scale")
    for n, note in enumerate(notes):
        picture.text(MARGIN, y + 24 + n * LINE,
                     fit(note, WIDTH - 2 * MARGIN, SMALL))


def draw(title: str, data: Map) -> str:
    """The text of an SVG file."""
    drawn = [lay_out(section) for section in data.sections]
    left = [d for d in drawn if not d.section.window]
    right = [d for d in drawn if d.section.window]

    def height(column: list[Drawn]) -> float:
        return sum(TITLE + d.height + GAP for d in column)

    bottom = TOP + max(height(left), height(right)) + 10
    canvas = Canvas(WIDTH, int(bottom + 20 + len(data.notes) * LINE
                               + (14 if data.notes else 0)))
    canvas.parts.insert(1, DEFINITIONS)
    picture = _Picture(canvas)
    picture.text(MARGIN, 30, title, size=LARGE, extra=BOLD)
    picture.text(MARGIN, 50, "Addresses grow downwards. Each section has its "
                 "own scale: a bar at its upper right shows how much a "
                 "certain height is.", FREE_INK)
    picture.column(left, MARGIN, LEFT, None)
    picture.column(right, MARGIN + LEFT + GUTTER,
                   WIDTH - 2 * MARGIN - LEFT - GUTTER,
                   left[-1].section.end if left else None)
    _legend(picture, bottom, data.notes)
    return canvas.finish()
