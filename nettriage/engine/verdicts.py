"""How many incidents of which kind and severity a run had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from nettriage.model.alert import SEVERITIES, Alert


class Verdicts:
    """Counts incidents by their last state; closed ones are only counts, so it holds no more than the book has open."""

    def __init__(self) -> None:
        self.worst = -1
        """Index into `SEVERITIES` of the highest severity that any incident ever had; -1 without any."""
        self._open: dict[str, tuple[str, str]] = {}
        self._closed: Counter[tuple[str, str]] = Counter()

    def note(self, changed: Iterable[Alert]) -> None:
        """Take in the last state of incidents that changed."""
        for alert in changed:
            self.worst = max(self.worst, SEVERITIES.index(alert.severity))
            if alert.activity == "close":
                self._open.pop(alert.id, None)
                self._closed[alert.kind, alert.severity] += 1
            else:
                self._open[alert.id] = (alert.kind, alert.severity)

    def by_kind(self) -> dict[str, int]:
        """Return the incidents of each kind that had any, by name."""
        return self._summed(0)

    def by_severity(self) -> dict[str, int]:
        """Return the incidents of every severity, lowest first."""
        counts = self._summed(1)
        return {severity: counts.get(severity, 0) for severity in SEVERITIES}

    def _summed(self, part: int) -> dict[str, int]:
        sums: Counter[str] = Counter()
        for names, count in (self._closed + Counter(self._open.values())).items():
            sums[names[part]] += count
        return dict(sorted(sums.items()))
