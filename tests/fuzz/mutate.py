"""Damage: small changes of valid bytes, and values that programs stumble over."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

NUMBERS = (
    0,
    1,
    -1,
    2,
    7,
    255,
    256,
    65535,
    65536,
    2**31 - 1,
    2**31,
    -(2**31),
    2**32 - 1,
    2**40,
    2**63 - 1,
    2**64,
    10**30,
)
FLOATS = (0.0, -0.0, 0.5, 1e-12, 1e9, 1e308, -1e308, float("nan"), float("inf"), float("-inf"))
TEXTS = (
    *(
        "",
        " ",
        "x",
        "\n",
        "a" * 5000,
        "é",
        "ไทย",
        "🎧",
        "\u202e",
        "\ufeff",
        "%s",
        "{}",
        "[bold]",
        "../outside/victim.wav",
    ),
    *("/etc/passwd", "~", "null", "true", "0x10", "1e999", "<script>", "$(id)", "${oc.env:FUZZ_SECRET}", "${x}", "!!a"),
)
VALUES: tuple[Any, ...] = (
    *NUMBERS,
    *FLOATS,
    *TEXTS,
    None,
    True,
    False,
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"a": {"b": []}},
)


def damaged(data: bytes, random: Random, other: bytes = b"") -> bytes:
    """Return `data` after one to four changes; `other` lends pieces."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        random.choice(_CHANGES)(changed, random, other)
    return bytes(changed)


def nested(depth: int) -> Any:
    """Return lists and mappings within each other."""
    value: Any = 0
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def _place(data: bytearray, random: Random) -> int:
    """Return a place, most often in what is likely to be a header."""
    most = len(data) if random.random() < 0.4 else min(len(data), random.choice((16, 64, 256, 1024)))
    return random.randrange(max(most, 1))


def _flip(data: bytearray, random: Random, other: bytes) -> None:
    for _ in range(random.choice((1, 2, 8, 64)) if data else 0):
        data[_place(data, random)] ^= 1 << random.randrange(8)


def _byte(data: bytearray, random: Random, other: bytes) -> None:
    if data:
        data[_place(data, random)] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))


def _number(data: bytearray, random: Random, other: bytes) -> None:
    form = random.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(form)
    at = _place(data, random)
    data[at : at + size] = struct.pack(form, random.choice(NUMBERS) % 2 ** (8 * size))


def _cut(data: bytearray, random: Random, other: bytes) -> None:
    del data[random.randrange(len(data) + 1) :]


def _leave_out(data: bytearray, random: Random, other: bytes) -> None:
    at = _place(data, random)
    del data[at : at + random.choice((1, 2, 4, 64, 1024))]


def _repeat(data: bytearray, random: Random, other: bytes) -> None:
    at = _place(data, random)
    data[at:at] = data[at : at + random.choice((1, 4, 64, 1024))] * random.choice((1, 2, 20))


def _fill(data: bytearray, random: Random, other: bytes) -> None:
    at, size = _place(data, random), random.choice((1, 4, 64, 1024))
    data[at : at + size] = random.choice((bytes(size), b"\xff" * size, random.randbytes(size)))


def _append(data: bytearray, random: Random, other: bytes) -> None:
    data += random.choice((b"\0", random.randbytes(100), other, bytes(data)))


def _splice(data: bytearray, random: Random, other: bytes) -> None:
    at = _place(data, random)
    data[at:] = other[_place(bytearray(other), random) :]


_CHANGES = (_flip, _flip, _byte, _number, _number, _cut, _leave_out, _repeat, _fill, _append, _splice)
