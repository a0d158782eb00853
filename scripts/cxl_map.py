# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw the physical address map of a guest with CXL.

Facts come from a running QEMU's monitor: x-query-cxl for all that is CXL's,
and `info mtree` for RAM and PCIe.
"""

import argparse
import os
import socket
import sys
from pathlib import Path

import map_svg
import map_text
from common import UserError, write_atomic
from map_model import Map, make_map
from qmp import Qmp

ANSWER_LIMIT_S = 30.0


def read_map(qmp: Qmp) -> Map:
    """Ask a monitor for the map."""
    cxl = qmp.command("x-query-cxl")
    mtree = qmp.command("human-monitor-command",
                        **{"command-line": "info mtree"})
    return make_map(cxl, mtree)


def ask(path: Path) -> Map:
    """The map of the QEMU that listens on a socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(os.fspath(path))
        except OSError as error:
            raise UserError(f"cannot connect to QMP socket {path}: "
                            f"{(error.strerror or str(error)).lower()}; "
                            "start QEMU with -qmp unix:PATH,server=on,"
                            "wait=off") from None
        qmp = Qmp(sock)
        try:
            qmp.connect(ANSWER_LIMIT_S)
            return read_map(qmp)
        except TimeoutError:
            raise UserError(f"no answer from {path} in "
                            f"{ANSWER_LIMIT_S:.0f} s: is another client "
                            "connected to it?") from None


def show(title: str, data: Map, svg: Path | None) -> None:
    """Print the map, and write it as SVG where that is wanted."""
    print(map_text.draw(title, data, sys.stdout.encoding or "ascii"), end="")
    if svg:
        write_atomic(svg, map_svg.draw(title, data))
        print(f"wrote {os.path.relpath(svg)}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="cxl-map", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--qmp", type=Path, metavar="SOCKET", required=True,
                        help="unix socket of a QMP monitor")
    parser.add_argument("--svg", type=Path, metavar="FILE",
                        help="also write the map as SVG")
    parser.add_argument("--title", default="Guest physical address map",
                        help="what the map is called")
    args = parser.parse_args()
    show(args.title, ask(args.qmp), args.svg)
    return 0
