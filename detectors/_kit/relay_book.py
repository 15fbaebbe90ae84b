"""Relays that were proved: their legs, clients and backends, and the chains that they form."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from nettriage.model.finding import Address, Endpoint
from nettriage.model.health import Gauge

from .echo_table import Echo
from .legs import BYTES_PER_NOTED_FLOW
from .twin_check import Pair, Proof

PAIRS_SHOWN = 10
_ENDS_MAX = 256
_CHAIN_MAX = 8
"""Hops that a chain is followed for."""
_BYTES_PER_RELAY = 3_000 + PAIRS_SHOWN * 2 * BYTES_PER_NOTED_FLOW


@dataclass(slots=True)
class RelayAccount:
    """One relay: a host and the port that it is reached at."""

    end: Endpoint
    host_key: int
    first_ns: int
    last_ns: int
    clients: dict[Address, int] = field(default_factory=dict)
    backends: dict[tuple[Address, int], int] = field(default_factory=dict)
    proofs: dict[Proof, int] = field(default_factory=dict)
    pairs: deque[Pair] = field(default_factory=lambda: deque(maxlen=PAIRS_SHOWN))
    """The latest ones."""
    count: int = 0
    preceded: int = 0
    """Pairs whose inner leg is the outer leg of another relay: this one is then not the first of the chain."""
    readable: int = 0
    """Pairs whose stream began as HTTP or TLS."""
    proxied: str = ""
    """Protocol of a proxy handshake that asked for the outer leg; empty where none did."""
    equal_bytes: int = 0
    echo: Echo | None = None
    """The odds of the latest pair that was proved by its rhythm."""
    news: str = ""
    """The latest backend or class of clients that the relay never had before."""
    news_ns: int = 0
    overflow: int = 0
    changed: bool = True
    said: bool = False
    said_ns: int = 0
    said_bytes: int = 0

    @property
    def key(self) -> int:
        """Identity of the relay among findings."""
        return (self.host_key ^ ((self.end.port or 0) * 0x9E3779B97F4A7C15)) & 0xFFFFFFFFFFFFFFFF

    @property
    def is_first(self) -> bool:
        """Whether some pair starts here rather than continuing another relay's."""
        return self.preceded < self.count

    def enter(self, pair: Pair) -> None:
        """Take in a proved pair."""
        self.count += 1
        self.proofs[pair.proof] = self.proofs.get(pair.proof, 0) + 1
        self.equal_bytes += pair.equal_bytes
        self.first_ns = min(self.first_ns, pair.inner.first_ns)
        client = pair.inner.ends[1 - pair.inner_side].addr
        backend = pair.outer.ends[1 - pair.outer_side]
        self._tally(self.clients, client)
        self._tally(self.backends, (backend.addr, (backend.port or 0) if pair.outer_side == 0 else 0))
        self.pairs.append(pair)
        self.changed = True

    def _tally(self, table: dict, key: object) -> None:  # type: ignore[type-arg]
        if key in table or len(table) < _ENDS_MAX:
            table[key] = table.get(key, 0) + 1
        else:
            self.overflow += 1

    @property
    def bytes(self) -> int:
        """Memory of the relay, estimated."""
        return _BYTES_PER_RELAY + 200 * (len(self.clients) + len(self.backends))


class RelayBook:
    """Relays and their pairs, each with a cap; the least recently used give way."""

    def __init__(self, pairs: int, relays: int) -> None:
        """Make an empty book."""
        self._pairs_cap, self._relays_cap = pairs, relays
        self._pairs: OrderedDict[tuple[int, int], Pair] = OrderedDict()
        self._by_inner: dict[int, Pair] = {}
        self._by_outer: dict[int, Pair] = {}
        self.relays: OrderedDict[int, RelayAccount] = OrderedDict()
        self._evicted = [0, 0]

    def __contains__(self, key: tuple[int, int]) -> bool:
        return key in self._pairs

    def taken(self, pair: Pair) -> bool:
        """Whether one of the legs already belongs to another pair in the same place."""
        return pair.inner.serial in self._by_inner or pair.outer.serial in self._by_outer

    def enter(self, pair: Pair) -> RelayAccount:
        """Take in a proved pair, and join it to the chain that it continues."""
        relay = self.relay_of(pair)
        relay.enter(pair)
        before, after = self._by_outer.get(pair.inner.serial), self._by_inner.get(pair.outer.serial)
        if before:
            relay.preceded += 1
            self.relay_of(before).changed = True
        if after:
            following = self.relay_of(after)
            following.preceded += 1
            following.changed = True
        self._pairs[pair.key] = self._by_inner[pair.inner.serial] = self._by_outer[pair.outer.serial] = pair
        if len(self._pairs) > self._pairs_cap:
            self._drop_oldest()
        return relay

    def relay_of(self, pair: Pair) -> RelayAccount:
        """Return the relay of a pair, opened where there is none."""
        end = Endpoint(pair.inner.ends[pair.inner_side].addr, pair.front_port)
        fresh = RelayAccount(end, pair.relay_key, pair.inner.first_ns, pair.inner.first_ns)
        relay = self.relays.setdefault(fresh.key, fresh)
        self.relays.move_to_end(fresh.key)
        if len(self.relays) > self._relays_cap:
            self.relays.popitem(last=False)
            self._evicted[1] += 1
        return relay

    def chain(self, pair: Pair) -> list[Pair]:
        """Return a pair and those that continue it, hop by hop."""
        hops = [pair]
        while len(hops) < _CHAIN_MAX and (after := self._by_inner.get(hops[-1].outer.serial)):
            hops.append(after)
        return hops

    def forget(self, relay: RelayAccount) -> None:
        """Drop a relay that is over."""
        del self.relays[relay.key]
        for pair in relay.pairs:
            self._drop(pair)

    def _drop_oldest(self) -> None:
        self._drop(next(iter(self._pairs.values())))
        self._evicted[0] += 1

    def _drop(self, pair: Pair) -> None:
        if self._pairs.pop(pair.key, None) is None:
            return
        if self._by_inner.get(pair.inner.serial) is pair:
            del self._by_inner[pair.inner.serial]
        if self._by_outer.get(pair.outer.serial) is pair:
            del self._by_outer[pair.outer.serial]

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the book is."""
        return {
            "relay pairs": Gauge(cap=self._pairs_cap, used=len(self._pairs), evicted=self._evicted[0]),
            "relays": Gauge(cap=self._relays_cap, used=len(self.relays), evicted=self._evicted[1]),
        }

    def state_bytes(self) -> int:
        """Return the memory of the book, estimated."""
        pairs = len(self._pairs) * (2 * BYTES_PER_NOTED_FLOW + 600)
        return pairs + sum(relay.bytes for relay in self.relays.values())
