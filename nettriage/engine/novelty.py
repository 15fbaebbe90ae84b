"""Which changes of an incident are worth a line of output, so that a log of alerts is no flood."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from nettriage.engine.alert_book import CLOSED_MAX, OPEN_MAX
from nettriage.model.alert import SEVERITIES, Alert


@dataclass(frozen=True, slots=True)
class _Said:
    """What the last line of an incident said, as far as it matters."""

    severity: int
    count_rung: int
    object_rung: int
    open_rung: int
    follow_ups: int
    tool: str
    resolved: bool

    def is_news_after(self, before: _Said) -> bool:
        return (
            self.severity > before.severity
            or self.count_rung > before.count_rung
            or self.object_rung > before.object_rung
            or self.open_rung > before.open_rung
            or self.follow_ups > before.follow_ups
            or self.tool != before.tool
            or self.resolved != before.resolved
        )


class Novelty:
    """Remembers what was said of each incident, for as many as the alert book holds."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, _Said] = OrderedDict()

    def is_news(self, alert: Alert) -> bool:
        """Whether this record says something that matters and was not said: if so it counts as said from now on.

        The first record is news, and each later one that closes the incident, raises its severity, names a tool,
        shows a session that followed, or brings a count, the objects or the open services to the next of 1, 3,
        10, 30, 100 and so on.
        """
        now = _Said(
            SEVERITIES.index(alert.severity),
            rung(alert.count),
            rung(alert.object_count),
            rung(alert.findings.open_count),
            len(alert.findings.follow_up),
            alert.tool.name if alert.tool else "",
            alert.status == "resolved",
        )
        before = self._said.get(alert.id)
        if before is not None and not now.is_news_after(before):
            return False
        self._said[alert.id] = now
        self._said.move_to_end(alert.id)
        if len(self._said) > OPEN_MAX + CLOSED_MAX:
            self._said.popitem(last=False)
        return True


def rung(count: int) -> int:
    """Return how many of 1, 3, 10, 30, 100, 300 ... a count has reached."""
    steps, power = 0, 1
    while power <= count:
        steps += 1 + (3 * power <= count)
        power *= 10
    return steps
