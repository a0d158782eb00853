#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest run may be asked for: memory size, identity and driver.

`auto` stands for the natural choice. A combination that cannot work is
refused here, in one line, before anything is started. Run by itself, this
does nothing else.
"""

import argparse
import re

from common import UserError, run_main
from guest_machine import GIB, MIB256, size_text

HDM_MAX = 1024 * GIB
# The sfc driver declares exactly this capacity; more fails inside it.
SFC_HDM = MIB256
IDENTITIES = ("sfc", "accel")
# The driver in the guest that knows each identity.
OWN_DRIVER = {"sfc": "sfc", "accel": "cxl_accel"}
DRIVERS = ("sfc", "cxl_accel", "none")
IOMMUS = ("none", "smmuv3")
COMMITS = ("firmware", "guest")
DEVICES = ("reference", "emulated")


def parse_size(text: str) -> int:
    """A size such as 256M, 4G or 1T, in bytes."""
    if re.fullmatch(r"0+", text.strip()):
        text = "0M"
    match = re.fullmatch(r"(\d+)([MGT])(?:i?B)?", text.strip(), re.IGNORECASE)
    if not match:
        raise UserError(f"HDM size '{text}' is not a number followed by M, G "
                        "or T, for instance 256M or 4G")
    size = int(match[1]) << {"M": 20, "G": 30, "T": 40}[match[2].upper()]
    if size == 0:
        raise UserError(f"HDM size {text} is zero: give a multiple of 256M "
                        "from 256M to 1T")
    if size > HDM_MAX:
        raise UserError(f"HDM size {text} is more than 1T, the largest "
                        "window: give a multiple of 256M from 256M to 1T")
    if size % MIB256:
        nearest = max(1, round(size / MIB256)) * MIB256
        raise UserError(f"HDM size {text} is not a multiple of 256M, which "
                        "is what a decoder can cover: the nearest is "
                        f"{nearest >> 20}M")
    return size


def choose(identity: str, driver: str, hdm: int) -> tuple[str, str]:
    """The identity and the driver of a run.

    identity: one of IDENTITIES, or auto
    driver:   one of DRIVERS, or auto
    hdm:      size of the device's memory in bytes
    """
    for what, name, known in (("identity", identity, IDENTITIES),
                              ("driver", driver, DRIVERS)):
        if name not in ("auto", *known):
            raise UserError(f"{what} '{name}' is not known: give auto or one "
                            f"of {', '.join(known)}")
    if identity == "auto":
        wanted = [name for name in IDENTITIES if OWN_DRIVER[name] == driver]
        identity = wanted[0] if wanted else (
            "sfc" if hdm == SFC_HDM and driver == "auto" else "accel")
    if driver == "auto":
        driver = OWN_DRIVER[identity]
    if driver not in (OWN_DRIVER[identity], "none"):
        raise UserError(f"driver {driver} does not know identity {identity}: "
                        f"its driver is {OWN_DRIVER[identity]}")
    if driver == "sfc" and hdm != SFC_HDM:
        raise UserError(f"driver sfc needs an HDM of 256M, not "
                        f"{size_text(hdm)}: it declares that capacity; use "
                        "driver cxl_accel")
    return identity, driver


def one_of(what: str, name: str, known: tuple[str, ...]) -> str:
    """Give the name back, if it is known."""
    if name not in known:
        raise UserError(f"{what} '{name}' is not known: give "
                        f"{' or '.join(known)}")
    return name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say what to run."""
    parser.add_argument("--hdm", default="256M", metavar="SIZE",
                        help="size of the device's memory, 256M to 1T")
    parser.add_argument("--identity", default="auto",
                        metavar="NAME", help="what the device poses as: "
                        f"{', '.join(IDENTITIES)}, or auto: sfc at 256M "
                        "unless --driver says otherwise")
    parser.add_argument("--driver", default="auto",
                        metavar="NAME", help="what the guest loads: "
                        f"{', '.join(DRIVERS)}, or auto: the identity's own")
    parser.add_argument("--iommu", default="none", metavar="NAME",
                        help="what translates the device's DMA: "
                        f"{' or '.join(IOMMUS)}")
    parser.add_argument("--commit", default="firmware", metavar="NAME",
                        help="who commits the HDM decoders: "
                        f"{' or '.join(COMMITS)}")
    parser.add_argument("--device", default="reference", metavar="NAME",
                        help="the device of a server, or QEMU's own: "
                        f"{' or '.join(DEVICES)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    args = parser.parse_args()
    choose(args.identity, args.driver, parse_size(args.hdm))
    one_of("IOMMU", args.iommu, IOMMUS)
    one_of("COMMIT", args.commit, COMMITS)
    one_of("DEVICE", args.device, DEVICES)
    return 0


if __name__ == "__main__":
    run_main(main)
