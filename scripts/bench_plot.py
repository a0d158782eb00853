# SPDX-License-Identifier: GPL-2.0-or-later
"""Plots as SVG, by the standard library alone: grouped bars on a logarithmic
axis, and panels of lines."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

FONT = "font-family='DejaVu Sans, Arial, sans-serif'"
# Colours that people with any colour vision tell apart.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
INK = "#222222"
GRID = "#dddddd"
SMALL, NORMAL, LARGE = 12, 13, 17


@dataclass
class Point:
    """A median with the range of most values."""
    value: float
    low: float
    high: float


@dataclass
class Line:
    """Points by the position of their label on the horizontal axis."""
    name: str
    points: list[Point | None]


@dataclass
class Panel:
    """One set of axes, starting at 0."""
    title: str
    unit: str
    labels: list[str]
    lines: list[Line] = field(default_factory=list)
    limit: float | None = None      # drawn as a dashed line
    limit_name: str = ""


class Canvas:
    """The text of one SVG file."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.parts = [
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' "
            f"height='{height}' viewBox='0 0 {width} {height}'>",
            f"<rect width='{width}' height='{height}' fill='white'/>"]

    def line(self, x1: float, y1: float, x2: float, y2: float,
             colour: str = INK, extra: str = "") -> None:
        self.parts.append(
            f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' "
            f"stroke='{colour}' {extra}/>")

    def rect(self, x: float, y: float, w: float, h: float,
             colour: str) -> None:
        self.parts.append(f"<rect x='{x:.1f}' y='{y:.1f}' width='{w:.1f}' "
                          f"height='{h:.1f}' fill='{colour}'/>")

    def circle(self, x: float, y: float, colour: str) -> None:
        self.parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4' "
                          f"fill='{colour}'/>")

    def text(self, x: float, y: float, text: str, size: int = NORMAL,
             anchor: str = "start", extra: str = "") -> None:
        self.parts.append(
            f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' {FONT} "
            f"fill='{INK}' text-anchor='{anchor}' {extra}>{escape(text)}"
            "</text>")

    def finish(self) -> str:
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def number_text(value: float) -> str:
    """A figure as a label: three digits that count."""
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}" if value >= 10 else f"{value:.2g}"


def _legend(canvas: Canvas, x: float, y: float, names: Sequence[str]) -> None:
    for n, name in enumerate(names):
        canvas.rect(x, y - 10, 12, 12, COLOURS[n % len(COLOURS)])
        canvas.text(x + 17, y, name, SMALL)
        x += 34 + 7.4 * len(name)


def bar_chart(title: str, note: str, unit: str, groups: Sequence[str],
              bars: Sequence[Line]) -> str:
    """Horizontal bars on a logarithmic axis, one group below the other.

    groups: their names
    bars:   for each colour a line with one point for each group
    """
    bar, gap, left, right, top = 17, 14, 160, 90, 84
    height = top + len(groups) * (len(bars) * bar + gap) + 46
    canvas = Canvas(760, height)
    values = [p.value for line in bars for p in line.points if p]
    low = 10 ** math.floor(math.log10(min(values)))
    high = 10 ** math.ceil(math.log10(max(values)))
    width = canvas.size[0] - left - right

    def at(value: float) -> float:
        return left + width * math.log10(max(value, low) / low) / \
            math.log10(high / low)

    canvas.text(16, 28, title, LARGE, extra="font-weight='bold'")
    canvas.text(16, 48, note, SMALL)
    _legend(canvas, 16, 70, [line.name for line in bars])
    bottom = height - 40
    tick = low
    while tick <= high:
        canvas.line(at(tick), top - 4, at(tick), bottom, GRID)
        canvas.text(at(tick), bottom + 16, number_text(tick), SMALL, "middle")
        tick *= 10
    canvas.text(left + width / 2, bottom + 33, unit, SMALL, "middle")
    y = float(top)
    for n, group in enumerate(groups):
        canvas.text(left - 10, y + len(bars) * bar / 2 + 4, group, NORMAL,
                    "end")
        for colour, line in enumerate(bars):
            point = line.points[n]
            if point:
                _bar(canvas, left, y, bar - 3, at, point,
                     COLOURS[colour % len(COLOURS)])
            y += bar
        y += gap
    return canvas.finish()


def _bar(canvas: Canvas, left: float, y: float, height: float,
         at: Callable[[float], float], point: Point, colour: str) -> None:
    """A bar with its range as a thin line, and its figure behind both."""
    canvas.rect(left, y, at(point.value) - left, height, colour)
    middle = y + height / 2
    canvas.line(at(point.low), middle, at(point.high), middle)
    canvas.text(max(at(point.value), at(point.high)) + 6, middle + 4,
                number_text(point.value), SMALL)


def _nice_top(value: float) -> float:
    """The end of an axis: at least the value, and a round number."""
    if value <= 0:
        return 1.0
    scale = 10 ** math.floor(math.log10(value))
    for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10):
        if value <= step * scale:
            return step * scale
    return 10 * scale


def _panel(canvas: Canvas, panel: Panel, x: float, y: float, width: float,
           height: float) -> None:
    """Draw a panel into a rectangle."""
    left, right, top, bottom = x + 62, x + width - 14, y + 52, y + height - 42
    highest = max([p.high for line in panel.lines for p in line.points if p]
                  + ([panel.limit] if panel.limit else []))
    limit = _nice_top(highest * 1.05)

    def down(value: float) -> float:
        return bottom - (bottom - top) * value / limit

    count = len(panel.labels)
    step = (right - left) / max(count, 1)
    canvas.text(x + 14, y + 18, f"{panel.title}, {panel.unit}", NORMAL,
                extra="font-weight='bold'")
    if len(panel.lines) > 1:
        _legend(canvas, x + 14, y + 38, [line.name for line in panel.lines])
    for n in range(5):
        value = limit * n / 4
        canvas.line(left, down(value), right, down(value), GRID)
        canvas.text(left - 7, down(value) + 4,
                    number_text(value) if n else "0", SMALL, "end")
    for n, label in enumerate(panel.labels):
        canvas.text(left + step * (n + 0.5), bottom + 17, label, SMALL,
                    "middle")
    if panel.limit:
        canvas.line(left, down(panel.limit), right, down(panel.limit), INK,
                    "stroke-dasharray='6 4'")
        canvas.text(right, down(panel.limit) - 5, panel.limit_name, SMALL,
                    "end")
    for n, line in enumerate(panel.lines):
        # Beside each other, so that no line hides another one.
        shift = 9 * (n - (len(panel.lines) - 1) / 2)
        _curve(canvas, line, left + shift, step, down,
               COLOURS[n % len(COLOURS)])


def _curve(canvas: Canvas, line: Line, left: float, step: float,
           down: Callable[[float], float], colour: str) -> None:
    """The points of a line, each with its range."""
    before = None
    for n, point in enumerate(line.points):
        if point is None:
            before = None
            continue
        at = (left + step * (n + 0.5), down(point.value))
        canvas.line(at[0], down(max(point.low, 0)), at[0], down(point.high),
                    colour, "stroke-width='1.5'")
        if before:
            canvas.line(*before, *at, colour, "stroke-width='2'")
        canvas.circle(*at, colour)
        before = at


def panel_chart(title: str, note: str, axis: str,
                panels: Sequence[Panel]) -> str:
    """Panels in two columns with the same horizontal axis."""
    width, height, top = 460, 270, 64
    rows = -(-len(panels) // 2)
    canvas = Canvas(2 * width, top + rows * height)
    canvas.text(16, 28, title, LARGE, extra="font-weight='bold'")
    canvas.text(16, 48, note, SMALL)
    for n, panel in enumerate(panels):
        x, y = n % 2 * width, top + n // 2 * height
        _panel(canvas, panel, x, y, width, height)
        canvas.text(x + 62 + (width - 76) / 2, y + height - 6, axis, SMALL,
                    "middle")
    return canvas.finish()
