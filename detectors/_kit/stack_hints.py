"""Which family of TCP stacks opened a connection, and which answered: initial TTL and order of the options of SYNs.

The signatures are those of p0f (p0f.fp, Zalewski): Linux ``mss,sok,ts,nop,ws`` from TTL 64, Windows
``mss,nop,ws,nop,nop,sok`` from TTL 128.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import Flaw, TcpFlag
from nettriage.model.columns import I64, Rows
from nettriage.model.health import Gauge
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables

from .byte_rows import U8, byte_rows

_OPTIONS_MAX = 40
_STEPS = 12
_OPENED_MAX = 65_536
"""Connections to the watched ports that are kept between two looks."""
_SYN, _ACK = np.uint16(TcpFlag.SYN), np.uint16(TcpFlag.ACK)
_NO_HEADER = np.uint32(Flaw.TRUNCATED_L4 | Flaw.BAD_L4_HEADER)
_TIMESTAMP = 5
_DIGITS = np.full(256, 6, np.uint64)
"""Digit of each option kind in a signature: nop, mss, window scale, SACK permitted, timestamp, anything else, end."""
_DIGITS[[1, 2, 3, 4, 8, 0]] = (1, 2, 3, 4, _TIMESTAMP, 7)


class Stack(IntEnum):
    """A family of TCP stacks."""

    UNKNOWN = 0
    UNIX = 1
    WINDOWS = 2


def _signature(*digits: int) -> int:
    value = 0
    for digit in digits:
        value = value * 8 + digit
    return value


_UNIX_ORDERS = (
    _signature(2, 4, 5, 1, 3),  # Linux
    _signature(2, 1, 3, 4, 5),  # FreeBSD
    _signature(2, 1, 3, 1, 1, 5, 4, 7),  # macOS
    _signature(2, 1, 1, 4, 1, 3, 1, 1, 5),  # OpenBSD
)
_WINDOWS_ORDERS = (
    _signature(2, 1, 3, 1, 1, 4),  # Windows since 7
    _signature(2, 1, 1, 4),  # Windows XP and before
    _signature(2, 1, 3, 1, 1, 5, 1, 1, 4),  # Windows with timestamps
)


def initial_ttl(ttl: U8) -> U8:
    """Return `u1 [n]`, the TTL that packets set out with: the next of 32, 64, 128, 255."""
    starts = np.array((32, 64, 128, 255), np.uint8)
    return np.asarray(starts[np.searchsorted(starts, ttl)])


def option_orders(options: U8, length: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """Return `u8 [n]`, the option kinds of each header in order, as octal digits; 0 where there are none.

    `options` is `u1 [n, 40]`. A malformed option ends the reading.
    """
    each, at = np.arange(len(options)), np.zeros(len(options), np.intp)
    order = np.zeros(len(options), np.uint64)
    reading = length > 0
    for _ in range(_STEPS):
        if not reading.any():
            break
        kind = options[each, np.minimum(at, _OPTIONS_MAX - 1)]
        order = np.where(reading, order * np.uint64(8) + _DIGITS[kind], order)
        size = np.where(kind == 1, 1, options[each, np.minimum(at + 1, _OPTIONS_MAX - 1)])
        reading &= (kind != 0) & ((kind == 1) | (size >= 2))
        at = at + size
        reading &= at < length
    return np.asarray(order)


def stacks(ttl: U8, order: npt.NDArray[np.uint64], *, answers: bool) -> U8:
    """Return `u1 [n]`, the `Stack` of each SYN; an answer mirrors what was asked for, so there the TTL decides."""
    start = initial_ttl(ttl)
    known = order > 0
    unix = (start == 64) & (known if answers else _among(order, _UNIX_ORDERS))
    windows = (start == 128) & (known if answers else _among(order, _WINDOWS_ORDERS))
    return np.where(unix, Stack.UNIX, np.where(windows, Stack.WINDOWS, Stack.UNKNOWN)).astype(np.uint8)


def _among(order: npt.NDArray[np.uint64], known: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    return np.asarray((order[:, None] == np.array(known, np.uint64)).any(axis=1))


class StackHints:
    """Reads the SYNs of connections to some ports; what it learned stays with the row of the flow."""

    def __init__(self, ports: frozenset[int]) -> None:
        """Watch connections to `ports`."""
        self._watched = np.zeros(65_536, np.bool_)
        self._watched[list(ports)] = True
        self._owner: I64 = np.zeros(0, np.int64)
        self._stack = np.zeros((0, 2), np.uint8)
        self._opened: list[npt.NDArray[np.int32]] = []
        self._used = self._refused = 0

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        kept = sum(rows.nbytes for rows in self._opened)
        return self._watched.nbytes + self._owner.nbytes + self._stack.nbytes + kept

    @property
    def gauge(self) -> Gauge:
        """Connections that wait for the next look."""
        return Gauge(cap=_OPENED_MAX, used=self._used, refused=self._refused)

    def note(self, seen: Slice) -> None:
        """Read the SYNs and SYN-ACKs of a slice."""
        packets, flows = seen.packets, seen.tables.flows
        at = np.flatnonzero(packets.tcp_flags & _SYN)
        if not len(at):
            return
        answers = (packets.tcp_flags[at] & _ACK) != 0
        port = np.where(answers, packets.src_port[at], packets.dst_port[at])
        fits = self._watched[port] & (packets.proto[at] == 6) & (seen.flow[at] >= 0) & ~packets.duplicate[at]
        fits &= (packets.flaw[at] & _NO_HEADER) == 0
        at, answers = at[fits], answers[fits]
        if not len(at):
            return
        if len(self._owner) < len(flows.serial):
            self._owner = np.zeros(len(flows.serial), np.int64)
            self._stack = np.zeros((len(flows.serial), 2), np.uint8)
        row = seen.flow[at]
        fresh = row[self._owner[row] != flows.serial[row]]
        self._stack[fresh], self._owner[fresh] = Stack.UNKNOWN, flows.serial[fresh]
        order = option_orders(*_options(seen, at))
        for answered in (False, True):
            part = (answers == answered).nonzero()[0]
            self._stack[row[part], int(answered)] = stacks(packets.ttl[at[part]], order[part], answers=answered)
        asked = row[~answers]
        room = _OPENED_MAX - self._used
        self._refused += max(len(asked) - room, 0)
        self._opened.append(asked[:room])
        self._used += len(asked[:room])

    def drain(self, tables: Tables) -> Rows:
        """Return the flows that stacks of the Unix family opened since the last look, in order of serial."""
        if not self._opened:
            return np.zeros(0, np.intp)
        rows = np.unique(np.concatenate(self._opened)).astype(np.intp)
        self._opened, self._used = [], 0
        rows = rows[(self._owner[rows] == tables.flows.serial[rows]) & (self._stack[rows, 0] == Stack.UNIX)]
        return np.asarray(rows[np.argsort(tables.flows.serial[rows], kind="stable")])

    def server(self, row: int) -> Stack:
        """Return the stack that answered in the flow of `row`."""
        return Stack(int(self._stack[row, 1]))


def _options(seen: Slice, at: Rows) -> tuple[U8, npt.NDArray[np.integer]]:
    """Return the TCP options of packets, `u1 [n, 40]`, and their lengths."""
    packets = seen.packets
    head = packets.l4_at[at]
    offset = packets.raw.data[head + 12] >> 4
    length = np.clip(offset.astype(np.int64) * 4 - 20, 0, _OPTIONS_MAX)
    return byte_rows(packets.raw.data, head + 20, length, _OPTIONS_MAX), length
