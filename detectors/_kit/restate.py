"""Which findings to say again: at once when they are new or weigh differently, else now and then, and at last."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nettriage.model.finding import Finding
from nettriage.model.health import Gauge

RESTATE_NS = 2_000_000_000
"""An incident that only grew a little is said again this often."""
GROWTH = 1.05
"""One that grew by more is said again at once, so that few words lag behind by much."""
QUIET_NS = 1_000_000_000
"""After this silence its last state is said without waiting."""
_INCIDENT_BYTES = 8_000
"""Memory of two findings in words, rounded up."""


@dataclass(slots=True)
class _Incident:
    """The state of an incident: what was said last, and what is known now."""

    latest: Finding
    said: Finding | None = None
    said_ns: int = 0


class Restatement:
    """Incidents by finding key, at most `cap`; beyond that new ones are refused and counted."""

    def __init__(self, cap: int, idle_ns: int) -> None:
        """Know of no incident; one is over after `idle_ns` without a finding."""
        self._cap, self._idle_ns = cap, idle_ns
        self._incidents: dict[int, _Incident] = {}
        self._refused = 0

    @property
    def gauge(self) -> Gauge:
        """How many incidents are open."""
        return Gauge(cap=self._cap, used=len(self._incidents), refused=self._refused)

    @property
    def nbytes(self) -> int:
        """Memory of the incidents, in bytes."""
        return len(self._incidents) * _INCIDENT_BYTES

    def offer(self, found: Finding) -> None:
        """Take in the present state of an incident."""
        known = self._incidents.get(found.key)
        if known:
            known.latest = found
        elif len(self._incidents) < self._cap:
            self._incidents[found.key] = _Incident(found)
        else:
            self._refused += 1

    def due(self, now_ns: int, most: int) -> list[Finding]:
        """Return what is to be said now, at most so many; incidents that are over are said closed and forgotten."""
        said: list[Finding] = []
        for key, incident in list(self._incidents.items()):
            if len(said) >= most:
                break
            if incident.said is not None and now_ns - incident.latest.last_ns > self._idle_ns:
                said.append(replace(incident.latest, closed=True))
                del self._incidents[key]
            elif _is_due(incident, now_ns):
                incident.said, incident.said_ns = incident.latest, now_ns
                said.append(incident.latest)
        return said


def _is_due(incident: _Incident, now_ns: int) -> bool:
    said, latest = incident.said, incident.latest
    if said is None or said.score != latest.score:
        return True
    return said is not latest and worth_saying(
        now_ns - incident.said_ns, now_ns - latest.last_ns, latest.count, said.count
    )  # fmt: skip


def worth_saying(since_said_ns: int, silent_ns: int, size: int, said_size: int) -> bool:
    """Whether a change of an incident is worth saying: it grew by a share, or waited long, or fell silent."""
    return size >= GROWTH * max(said_size, 1) or since_said_ns >= RESTATE_NS or silent_ns >= QUIET_NS
