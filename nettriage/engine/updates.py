"""What the sensor tells the screens four times a second, made only when they are ready to take it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nettriage.engine import clock
from nettriage.engine.run import Run
from nettriage.engine.times import rfc3339_or_empty
from nettriage.model.alert import Alert
from nettriage.model.frames import Update
from nettriage.model.health import Gauge

UNSENT_MAX = 8_192
"""Changed incidents that wait for a reader, each once in its last state: more than the book can hold at once."""
ALERTS_A_MESSAGE = 512
"""The rest goes with the next update, so that no single message is long to decode."""


class Updates:
    """Makes `Update` messages, and keeps the changes that were not sent yet."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seq = 0
        self._unsent: dict[str, Alert] = {}
        self._lost = 0
        self._skipped = 0
        self._before = (clock.monotonic_s(), 0, 0)

    @property
    def pending(self) -> bool:
        """Whether changed incidents wait to be sent."""
        return bool(self._unsent)

    def note(self, changed: Iterable[Alert]) -> None:
        """Remember changed incidents until they are sent, one state each."""
        for alert in changed:
            before = self._unsent.pop(alert.id, None)
            if before is not None and before.activity == "create" and alert.activity == "update":
                alert = msgspec.structs.replace(alert, activity="create")  # noqa: PLW2901 - the reader knows none yet
            self._unsent[alert.id] = alert
        while len(self._unsent) > UNSENT_MAX:
            del self._unsent[next(iter(self._unsent))]
            self._lost += 1

    def skip(self) -> None:
        """Count an update that was due while the reader had not taken the one before."""
        self._seq += 1
        self._skipped += 1

    def make(self, state: str, replies: Gauge) -> Update:
        """Return the update of this moment, with the changes noted longest ago; `replies` is the gauge of the link."""
        self._seq += 1
        run = self._run
        packets_per_s, bits_per_s = self._rates()
        limits = run.pipeline.limits() | {"link.replies": replies}
        limits["link.updates"] = Gauge(
            cap=UNSENT_MAX, used=len(self._unsent), evicted=self._lost, refused=self._skipped
        )
        return Update(
            seq=self._seq,
            now=rfc3339_or_empty(run.pipeline.now_ns),
            source=run.source,
            window=run.pipeline.window,
            health=run.health(),
            limits=limits,
            packets_per_s=packets_per_s,
            bits_per_s=bits_per_s,
            flows=limits["flows"].used,
            hosts=limits["hosts"].used,
            lag_s=run.feed.lag_s(),
            fanout=run.pipeline.panel(),
            alerts=self._taken(),
            state=state,
        )

    def _taken(self) -> list[Alert]:
        names = list(self._unsent)[:ALERTS_A_MESSAGE]
        return [self._unsent.pop(name) for name in names]

    def _rates(self) -> tuple[float, float]:
        """Return packets/s and bit/s since the update before."""
        then_s, packets, size = self._before
        now_s = clock.monotonic_s()
        self._before = (now_s, self._run.packets, self._run.bytes)
        took_s = max(now_s - then_s, 1e-3)
        return round((self._run.packets - packets) / took_s, 1), round((self._run.bytes - size) * 8 / took_s, 1)
