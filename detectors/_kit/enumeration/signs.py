"""The book of signs: what each source asked that only an enumeration asks, bounded, in event order."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64
from nettriage.model.finding import Address, Finding
from nettriage.model.health import Gauge

SIGNS_KEPT = 128
"""Signs of one kind and source that are remembered: more than any threshold asks for."""
TARGETS_KEPT = 256
_SOURCE_BYTES = 96 * 1_024
"""What one source takes at most: four kinds of signs of 128 each, its targets and its last finding."""


class SignKind(IntEnum):
    """What was seen."""

    PROBE = 0
    """The first payload of a flow is one that a scanner sends; the detail names it."""
    STACK = 1
    """A packet that exists only to tell operating systems apart; the detail names it."""
    BANNER = 2
    """A session in which the service spoke and the client listened; the detail is empty."""
    LINK = 3
    """A question to the local link for all services; the detail is the service type or the protocol."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign."""

    ts_ns: int
    detail: str
    dst: Address
    port: int


@dataclass(slots=True)
class Source:
    """What one source asked."""

    key: Hashable
    addr: Address
    first_ns: int
    last_ns: int = 0
    count: int = 0
    signs: dict[SignKind, deque[Sign]] = field(default_factory=dict)
    targets: dict[tuple[Address, int], None] = field(default_factory=dict)
    protocols: dict[int, None] = field(default_factory=dict)
    rules: dict[str, None] = field(default_factory=dict)
    """Rules that fired, in order; they stay."""
    changed: bool = False
    finding: Finding | None = None

    def within(self, kind: SignKind, window_ns: int) -> list[Sign]:
        """Return the signs of a kind in the window that ends with the newest of them."""
        signs = self.signs.get(kind)
        if not signs:
            return []
        return [sign for sign in signs if sign.ts_ns >= signs[-1].ts_ns - window_ns]


class SignBook:
    """Sources by key, at most `cap`; at a judgement the one longest without a sign gives way."""

    def __init__(self, cap: int = 256) -> None:
        """Know of no source."""
        self._cap = cap
        self._sources: dict[Hashable, Source] = {}
        self._evicted = 0
        self._refused = 0

    @property
    def gauge(self) -> Gauge:
        """How full the book is; between judgements it may hold twice its cap."""
        return Gauge(cap=2 * self._cap, used=len(self._sources), evicted=self._evicted, refused=self._refused)

    @property
    def nbytes(self) -> int:
        """Memory of the book, in bytes, at most."""
        return len(self._sources) * _SOURCE_BYTES

    def note(self, key: Hashable, addr: Address, kind: SignKind, sign: Sign, proto: int) -> None:
        """Enter a sign of the source `key`, whose address is `addr`."""
        source = self._sources.get(key)
        if source is None:
            if len(self._sources) >= 2 * self._cap:
                self._refused += 1
                return
            source = self._sources[key] = Source(key, addr, sign.ts_ns)
        if addr[0] == 0 and source.addr[0] != 0:
            source.addr = addr
        source.first_ns, source.last_ns = min(source.first_ns, sign.ts_ns), max(source.last_ns, sign.ts_ns)
        source.count += 1
        source.changed = True
        source.signs.setdefault(kind, deque(maxlen=SIGNS_KEPT)).append(sign)
        source.protocols[proto] = None
        if len(source.targets) < TARGETS_KEPT:
            source.targets[sign.dst, sign.port] = None

    def changed(self) -> Iterable[Source]:
        """Return the sources with new signs, in order of their first one."""
        found = [source for source in self._sources.values() if source.changed]
        return sorted(found, key=lambda source: (source.first_ns, source.addr))

    def settle(self, now_ns: int, idle_ns: int) -> list[Source]:
        """Take out the sources that have been quiet for `idle_ns`, or longest quiet while there are too many."""
        over = [source for source in self._sources.values() if now_ns - source.last_ns > idle_ns]
        spare = len(self._sources) - len(over) - self._cap
        if spare > 0:
            kept = [source for source in self._sources.values() if now_ns - source.last_ns <= idle_ns]
            over += sorted(kept, key=lambda source: (bool(source.rules), source.last_ns, source.addr))[:spare]
            self._evicted += spare
        for source in over:
            del self._sources[source.key]
        return sorted(over, key=lambda source: (source.first_ns, source.addr))


class PerSecond:
    """At most `limit` events in each second of packet time; what exceeds is counted."""

    def __init__(self, limit: int) -> None:
        """Start with nothing spent."""
        self._limit = limit
        self._second = -1
        self._used = 0
        self.left_out = 0

    @property
    def gauge(self) -> Gauge:
        """How much of the second is spent."""
        return Gauge(cap=self._limit, used=min(self._used, self._limit), refused=self.left_out)

    def take(self, ts_ns: I64) -> npt.NDArray[np.bool_]:
        """Return `bool [n]`, which of the events, in event order, are within the limit."""
        kept = np.zeros(len(ts_ns), np.bool_)
        for at, second in enumerate((ts_ns // 1_000_000_000).tolist()):
            if second > self._second:
                self._second, self._used = second, 0
            self._used += 1
            kept[at] = self._used <= self._limit
        self.left_out += int((~kept).sum())
        return kept
