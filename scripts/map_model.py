# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's physical address map as plain data: made of what the QMP
command x-query-cxl and the monitor's `info mtree` say, without asking."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

GIB = 1 << 30
# Areas that are closer than this are shown in one section.
NEAR = GIB
# Small areas of devices that are closer than this become one.
CLUSTER = 32 << 20

# Kinds of pieces.
RAM, ROM, DEVICES, PCI, REGISTERS, WINDOW, BRIDGE, SWITCH, DEVICE, TRIED = (
    "ram", "rom", "devices", "pci", "registers", "window", "bridge",
    "switch", "device", "tried")

# What virt and the CXL code call their regions; all others are devices.
KNOWN = {
    "pcie-mmio": (PCI, "PCIe 32-bit MMIO"),
    "pcie-mmio-high": (PCI, "PCIe 64-bit MMIO"),
    "pcie-ecam": (PCI, "PCIe ECAM"),
    "gpex_ioport_window": (PCI, "PCIe I/O ports"),
    "cxl_host_reg": (REGISTERS, "CXL bridge registers"),
    "cxl-fixed-memory-region": (WINDOW, ""),
}
_REGION = re.compile(r"^ {4}([0-9a-f]{16})-([0-9a-f]{16}) "
                     r"\(prio (-?\d+), (\S+)\): (?:alias )?(.*?)"
                     r"(?: @.*)?( \[disabled\])?$")


@dataclass
class Piece:
    """One range on the map.

    column: in a window 1 for the decoders of host bridges, 2 for those of
            switches and 3 for the memory of devices; 0 elsewhere
    lines:  what is written into it, the most important first
    marks:  states that are also drawn: locked, gated, error
    """
    base: int
    size: int
    kind: str
    column: int = 0
    lines: list[str] = field(default_factory=list)
    marks: frozenset[str] = frozenset()

    @property
    def end(self) -> int:
        return self.base + self.size


@dataclass
class Section:
    """A part of the map that is drawn to one scale."""
    title: str
    base: int
    size: int
    pieces: list[Piece] = field(default_factory=list)
    window: bool = False

    @property
    def end(self) -> int:
        return self.base + self.size


@dataclass
class Map:
    """All sections by address, and what has no address."""
    sections: list[Section]
    notes: list[str]


def size_text(size: int) -> str:
    """A size as people write it, at most two digits behind the point."""
    for shift, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << shift:
            return f"{size / (1 << shift):.2f}".rstrip("0").rstrip(".") \
                + f" {unit}"
    return f"{size} bytes"


# -- info mtree --


def read_areas(text: str) -> list[Piece]:
    """The areas of address space `memory`, from the text of `info mtree`.

    Only what is directly in it counts. The flat view would not do: it leaves
    out the windows of PCIe where nothing is mapped yet.
    """
    areas = []
    inside = False
    for line in text.splitlines():
        if line.startswith(("address-space: ", "memory-region: ")):
            inside = line == "address-space: memory"
            continue
        match = _REGION.match(line) if inside else None
        if not match or match[6]:
            continue
        base, last = int(match[1], 16), int(match[2], 16)
        name = match[5]
        if last - base >= 1 << 62 or int(match[3]) < 0:
            continue    # a container around everything
        kind, label = KNOWN.get(name, (DEVICES, "devices"))
        if match[4] == "ram":
            kind, label = RAM, "RAM"
        elif match[4] in ("rom", "romd"):
            kind, label = ROM, "flash and ROM"
        areas.append(Piece(base, last - base + 1, kind, lines=[label]))
    joined = _joined(sorted(areas, key=lambda area: area.base))
    for area in joined:
        area.lines[0] += f", {size_text(area.size)}"
    return joined


def _joined(areas: list[Piece]) -> list[Piece]:
    """Neighbours of the same kind as one, if they are small or touch."""
    joined: list[Piece] = []
    for area in areas:
        last = joined[-1] if joined else None
        if (last and last.kind == area.kind and last.lines == area.lines
                and area.kind in (RAM, ROM, DEVICES)
                and area.base - last.end
                <= (CLUSTER if area.kind == DEVICES else 0)):
            last.size = max(last.end, area.end) - last.base
        else:
            joined.append(area)
    return joined


# -- x-query-cxl --


def _short(component: dict[str, Any]) -> str:
    return str(component.get("id")
               or component["qom-path"].rpartition("/")[2])


def _state(decoder: dict[str, Any]) -> str:
    if decoder["error"]:
        return "ERROR"
    if not decoder["committed"]:
        return "not committed"
    return "committed, locked" if decoder["locked"] else "committed"


def _marks(decoder: dict[str, Any]) -> frozenset[str]:
    return frozenset(name for name in ("locked", "error") if decoder[name])


def _used(component: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Decoders that say something: in effect, or refused."""
    for decoder in component["decoders"]:
        if decoder["size"] and (decoder["committed"] or decoder["error"]):
            yield decoder


def _route_pieces(component: dict[str, Any], kind: str,
                  column: int) -> Iterator[Piece]:
    """The decoders of a host bridge or a switch."""
    for decoder in _used(component):
        ports = ", ".join(str(n) for n in decoder.get("targets", []))
        yield Piece(decoder["base"], decoder["size"], kind, column,
                    [f"{_short(component)} decoder {decoder['index']}",
                     _state(decoder), f"to port {ports}"], _marks(decoder))


def _device_pieces(device: dict[str, Any],
                   ports: dict[str, str]) -> Iterator[Piece]:
    """A device's ranges, and what its decoders refused."""
    where = ports.get(device["port"], "")
    name = (f"{_short(device)}, {size_text(device['hdm-size'])}"
            f"{f', at {where}' if where else ''}")
    reach = ("reachable" if device["reachable"] else
             "NOT REACHABLE: " + ", ".join(device["blocked"]))
    decoders = list(_used(device))
    for place in device["ranges"]:
        by = [d for d in decoders
              if d["base"] == place["base"] and not d["error"]]
        marks = _marks(by[0]) if by else frozenset()
        if not place["reachable"]:
            marks |= {"gated"}
        yield Piece(place["base"], place["size"], DEVICE, 3,
                    [name, f"decoder {by[0]['index']} {_state(by[0])}"
                     if by else "no decoder committed",
                     "reachable" if place["reachable"] else reach], marks)
    for decoder in decoders:
        if decoder["error"]:
            yield Piece(decoder["base"], decoder["size"], TRIED, 3,
                        [name, f"decoder {decoder['index']} ERROR",
                         "commit was refused"], _marks(decoder))


def _vacant_pieces(bridge: dict[str, Any],
                   ports: dict[str, str]) -> Iterator[Piece]:
    """Ranges of a bridge that lead to a port without a device."""
    for place in bridge["allocations"]:
        if "device" not in place:
            port = ports.get(place["port"], place["port"])
            yield Piece(place["base"], place["size"], DEVICE, 3,
                        [f"{port}, {size_text(place['size'])}",
                         "reserved" if place["reserved"] else
                         "kept until the next reset", "no device"],
                        frozenset({"gated"}))


def _window_section(window: dict[str, Any], names: dict[str, str]) -> Section:
    targets = ", ".join(names.get(path, path) for path in window["targets"])
    ways = (f", {window['interleave-ways']} ways of "
            f"{size_text(window['interleave-granularity'])}"
            if window["interleave-ways"] > 1 else "")
    return Section(f"CXL window {window['index']} to {targets}{ways}",
                   window["base"], window["size"], window=True)


def _cxl(cxl: dict[str, Any]) -> tuple[list[Section], list[Piece], list[str]]:
    """Sections of windows, pieces of bridges' registers, and notes."""
    bridges, switches = cxl["host-bridges"], cxl["switches"]
    names = {part["qom-path"]: _short(part)
             for part in [*bridges, *cxl["ports"]]}
    windows = [_window_section(window, names) for window in cxl["windows"]
               if "base" in window]
    notes = [f"window {window['index']} ({size_text(window['size'])}) is "
             "not placed" for window in cxl["windows"]
             if "base" not in window]
    pieces = [piece for bridge in bridges
              for piece in _route_pieces(bridge, BRIDGE, 1)]
    pieces += [piece for bridge in bridges
               for piece in _vacant_pieces(bridge, names)]
    pieces += [piece for switch in switches
               for piece in _route_pieces(switch, SWITCH, 2)]
    for device in cxl["devices"]:
        found = list(_device_pieces(device, names))
        pieces += found
        if not found:
            notes.append(
                f"{_short(device)} ({size_text(device['hdm-size'])}, at "
                f"{names.get(device['port'], device['port'])}) has no place: "
                f"the {device['commit']} has not committed its decoder")
    for piece in pieces:
        homes = [window for window in windows
                 if window.base <= piece.base and piece.end <= window.end]
        if homes:
            homes[0].pieces.append(piece)
        else:
            notes.append(f"in no window: {', '.join(piece.lines)}, "
                         f"{piece.base:#x} + {size_text(piece.size)}")
    for bridge in bridges:
        if not bridge["shows-decoders"]:
            notes.append(f"{_short(bridge)} shows no decoders: all that "
                         "comes goes to its only port")
    registers = [Piece(bridge["registers"], bridge["registers-size"],
                       REGISTERS, 0,
                       [f"{_short(bridge)} (bus {bridge['bus']})"])
                 for bridge in bridges if "registers" in bridge]
    return windows, registers, notes


def make_map(cxl: dict[str, Any], mtree: str) -> Map:
    """The whole map.

    cxl:   what x-query-cxl returns
    mtree: what `info mtree` prints
    """
    windows, registers, notes = _cxl(cxl)
    sections: list[Section] = list(windows)
    last: Section | None = None
    for area in read_areas(mtree):
        if area.kind == WINDOW:
            continue    # x-query-cxl tells more of it
        if area.kind == REGISTERS:
            # What counts is whose they are.
            sections.append(Section(
                area.lines[0].partition(",")[0], area.base, area.size,
                [piece for piece in registers
                 if area.base <= piece.base < area.end]))
            last = None
        elif (last and area.base >= last.end
              and area.base - last.end < NEAR):
            last.size = area.end - last.base
            last.pieces.append(area)
        else:
            last = Section("", area.base, area.size, [area])
            sections.append(last)
    return Map(sorted(sections, key=lambda section: section.base), notes)
