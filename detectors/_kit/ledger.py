"""The ledger of a scan detector: one row per key, walked by two clocks; a walk that alarms opens an incident."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detectors._kit.history import turns
from detectors._kit.incidents import IDLE_NS, Incident, IncidentBook
from detectors._kit.results import ANSWERED, CELL, Cells, Recent, ResultMatrix
from detectors._kit.scancontacts import ScanContacts
from detectors._kit.sequential import MICRONATS, Clock, SequentialTest
from nettriage.model.columns import I64, U64, Groups, Rows, group
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable

ANSWERED_CLOCK = Clock(tau_s=60.0, alarm=0.0)
"""How long an answer speaks for its source: answers come at once, silence is known seconds later."""
BY_FAST, BY_SLOW, BY_BURST = 1, 2, 3
"""Which alarm a contact raised."""
KEY_ROW_BYTES = 24
"""Memory of one row of a `KeyTable`."""
_SUSPECT_FAILURES = 3
"""Failures after which a row outlives the one-failure rows of a flood, by `IDLE_NS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPlan:
    """Thresholds and caps of a ledger."""

    name: str
    rows: int
    incidents: int
    cells: int
    """Contacts listed for each incident."""
    fast: Clock
    slow: Clock
    floor: int
    """Failing targets that an alarm needs at least."""
    depth: int = 16
    """Contacts remembered of each row; also the most that a `Burst` can ask for."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Contacts that come so fast that they open an incident whatever their outcomes."""

    count: Rows
    """`intp [n]`, contacts of one row; 0 where no number is enough."""
    within_ns: I64
    """`i8 [n]`."""


@dataclass(slots=True)
class _Sorted:
    """Contacts of one slice sorted by row, with what is known after each."""

    groups: Groups
    rows: Rows
    turn: Rows
    cells: Cells
    contact: Rows
    """Index into the slice's scan contacts."""
    fast: I64
    """`i8`, the walk of each clock, which begins with the first failure of the row."""
    slow: I64
    answered: I64
    """`i8`, answers of the last minute or so, fading, in millionths."""
    failures: I64
    """`i8`, failing contacts of the row so far."""
    alarm: npt.NDArray[np.int8] = field(init=False)
    """Which alarm holds after the contact: 0 for none."""

    def __post_init__(self) -> None:
        self.alarm = np.zeros(len(self.rows), np.int8)


class Ledger:
    """Rows by key; a full set gives up the row longest untouched, suspects and incidents last."""

    def __init__(self, plan: LedgerPlan) -> None:
        """Make an empty ledger."""
        self.plan = plan
        self.book = IncidentBook(plan.incidents)
        self._table = KeyTable(plan.name, plan.rows)
        self._fast = SequentialTest(plan.rows, plan.fast)
        self._slow = SequentialTest(plan.rows, plan.slow)
        self._recent = Recent(plan.rows, plan.depth)
        self._answered = SequentialTest(plan.rows, ANSWERED_CLOCK)
        self._failures: I64 = np.zeros(plan.rows, np.int64)
        self._in_book: npt.NDArray[np.bool_] = np.zeros(plan.rows, np.bool_)

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of rows and incidents."""
        return {"rows": self._table.gauge, "incidents": self.book.gauge}

    @property
    def nbytes(self) -> int:
        """Memory of rows and incidents, in bytes."""
        columns = self._failures.nbytes + self._in_book.nbytes
        walks = self._fast.nbytes + self._slow.nbytes + self._answered.nbytes
        return self.plan.rows * KEY_ROW_BYTES + columns + walks + self._recent.nbytes + self.book.nbytes

    def add(self, keys: U64, contacts: ScanContacts, weights: I64, burst: Burst | None = None) -> None:
        """Take in contacts in event order under their keys, with weights in micronats."""
        located = self._table.locate(keys, contacts.ts_ns)
        if len(located.evicted):
            self._end_incidents(located.evicted[self._in_book[located.evicted]])
        if len(located.new_rows):
            self._reset(located.new_rows)
        targets = contacts.targets
        at = np.flatnonzero(located.rows >= 0)
        at = at[~self._recent.holds(located.rows[at], targets[at])]
        if len(at):
            seen = self._sorted(located.rows[at], at, contacts, weights)
            self._alarm(seen, burst)
            self._extend_incidents(seen, self._open_incidents(seen, contacts), contacts)
            self._recent.put(seen.rows, seen.turn, seen.cells, targets[seen.contact])
            self._credit(seen)

    def settle(self, now_ns: int) -> None:
        """End the incidents that have been quiet for `IDLE_NS`, and free their rows."""
        quiet = self.book.quiet(now_ns)
        if quiet:
            self._end_incidents(np.array(quiet, np.intp), free=True)

    def _reset(self, rows: Rows) -> None:
        self._answered.clear(rows)
        self._recent.clear(rows)
        self._failures[rows] = 0

    def _end_incidents(self, rows: Rows, *, free: bool = False) -> None:
        for row in rows.tolist():
            self.book.end(row)
        self._in_book[rows] = False
        if free:
            self._table.drop(rows)

    def _sorted(self, rows: Rows, at: Rows, contacts: ScanContacts, weights: I64) -> _Sorted:
        groups = group(rows)
        order = groups.order
        at = at[order]
        cells, ts_ns, failed = cells_of(contacts, at), contacts.ts_ns[at], contacts.failed[at]
        answered = self._answered.add(groups, ts_ns, np.where(failed, 0, MICRONATS))
        failures = self._count_failures(groups, failed)
        fast, slow = self._walk(rows[order], ts_ns, weights[at], failures, failed & (failures == 1))
        return _Sorted(groups, rows[order], turns(groups), cells, at, fast, slow, answered, failures)

    def _count_failures(self, groups: Groups, failed: npt.NDArray[np.bool_]) -> I64:
        """Return `i8 [n]`, the failures of the row up to each of its contacts, sorted by row."""
        running = np.cumsum(failed, dtype=np.int64)
        before = self._failures[groups.ids] - running[groups.starts] + failed[groups.starts]
        failures: I64 = running + np.repeat(before, groups.counts)
        self._failures[groups.ids] = failures[groups.starts + groups.counts - 1]
        return failures

    def _walk(
        self, rows: Rows, ts_ns: I64, weights: I64, failures: I64, first: npt.NDArray[np.bool_]
    ) -> tuple[I64, I64]:
        """Return the walks of both clocks after each contact, sorted by row; `first` marks first failures.

        Before its first failure a row has nothing to forget and cannot fall below zero: its walk begins there.
        """
        fast, slow = np.zeros((2, len(rows)), np.int64)
        at = np.flatnonzero(failures)
        if len(at):
            groups, begins = group(rows[at]), rows[first]
            for test, walked in ((self._fast, fast), (self._slow, slow)):
                test.clear(begins)
                walked[at] = test.add(groups, ts_ns[at], weights[at])
        return fast, slow

    def _alarm(self, seen: _Sorted, burst: Burst | None) -> None:
        plan, enough = self.plan, seen.failures >= self.plan.floor
        if burst is not None:
            count, at = burst.count[seen.contact], seen.cells["ts_ns"]
            near = self._recent.earlier(seen.rows, seen.turn, at, np.maximum(count, 1) - 1)
            seen.alarm[(count > 0) & (at - burst.within_ns[seen.contact] <= near)] = BY_BURST
        if not enough.any():
            return
        seen.alarm[(seen.slow >= int(plan.slow.alarm * MICRONATS)) & enough] = BY_SLOW
        seen.alarm[(seen.fast >= int(plan.fast.alarm * MICRONATS)) & enough] = BY_FAST

    def _open_incidents(self, seen: _Sorted, contacts: ScanContacts) -> dict[int, int]:
        """Open an incident at the first alarm of each row that has none, with the contacts just before it.

        Returns where in `seen` each one alarmed. Python runs once an incident, of which there are few.
        """
        if not seen.alarm.any():
            return {}
        alarms = np.flatnonzero((seen.alarm > 0) & ~self._in_book[seen.rows])
        if not len(alarms):
            return {}
        first = alarms[np.unique(seen.rows[alarms], return_index=True)[1]]
        opened = {}
        for at in first[np.argsort(seen.contact[first])].tolist():
            row, turn, depth = int(seen.rows[at]), int(seen.turn[at]), self._recent.depth
            results = ResultMatrix(self.plan.cells)
            results.add(self._recent.last(row, min(turn + 1, depth)))
            results.add(seen.cells[at - min(turn, depth - 1) : at])
            displaced = self.book.open(self._incident(at, seen, contacts, results))
            if displaced is not None:
                self._in_book[displaced] = False
            self._in_book[row] = True
            opened[row] = at
        return opened

    def _incident(self, at: int, seen: _Sorted, contacts: ScanContacts, results: ResultMatrix) -> Incident:
        contact, cell, row = seen.contact[at], seen.cells[at], int(seen.rows[at])
        before = results.cells if len(results.cells) else seen.cells[at : at + 1]
        return Incident(
            key=int(self._table.keys[row]),
            row=row,
            src=(int(contacts.src_hi[contact]), int(contacts.src_lo[contact])),
            dst=(int(cell["hi"]), int(cell["lo"])),
            proto=int(contacts.proto[contact]),
            port=int(cell["port"]),
            clock=None,
            first_ns=int(before["attempt_ns"].min()),
            last_ns=int(cell["ts_ns"]),
            alarm_ns=int(cell["ts_ns"]),
            results=results,
            answered_before=max(0, int(seen.answered[at]) // MICRONATS - results.count(*ANSWERED)),
        )

    def _extend_incidents(self, seen: _Sorted, opened: dict[int, int], contacts: ScanContacts) -> None:
        """Hand each open incident its contacts, from its alarm on; Python once an incident."""
        members = np.flatnonzero(self._in_book[seen.groups.ids])
        if not len(members):
            return
        groups, tries = seen.groups, contacts.tries[seen.contact]
        rows, starts = groups.ids[members].tolist(), groups.starts[members].tolist()
        stops = (groups.starts + groups.counts)[members].tolist()
        starts = [opened.get(row, start) for row, start in zip(rows, starts, strict=True)]
        last_ns, fast, slow = (_highest(each, starts, stops) for each in (seen.cells["ts_ns"], seen.fast, seen.slow))
        for at, row in enumerate(rows):
            span, incident = slice(starts[at], stops[at]), self.book[row]
            if incident.clock is None:
                incident.clock = self._first_clock(seen.alarm[span])
            peak = slow[at] if incident.clock is self.plan.slow else fast[at]
            incident.take(seen.cells[span], tries[span], last_ns[at], peak / MICRONATS)

    def _first_clock(self, alarms: npt.NDArray[np.int8]) -> Clock | None:
        """Return the clock that alarmed first, None where none did."""
        told = alarms[(alarms == BY_FAST) | (alarms == BY_SLOW)]
        return {BY_FAST: self.plan.fast, BY_SLOW: self.plan.slow}[int(told[0])] if len(told) else None

    def _credit(self, seen: _Sorted) -> None:
        rows = seen.groups.ids
        suspects = rows[self._failures[rows] >= _SUSPECT_FAILURES]
        self._table.credit_ns[suspects] = np.where(self._in_book[suspects], 4 * IDLE_NS, IDLE_NS)


def _highest(values: I64, starts: list[int], stops: list[int]) -> list[int]:
    """Return the highest of each span of `values`, none of which is empty."""
    edges = np.column_stack((starts, stops)).reshape(-1)
    highest: list[int] = np.maximum.reduceat(np.append(values, 0), edges)[::2].tolist()
    return highest


def cells_of(contacts: ScanContacts, at: Rows) -> Cells:
    """Return scan contacts as cells of a result matrix, one each, in the order of `at`."""
    cells: Cells = np.zeros(len(at), CELL)
    cells["hi"], cells["lo"], cells["port"] = contacts.dst_hi[at], contacts.dst_lo[at], contacts.port[at]
    cells["ts_ns"], cells["attempt_ns"] = contacts.ts_ns[at], contacts.attempt_ns[at]
    cells["flow"], cells["outcome"], cells["fresh"] = contacts.flow[at], contacts.outcome[at], contacts.fresh[at]
    return cells
