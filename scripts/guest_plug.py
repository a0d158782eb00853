# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that are plugged while a guest with a stock kernel runs.

The kernel keeps its ports awake: an empty port that sleeps sends nothing
when a device is plugged.
"""

from dataclasses import replace

from guest_facts import Row, judged
from guest_machine import MIB256, Setup, run_dir, run_lock
from guest_topology import PCI_SPACE, DeviceSeen, PlugGuest, Topology

AWAKE = "pcie_port_pm=off"


class Running:
    """A device that must not notice what is plugged beside it."""

    def __init__(self, guest: PlugGuest, name: str, port: int) -> None:
        self.guest = guest
        self.name = name
        self.port = port
        self.before = guest.seen()[port]
        self.seed = guest.fill(name, self.before)
        self.place = self._place()

    def _place(self) -> list[tuple[int, int, int]]:
        start = int(self.before.start, 0)
        return [decoder for decoder in self.guest.decoders()
                if decoder[1] == start]

    def rules(self) -> list[tuple[bool, str]]:
        """BARs, decoder, region and data are as before."""
        now = self.guest.seen().get(self.port)
        wrong = self.guest.holds(self.name, self.before, self.seed)
        return [(now == self.before, f"the running device as before, "
                 f"{self.before}, not {now}"),
                (self._place() == self.place, f"its decoder {self.place}"),
                (not wrong, f"its data ({wrong})")]


def plugged(guest: PlugGuest, name: str, port: int, title: str,
            beside: Running | None = None) -> Row:
    """Plug a device, and use its memory from both sides."""
    device: DeviceSeen = guest.plug(name, port)
    wrong = guest.pattern(name, device)
    rules = [(device.works, "a committed region"),
             (not wrong, f"the pattern from both sides ({wrong})")]
    return judged(title, str(device),
                  rules + (beside.rules() if beside else []))


def unplugged(guest: PlugGuest, name: str, port: int, title: str,
              beside: Running | None = None) -> Row:
    """Unplug a device: its locked decoder stays."""
    before = guest.decoders()
    guest.unplug(name, port)
    after = guest.decoders()
    return judged(title, f"{len(after)} committed decoders of the bridge",
                  [(after == before, f"the bridge's decoders {before}, not "
                    f"{after}"), *(beside.rules() if beside else [])])


def refused(guest: PlugGuest, name: str, port: int, title: str,
            words: tuple[str, ...], beside: Running | None) -> Row:
    """A plug that QEMU must refuse, with the remedy."""
    error = guest.add(name, port)
    return judged(title, error or "plugged",
                  [*((word in error, f"'{word}'") for word in words),
                   *(beside.rules() if beside else [])])


def below_an_empty_bridge(setup: Setup) -> list[Row]:
    """A bridge that has had no device."""
    topology = Topology(setup, ports=(PCI_SPACE, PCI_SPACE),
                        devices={"first": ("reference", MIB256),
                                 "second": ("emulated", MIB256)})
    with run_dir(setup.keep) as where:
        guest = PlugGuest(topology, where, "plug-empty")
        try:
            rows = [plugged(guest, "first", 0, "plug below an empty bridge")]
            first = Running(guest, "first", 0)
            rows.append(refused(guest, "second", 1,
                                "plug a second one there",
                                ("hdm-reserve",), first))
            rows.append(unplugged(guest, "first", 0, "unplug the only one"))
            rows.append(plugged(guest, "second", 0, "plug another for it"))
            return rows
        finally:
            guest.close()


def run(setup: Setup) -> list[Row]:
    """All cases."""
    ours = replace(setup, driver="cxl_accel", identity="accel",
                   options=[AWAKE])
    with run_lock():
        return below_an_empty_bridge(ours)
