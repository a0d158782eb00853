# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures from the raw data of a benchmark run, and the tables that people
read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench_stats import Figure, figure, ratios
from guest_machine import MIB256, size_text

Row = dict[str, Any]
OPS = [(pattern, op) for pattern in ("seq", "random")
       for op in ("read", "write", "copy")]
TARGET_NAMES = {
    "hdm": "HDM", "hdm-device": "HDM as device memory", "ram": "RAM",
    "ram-huge": "RAM, 2 MiB pages", "bar": "PCI BAR",
    "type3": "cxl-type3", "type3-device": "cxl-type3"}


@dataclass
class Goal:
    """A figure that was promised, and what became of it."""
    name: str
    value: float | None         # None: could not be measured
    limit: float
    at_least: bool
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.value is not None and (
            self.value >= self.limit if self.at_least
            else self.value <= self.limit)

    def line(self) -> str:
        seen = "not measured" if self.value is None else \
            f"{self.value:.3g}{self.unit}" if abs(self.value) < 100 else \
            f"{self.value:.0f}{self.unit}"
        return (f"  {'ok  ' if self.met else 'MISS'}  {self.name:<46} "
                f"{seen:>14}   {'at least' if self.at_least else 'at most'} "
                f"{self.limit:g}{self.unit}")


def pick(rows: Iterable[Row], **wanted: object) -> list[Row]:
    """The rows whose fields are as wanted."""
    return [row for row in rows
            if all(row.get(key) == value for key, value in wanted.items())]


def values(rows: Iterable[Row], key: str = "value") -> list[float]:
    return [float(row[key]) for row in rows]


def spread(f: Figure, digits: int = 0) -> str:
    return f"{f.median:.{digits}f} ({f.low:.{digits}f}-{f.high:.{digits}f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Aligned columns: the first to the left, the others to the right."""
    every = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[n]) for row in every) for n in range(len(head))]
    return ["  " + "  ".join(cell.ljust(width) if n == 0
                             else cell.rjust(width)
                             for n, (cell, width)
                             in enumerate(zip(row, widths, strict=True)))
            for row in every]


class GuestFigures:
    """Figures of the in-guest measurements."""

    def __init__(self, raw: Row) -> None:
        self.raw = raw
        self.samples: list[Row] = raw["samples"]
        self.hdm = "hdm" if "hdm" in raw["targets"] else "hdm-device"
        self.type3 = "type3" if "type3" in raw["targets"] else \
            "type3-device"

    def select(self, target: str, **wanted: object) -> list[float]:
        return values(pick(self.samples, target=target, **wanted))

    def ratio(self, over: str, under: str, **wanted: object
              ) -> Figure | None:
        """Ratios within each round, in short."""
        a, b = self.select(over, **wanted), self.select(under, **wanted)
        return figure(ratios(a, b)) if a and b else None

    def bandwidth_lines(self) -> list[str]:
        lines = []
        for span in (self.raw["large_span"], self.raw["small_span"]):
            for threads in (1, 2):
                lines += self._bandwidth_table(span, threads)
        return lines

    def _bandwidth_table(self, span: int, threads: int) -> list[str]:
        rows = pick(self.samples, test="bandwidth", span=span,
                    threads=threads)
        targets = [t for t in TARGET_NAMES if pick(rows, target=t)]
        against = [t for t in ("ram", "bar", self.type3)
                   if t in targets and t != self.hdm]
        widths = sorted({row["width"] for row in rows})
        out = []
        for pattern, op in OPS:
            for width in widths:
                where = {"pattern": pattern, "op": op, "width": width,
                         "span": span, "threads": threads}
                cells = [spread(figure(self.select(t, **where)))
                         for t in targets]
                for other in against:
                    f = self.ratio(self.hdm, other, **where)
                    cells.append(spread(f, 2 if f.median < 10 else 0)
                                 if f else "-")
                out.append([f"{pattern} {op} {width} B", *cells])
        head = ["MB/s", *(TARGET_NAMES[t] for t in targets),
                *(f"HDM / {TARGET_NAMES[t]}" for t in against)]
        return [f"Bandwidth over {size_text(span)}, {threads} vCPU"
                f"{'s' if threads > 1 else ''}: median (least-most) of "
                f"{len({row['round'] for row in rows})} rounds",
                *table(head, out), ""]

    def latency_lines(self) -> list[str]:
        lines = ["Latency of a load that depends on the one before, ns:"]
        out = []
        for span in (self.raw["small_span"], self.raw["large_span"]):
            for target in TARGET_NAMES:
                seen = self.select(target, test="latency", span=span)
                if seen:
                    f = self.ratio(target, "ram", test="latency", span=span)
                    out.append([f"{size_text(span)}, {TARGET_NAMES[target]}",
                                spread(figure(seen), 1),
                                spread(f, 2) if f else "-"])
        return [*lines, *table(["", "ns", "as many times as RAM"], out), ""]

    def fault_lines(self) -> list[str]:
        names = {**TARGET_NAMES, "hdm-new": "HDM, new to the host too",
                 "hdm-again": "HDM, mapped again",
                 "huge-new": "HDM on 2 MiB host pages, new to the host too",
                 "huge-again": "HDM on 2 MiB host pages, mapped again"}
        out = []
        for target, name in names.items():
            cells = [name]
            for step in (4096, 2 << 20):
                seen = self.select(target, test="fault", step=step)
                cells.append(spread(figure([v / 1e3 for v in seen]), 1)
                             if seen else "-")
            if cells[1:] != ["-", "-"]:
                out.append(cells)
        lines = ["First touch of a page, microseconds for each touch at "
                 "that distance:",
                 *table(["", "every 4 KiB", "every 2 MiB"], out)]
        if "no_huge" in self.raw["facts"]:
            lines.append(f"  2 MiB pages on the host: not measured, "
                         f"{self.raw['facts']['no_huge']}")
        return [*lines, ""]

    def exit_lines(self) -> list[str]:
        seen = self.raw["facts"]["exits"]
        lines = [f"Accesses to HDM with QEMU's trace on: {seen['accesses']}, "
                 f"of which reached QEMU {seen['to_qemu']}, the server "
                 f"{seen['to_server']}",
                 f"  (register accesses seen meanwhile: "
                 f"{seen['register_accesses_seen']}, so the trace works)"]
        if seen["events_missing"]:
            lines.append("  QEMU lacks the events "
                         + ", ".join(seen["events_missing"]))
        return [*lines, ""]

    def goals(self) -> list[Goal]:
        span = self.raw["large_span"]
        small = self.raw["small_span"]
        goals = []
        for name, where in (
                ("sequential read", {"pattern": "seq", "op": "read"}),
                ("sequential write", {"pattern": "seq", "op": "write"})):
            found = self._width_ratio("ram", span, where)
            goals.append(Goal(f"HDM / RAM, {name}", found, 0.98, True))
        f = self.ratio("ram", self.hdm, test="latency", span=span)
        goals.append(Goal("HDM / RAM, speed of a load chain",
                          f.median if f else None, 0.98, True))
        for name, where in (
                ("sequential read", {"pattern": "seq", "op": "read"}),
                ("sequential write", {"pattern": "seq", "op": "write"})):
            found = self._width_ratio(self.type3, small, where)
            goals.append(Goal(f"HDM / emulated window, {name}", found, 50,
                              True))
        seen = self.raw["facts"]["exits"]
        goals.append(Goal("accesses to HDM that left the guest",
                          seen["to_qemu"] + seen["to_server"], 0, False))
        if self.hdm != "hdm":
            for goal in goals[:5]:
                goal.value = None
        return goals

    def _width_ratio(self, other: str, span: int, where: Row
                     ) -> float | None:
        """The median over rounds and widths, one vCPU."""
        f = self.ratio(self.hdm, other, span=span, threads=1, **where)
        return f.median if f else None


class ScaleFigures:
    """Figures by size and by number of devices."""

    def __init__(self, raw: Row) -> None:
        self.raw = raw

    def start_ms(self, devices: int, hdm: int, places: int) -> Figure:
        return figure([v * 1e3 for v in values(
            pick(self.raw["starts"], devices=devices, hdm=hdm,
                 places=places), "qemu_s")])

    def plain_start_ms(self, devices: int) -> Figure:
        """The start with devices that have cxl=off."""
        return figure([v * 1e3 for v in values(
            pick(self.raw["plain"], devices=devices), "qemu_s")])

    def added_start_ms(self, devices: int, hdm: int) -> Figure:
        """What the devices add to QEMU's start."""
        places = max(devices, 1)
        with_it, without = (values(pick(self.raw["starts"], devices=n,
                                        hdm=hdm, places=places), "qemu_s")
                            for n in (devices, 0))
        return figure([(a - b) * 1e3
                       for a, b in zip(with_it, without, strict=True)])

    def memory_kib(self, devices: int, hdm: int) -> Figure:
        """Private memory that each device adds."""
        places = max(devices, 1)
        with_it, without = ([row["kib"]["own"] for row in pick(
            self.raw["starts"], devices=n, hdm=hdm, places=places)]
            for n in (devices, 0))
        return figure([(a - b) / devices
                       for a, b in zip(with_it, without, strict=True)])

    def reset_ms(self, devices: int, hdm: int) -> Figure:
        return figure(values(pick(self.raw["resets"], devices=devices,
                                  hdm=hdm, places=max(devices, 1)), "ms"))

    def step_us(self, devices: int, hdm: int, step: str) -> Figure:
        return figure(values(pick(self.raw["steps"], devices=devices,
                                  hdm=hdm, step=step), "us"))

    def lines(self) -> list[str]:
        return [
            "By size of the memory, 1 device:",
            *self._table([(1, hdm, size_text(hdm))
                          for hdm in self.raw["sizes"]]), "",
            f"By number of devices, {size_text(MIB256)} each:",
            *self._table([(n, MIB256, str(n)) for n in self.raw["counts"]]),
            "", "Start with the same devices and cxl=off, ms:",
            *(f"  {n:>3}: {spread(self.plain_start_ms(n))}"
              for n in self.raw["counts"]), ""]

    def _table(self, cases: list[tuple[int, int, str]]) -> list[str]:
        head = ["", "start ms", "of it devices ms", "KiB for each",
                "commit us", "map us", "unmap us", "reset ms"]
        return table(head, [
            [name, spread(self.start_ms(n, hdm, n)),
             spread(self.added_start_ms(n, hdm)),
             spread(self.memory_kib(n, hdm)),
             *(spread(self.step_us(n, hdm, step))
               for step in ("commit", "map", "unmap")),
             spread(self.reset_ms(n, hdm), 1)] for n, hdm, name in cases])

    def goals(self) -> list[Goal]:
        sizes, counts = self.raw["sizes"], self.raw["counts"]
        low, high = sizes[0], sizes[-1]
        goals = []
        for step in ("commit", "map", "unmap"):
            goals.append(Goal(
                f"{step}: {size_text(high)} / {size_text(low)}",
                self.step_us(1, high, step).quarter
                / max(self.step_us(1, low, step).quarter, 1), 1.2, False))
        goals.append(Goal(
            f"reset: {size_text(high)} / {size_text(low)}",
            self.reset_ms(1, high).quarter / self.reset_ms(1, low).quarter,
            1.2, False))
        goals.append(Goal(
            f"start: {counts[-1]} devices / {counts[0]}",
            self.start_ms(counts[-1], MIB256, counts[-1]).quarter
            / self.start_ms(counts[0], MIB256, counts[0]).quarter,
            1.3, False))
        goals.append(Goal(
            f"  the same devices with cxl=off: {counts[-1]} / {counts[0]}",
            self.plain_start_ms(counts[-1]).quarter
            / self.plain_start_ms(counts[0]).quarter, 1.3, False))
        goals.append(Goal(
            f"start: {counts[-1]} devices / the same with cxl=off",
            self.start_ms(counts[-1], MIB256, counts[-1]).quarter
            / self.plain_start_ms(counts[-1]).quarter, 1.3, False))
        most = max(self.memory_kib(1, hdm).median for hdm in sizes)
        most = max([most] + [self.memory_kib(n, MIB256).median
                             for n in counts])
        goals.append(Goal("QEMU's memory for a device, any size, KiB", most,
                          2048, False))
        return goals


class BootFigures:
    """Figures of the pairs of boots."""

    def __init__(self, raw: Row) -> None:
        self.raw = raw
        self.pairs: list[list[Row]] = raw["pairs"]

    def ratio(self, key: str) -> Figure:
        return figure(ratios([p[1][key] for p in self.pairs],
                             [p[0][key] for p in self.pairs]))

    def lines(self) -> list[str]:
        out = []
        for key, name in (("wall_s", "time"), ("cpu_s", "processor time")):
            f = self.ratio(key)
            out.append([name,
                        *(spread(figure([p[n][key] for p in self.pairs]), 2)
                          for n in (0, 1)), spread(f, 3),
                        f"{f.ci_low:.3f} to {f.ci_high:.3f}"])
        return [f"Boot to init, {len(self.pairs)} pairs, the two guests of a "
                "pair in alternating slices:",
                *table(["", "without s", "with s", "ratio in the pair",
                        "95 % interval"], out),
                "  (each guest's own time: slices in which it ran, and "
                "QEMU's start)", ""]

    def goals(self) -> list[Goal]:
        return [Goal("boot with / without the device, time",
                     self.ratio("wall_s").median, 1.05, False),
                Goal("boot with / without the device, processor time",
                     self.ratio("cpu_s").median, 1.05, False)]
