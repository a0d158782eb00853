# SPDX-License-Identifier: GPL-2.0-or-later
"""The few facts of an ELF file that making a guest image needs.

Little-endian 64-bit files only; that is all an arm64 Debian guest has.
"""

import struct
from typing import NamedTuple

from common import UserError

SHT_DYNAMIC = 6
DT_NEEDED = 1


class Section(NamedTuple):
    name: str
    kind: int
    data: bytes
    link: int


def _cstring(data: bytes, offset: int) -> str:
    return data[offset:data.index(b"\0", offset)].decode()


def sections(image: bytes, what: str) -> list[Section]:
    """All sections; `what` names the file in an error."""
    if image[:6] != b"\x7fELF\x02\x01":
        raise UserError(f"{what} is not a 64-bit little-endian ELF file: "
                        "remove build/guest and repeat")
    try:
        table, = struct.unpack_from("<Q", image, 0x28)
        entry, count, names = struct.unpack_from("<HHH", image, 0x3a)
        raw = []
        for i in range(count):
            name, kind, _flags, _addr, offset, size, link = \
                struct.unpack_from("<IIQQQQI", image, table + i * entry)
            # SHT_NOBITS (8) takes no place in the file.
            data = b"" if kind == 8 else image[offset:offset + size]
            raw.append((name, kind, data, link))
        return [Section(_cstring(raw[names][2], name), kind, data, link)
                for name, kind, data, link in raw]
    except (struct.error, IndexError, ValueError):
        raise UserError(f"{what} is a damaged ELF file: "
                        "remove build/guest and repeat") from None


def needed(image: bytes, what: str) -> list[str]:
    """Names of the shared libraries a program or library needs."""
    found = []
    table = sections(image, what)
    for section in table:
        if section.kind != SHT_DYNAMIC:
            continue
        strings = table[section.link].data
        for tag, value in struct.iter_unpack("<qQ", section.data):
            if tag == DT_NEEDED:
                found.append(_cstring(strings, value))
    return found


def module_info(image: bytes, what: str) -> dict[str, str]:
    """The key=value entries of a kernel module (the last one of a key)."""
    for section in sections(image, what):
        if section.name == ".modinfo":
            entries = section.data.decode("utf-8", "replace").split("\0")
            return dict(entry.split("=", 1) for entry in entries
                        if "=" in entry)
    raise UserError(f"{what} has no .modinfo section: "
                    "remove build/guest and repeat")
