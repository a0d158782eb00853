#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw the address map of make run's machine, or of one with more devices.

The machine is paused before its first instruction: QEMU commits the decoders
at reset. What firmware would do then is done from here, so that the guest
reaches the memory: numbers for the buses, and Memory Space of the devices.
"""

import argparse
import os
import shutil
import socket
from contextlib import ExitStack
from pathlib import Path

from bench_machine import GuestAccess, Plan, plan_args, port_place
from bench_scale import BUS_NUMBERS, COMMAND, MEMORY_SPACE
from common import BUILD, ROOT, UserError, run_main
from cxl_map import read_map, show
from guest_machine import (Machine, Server, Setup, machine_args, run_dir,
                           run_lock, size_text)
from guest_options import (COMMITS, IOMMUS, add_arguments, choose, one_of,
                           parse_size)
from map_model import Map

DEVICES_MAX = 16
PICTURE = BUILD / "map" / "map.svg"
SAVED = ROOT / "docs" / "map.svg"
# What a machine that never runs does without.
BOOT = ("-bios", "-kernel", "-initrd", "-append")


def paused(args: list[str]) -> list[str]:
    """QEMU's arguments for the same machine, stopped and without a guest."""
    kept = list(args)
    for option in BOOT:
        place = kept.index(option)
        del kept[place:place + 2]
    return [*kept, "-S"]


def observe(setup: Setup, devices: int) -> Map:
    """Start the machine and take its map."""
    with run_lock(), run_dir(False) as where, ExitStack() as stack:
        servers = []
        for n in range(devices):
            place = Path(where, str(n))
            place.mkdir()
            servers.append(Server(setup, place, f"map-{n}"))
            stack.callback(servers[-1].close)
        args = (machine_args(setup, servers[0]) if devices == 1 else
                plan_args(Plan(setup, devices=devices, hdm=setup.hdm),
                          servers))
        ours, theirs = socket.socketpair()
        stack.callback(ours.close)
        stack.callback(theirs.close)
        os.set_inheritable(theirs.fileno(), True)
        machine = Machine(
            [*paused(args), "-chardev", f"socket,id=probe,fd="
             f"{theirs.fileno()}", "-qtest", "chardev:probe"], "map",
            [theirs.fileno()])
        stack.callback(machine.close)
        probe = GuestAccess(ours)
        for n in range(devices):
            bus, slot = port_place(n)
            below = bus + 1 + slot
            probe.config(bus, slot, BUS_NUMBERS,
                         bus | below << 8 | below << 16)
            probe.config(below, 0, COMMAND, MEMORY_SPACE, "w")
        return read_map(machine.qmp)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "")
                                     .splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--devices", default="1", metavar="N",
                        help=f"how many devices, 1 to {DEVICES_MAX}")
    parser.add_argument("--save", action="store_true",
                        help="keep the picture that README shows")
    parser.add_argument("--refuse-only", action="store_true",
                        help="only refuse what cannot be; start nothing")
    return parser.parse_args()


def request(args: argparse.Namespace) -> tuple[Setup, int]:
    """What to start, and the number of devices; refused if it cannot be."""
    hdm = parse_size(args.hdm)
    identity, driver = choose(args.identity, args.driver, hdm)
    commit = one_of("COMMIT", args.commit, COMMITS)
    iommu = one_of("IOMMU", args.iommu, IOMMUS)
    if not args.devices.isdecimal() or \
            not 1 <= int(args.devices) <= DEVICES_MAX:
        raise UserError(f"DEVICES={args.devices} is not a number from 1 to "
                        f"{DEVICES_MAX}")
    devices = int(args.devices)
    if devices > 1:
        if commit == "guest":
            raise UserError("COMMIT=guest is for one device, which has no "
                            "place then: leave DEVICES at 1 with it")
        identity, driver = "accel", "none"
    return Setup(qemu=BUILD / "qemu-system-aarch64",
                 server=BUILD / "vfio-user-cxl", hdm=hdm, identity=identity,
                 driver=driver, commit=commit, iommu=iommu), devices


def main() -> int:
    args = arguments()
    setup, devices = request(args)
    if args.refuse_only:
        return 0
    what = "one device" if devices == 1 else f"{devices} devices"
    show(f"Guest physical address map: {what} of {size_text(setup.hdm)}",
         observe(setup, devices), PICTURE)
    if args.save:
        shutil.copyfile(PICTURE, SAVED)
        print("saved docs/map.svg")
    return 0


if __name__ == "__main__":
    run_main(main)
