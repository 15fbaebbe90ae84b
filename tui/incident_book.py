"""The incidents that the screens know, merged from updates by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nettriage.model.alert import SEVERITIES, Alert
from nettriage.model.health import Gauge

INCIDENTS_MAX = 5000
"""Beyond that the incident that was quiet longest is let go; the sensor's own book is not touched."""


class IncidentBook:
    """The latest state of each incident. Alerts are replaced, never changed, so a copy of the dict is a snapshot."""

    def __init__(self, cap: int = INCIDENTS_MAX) -> None:
        """Begin empty."""
        self._cap = cap
        self._alerts: dict[str, Alert] = {}
        self._evicted = 0
        self.revision = 0
        """Grows with every merge that brought something."""

    @property
    def alerts(self) -> Mapping[str, Alert]:
        """Incidents by id, in the order in which they were first told."""
        return self._alerts

    def merge(self, changed: Iterable[Alert]) -> set[str]:
        """Take in changed incidents, later ones over earlier ones, and return their ids."""
        ids = set()
        for alert in changed:
            self._alerts[alert.id] = alert
            ids.add(alert.id)
        self.revision += bool(ids)
        if (over := len(self._alerts) - self._cap) > 0:
            self._evict(over)
        return ids

    def gauge(self) -> Gauge:
        """How full the book is."""
        return Gauge(cap=self._cap, used=len(self._alerts), evicted=self._evicted)

    def _evict(self, over: int) -> None:
        quietest = sorted(self._alerts.values(), key=lambda alert: (alert.activity != "close", alert.last_seen))
        for alert in quietest[:over]:
            del self._alerts[alert.id]
        self._evicted += over


def tally(alerts: Iterable[Alert]) -> dict[str, int]:
    """Return how many incidents there are of each severity, worst first; severities without any are left out."""
    counts = dict.fromkeys(reversed(SEVERITIES), 0)
    for alert in alerts:
        counts[alert.severity] += 1
    return {name: number for name, number in counts.items() if number}
