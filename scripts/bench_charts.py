# SPDX-License-Identifier: GPL-2.0-or-later
"""Which figures of the benchmark are drawn, and how."""

from typing import Any

from bench_plot import Line, Panel, Point, bar_chart, panel_chart
from bench_report import TARGET_NAMES, GuestFigures, ScaleFigures
from bench_stats import Figure, figure
from guest_machine import MIB256, size_text

PLOT_OF_README = "bandwidth.svg"
# What the bars show: name, and how its samples are found.
GROUPS = (
    ("read in a row", {"pattern": "seq", "op": "read"}),
    ("write in a row", {"pattern": "seq", "op": "write"}),
    ("copy in a row", {"pattern": "seq", "op": "copy"}),
    ("read at random", {"pattern": "random", "op": "read"}),
    ("write at random", {"pattern": "random", "op": "write"}))
WIDTH = 8
MEMORY_LIMIT_KIB = 2048.0


def _point(f: Figure) -> Point:
    return Point(f.median, f.quarter, f.three_quarters)


def bandwidth_chart(guest: GuestFigures, machine: str) -> str:
    """Bandwidth of every kind of memory, one vCPU."""
    span = guest.raw["small_span"]
    bars = []
    for target in ("hdm", "hdm-device", "ram", "bar", "type3",
                   "type3-device"):
        points: list[Point | None] = []
        for _name, where in GROUPS:
            seen = guest.select(target, span=span, width=WIDTH, threads=1,
                                **where)
            points.append(_point(figure(seen)) if seen else None)
        if any(points):
            bars.append(Line(TARGET_NAMES[target], points))
    return bar_chart(
        "Bandwidth in the guest, by kind of memory",
        f"{WIDTH} bytes an access, 1 vCPU, {size_text(span)}; median and "
        f"middle half. {machine}",
        "MB/s, logarithmic", [name for name, _ in GROUPS], bars)


def _short(size: int) -> str:
    return size_text(size).replace(" ", "").replace("iB", "")


def scale_chart(scale: ScaleFigures, cases: list[tuple[int, int, str]],
                title: str, note: str, axis: str) -> str:
    """Start, memory, steps and reset over some cases."""
    labels = [label for _n, _hdm, label in cases]

    def line(name: str, get: Any) -> Line:
        return Line(name, [_point(get(n, hdm)) for n, hdm, _ in cases])

    return panel_chart(title, note, axis, [
        Panel("Start of QEMU", "ms", labels,
              [line("with devices", lambda n, hdm: scale.start_ms(n, hdm, n)),
               line("without", lambda n, hdm: scale.start_ms(0, hdm, n))]),
        Panel("QEMU's memory for each device", "KiB", labels,
              [line("private", scale.memory_kib)],
              MEMORY_LIMIT_KIB, "limit"),
        Panel("Commit by a reset, map and unmap", "microseconds", labels,
              [line(step, lambda n, hdm, step=step:
                    scale.step_us(n, hdm, step))
               for step in ("commit", "map", "unmap")]),
        Panel("Reset of the machine", "ms", labels,
              [line("reset", scale.reset_ms)])])


def draw(raw: dict[str, dict[str, Any]], machine: str) -> dict[str, str]:
    """File names and SVG texts of what was measured."""
    plots = {}
    if "guest" in raw:
        plots[PLOT_OF_README] = bandwidth_chart(GuestFigures(raw["guest"]),
                                                machine)
    if "scale" in raw:
        scale = ScaleFigures(raw["scale"])
        plots["cost-by-size.svg"] = scale_chart(
            scale, [(1, hdm, _short(hdm)) for hdm in raw["scale"]["sizes"]],
            "Cost by size of the device's memory", "1 device; median and "
            f"middle half. {machine}", "size of the memory")
        plots["cost-by-devices.svg"] = scale_chart(
            scale, [(n, MIB256, str(n)) for n in raw["scale"]["counts"]],
            "Cost by number of devices", f"{size_text(MIB256)} each; median "
            f"and middle half. {machine}", "number of devices")
    return plots
