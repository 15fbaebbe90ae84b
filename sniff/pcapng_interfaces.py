"""The interfaces that a pcapng describes: link types, clocks and drop counters."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from nettriage.model.columns import I64, U64
from sniff.linktype import from_file

INTERFACES_MAX = 65_536
"""Interfaces of one file: each costs a step of Python and a few words."""
SECONDS_MAX = 4_600_000_000
"""Largest seconds, and largest offset, that a timestamp keeps: their sum in ns fits 64 bits."""

_END, _IF_TSRESOL, _IF_TSOFFSET, _ISB_IFDROP, _ISB_OSDROP = 0, 9, 14, 5, 7
_MICROSECONDS = 6
"""Value of if_tsresol where the option is absent."""


class Interfaces:
    """All interfaces of all sections, in order of description.

    A packet names its interface by number within its section. So that one lookup serves a whole stretch of
    packets, every description is noted with its place: which section's interfaces, and how many of them, a
    packet can mean follows from where it stands.
    """

    def __init__(self) -> None:
        self._links: list[int] = []
        self._snaplens: list[int] = []
        self._clocks: list[tuple[int, int, int, int, int]] = []
        self._drops: dict[str, dict[int, int]] = {"ifdrop": {}, "osdrop": {}}
        self._base = 0
        self._notes = [(-1, 0, 0)]
        self._tables: tuple[I64, I64, U64] | None = None

    @property
    def link_types(self) -> list[int]:
        """Distinct link types, in order of first description."""
        return list(dict.fromkeys(self._links))

    @property
    def snaplen(self) -> int | None:
        """The largest snapshot length; None if an interface has no limit or there is none."""
        return max(self._snaplens) if self._snaplens and all(self._snaplens) else None

    def dropped(self, counter: str) -> int | None:
        """Return the newest drop counts summed over the interfaces; None if no statistics had this counter."""
        counts = self._drops[counter]
        return sum(counts.values()) if counts else None

    def forget_places(self) -> None:
        """Begin a new stretch of bytes: what was described so far stands before all of it."""
        self._notes = [(-1, *self._notes[-1][1:])]

    def open_section(self, at: int) -> None:
        """Note that a new section, without interfaces yet, begins at `at`."""
        self._base = len(self._links)
        self._notes.append((at, self._base, 0))

    def describe(self, at: int, block: bytes, order: str) -> str:
        """Read an interface description block that stands at `at`; return what is wrong with it, or nothing."""
        if len(block) < 20:
            return f"an interface description of {len(block)} bytes"
        if len(self._links) >= INTERFACES_MAX:
            return f"more than {INTERFACES_MAX} interfaces"
        link_type, _, snaplen = struct.unpack_from(order + "HHI", block, 8)
        options = dict(_options(block[16:-4], order))
        resolution = (options.get(_IF_TSRESOL) or bytes([_MICROSECONDS]))[0]
        offset = options.get(_IF_TSOFFSET, b"")
        self._links.append(from_file(link_type))
        self._snaplens.append(snaplen)
        self._clocks.append(_clock(resolution, struct.unpack(order + "q", offset)[0] if len(offset) == 8 else 0))
        self._notes.append((at, self._base, len(self._links) - self._base))
        self._tables = None
        return ""

    def count_drops(self, block: bytes, order: str) -> None:
        """Read an interface statistics block: its counters replace the interface's earlier ones."""
        if len(block) < 24:
            return
        interface = self._base + int(struct.unpack_from(order + "I", block, 8)[0])
        if interface >= len(self._links):
            return
        for code, value in _options(block[20:-4], order):
            if code in (_ISB_IFDROP, _ISB_OSDROP) and len(value) == 8:
                counter = "ifdrop" if code == _ISB_IFDROP else "osdrop"
                self._drops[counter][interface] = struct.unpack(order + "Q", value)[0]

    def locate(self, at: I64, local: I64) -> I64:
        """Return `i8 [n]`, the number over all sections of the `local` interface of packets at `at`; -1 if none."""
        if len(self._notes) == 1:
            _, base, count = self._notes[0]
            return np.where(local < count, local + base, -1)
        notes = np.array(self._notes, np.int64)
        note = np.searchsorted(notes[:, 0], at, "right") - 1
        return np.where(local < notes[note, 2], local + notes[note, 1], -1)

    def link_type(self, interface: I64) -> I64:
        """Return `i8 [n]`, link types."""
        return self._columns()[0][interface]

    def snap(self, interface: I64) -> I64:
        """Return `i8 [n]`, snapshot lengths; 0 is no limit."""
        return self._columns()[1][interface]

    def to_ns(self, interface: I64, ticks: U64) -> I64:
        """Return `i8 [n]`, ns since the epoch, of timestamps in units of the interface."""
        clocks = self._columns()[2]
        one = len(interface) and int(interface.min()) == int(interface.max())
        per_second, pre, times, over, offset = clocks[:, interface[0]] if one else clocks[:, interface]
        seconds = ticks // per_second
        rest = ticks - seconds * per_second
        ns = (rest // pre * times // over).astype(np.int64)
        whole = np.minimum(seconds, np.uint64(SECONDS_MAX)).astype(np.int64) + offset.astype(np.int64)
        return np.asarray(whole * 1_000_000_000 + ns)

    def _columns(self) -> tuple[I64, I64, U64]:
        if self._tables is None:
            clocks = np.array([[word % 2**64 for word in clock] for clock in self._clocks], np.uint64).T
            self._tables = np.array(self._links, np.int64), np.array(self._snaplens, np.int64), clocks
        return self._tables


def _clock(resolution: int, offset_s: int) -> tuple[int, int, int, int, int]:
    """Return how ticks become time: ticks a second, then (divide, multiply, divide) for the rest in ns; the offset.

    if_tsresol is a negative power of 10, or of 2 if its high bit is set. The first division drops what is
    below a ns and would make the multiplication overflow 64 bits.
    """
    offset_s = max(-SECONDS_MAX, min(offset_s, SECONDS_MAX))
    exponent = resolution & 0x7F
    if resolution & 0x80:
        exponent = min(exponent, 63)
        kept = min(exponent, 34)
        return 1 << exponent, 1 << (exponent - kept), 1_000_000_000, 1 << kept, offset_s
    exponent = min(exponent, 19)
    if exponent > 9:
        return 10**exponent, 10 ** (exponent - 9), 1, 1, offset_s
    return 10**exponent, 1, 10 ** (9 - exponent), 1, offset_s


def _options(field: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield code and value of each option that is whole."""
    at = 0
    while at + 4 <= len(field):
        code, length = struct.unpack_from(order + "HH", field, at)
        if code == _END or at + 4 + length > len(field):
            return
        yield code, field[at + 4 : at + 4 + length]
        at += 4 + length + -length % 4
