# SPDX-License-Identifier: GPL-2.0-or-later
"""How high each part of an address map is drawn, and in which lane.

Each section has a scale of its own. What would be too high at that scale is
drawn with a break, what would be too low is drawn higher, and both are
marked. Heights are in units of which a line of text needs LINE.
"""

from dataclasses import dataclass, field

from map_model import Piece, Section

LINE = 16.0
PAD = 6.0
# The highest that a used and an unused stretch become.
MAX_USED = 15 * LINE
MAX_FREE = 3 * LINE
MIN_FREE = LINE + 4
# What is said of a piece that is drawn larger than to scale.
RAISED = ", enlarged"
# A piece this much smaller than the largest does not set the scale.
SIGNIFICANT = 32


@dataclass
class Stretch:
    """A part of a section between two boundaries of its pieces."""
    base: int
    size: int
    used: bool
    top: float = 0.0
    height: float = 0.0
    broken: bool = False    # lower than the scale says
    raised: bool = False    # higher

    @property
    def bottom(self) -> float:
        return self.top + self.height


@dataclass
class Placed:
    """A piece, where it is drawn: `lane` of `lanes` side by side."""
    piece: Piece
    top: float
    height: float
    lane: int
    lanes: int
    raised: bool            # higher than the scale says


@dataclass
class Drawn:
    """A section with all its places; tops count from the section's own."""
    section: Section
    stretches: list[Stretch]
    placed: list[Placed]
    scale: float            # bytes for a unit of height
    height: float
    columns: list[int] = field(default_factory=list)


def _stretches(section: Section) -> list[Stretch]:
    cuts = {section.base, section.end}
    for piece in section.pieces:
        cuts |= {max(piece.base, section.base), min(piece.end, section.end)}
    edges = sorted(cuts)
    return [Stretch(low, high - low,
                    any(piece.base <= low and high <= piece.end
                        for piece in section.pieces))
            for low, high in zip(edges, edges[1:], strict=False)]


def _needs(stretch: Stretch, section: Section) -> float:
    """The lowest that a stretch may become, for the text in it."""
    if not stretch.used:
        return MIN_FREE
    need = LINE
    for piece in section.pieces:
        if piece.base <= stretch.base < piece.end:
            # A piece that is cut in parts has all of them for its text.
            share = stretch.size / piece.size
            need = max(need, len(piece.lines) * LINE * share)
    return need + PAD


def _lanes(pieces: list[Piece]) -> dict[int, tuple[int, int]]:
    """(lane, lanes) for each piece by its id(); those of one column that
    overlap are put side by side."""
    result: dict[int, tuple[int, int]] = {}
    for column in {piece.column for piece in pieces}:
        group: list[tuple[Piece, int]] = []
        end = -1

        def close(group: list[tuple[Piece, int]]) -> None:
            lanes = 1 + max((lane for _, lane in group), default=0)
            for piece, lane in group:
                result[id(piece)] = (lane, lanes)

        for piece in sorted((p for p in pieces if p.column == column),
                            key=lambda p: (p.base, -p.size)):
            if piece.base >= end:
                close(group)
                group = []
            taken = {lane for other, lane in group if other.end > piece.base}
            lane = next(n for n in range(len(group) + 1) if n not in taken)
            group.append((piece, lane))
            end = max(end, piece.end)
        close(group)
    return result


def lay_out(section: Section) -> Drawn:
    """Give every stretch and every piece of a section its place."""
    stretches = _stretches(section)
    used = [s for s in stretches if s.used]
    largest = max((s.size for s in used), default=section.size)
    # Bytes for a unit, so that the smallest that counts has room for its
    # text.
    scale = min((s.size / _needs(s, section) for s in used
                 if s.size * SIGNIFICANT >= largest),
                default=section.size / MAX_FREE)
    top = 0.0
    for stretch in stretches:
        low = _needs(stretch, section)
        high = max(MAX_USED if stretch.used else MAX_FREE, low)
        height = stretch.size / scale
        stretch.broken = height > high * 1.01
        stretch.raised = height < low * 0.99
        stretch.height = min(max(height, low), high)
        stretch.top = top
        top = stretch.bottom
    lanes = _lanes(section.pieces)
    placed = []
    for piece in section.pieces:
        parts = [s for s in stretches
                 if piece.base < s.base + s.size and s.base < piece.end]
        placed.append(Placed(piece, parts[0].top,
                             parts[-1].bottom - parts[0].top,
                             *lanes[id(piece)],
                             all(s.raised for s in parts)))
    return Drawn(section, stretches, placed, scale, top,
                 sorted({piece.column for piece in section.pieces}))
