# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's half of the memory check, on the device's backing memory.

The words are those of tests/guest/hdm-check.c, computed here a second time
and in another way, so that a mistake in one of the two shows.
"""

import mmap
import os
import struct
from collections.abc import Iterator

WORD = 8
MASK = (1 << 64) - 1
BLOCK = 1 << 20
WORDS = BLOCK // WORD
FACTOR = 0x9e3779b97f4a7c15
CHUNK = 64 * BLOCK

# One block as a single big number: a whole block is compared at once.
_INDEX = int.from_bytes(
    b"".join(struct.pack("<Q", (i + 1) * FACTOR & MASK)
             for i in range(WORDS)), "little")
_ONES = int.from_bytes(struct.pack("<Q", 1) * WORDS, "little")


def _mix(value: int) -> int:
    """The finaliser of the SplitMix64 generator."""
    value &= MASK
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9 & MASK
    value = (value ^ value >> 27) * 0x94d049bb133111eb & MASK
    return value ^ value >> 31


def _block(number: int, seed: int) -> int:
    return _INDEX ^ _ONES * _mix(seed + number)


def word(offset: int, seed: int) -> int:
    """The word at an offset of the range."""
    number, rest = divmod(offset, BLOCK)
    return _mix(seed + number) ^ ((rest // WORD + 1) * FACTOR & MASK)


def sample_offsets(size: int, stride: int) -> Iterator[int]:
    """The offsets a sampling pass touches."""
    yield from range(0, size, stride)
    if (size - WORD) % stride:
        yield size - WORD


def _mismatch(offset: int, got: int, want: int) -> str:
    return (f"offset {offset:#x} of the backing memory holds {got:#018x}, "
            f"expected {want:#018x}")


def _chunks(fd: int, start: int, size: int) -> Iterator[tuple[int, mmap.mmap]]:
    """Mappings of a range, with their offsets in it."""
    for at in range(0, size, CHUNK):
        with mmap.mmap(fd, min(CHUNK, size - at), offset=start + at) as view:
            yield at, view


def write(fd: int, start: int, size: int, seed: int, stride: int) -> None:
    """Write the pattern: every word with stride 8, else samples.

    start, size: the range of the backing memory, in bytes; a word depends
    on its offset in the range
    """
    if stride != WORD:
        for offset in sample_offsets(size, stride):
            os.pwrite(fd, struct.pack("<Q", word(offset, seed)),
                      start + offset)
        return
    for at, view in _chunks(fd, start, size):
        for pos in range(0, len(view), BLOCK):
            data = _block((at + pos) // BLOCK, seed)
            view[pos:pos + BLOCK] = data.to_bytes(BLOCK, "little")


def verify(fd: int, start: int, size: int, seed: int, stride: int) -> str:
    """Compare with the pattern; "" or the first difference in words."""
    if stride != WORD:
        for offset in sample_offsets(size, stride):
            got, = struct.unpack("<Q", os.pread(fd, WORD, start + offset))
            if got != word(offset, seed):
                return _mismatch(start + offset, got, word(offset, seed))
        return ""
    for at, view in _chunks(fd, start, size):
        for pos in range(0, len(view), BLOCK):
            data = int.from_bytes(view[pos:pos + BLOCK], "little")
            wrong = data ^ _block((at + pos) // BLOCK, seed)
            if wrong:
                low = ((wrong & -wrong).bit_length() - 1) // 64
                offset = at + pos + low * WORD
                got, = struct.unpack_from("<Q", view, pos + low * WORD)
                return _mismatch(start + offset, got, word(offset, seed))
    return ""


def allocated(fd: int) -> int:
    """Bytes of the backing memory that really exist."""
    return os.fstat(fd).st_blocks * 512
