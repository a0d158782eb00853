# SPDX-License-Identifier: GPL-2.0-or-later
"""An address map for a terminal."""

from map_layout import LINE, RAISED, Drawn, Placed, Stretch, lay_out
from map_model import Map, size_text

WIDTH = 96
ADDRESS = 16
BRIDGE_WIDTH, SWITCH_WIDTH = 24, 20
UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
# The character for lines that leave a cell in these directions.
BOX = " ╵╷│╴┘┐┤╶└┌├─┴┬┼"
# For terminals that have ASCII only.
PLAIN = str.maketrans("╵╷│╴┘┐┤╶└┌├─┴┬┼≈░…", "|||-+++-+++-+++~/.")


class _Grid:
    """Characters, and lines that join where they meet."""

    def __init__(self, rows: int) -> None:
        self.text = [[" "] * WIDTH for _ in range(rows)]
        self.lines = [[0] * WIDTH for _ in range(rows)]

    def put(self, row: int, column: int, text: str, room: int) -> None:
        if len(text) > room:
            text = text[:max(room - 1, 0)] + "…"
        for n, letter in enumerate(text):
            self.text[row][column + n] = letter

    def box(self, top: int, left: int, bottom: int, right: int) -> None:
        for column in range(left, right + 1):
            ends = ((LEFT if column > left else 0)
                    | (RIGHT if column < right else 0))
            self.lines[top][column] |= ends
            self.lines[bottom][column] |= ends
        for row in range(top, bottom + 1):
            ends = ((UP if row > top else 0) | (DOWN if row < bottom else 0))
            self.lines[row][left] |= ends
            self.lines[row][right] |= ends

    def rows(self) -> list[str]:
        return ["".join(BOX[line] if line else letter
                        for line, letter in zip(lines, text, strict=True)
                        ).rstrip()
                for lines, text in zip(self.lines, self.text, strict=True)]


def _columns(drawn: Drawn) -> dict[int, tuple[int, int]]:
    """First and last character of each column."""
    last = WIDTH - 1
    if not drawn.section.window:
        return {0: (ADDRESS, last)}
    bridge = ADDRESS + BRIDGE_WIDTH
    switch = bridge + (SWITCH_WIDTH if 2 in drawn.columns else 0)
    return {1: (ADDRESS, bridge), 2: (bridge, switch), 3: (switch, last)}


def _piece(grid: _Grid, placed: Placed, edges: dict[int, int],
           columns: dict[int, tuple[int, int]]) -> None:
    first, last = columns[placed.piece.column]
    span = last - first
    left = first + span * placed.lane // placed.lanes
    right = first + span * (placed.lane + 1) // placed.lanes
    top = edges[round(placed.top)]
    bottom = edges[round(placed.top + placed.height)]
    grid.box(top, left, bottom, right)
    if "gated" in placed.piece.marks:
        for row in range(top + 1, bottom):
            grid.put(row, left + 1, "░" * (right - left - 1), WIDTH)
    for n, line in enumerate(placed.piece.lines[:bottom - top - 1]):
        more = RAISED if placed.raised and not n else ""
        grid.put(top + 1 + n, left + 1, f" {line}{more} ", right - left - 1)


def _stretch(grid: _Grid, stretch: Stretch, top: int, rows: int) -> None:
    middle = top + 1 + rows // 2
    grid.put(top, 0, f"{stretch.base:#x}".rjust(ADDRESS - 1), ADDRESS)
    if not stretch.used:
        grid.put(middle, ADDRESS + 2, f"free, {size_text(stretch.size)}",
                 WIDTH)
    if stretch.broken:
        for column in (ADDRESS, WIDTH - 1):
            grid.lines[middle][column] = 0
            grid.put(middle, column, "≈", 1)


def _section(drawn: Drawn) -> list[str]:
    rows = [max(round(s.height / LINE), 1) for s in drawn.stretches]
    edges = {0: 0}
    tops = []
    row = 0
    for stretch, count in zip(drawn.stretches, rows, strict=True):
        tops.append(row)
        row += count + 1
        edges[round(stretch.bottom)] = row
    grid = _Grid(row + 1)
    grid.box(0, ADDRESS, row, WIDTH - 1)
    columns = _columns(drawn)
    for placed in drawn.placed:
        _piece(grid, placed, edges, columns)
    for stretch, top, count in zip(drawn.stretches, tops, rows, strict=True):
        _stretch(grid, stretch, top, count)
    grid.put(row, 0, f"{drawn.section.end - 1:#x}".rjust(ADDRESS - 1),
             ADDRESS)
    scale = (f"a line is about {size_text(int(drawn.scale * LINE))}"
             if len(drawn.stretches) > 1 else "")
    title = " " * ADDRESS + drawn.section.title
    head = title.ljust(WIDTH - len(scale)) + scale
    return [head.rstrip(), *grid.rows()] if head.strip() else grid.rows()


def draw(title: str, data: Map, encoding: str = "utf-8") -> str:
    """The whole map, lines of at most WIDTH characters."""
    lines = [title]
    end: int | None = None
    for section in data.sections:
        if end is not None and section.base > end:
            lines += ["", "≈".rjust(ADDRESS + 1)
                      + f"  {size_text(section.base - end)} unused"]
        lines += ["", *_section(lay_out(section))]
        end = section.end
    lines += ["", "≈ not to scale   ░ out of the guest's reach",
              *data.notes]
    text = "\n".join(lines) + "\n"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(PLAIN)
    return text
