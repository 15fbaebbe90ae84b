"""Which incidents are listed, in which order, and when that order may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nettriage.model.alert import SEVERITIES, Alert
from tui.filter_language import Filter

SORT_PERIOD_S = 1.0
"""Rows change places at most this often."""
CALM_S = 3.0
"""And not for so long after a key was pressed: no row moves away from under the cursor."""

_RANKS: Mapping[str, Callable[[Alert], tuple[float | str, ...]]] = {
    "score": lambda alert: (SEVERITIES.index(alert.severity), alert.score, alert.last_seen),
    "age": lambda alert: (alert.last_seen, alert.score),
    "first seen": lambda alert: (alert.first_seen, alert.score),
    "count": lambda alert: (alert.count, alert.score),
    "kind": lambda alert: (alert.kind, alert.score),
    "source": lambda alert: (alert.subject.ip, alert.score),
}
SORTS = tuple(_RANKS)


class Ranking:
    """The listed ids. New ones join at the end until the next moment of calm; `waiting` counts them."""

    def __init__(self) -> None:
        """Begin with everything listed, worst first."""
        self.filter = Filter()
        self.sort = SORTS[0]
        self.reverse = False
        self.ids: list[str] = []
        self.waiting = 0
        self._sorted_at = float("-inf")
        self._key_at = float("-inf")
        self._stale = True

    def key_pressed(self, now: float) -> None:
        """Note a key press at `now`, seconds of any steady clock."""
        self._key_at = now

    def by(self, sort: str, *, reverse: bool) -> None:
        """Sort by another column, at once."""
        self.sort, self.reverse, self._stale = sort, reverse, True

    def narrow(self, wanted: Filter) -> None:
        """List only what `wanted` matches, at once."""
        self.filter, self._stale = wanted, True

    def renew(self, alerts: Mapping[str, Alert], now: float, packet_now: float | None) -> None:
        """List what is in `alerts`: `now` is the steady clock, `packet_now` the packet clock for ages."""
        matching = {key: alert for key, alert in alerts.items() if self.filter.matches(alert, packet_now)}
        if self._may_sort(now):
            rank = _RANKS[self.sort]
            descending = not self.reverse if self.sort not in ("kind", "source") else self.reverse
            self.ids = sorted(matching, key=lambda key: (rank(matching[key]), key), reverse=descending)
            self._sorted_at, self._stale, self.waiting = now, False, 0
            return
        listed = [key for key in self.ids if key in matching]
        known = set(listed)
        late = [key for key in matching if key not in known]
        self.waiting += len(late)
        self.ids = listed + late

    def _may_sort(self, now: float) -> bool:
        if self._stale or not self.ids:
            return True
        return now - self._sorted_at >= SORT_PERIOD_S and now - self._key_at >= CALM_S
