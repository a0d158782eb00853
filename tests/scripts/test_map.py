# SPDX-License-Identifier: GPL-2.0-or-later
"""The address map: what is made of a monitor's answers, how it is laid out,
and what of it is drawn."""

import unittest
from typing import Any
from xml.etree import ElementTree

import map_svg
import map_text
from map_layout import lay_out
from map_model import (BRIDGE, DEVICE, RAM, TRIED, Map, Piece, Section,
                       make_map, read_areas, size_text)

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
HDM = 256 * MIB
MTREE = """\
address-space: cpu-memory-0
  0000000000000000-ffffffffffffffff (prio 0, i/o): system
    0000000000000000-0000000003ffffff (prio 0, ram): not this one

address-space: memory
  0000000000000000-ffffffffffffffff (prio 0, i/o): system
    0000000000000000-0000000003ffffff (prio 0, romd): virt.flash0
    0000000004000000-0000000007ffffff (prio 0, romd): virt.flash1
    0000000008000000-000000000800ffff (prio 0, i/o): gicv3_dist
    0000000008080000-000000000809ffff (prio 0, i/o): gicv3_its
      0000000008080000-000000000808ffff (prio 0, ram): deeper
    0000000009000000-0000000009000fff (prio 0, i/o): off [disabled]
    000000000a000000-000000000a0001ff (prio 0, i/o): virtio-mmio
    000000000c000000-000000000dffffff (prio 0, i/o): platform bus
    0000000010000000-000000003efeffff (prio 0, i/o): alias pcie-mmio \
@gpex_mmio_window 0000000010000000-000000003efeffff
    0000000040000000-000000007fffffff (prio 0, ram): mach-virt.ram
    0000004004000000-00000040040fffff (prio 0, i/o): cxl_host_reg
    0000004010000000-000000401fffffff (prio 0, i/o): alias pcie-ecam \
@pcie-mmcfg-mmio 0000000000000000-000000000fffffff
    0000008000000000-000000ffffffffff (prio 0, i/o): alias pcie-mmio-high \
@gpex_mmio_window 0000008000000000-000000ffffffffff
    0000010000000000-00000100ffffffff (prio 0, i/o): cxl-fixed-memory-region

memory-region: system
  0000000000000000-ffffffffffffffff (prio 0, i/o): system
    0000000000000000-0000000003ffffff (prio 0, romd): virt.flash0
"""

Json = dict[str, Any]


def decoder(base: int, size: int, state: str, index: int = 0,
            targets: list[int] | None = None) -> Json:
    """state: of 'c' committed, 'l' locked, 'e' error"""
    entry: Json = {"index": index, "base": base, "size": size,
                   "committed": "c" in state, "locked": "l" in state,
                   "error": "e" in state}
    if targets is not None:
        entry["targets"] = targets
    return entry


def machine(count: int) -> Json:
    """As x-query-cxl tells of `count` devices, four below each bridge."""
    cxl: Json = {"enabled": True, "windows": [], "host-bridges": [],
                 "ports": [], "switches": [], "devices": []}
    for n in range(count):
        number, port = divmod(n, 4)
        bridge, base = f"/b/cxl.{number}", TIB + number * 4 * GIB + port * HDM
        if not port:
            cxl["host-bridges"].append(
                {"qom-path": bridge, "id": f"cxl.{number}", "bus": 12,
                 "registers": 0x4004000000 + (number << 16),
                 "registers-size": 1 << 16, "shows-decoders": True,
                 "allocations": [], "decoders": [decoder(0, 0, "")]})
            cxl["windows"].append(
                {"index": number, "base": TIB + number * 4 * GIB,
                 "size": 4 * GIB, "targets": [bridge], "interleave-ways": 1,
                 "interleave-granularity": 256})
        cxl["host-bridges"][-1]["decoders"].append(
            decoder(base, HDM, "cl", port, [port]))
        cxl["ports"].append({"qom-path": f"/p/rp{n}", "id": f"rp{n}"})
        cxl["devices"].append(
            {"qom-path": f"/d/hdm{n}", "id": f"hdm{n}", "port": f"/p/rp{n}",
             "decoders": [decoder(base, HDM, "cl")], "hdm-size": HDM,
             "commit": "firmware", "reachable": True, "blocked": [],
             "ranges": [{"base": base, "size": HDM, "reachable": True}]})
    return cxl


def windows(data: Map) -> list[Section]:
    return [section for section in data.sections if section.window]


class AreasTest(unittest.TestCase):
    def test_areas(self) -> None:
        areas = read_areas(MTREE)
        self.assertEqual(
            [(area.base, area.lines[0]) for area in areas[:-1]],
            [(0, "flash and ROM, 128 MiB"), (0x8000000, "devices, 96 MiB"),
             (0x10000000, "PCIe 32-bit MMIO, 751.94 MiB"),
             (0x40000000, "RAM, 1 GiB"),
             (0x4004000000, "CXL bridge registers, 1 MiB"),
             (0x4010000000, "PCIe ECAM, 256 MiB"),
             (0x8000000000, "PCIe 64-bit MMIO, 512 GiB")])

    def test_nothing(self) -> None:
        self.assertEqual(read_areas(""), [])
        self.assertEqual(read_areas("address-space: memory\n  rubbish\n"),
                         [])

    def test_size_text(self) -> None:
        self.assertEqual([size_text(size) for size in
                          (5, 1 << 16, HDM, 5 * GIB + GIB // 2, TIB)],
                         ["5 bytes", "64 KiB", "256 MiB", "5.5 GiB",
                          "1 TiB"])


class ModelTest(unittest.TestCase):
    def test_one(self) -> None:
        data = make_map(machine(1), MTREE)
        self.assertEqual([section.base for section in data.sections],
                         [0, 0x4004000000, 0x4010000000, 0x8000000000, TIB])
        bridge, device = windows(data)[0].pieces
        self.assertEqual((bridge.kind, bridge.column, bridge.lines),
                         (BRIDGE, 1, ["cxl.0 decoder 0", "committed, locked",
                                      "to port 0"]))
        self.assertEqual((device.kind, device.base, device.size),
                         (DEVICE, TIB, HDM))
        self.assertEqual(device.lines,
                         ["hdm0, 256 MiB, at rp0",
                          "decoder 0 committed, locked", "reachable"])
        self.assertEqual(device.marks, {"locked"})
        self.assertEqual(data.notes, [])

    def test_gated(self) -> None:
        cxl = machine(1)
        cxl["devices"][0] |= {"reachable": False,
                              "blocked": ["memory-space", "reset-failed"]}
        cxl["devices"][0]["ranges"][0]["reachable"] = False
        device = windows(make_map(cxl, MTREE))[0].pieces[1]
        self.assertEqual(device.lines[2],
                         "NOT REACHABLE: memory-space, reset-failed")
        self.assertEqual(device.marks, {"locked", "gated"})

    def test_vacant(self) -> None:
        cxl = machine(1)
        cxl["devices"] = []
        cxl["host-bridges"][0]["allocations"] = [
            {"base": TIB, "size": HDM, "port": "/p/rp0", "reserved": True},
            {"base": TIB + HDM, "size": HDM, "port": "/p/rp0",
             "reserved": False},
            {"base": TIB + GIB, "size": HDM, "port": "/p/rp0",
             "reserved": True, "device": "/d/hdm0"}]
        pieces = windows(make_map(cxl, MTREE))[0].pieces[1:]
        self.assertEqual([(piece.base, piece.lines) for piece in pieces], [
            (TIB, ["rp0, 256 MiB", "reserved", "no device"]),
            (TIB + HDM, ["rp0, 256 MiB", "kept until the next reset",
                         "no device"])])
        self.assertEqual(pieces[0].marks, {"gated"})

    def test_refused(self) -> None:
        cxl = machine(1)
        cxl["devices"][0] |= {"ranges": [], "decoders": [
            decoder(TIB + GIB, HDM, "e")]}
        device = windows(make_map(cxl, MTREE))[0].pieces[1]
        self.assertEqual((device.kind, device.base), (TRIED, TIB + GIB))
        self.assertIn("decoder 0 ERROR", device.lines)

    def test_no_place(self) -> None:
        cxl = machine(2)
        cxl["devices"][0] |= {"ranges": [], "decoders": [],
                              "commit": "guest"}
        cxl["host-bridges"][0]["decoders"][2]["base"] = 2 * TIB
        cxl["host-bridges"][0]["shows-decoders"] = False
        del cxl["windows"][0]["base"]
        notes = "\n".join(make_map(cxl, MTREE).notes)
        for text in ("window 0 (4 GiB) is not placed",
                     "hdm0 (256 MiB, at rp0) has no place: the guest has",
                     "in no window: cxl.0 decoder 1",
                     "cxl.0 shows no decoders"):
            self.assertIn(text, notes)

    def test_without_cxl(self) -> None:
        data = make_map({"enabled": False, "windows": [], "host-bridges": [],
                         "ports": [], "switches": [], "devices": []}, MTREE)
        self.assertEqual(windows(data), [])


class LayoutTest(unittest.TestCase):
    def check(self, section: Section) -> None:
        """What holds for every section."""
        drawn = lay_out(section)
        at, top = section.base, 0.0
        for stretch in drawn.stretches:
            self.assertEqual(stretch.base, at)
            self.assertAlmostEqual(stretch.top, top)
            self.assertGreaterEqual(stretch.height, 20)
            height = stretch.size / drawn.scale
            if not stretch.broken and not stretch.raised:
                self.assertAlmostEqual(stretch.height / height, 1, places=1)
            self.assertEqual(stretch.broken, stretch.height < height * 0.99)
            self.assertEqual(stretch.raised, stretch.height > height * 1.01)
            at, top = at + stretch.size, stretch.bottom
        self.assertEqual(at, section.end)
        for one in drawn.placed:
            self.assertGreaterEqual(one.top, 0)
            self.assertLessEqual(one.top + one.height, drawn.height + 0.001)
            for other in drawn.placed:
                if one is not other and one.lane == other.lane and \
                        one.piece.column == other.piece.column:
                    self.assertTrue(
                        one.top + one.height <= other.top + 0.001 or
                        other.top + other.height <= one.top + 0.001)

    def test_rules(self) -> None:
        for count in (1, 2, 5, 16):
            for section in make_map(machine(count), MTREE).sections:
                self.check(section)

    def test_to_scale(self) -> None:
        drawn = lay_out(Section("", 0, 6 * HDM, [
            Piece(0, HDM, DEVICE, 3, ["a"] * 3),
            Piece(HDM, 3 * HDM, DEVICE, 3, ["b"] * 3)], True))
        small, large, free = drawn.stretches
        self.assertAlmostEqual(large.height, 3 * small.height)
        self.assertFalse(free.used)
        self.assertFalse(small.broken or large.broken)

    def test_extremes(self) -> None:
        section = Section("", 0, 4 * TIB, [
            Piece(0, HDM, DEVICE, 3, ["small"] * 3),
            Piece(TIB, TIB, DEVICE, 3, ["large"] * 3)], True)
        self.check(section)
        drawn = lay_out(section)
        self.assertTrue(drawn.stretches[0].raised)
        self.assertLess(drawn.height, 1000)

    def test_interleaved(self) -> None:
        """Two devices share one range: side by side."""
        section = Section("", 0, GIB, [
            Piece(0, HDM, DEVICE, 3, ["a"]), Piece(0, HDM, DEVICE, 3, ["b"]),
            Piece(HDM, HDM, DEVICE, 3, ["c"])], True)
        self.check(section)
        self.assertEqual([(p.lane, p.lanes) for p in lay_out(section).placed],
                         [(0, 2), (1, 2), (0, 1)])

    def test_empty(self) -> None:
        self.check(Section("", TIB, GIB, [], True))
        self.check(Section("", 0, GIB, [Piece(0, GIB, RAM, 0, ["RAM"])]))


class DrawingTest(unittest.TestCase):
    def test_svg(self) -> None:
        for count in (1, 16):
            data = make_map(machine(count), MTREE)
            data.notes.append("a < b & c")
            root = ElementTree.fromstring(map_svg.draw("Map", data))
            width, height = (float(root.get(name, "0"))
                             for name in ("width", "height"))
            for node in root.iter("{http://www.w3.org/2000/svg}text"):
                self.assertLess(float(node.get("x", "0")), width)
                self.assertLess(float(node.get("y", "0")), height)
                self.assertGreaterEqual(int(node.get("font-size", "0")), 11)
            texts = [node.text for node in root.iter()]
            self.assertIn(f"hdm{count - 1}, 256 MiB, at rp{count - 1}",
                          texts)
            self.assertIn("free, 3.75 GiB" if count == 1 else "free, 3 GiB",
                          texts)

    def test_states_without_colour(self) -> None:
        cxl = machine(1)
        cxl["devices"][0] |= {"reachable": False, "blocked": ["power"]}
        cxl["devices"][0]["ranges"][0]["reachable"] = False
        cxl["devices"][0]["decoders"].append(
            decoder(TIB + GIB, HDM, "e", 1))
        data = make_map(cxl, MTREE)
        svg = map_svg.draw("Map", data)
        self.assertIn("NOT REACHABLE: power", svg)
        self.assertIn("decoder 1 ERROR", svg)
        self.assertEqual(svg.count("url(#gated)"), 2)
        self.assertEqual(svg.count("stroke-dasharray"), 2)
        text = map_text.draw("Map", data)
        self.assertIn("NOT REACHABLE: power ░", text)
        self.assertIn("decoder 1 ERROR", text)

    def test_text(self) -> None:
        for count in (1, 16):
            text = map_text.draw("Map", make_map(machine(count), MTREE))
            self.assertLessEqual(max(map(len, text.splitlines())), 96)
            for n in range(count):
                self.assertIn(f"hdm{n}, 256 MiB, at rp{n} ", text)
                self.assertIn("│ reachable ", text)

    def test_ascii(self) -> None:
        text = map_text.draw("Map", make_map(machine(1), MTREE), "ascii")
        self.assertTrue(text.isascii())
        self.assertIn("| hdm0, 256 MiB, at rp0 ", text)
        self.assertIn("~ free, 3.75 GiB", text)


if __name__ == "__main__":
    unittest.main()
