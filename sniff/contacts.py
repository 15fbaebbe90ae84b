"""Table of first contacts: who asked whom for which service, and whether the answer is still awaited."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import ARP
from nettriage.model.columns import I32, I64, U64, Mixer, Rows, group
from nettriage.model.keytable import KeyTable
from nettriage.model.slices import Outcome
from nettriage.model.tables import U8, U16, U32
from sniff.flow_key import ICMP, ICMP6, UDP
from sniff.flow_packets import Bools
from sniff.pending import Due, Pending
from sniff.records import Records

SECOND_NS = 1_000_000_000
TCP_WAIT_NS, UDP_WAIT_NS, ICMP_WAIT_NS, NEIGHBOUR_WAIT_NS = 3 * SECOND_NS, 5 * SECOND_NS, 2 * SECOND_NS, SECOND_NS
"""How long an answer is awaited: beyond the first retransmissions of TCP (RFC 6298 2) and ND (RFC 4861 10)."""
ND_SOLICITATION = 135 << 8
"""Port of a neighbour solicitation among the contacts (RFC 4861 4.3)."""
FAILED_CREDIT_NS, OPEN_CREDIT_NS = 600 * SECOND_NS, 3_600 * SECOND_NS
"""Settled contacts outlive the one-packet contacts of a flood, so that repeats are recognised as such."""
_CREDIT_NS: I64 = np.full(256, FAILED_CREDIT_NS, np.int64)
"""By outcome. A look-up costs a tenth of comparing a small column with members of an enumeration."""
_CREDIT_NS[[Outcome.OPEN, Outcome.IMPLIED_OPEN]] = OPEN_CREDIT_NS
_ATTEMPT = np.uint8(Outcome.ATTEMPT)
CONTACT_DTYPE = np.dtype(
    [
        ("serial", "i8"), ("attempt_ns", "i8"), ("deadline_ns", "i8"), ("src_key", "u8"), ("dst_key", "u8"),
        ("src_hi", "u8"), ("src_lo", "u8"), ("dst_hi", "u8"), ("dst_lo", "u8"), ("src", "i4"), ("dst", "i4"),
        ("flow", "i4"), ("seq", "u4"), ("entry_row", "i4"), ("proto", "u2"), ("port", "u2"), ("sport", "u2"),
        ("probe_flags", "u2"), ("probe_len", "u2"), ("tries", "u2"), ("outcome", "u1"), ("multicast", "?"),
        ("sure", "?"), ("proven", "?"),
    ],
    align=True,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attempts:
    """Probes that make (or repeat) a contact, in the order of their rows."""

    row: Rows
    """Row of the batch."""
    time_ns: I64
    src: I32
    dst: I32
    src_key: U64
    dst_key: U64
    src_hi: U64
    src_lo: U64
    dst_hi: U64
    dst_lo: U64
    proto: U16
    port: U16
    sport: U16
    flow: I32
    probe_flags: U16
    probe_len: U16
    seq: U32
    sure: Bools
    asks: Bools
    """Whether the packet counts as a try."""

    def __len__(self) -> int:
        return len(self.row)

    def part(self, rows: Rows) -> Attempts:
        """Return some of them."""
        return Attempts(*(getattr(self, one.name)[rows] for one in fields(self)))


_DTYPES: tuple[Any, ...] = (
    np.intp, np.int64, np.int32, np.int32, np.uint64, np.uint64, np.uint64, np.uint64, np.uint64, np.uint64,
    np.uint16, np.uint16, np.uint16, np.int32, np.uint16, np.uint16, np.uint32, np.bool_, np.bool_,
)  # fmt: skip


@cache
def no_attempts() -> Attempts:
    """Return no attempts."""
    return Attempts(*(np.zeros(0, dtype) for dtype in _DTYPES))


def join_attempts(parts: list[Attempts]) -> Attempts:
    """Return the attempts of all parts, one part after another."""
    kept = [part for part in parts if len(part)]
    if len(kept) == 1:
        return kept[0]
    return Attempts(*(np.concatenate([getattr(part, one.name) for part in kept]) for one in fields(Attempts)))


@dataclass(frozen=True, slots=True)
class Entered:
    """Where attempts were entered."""

    rows: Rows
    """`intp [n]`, contact row of each attempt, -1 where there was no room."""
    new: Rows
    """Rows of new contacts, in time order; the first try of each is counted."""
    first: Rows
    """Index of the attempt that made each."""


def wait_ns(proto: U16) -> I64:
    """Return `i8 [n]`, how long the answer to a probe is awaited."""
    wait = np.full(len(proto), TCP_WAIT_NS, np.int64)
    wait[proto == UDP] = UDP_WAIT_NS
    wait[proto == ICMP] = wait[proto == ICMP6] = ICMP_WAIT_NS
    wait[proto == ARP] = NEIGHBOUR_WAIT_NS
    return wait


def is_group_address(high: U64, low: U64) -> Bools:
    """Return `bool [n]`, whether addresses are multicast or broadcast; of subnets, by the last byte 255."""
    v4 = (high == 0) & (low >> np.uint64(32) == np.uint64(0xFFFF))
    v4_group = ((low >> np.uint64(28)) & np.uint64(0xF) == np.uint64(0xE)) | (low & np.uint64(0xFF) == np.uint64(0xFF))
    return np.asarray(np.where(v4, v4_group, high >> np.uint64(56) == np.uint64(0xFF)))


class ContactTable:
    """First contacts of (source, destination, protocol, port), pending or settled."""

    serial: I64
    deadline_ns: I64
    attempt_ns: I64
    entry_row: npt.NDArray[np.int32]
    outcome: U8
    seq: U32
    sport: U16
    probe_flags: U16
    tries: U16
    sure: Bools
    proven: Bools
    """Whether silence is proven: the probe was repeated unanswered, or a router said that nobody is there."""
    src: I32
    src_key: U64
    multicast: Bools

    def __init__(self, capacity: int, secret: int) -> None:
        """Make an empty table of `capacity` rows, a power of two."""
        self.table = KeyTable("contacts", capacity)
        self.pending = Pending(capacity)
        self.made = 0
        """Contacts made since the start: the serial of the last one."""
        self._mixer = Mixer(secret ^ 0x636F6E74616374)
        self._records = Records(capacity, CONTACT_DTYPE)
        self._records.expose(self)

    def take(self, rows: Rows) -> npt.NDArray[Any]:
        """Return a copy of the records in `rows`."""
        return self._records.take(rows)

    def find(self, src_key: U64, dst_key: U64, proto: U16, port: U16) -> Rows:
        """Return the rows of contacts, -1 where unknown."""
        return self.table.find(self._key(src_key, dst_key, proto, port))

    def enter(self, attempts: Attempts) -> Entered:
        """Enter attempts; a contact that is known already stays as it is."""
        key = self._key(attempts.src_key, attempts.dst_key, attempts.proto, attempts.port)
        located = self.table.locate(key, attempts.time_ns)
        rows = located.rows
        if len(located.evicted) or (len(rows) and rows.min() < 0):
            rows = np.where(self.table.keys[rows] == key, rows, -1)
        new, first = located.new_rows, located.new_first
        if len(new):
            self._make(new, attempts.part(first) if len(new) < len(attempts) else attempts)
        return Entered(rows, new, first)

    def _make(self, new: Rows, attempts: Attempts) -> None:
        """Write the contacts that attempts make, one each."""
        made = self._records.blank(len(new))
        for name in (
            "src_key", "dst_key", "src_hi", "src_lo", "dst_hi", "dst_lo", "src", "dst", "flow", "seq", "proto",
            "port", "sport", "probe_flags", "probe_len", "sure",
        ):  # fmt: skip
            made[name] = getattr(attempts, name)
        serial = np.arange(self.made + 1, self.made + 1 + len(new))
        self.made += len(new)
        wait = wait_ns(attempts.proto)
        wait[(attempts.proto == ICMP6) & (attempts.port == ND_SOLICITATION)] = NEIGHBOUR_WAIT_NS
        deadline_ns = attempts.time_ns + wait
        made["serial"], made["attempt_ns"], made["deadline_ns"] = serial, attempts.time_ns, deadline_ns
        made["entry_row"], made["tries"] = attempts.row, attempts.asks
        made["multicast"] = is_group_address(attempts.dst_hi, attempts.dst_lo)
        self._records.put(new, made)
        self.pending.add(Due(deadline_ns, new, serial), wait)

    def awaits(self, rows: Rows, serial: I64) -> Bools:
        """Return `bool [n]`, whether the contact in each row is still the one of that serial, and unsettled."""
        return np.asarray((rows >= 0) & (self.serial[rows] == serial) & (self.outcome[rows] == _ATTEMPT))

    def settle(self, rows: Rows, outcome: U8) -> None:
        """Write the outcomes of `rows`, each given once."""
        self.outcome[rows] = outcome
        self.table.credit_ns[rows] = _CREDIT_NS[outcome]

    def add_tries(self, rows: Rows) -> None:
        """Count one more probe for each of `rows`, up to what the column holds."""
        groups = group(rows)
        self.tries[groups.ids] = np.minimum(self.tries[groups.ids] + groups.counts, 0xFFFF).astype(np.uint16)

    def shift(self, shift_ns: int) -> None:
        """Follow a step of the clock."""
        self.attempt_ns += shift_ns
        self.deadline_ns += shift_ns
        self.pending.shift(shift_ns)

    def _key(self, src_key: U64, dst_key: U64, proto: U16, port: U16) -> U64:
        return self._mixer(src_key, dst_key, (proto.astype(np.uint32) << np.uint32(16)) | port)
