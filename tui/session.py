"""What the screens know: the latest update, the incidents, and whether the view is frozen. No drawing here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nettriage.model.alert import Alert
from nettriage.model.frames import Failed, Finished, Update
from tui.figures import seconds_of
from tui.incident_book import IncidentBook
from tui.ranking import Ranking

STALE_S = 5.0
"""Seconds without an update after which what stands on the screen is called stale."""
NO_PACKETS_S = 10.0
"""Seconds without a packet on a live source after which the operator is told."""

Mode = Literal["waiting", "live", "replay", "finished", "stale", "no packets", "sensor lost", "failed"]


@dataclass(frozen=True, slots=True)
class Frozen:
    """The picture that is kept while capture goes on."""

    update: Update | None
    alerts: Mapping[str, Alert]
    at: float
    """Steady clock."""


class Session:
    """The state behind the screens. Times are seconds of a steady clock, handed in by the caller."""

    def __init__(self, source_name: str) -> None:
        """Wait for the first update of that source."""
        self.source_name = source_name
        self.book = IncidentBook()
        self.ranking = Ranking()
        self.fanout_order: list[str] = []
        self.latest: Update | None = None
        self.frozen: Frozen | None = None
        self.ending: Finished | Failed | None = None
        self.link_lost = False
        self._changed_since_freeze: set[str] = set()
        self._started_at: float | None = None
        self._updated_at = float("-inf")
        self._packets_at = float("-inf")
        self._packets = 0

    def take(self, update: Update, now: float) -> None:
        """Take in an update."""
        changed = self.book.merge(update.alerts)
        if self.frozen:
            self._changed_since_freeze |= changed
        if self._started_at is None:
            self._started_at = self._packets_at = now
        if update.health.received != self._packets:
            self._packets, self._packets_at = update.health.received, now
        self.latest, self._updated_at = update, now

    def renew(self, now: float) -> None:
        """Bring the lists up to date with what is shown."""
        sorted_before = self.ranking.ids
        self.ranking.renew(self.alerts, now, self.packet_now)
        panel = self.update.fanout if self.update else None
        if panel is not None and (self.ranking.waiting == 0 or not sorted_before):
            self.fanout_order = [row.ip for row in panel.rows]

    def freeze(self, now: float) -> None:
        """Keep the picture of this moment, while capture goes on."""
        self.frozen = Frozen(self.latest, dict(self.book.alerts), now)
        self._changed_since_freeze = set()

    def thaw(self) -> None:
        """Show the present again."""
        self.frozen = None

    @property
    def update(self) -> Update | None:
        """The update that is shown."""
        return self.frozen.update if self.frozen else self.latest

    @property
    def alerts(self) -> Mapping[str, Alert]:
        """The incidents that are shown."""
        return self.frozen.alerts if self.frozen else self.book.alerts

    @property
    def new_behind(self) -> int:
        """How many incidents are new or changed behind a frozen view."""
        return len(self._changed_since_freeze) if self.frozen else 0

    @property
    def packet_now(self) -> float | None:
        """Packet clock of what is shown, seconds since the epoch."""
        return seconds_of(self.update.now) if self.update else None

    @property
    def capturing(self) -> bool:
        """Whether leaving now would end something that is still going on."""
        return not (self.link_lost or self.ending) and (self.latest is None or self.latest.source.type == "live")

    def mode(self, now: float) -> Mode:
        """Return what the source is doing."""
        if self.ending:
            return "failed" if isinstance(self.ending, Failed) else "finished"
        if self.link_lost or self.latest is None:
            return "sensor lost" if self.link_lost else "waiting"
        if now - self._updated_at >= STALE_S:
            return "stale"
        if self.latest.source.type != "live":
            return "finished" if self.latest.state == "finished" else "replay"
        return "no packets" if now - self._packets_at >= NO_PACKETS_S else "live"

    def silence_s(self, now: float) -> float:
        """Return seconds since the last packet of a live source."""
        return now - self._packets_at

    def update_age_s(self, now: float) -> float:
        """Return seconds since the last update."""
        return now - self._updated_at

    def running_s(self, now: float) -> float:
        """Return seconds since the first update."""
        return 0.0 if self._started_at is None else now - self._started_at


def short_name(session: Session) -> str:
    """Return the interface, or the name of the file without its folders."""
    name = session.update.source.name if session.update else session.source_name
    return name.rpartition("/")[2] or name
