"""Incidents of a scan detector: what is known of each scan from its alarm until it has been quiet for long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detectors._kit.results import Cells, ResultMatrix
from detectors._kit.sequential import Clock
from nettriage.model.alert import FollowUp
from nettriage.model.finding import Address, Finding
from nettriage.model.health import Gauge
from nettriage.model.slices import Outcome

IDLE_NS = 1800 * 1_000_000_000
"""An incident is over after this long without a new contact: one incident per scan and 30 min gap."""
TRIES_MAX = 8
SESSIONS_MAX = 16
_OBJECT_BYTES = 16_384
"""What the Python side of one incident and its last finding take, at most."""


@dataclass(slots=True)
class Incident:
    """A row whose walk alarmed, with its results from the contacts just before the alarm on."""

    key: int
    row: int
    src: Address
    dst: Address
    """Target of the contact that alarmed."""
    proto: int
    port: int
    """Port of the contact that alarmed."""
    clock: Clock | None
    """The clock that alarmed; None where contacts came too fast for any use, whatever their outcome."""
    first_ns: int
    last_ns: int
    alarm_ns: int
    results: ResultMatrix
    answered_before: int = 0
    """Answers shortly before the alarm that `results` does not list."""
    absent: int = 0
    """Addresses that the source sought and that do not exist, as far as only ARP shows: they are no contacts."""
    peak: float = 0.0
    """Highest walk since the alarm, in nats."""
    tries: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(TRIES_MAX + 1, np.int64))
    """`i8 [TRIES_MAX + 1]`, silent targets since the alarm by how often they were tried, the last one or more often."""
    sessions: list[FollowUp] = field(default_factory=list)
    """Sessions to services that it found, at most `SESSIONS_MAX`."""
    sessions_left_out: int = 0
    scheduled: bool = False
    """Whether the same targets came round at the same period often enough to know a schedule."""
    changed: bool = True
    finding: Finding | None = None
    """What was last said of it; None while it was not reported."""

    def take(self, cells: Cells, tries: npt.NDArray[np.uint16], last_ns: int, peak: float) -> None:
        """Add contacts that followed, how often each was tried, when the last was settled, and the highest walk."""
        self.results.add(cells)
        silent = tries[cells["outcome"] == Outcome.SILENT]
        if len(silent):
            self.tries += np.bincount(np.minimum(silent, TRIES_MAX), minlength=TRIES_MAX + 1)
        self.last_ns = max(self.last_ns, last_ns)
        self.peak = max(self.peak, peak)
        self.changed = True


class IncidentBook:
    """Incidents by row, at most `cap`; the one that has been quiet longest gives way."""

    def __init__(self, cap: int) -> None:
        """Make an empty book."""
        self._cap = cap
        self._by_row: dict[int, Incident] = {}
        self._over: list[Incident] = []
        self._evicted = 0

    def __contains__(self, row: int) -> bool:
        return row in self._by_row

    def __len__(self) -> int:
        return len(self._by_row)

    def __iter__(self) -> Iterator[Incident]:
        """Yield the open incidents in order of their alarms."""
        return iter(sorted(self._by_row.values(), key=lambda item: (item.alarm_ns, item.key)))

    def __getitem__(self, row: int) -> Incident:
        return self._by_row[row]

    @property
    def gauge(self) -> Gauge:
        """How full the book is."""
        return Gauge(cap=self._cap, used=len(self._by_row), evicted=self._evicted)

    @property
    def nbytes(self) -> int:
        """Memory of the incidents, in bytes."""
        return sum(item.results.nbytes + _OBJECT_BYTES for item in (*self._by_row.values(), *self._over))

    def open(self, incident: Incident) -> int | None:
        """Enter an incident; return the row of the one that gave way, or None."""
        quiet = None
        if len(self._by_row) >= self._cap:
            quiet = min(self._by_row.values(), key=lambda item: (item.last_ns, item.key)).row
            self.end(quiet)
            self._evicted += 1
        self._by_row[incident.row] = incident
        return quiet

    def end(self, row: int) -> None:
        """Take the incident of `row` out; it is reported as over if it was ever reported."""
        incident = self._by_row.pop(row)
        if incident.finding is not None:
            self._over = [*self._over, incident][-self._cap :]

    def quiet(self, now_ns: int) -> list[int]:
        """Return the rows of incidents without a contact for `IDLE_NS`."""
        return [item.row for item in self._by_row.values() if now_ns - item.last_ns > IDLE_NS]

    def take_over(self, limit: int) -> list[Incident]:
        """Return, once, up to `limit` incidents that ended."""
        gone, self._over = self._over[:limit], self._over[limit:]
        return gone
