"""What (host, protocol, port) targets did for everybody: who failed there lately, and how many were served."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Groups, Rows, group
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable

OTHERS = 3
"""Other sources that must have failed at a target for its failure to be shared (facts of dead services)."""
SHARED_NS = 600 * 1_000_000_000
"""How far back a failure of another source counts."""
_LONG_AGO = -(1 << 62)


def turns(groups: Groups) -> Rows:
    """Return `intp [n]`, for the rows in the order of `groups.order`, how many of their group came before."""
    return np.arange(len(groups.order)) - np.repeat(groups.starts, groups.counts)


@dataclass(frozen=True, slots=True)
class Known:
    """What was known of each event's target just before the event."""

    shared_failure: npt.NDArray[np.bool_]
    """Whether at least `OTHERS` contacts of the last `SHARED_NS` failed at the target: a dead service, not a scan."""
    served: I64
    """`i8`, contacts that the target answered before: sources, since a source makes one contact with a target."""


class TargetHistory:
    """Failures and successes by target; bounded by `capacity`, the target longest unseen gives way."""

    def __init__(self, capacity: int) -> None:
        """Make an empty history."""
        self._table = KeyTable("targets", capacity)
        self._failed_ns: I64 = np.zeros((capacity, OTHERS), np.int64)
        self._failures: npt.NDArray[np.uint32] = np.zeros(capacity, np.uint32)
        self._served: npt.NDArray[np.uint32] = np.zeros(capacity, np.uint32)

    @property
    def gauge(self) -> Gauge:
        """How full the history is."""
        return self._table.gauge

    @property
    def nbytes(self) -> int:
        """Memory of the history, in bytes."""
        table = self._table.capacity * 24
        return table + self._failed_ns.nbytes + self._failures.nbytes + self._served.nbytes

    def note(self, keys: U64, ts_ns: I64, failed: npt.NDArray[np.bool_]) -> Known:
        """Take in settled contacts in event order, and say what was known before each of them."""
        located = self._table.locate(keys, ts_ns)
        self._failures[located.new_rows] = 0
        self._served[located.new_rows] = 0
        shared = np.zeros(len(keys), np.bool_)
        served = np.zeros(len(keys), np.int64)
        placed = located.rows >= 0
        bad, good = np.flatnonzero(placed & failed), np.flatnonzero(placed & ~failed)
        if len(bad):
            shared[bad] = self._note_failures(located.rows[bad], ts_ns[bad])
        if len(good):
            served[good] = self._note_served(located.rows[good])
        return Known(shared, served)

    def _note_failures(self, rows: Rows, ts_ns: I64) -> npt.NDArray[np.bool_]:
        groups = group(rows)
        turn = turns(groups)
        row, at = rows[groups.order], ts_ns[groups.order]
        ordinal = self._failures[row].astype(np.intp) + turn
        place = ordinal % OTHERS
        earlier = np.concatenate((np.full(OTHERS, _LONG_AGO), at))[: len(at)]
        before = np.where(turn >= OTHERS, earlier, self._failed_ns[row, place])
        before[ordinal < OTHERS] = _LONG_AGO
        self._failed_ns[row, place] = at
        np.add.at(self._failures, rows, np.uint32(1))
        shared = np.empty(len(rows), np.bool_)
        shared[groups.order] = at - SHARED_NS <= before
        return shared

    def _note_served(self, rows: Rows) -> I64:
        groups = group(rows)
        before = np.empty(len(rows), np.int64)
        before[groups.order] = self._served[rows[groups.order]] + turns(groups)
        np.add.at(self._served, rows, np.uint32(1))
        return before
