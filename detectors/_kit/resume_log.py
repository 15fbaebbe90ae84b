"""Resumes of TCP flows since the last look, and what went into a host shortly before what came out of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows
from nettriage.model.health import Gauge
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables

from .preceding import Events, preceding

_TCP = 6
_EVENTS_MAX = 65_536
"""Resumes that are kept between two looks; more than that many in a quarter of a second is a flood."""
_NEAREST = 4
"""Resumes into a host that are met with one resume out of it: the latest ones."""


@dataclass(frozen=True, slots=True)
class ResumeEvents:
    """Resumes as columns, in order of time."""

    ts_ns: I64
    flow: Rows
    serial: I64
    side: npt.NDArray[np.uint8]
    """`u1`, who spoke again."""
    idle_ns: I64

    def __len__(self) -> int:
        return len(self.ts_ns)

    def rows(self, at: Rows) -> ResumeEvents:
        """Return some of the events."""
        return ResumeEvents(self.ts_ns[at], self.flow[at], self.serial[at], self.side[at], self.idle_ns[at])


@dataclass(frozen=True, slots=True)
class Echoes:
    """Resumes out of a host that followed resumes into it on another flow, one row a coincidence."""

    into: Rows
    """`intp [k]`, index of the event that came in."""
    out: Rows
    """`intp [k]`, index of the event that went out."""
    host: U64
    """`u8 [k]`, key of the host between them."""
    lag_ns: I64


class ResumeLog:
    """Keeps resumes after at least `idle_min_ns` from `note` to `drain`, in order of time."""

    def __init__(self, idle_min_ns: int, keep_ns: int) -> None:
        """Keep nothing yet; the resumes of the last `keep_ns` are handed out a second time by the next look."""
        self._idle_min_ns, self._keep_ns = idle_min_ns, keep_ns
        self._new: list[ResumeEvents] = []
        self._count = 0
        self._old = _joined([])
        self._refused = 0

    @property
    def gauge(self) -> Gauge:
        """How full the log is."""
        return Gauge(cap=_EVENTS_MAX, used=self._count, refused=self._refused)

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return 40 * (self._count + len(self._old))

    def note(self, seen: Slice) -> None:
        """Take in the resumes of a slice."""
        resumes, flows = seen.resumes, seen.tables.flows
        at = np.flatnonzero(resumes.idle_ns >= self._idle_min_ns) if len(resumes) else ()
        if not len(at):
            return
        at = at[flows.proto[resumes.flow[at]] == _TCP]
        room = _EVENTS_MAX - self._count
        self._refused += max(len(at) - room, 0)
        at = at[:room]
        row = resumes.flow[at].astype(np.intp)
        self._new.append(ResumeEvents(resumes.ts_ns[at], row, flows.serial[row], resumes.side[at], resumes.idle_ns[at]))
        self._count += len(at)

    def drain(self, tables: Tables) -> tuple[ResumeEvents, int]:
        """Return the resumes of live flows, those of the last look first, and how many those are."""
        if not self._count:
            return _joined([]), 0
        fresh = _joined(self._new)
        fresh = fresh.rows(np.argsort(fresh.ts_ns, kind="stable"))
        known = len(self._old)
        events = _joined([self._old, fresh])
        alive = tables.flows.serial[events.flow] == events.serial
        known = int(np.count_nonzero(alive[:known]))
        self._old = fresh.rows(np.flatnonzero(fresh.ts_ns >= fresh.ts_ns[-1] - self._keep_ns))
        self._new, self._count = [], 0
        return events.rows(np.flatnonzero(alive)), known


def echoes(events: ResumeEvents, known: int, tables: Tables, within_ns: int) -> Echoes:
    """Return which of the events from index `known` on went out of a host within `within_ns` after one came in.

    Whoever opened the flows does not matter: a resume comes into the host at its other side. Pairs between the
    same two hosts are left out, and of more than 4 that came in the latest ones are taken.
    """
    speaker = tables.hosts.key[tables.flows.host[events.flow, events.side]]
    hearer = tables.hosts.key[tables.flows.host[events.flow, 1 - events.side]]
    into, out = preceding(
        Events(hearer, events.ts_ns), Events(speaker[known:], events.ts_ns[known:]), within_ns, _NEAREST
    )
    out += known
    other = (events.serial[into] != events.serial[out]) & (speaker[into] != hearer[out])
    out, into = out[other], into[other]
    return Echoes(into, out, speaker[out], events.ts_ns[out] - events.ts_ns[into])


def _joined(parts: list[ResumeEvents]) -> ResumeEvents:
    if not parts:
        none = np.zeros(0, np.int64)
        return ResumeEvents(none, none.astype(np.intp), none, none.astype(np.uint8), none)
    columns = ("ts_ns", "flow", "serial", "side", "idle_ns")
    return ResumeEvents(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))
