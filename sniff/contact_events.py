"""Contacts and their outcomes of one batch, put in time order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows, group
from nettriage.model.slices import ContactEvents, Outcome
from nettriage.model.tables import U8
from sniff.contacts import ContactTable
from sniff.flow_packets import Bools
from sniff.hosts import HostTable
from sniff.outcomes import Evidence, Probes
from sniff.pending import Due

ONE_WAY_SHARE_MAX = 0.3
"""Above this share of one-way flows a host that was never heard an answer to may well have got one."""
_COPIED = (
    "src", "dst", "src_key", "dst_key", "src_hi", "src_lo", "dst_hi", "dst_lo", "proto", "port", "sport", "flow",
    "probe_flags", "probe_len", "attempt_ns", "multicast",
)  # fmt: skip
_ROW_BITS = 32
_ATTEMPT = np.uint8(Outcome.ATTEMPT)
_ORDERED = (Outcome.ATTEMPT, Outcome.SILENT)
"""Outcomes whose events are told in order."""


@dataclass(slots=True)
class Told:
    """Events of one kind, before they are put in order."""

    contact: Rows
    ts_ns: I64
    outcome: U8
    order: I64
    """Among events of one time: row of the batch and kind; silence comes first, in the order of the attempts."""
    tries: I64
    sure: Bools
    denier_hi: U64
    denier_lo: U64


class Asked:
    """The probes of a batch, counted by contact up to any row."""

    def __init__(self, probes: Probes) -> None:
        at = (probes.contact.astype(np.int64) << _ROW_BITS) | probes.row
        packed = (at << 2) | (probes.asks.astype(np.int64) << 1) | probes.proves
        packed.sort()
        self._at = packed >> 2
        self._asks = np.concatenate(([0], np.cumsum((packed >> 1) & 1)))
        self._proofs = np.concatenate(([0], np.cumsum(packed & 1)))

    def until(self, contact: Rows, row: Rows | I64) -> tuple[I64, Bools]:
        """Return how many probes of each contact lie before `row`, and whether any of them proves silence."""
        base = contact.astype(np.int64) << _ROW_BITS
        begin, end = np.searchsorted(self._at, base), np.searchsorted(self._at, base + row)
        return self._asks[end] - self._asks[begin], self._proofs[end] > self._proofs[begin]


def attempts_told(contacts: ContactTable, new: Rows) -> Told:
    """Return the events of contacts that were just made."""
    zero = np.zeros(len(new), np.uint64)
    return Told(
        new, contacts.attempt_ns[new], np.full(len(new), Outcome.ATTEMPT, np.uint8),
        contacts.entry_row[new].astype(np.int64) * 2 + 1, np.ones(len(new), np.int64), contacts.sure[new], zero, zero,
    )  # fmt: skip


def in_time(contacts: ContactTable, evidence: Evidence, time_ns: I64, made_before: int) -> Evidence:
    """Return the evidence that came after the first probe and before the deadline."""
    after = not_before(contacts, evidence.contact, evidence.row, made_before)
    return evidence.part(np.flatnonzero(after & (time_ns[evidence.row] < contacts.deadline_ns[evidence.contact])))


def not_before(contacts: ContactTable, contact: Rows, row: Rows, made_before: int) -> Bools:
    """Return `bool [n]`, whether rows do not precede their contact; only those above serial `made_before` can."""
    return np.asarray((contacts.serial[contact] <= made_before) | (row >= contacts.entry_row[contact]))


def answers_told(contacts: ContactTable, evidence: Evidence, time_ns: I64, asked: Asked) -> Told:
    """Settle contacts by the first evidence of each, and return those events."""
    by_row = evidence.row.argsort(kind="stable")
    groups = group(evidence.contact[by_row])
    order, contact = by_row[groups.first], groups.ids
    row = evidence.row[order]
    contacts.settle(contact, evidence.outcome[order])
    tries, _ = asked.until(contact, row + 1)
    return Told(
        contact, time_ns[row], evidence.outcome[order], row.astype(np.int64) * 2 + 2, contacts.tries[contact] + tries,
        contacts.sure[contact], evidence.denier_hi[order], evidence.denier_lo[order],
    )  # fmt: skip


def silences_told(
    contacts: ContactTable, hosts: HostTable, due: Due, asked: Asked, time_ns: I64, one_way_share: float | None
) -> Told:  # fmt: skip
    """Settle the pending contacts whose deadline has come, and return those events.

    Silence is sure where answers to the asker were seen before, where the feed shows both directions, or where it
    is proven by a repetition.
    """
    due = due.part(np.flatnonzero(contacts.awaits(due.row, due.serial)))
    contact = due.row
    contacts.settle(contact, np.full(len(contact), Outcome.SILENT, np.uint8))
    tries, proven = asked.until(contact, np.searchsorted(time_ns, due.deadline_ns))
    proven |= contacts.proven[contact]
    src = contacts.src[contact]
    same = (src >= 0) & (hosts.key[src] == contacts.src_key[contact])
    heard_ns = np.where(same, hosts.heard_ns[src], 0)
    seen = (heard_ns > 0) & (heard_ns < due.deadline_ns)
    if one_way_share is not None and one_way_share < ONE_WAY_SHARE_MAX:
        seen[:] = True
    zero = np.zeros(len(contact), np.uint64)
    return Told(
        contact, due.deadline_ns, np.full(len(contact), Outcome.SILENT, np.uint8), np.arange(len(due)) - (1 << 62),
        contacts.tries[contact] + tries, contacts.sure[contact] & (seen | proven) & ~contacts.multicast[contact],
        zero, zero,
    )  # fmt: skip


def in_order(contacts: ContactTable, told: list[Told]) -> ContactEvents:
    """Return all events in time order: at one time, silences first, then by row, the attempt before its outcome."""
    parts = [part for part in told if len(part.contact)]
    if not parts:
        return no_contacts()
    joined = parts[0] if len(parts) == 1 else _joined(parts)
    if len(parts) > 1 or joined.outcome[0] not in _ORDERED:
        order = np.lexsort((joined.order, joined.ts_ns))
        joined = Told(*(getattr(joined, name)[order] for name in Told.__slots__))
    records = contacts.take(joined.contact)
    return ContactEvents(
        ts_ns=joined.ts_ns,
        outcome=joined.outcome,
        tries=np.minimum(joined.tries, 0xFFFF).astype(np.uint16),
        sure=joined.sure,
        denier_hi=joined.denier_hi,
        denier_lo=joined.denier_lo,
        probe_row=np.where(joined.outcome == _ATTEMPT, records["entry_row"], -1).astype(np.int64),
        **{name: np.ascontiguousarray(records[name]) for name in _COPIED},
    )


def _joined(parts: list[Told]) -> Told:
    return Told(*(np.concatenate([getattr(part, name) for part in parts]) for name in Told.__slots__))


_DTYPES: dict[str, npt.DTypeLike] = {
    "ts_ns": np.int64, "outcome": np.uint8, "src": np.int32, "dst": np.int32, "src_key": np.uint64,
    "dst_key": np.uint64, "src_hi": np.uint64, "src_lo": np.uint64, "dst_hi": np.uint64, "dst_lo": np.uint64,
    "proto": np.uint16, "port": np.uint16, "sport": np.uint16, "flow": np.int32, "probe_flags": np.uint16,
    "probe_len": np.uint16, "tries": np.uint16, "attempt_ns": np.int64, "multicast": np.bool_, "sure": np.bool_,
    "denier_hi": np.uint64, "denier_lo": np.uint64, "probe_row": np.int64,
}  # fmt: skip


@cache
def no_contacts() -> ContactEvents:
    """Return no events."""
    return ContactEvents(**{name: np.zeros(0, dtype) for name, dtype in _DTYPES.items()})
