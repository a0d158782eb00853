# SPDX-License-Identifier: GPL-2.0-or-later
"""Well-formed inputs for the fuzz targets to start from.

Values are written as the targets read them; see the head of each file.
"""

import struct

# struct vfio_region_info: argsz, flags, index, cap_offset, size, offset
REGION = "<IIIIQQ"
REGION_SIZE = struct.calcsize(REGION)
FLAG_RW_MMAP, FLAG_CAPS = 7, 8
CAP_SPARSE, CAP_TYPE, CAP_COMP_REGS = 1, 2, 6
MIB = 1 << 20
COMMIT, LOCK = 1 << 9, 1 << 8
ECAP_DVSEC, CXL_VENDOR = 0x23, 0x1e98

COMMAND_VERSION, COMMAND_MAP, COMMAND_UNMAP = 1, 2, 3
COMMAND_INFO, COMMAND_REGION_INFO, COMMAND_IRQ_INFO = 4, 5, 7
COMMAND_SET_IRQS, COMMAND_READ, COMMAND_WRITE = 8, 9, 10
COMMAND_RESET, COMMAND_WRITE_MULTI = 13, 15
COPY_BLOCK, COPY_IRQ, COPY_START = 0x40, 1 << 16, 1
REGION_BAR2, REGION_CONFIG, REGION_HDM, REGION_DECODER = 2, 7, 9, 10


def region(size: int, *caps: tuple[int, bytes]) -> bytes:
    """A region's information with a chain of capabilities."""
    chain = b""
    at = REGION_SIZE
    for number, (cap, body) in enumerate(caps):
        length = 8 + len(body)
        last = number == len(caps) - 1
        chain += struct.pack("<HHI", cap, 1, 0 if last else at + length)
        chain += body
        at += length
    flags = FLAG_RW_MMAP | (FLAG_CAPS if caps else 0)
    return struct.pack(REGION, at, flags, 9, REGION_SIZE if caps else 0,
                       size, 0) + chain


def sparse(*areas: tuple[int, int]) -> tuple[int, bytes]:
    body = struct.pack("<II", len(areas), 0)
    return CAP_SPARSE, body + b"".join(struct.pack("<QQ", *a) for a in areas)


TYPE = (CAP_TYPE, struct.pack("<II", 0x80001e98, 1))
GEOMETRY = (CAP_COMP_REGS, struct.pack("<IIQ", 2, 0, 0x1000))


def decoder(control: int, size: int) -> bytes:
    """Registers of a decoder block, then the size of the HDM."""
    regs = [0] * 12
    regs[7], regs[6] = size >> 32, size & 0xf0000000
    regs[8] = control
    return struct.pack("<12IQ", *regs, size)


def dvsec(next_at: int, length: int) -> bytes:
    """The head of a CXL Device DVSEC, filled up to `length` bytes."""
    head = struct.pack("<IIH", ECAP_DVSEC | 1 << 16 | next_at << 20,
                       CXL_VENDOR | length << 20, 0)
    return head.ljust(length, b"\0")


def request(command: int, payload: bytes = b"", fds: int = 0) -> bytes:
    return bytes([command, fds, len(payload)]) + payload


def access(command: int, index: int, offset: int, data: bytes | int) -> bytes:
    count = data if isinstance(data, int) else len(data)
    body = b"" if isinstance(data, int) else data
    return request(command, struct.pack("<QII", offset, index, count) + body)


def copy(operation: int, source: int, target: int, length: int) -> bytes:
    """Let the copy engine of BAR 0 do something, with an interrupt."""
    regs = struct.pack("<QQQQII", source, target, length, 0x0123456789abcdef,
                       operation | COPY_IRQ, COPY_START)
    return access(COMMAND_WRITE, 0, COPY_BLOCK, regs)


def copy_status() -> bytes:
    return access(COMMAND_READ, 0, COPY_BLOCK, 0x40)


def reply(how: int = 0) -> bytes:
    """The client's answer to what the device asked for."""
    return bytes([20, how])


def message(command: int, payload: bytes = b"") -> bytes:
    """A message as it is on the wire."""
    return struct.pack("<HHIII", 1, command, 16 + len(payload), 0, 0) + payload


def decoders(kind: int, capability: int, *steps: bytes) -> bytes:
    """Steps for the decoders of an endpoint (1) or a bridge (0)."""
    return struct.pack("<BI", kind, capability) + b"".join(steps)


def register(decoder: int, number: int, value: int) -> bytes:
    return struct.pack("<BBBBI", 0, 4 + 8 * decoder + number, 0, 0x80, value)


def range_of(decoder: int, base: int, size: int) -> bytes:
    """Base and size, in units of 256 MiB."""
    return register(decoder, 0, base << 28) + \
        register(decoder, 2, size << 28)


def control(decoder: int, value: int) -> bytes:
    return register(decoder, 4, value)


VERSION = struct.pack("<HH", 0, 0) + \
    b'{"capabilities":{"max_msg_fds":8,"pgsizes":4096}}\0'

SEEDS: dict[str, list[bytes]] = {
    "vfio-info": [
        region(256 * MIB), region(256 * MIB, TYPE), region(0x30, GEOMETRY),
        region(64 * MIB, sparse((0, 4096), (8192, 4096)), TYPE),
        region(0x30, TYPE, GEOMETRY, (77, b"")),
    ],
    "vfio-config": [
        decoder(1 << 10, 256 * MIB) + dvsec(0, 0x3c),
        decoder(1 << 11, 256 * MIB) + dvsec(0x140, 0x40) + dvsec(0, 0x3c),
    ],
    "cxl-range": [bytes(range(28)), bytes([3, 1, 4]) + bytes([0, 4] * 4)],
    "cxl-decoder": [
        decoders(1, 0x100, range_of(0, 5, 2), control(0, COMMIT)),
        decoders(0, 0x101, range_of(0, 4, 1), control(0, COMMIT),
                 range_of(1, 6, 3), control(1, COMMIT | LOCK)),
        decoders(0, 0x102, bytes([0xe0, 2, 8, 2]), range_of(0, 4, 1),
                 control(0, COMMIT), control(0, 0), bytes([0xf0, 0xf8])),
    ],
    "user-wire": [
        b"\0" + message(COMMAND_VERSION, VERSION) + message(COMMAND_RESET),
        b"\7" + message(COMMAND_INFO, bytes(16)),
    ],
    "user-request": [
        b"\0\0" + request(COMMAND_VERSION, VERSION)
        + request(COMMAND_INFO, struct.pack("<I", 16) + bytes(12)),
        b"\0\1" + b"".join(
            request(COMMAND_REGION_INFO,
                    struct.pack(REGION, 200, 0, i, 0, 0, 0))
            for i in range(11)),
        b"\0\1" + access(COMMAND_READ, REGION_CONFIG, 0, 64)
        + access(COMMAND_WRITE, REGION_CONFIG, 4, b"\6\0")
        + access(COMMAND_WRITE, REGION_HDM, 0, b"data")
        + access(COMMAND_READ, REGION_HDM, 0, 4)
        + access(COMMAND_READ, REGION_DECODER, 0, 4)
        + access(COMMAND_WRITE, REGION_BAR2, 0, bytes(4))
        + request(COMMAND_RESET),
        b"\0\1" + request(COMMAND_SET_IRQS,
                        struct.pack("<5I", 20, 0x24, 2, 0, 2), 2)
        + access(COMMAND_WRITE, 0, 0x10, bytes(4))
        + request(COMMAND_IRQ_INFO, struct.pack("<4I", 16, 0, 2, 0))
        + request(COMMAND_SET_IRQS, struct.pack("<5I", 20, 0x21, 2, 0, 0)),
        b"\0\1"
        + request(COMMAND_MAP, struct.pack("<IIQQQ", 32, 3, 0, 0, 4096), 1)
        + request(COMMAND_UNMAP, struct.pack("<IIQQ", 24, 0, 0, 4096))
        + request(COMMAND_UNMAP, struct.pack("<IIQQ", 24, 2, 0, 0))
        + request(COMMAND_WRITE_MULTI, struct.pack("<QQII8s", 1, 0,
                                                   REGION_HDM, 8, b"eight")),
        *(bytes([mode, 1]) + access(COMMAND_WRITE, REGION_CONFIG, 4, b"\6\0")
          + request(COMMAND_MAP, struct.pack("<IIQQQ", 32, 3, 0, 0, 65536),
                    1)
          + copy(operation, 4096, 0, 8192) + reply() + copy_status()
          for mode in range(3) for operation in range(1, 5)),
    ],
}
