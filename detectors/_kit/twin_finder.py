"""Candidates for the two legs of a relay, found over columns: equal starts, equal tokens, equal volumes, crosswise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Mixer, Rows
from nettriage.model.health import Gauge
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables

from .byte_rows import U8
from .fold import Fold
from .meeting import Candidate, candidates
from .prefix_watch import PrefixWatch, heads
from .proxy_speech import recognised
from .token_finder import TTL_NS, TokenFinder
from .twin_check import Handshake, Proof, Skips
from .twin_map import TwinMap

_TCP = 6
_START_BYTES = 16
_HEAD_WIDTH = 48
_VOLUME_MIN = 200
"""Payload bytes each way below which equal volumes mean nothing."""
_LIVE_EVERY_NS, _QUIET_NS = 5_000_000_000, 300_000_000
"""Long flows are compared this often, when nothing of them is in flight."""
_PARSES_PER_TICK = 256
_SKIPS_MAX = 4_096


class TwinFinder:
    """Remembers starts, tokens and volumes of recent flows, and says which meet crosswise."""

    def __init__(self, mix: Mixer) -> None:
        """Remember nothing yet."""
        self._fold = Fold.keyed(mix)
        self._watch = PrefixWatch()
        self._starts = TwinMap(65_536, TTL_NS)
        self._tokens = TokenFinder(mix)
        self._volumes = TwinMap(32_768, TTL_NS)
        self._started: I64 = np.zeros(0, np.int64)
        self._spoken_to: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        """By host row: has an end of a flow on which the accepting side spoke first."""
        self._ended: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._resumed: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._any_ended = False
        self._live_ns = 0
        self._unparsed = 0
        self.skips: Skips = {}
        """Proxy handshakes before the relayed stream, by flow serial."""

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        arrays = (self._started, self._spoken_to, self._ended, self._resumed)
        maps = (self._starts, self._tokens, self._volumes, self._watch)
        return sum(array.nbytes for array in arrays) + sum(item.nbytes for item in maps) + 200 * len(self.skips)

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the maps are, and how many flows were left unparsed."""
        return {
            "starts": self._starts.gauge,
            "volumes": self._volumes.gauge,
            "handshakes a tick": Gauge(cap=_PARSES_PER_TICK, used=0, refused=self._unparsed),
            **self._tokens.gauges(),
        }

    def note(self, seen: Slice) -> None:
        """Mark the flows that grew, resumed or ended."""
        self._grow(len(seen.tables.flows.serial))
        self._watch.note(seen)
        self._tokens.earn(len(seen.packets))
        if len(seen.resumes):
            self._resumed[seen.resumes.flow] = True
        if len(seen.ends):
            self._ended[seen.ends.flow] = True
            self._any_ended = True

    def candidates(self, now_ns: int, tables: Tables) -> list[Candidate]:
        """Return the flows that met since the last call, each meeting once."""
        rows, slots = self._watch.drain(tables, _TCP)
        found: list[Candidate] = []
        if len(rows):
            found += self._young(tables, rows, slots, now_ns)
        ended = self._drain_ended(tables)
        if len(ended):
            found += self._tokens.by_content(tables, ended, now_ns)
        return found + self._by_volume(tables, ended, now_ns)

    def _young(self, tables: Tables, rows: Rows, slots: Rows, now_ns: int) -> list[Candidate]:
        """Return the meetings of flows whose prefixes grew: by start at likely hosts, by token everywhere."""
        fresh = np.flatnonzero(self._tokens.fresh(tables, rows))
        head = heads(tables, slots[fresh], 0, _HEAD_WIDTH)
        self._note_proxied(tables, rows[fresh][_asks_proxy(head)])
        found = self._tokens.by_token(tables, rows[fresh], slots[fresh], head, now_ns)
        likely = self._likely(tables, rows) & (self._started[rows] != tables.flows.serial[rows])
        return self._by_start(tables, rows[likely], slots[likely], now_ns) + found

    def _likely(self, tables: Tables, rows: Rows) -> npt.NDArray[np.bool_]:
        """Return `bool [n]`, whether a flow has an end that may be a relay.

        A relay opens and accepts flows; one that only opens or only accepts them (a reverse relay) has a flow
        on which the accepting side speaks first, for what it says comes from elsewhere.
        """
        flows, hosts = tables.flows, tables.hosts
        if len(self._spoken_to) < len(hosts.key):
            self._spoken_to = np.zeros(len(hosts.key), np.bool_)
        ends = flows.host[rows]
        self._spoken_to[ends[flows.first_speaker[rows] == 1]] = True
        both = (hosts.sent_flows[ends] > 0) & (hosts.received_flows[ends] > 0)
        return np.asarray((both | self._spoken_to[ends]).any(axis=1))

    def _grow(self, rows: int) -> None:
        if rows > len(self._ended):
            self._started = np.zeros(rows, np.int64)
            self._tokens.grow(rows)
            self._ended, self._resumed = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_)

    def _note_proxied(self, tables: Tables, rows: Rows) -> None:
        """Remember how long the proxy handshakes are, so that streams are compared behind them."""
        self._unparsed += max(len(rows) - _PARSES_PER_TICK, 0)
        for row in rows[:_PARSES_PER_TICK].tolist():
            talk = recognised(tables, row, 0)
            if talk and talk.answered and talk.target and talk.client_bytes:
                self.skips[int(tables.flows.serial[row])] = Handshake(
                    talk.client_bytes, talk.server_bytes, talk.protocol
                )
                if len(self.skips) > _SKIPS_MAX:
                    self.skips.pop(next(iter(self.skips)))

    def _by_start(self, tables: Tables, rows: Rows, slots: Rows, now_ns: int) -> list[Candidate]:
        """Meet flows whose first 16 bytes are equal crosswise at a shared host."""
        if not len(rows):
            return []
        length = tables.prefixes.length[slots]
        both = (heads(tables, slots, 0, _START_BYTES), heads(tables, slots, 1, _START_BYTES))
        both, length = self._behind_handshakes(tables, rows, slots, both, length)
        ready = (length >= _START_BYTES).all(axis=1)
        rows = rows[ready]
        if not len(rows):
            return []
        self._started[rows] = tables.flows.serial[rows]
        sent = [self._fold.lines(part[ready]) for part in both]
        unlike = sent[0] != sent[1]
        return self._crosswise(tables, rows[unlike], [part[unlike] for part in sent], self._starts, Proof.BYTES, now_ns)

    def _behind_handshakes(
        self, tables: Tables, rows: Rows, slots: Rows, head: tuple[U8, U8], length: npt.NDArray[np.int32]
    ) -> tuple[tuple[U8, U8], npt.NDArray[np.int32]]:
        """Return heads and lengths without the proxy handshakes; copies, where there are any."""
        if not self.skips:
            return head, length
        proxied = [at for at, serial in enumerate(tables.flows.serial[rows].tolist()) if serial in self.skips]
        if not proxied:
            return head, length
        head, length = (head[0].copy(), head[1].copy()), length.copy()
        for at in proxied:
            handshake = self.skips[int(tables.flows.serial[rows[at]])]
            for side, skip in enumerate(handshake[:2]):
                rest = tables.prefixes.data[slots[at], side, skip : skip + _START_BYTES]
                head[side][at] = 0
                head[side][at, : len(rest)] = rest
                length[at, side] = max(int(length[at, side]) - skip, 0)
        return head, length

    def _crosswise(
        self, tables: Tables, rows: Rows, sent: list[U64], seen: TwinMap, proof: Proof, now_ns: int
    ) -> list[Candidate]:
        """Store what each flow brought into and took out of both its hosts, and meet those with the reverse."""
        serial = tables.flows.serial[rows]
        keys = [tables.hosts.key[tables.flows.host[rows, side]] for side in (0, 1)]
        held = [self._fold.columns(keys[side], sent[1 - side], sent[side]) for side in (0, 1)]
        wanted = [self._fold.columns(keys[side], sent[side], sent[1 - side]) for side in (0, 1)]
        found = self._neighbours(rows, keys, held, wanted, proof)
        for side in (0, 1):
            met = seen.meet(wanted[side], serial, now_ns)
            found += candidates(tables, rows[met.at], met, proof, keys[side][met.at])
        for side in (0, 1):
            seen.put(held[side], rows, serial, now_ns)
        return found

    @staticmethod
    def _neighbours(
        rows: Rows, keys: list[U64], held: list[U64], wanted: list[U64], proof: Proof
    ) -> list[Candidate]:  # fmt: skip
        """Meet flows of one look: of several that fit, the next one in order of serial."""
        common = np.intersect1d(np.concatenate(held), np.concatenate(wanted))
        if not len(common):
            return []
        places: dict[int, list[int]] = {}
        for side in (0, 1):
            for at in np.flatnonzero(np.isin(held[side], common)).tolist():
                places.setdefault(int(held[side][at]), []).append(at)
        found = []
        for side in (0, 1):
            for at in np.flatnonzero(np.isin(wanted[side], common)).tolist():
                after = [other for other in places[int(wanted[side][at])] if other > at]
                if after:
                    found.append(Candidate(int(rows[at]), int(rows[min(after)]), proof, int(keys[side][at])))
        return found

    def _drain_ended(self, tables: Tables) -> Rows:
        if not self._any_ended:
            return np.zeros(0, np.intp)
        rows = np.flatnonzero(self._ended)
        self._ended[rows] = False
        self._any_ended = False
        rows = rows[(tables.flows.proto[rows] == _TCP) & (tables.flows.serial[rows] > 0)]
        return np.asarray(rows[np.argsort(tables.flows.serial[rows], kind="stable")])

    def _by_volume(self, tables: Tables, ended: Rows, now_ns: int) -> list[Candidate]:
        """Meet flows whose payload bytes are equal crosswise: those that ended, and long ones while they are quiet."""
        rows = ended
        if now_ns - self._live_ns >= _LIVE_EVERY_NS:
            self._live_ns = now_ns
            live = np.flatnonzero(self._resumed)
            quiet = now_ns - tables.flows.last_data_ns[live].max(axis=1, initial=0) >= _QUIET_NS
            live = live[quiet & (tables.flows.serial[live] > 0) & (tables.flows.proto[live] == _TCP)]
            self._resumed[live] = False
            rows = np.union1d(ended, live)
        rows = rows[self._likely(tables, rows)]
        volume = tables.flows.payload_bytes[rows].astype(np.int64)
        for at, serial in enumerate(tables.flows.serial[rows].tolist() if self.skips else ()):
            if serial in self.skips:
                volume[at] -= self.skips[serial][:2]
        large = (volume >= _VOLUME_MIN).all(axis=1) & (volume[:, 0] != volume[:, 1])
        rows, volume = rows[large], volume[large]
        if not len(rows):
            return []
        sent = [volume[:, side].astype(np.uint64) for side in (0, 1)]
        return self._crosswise(tables, rows, sent, self._volumes, Proof.VOLUME, now_ns)


def _asks_proxy(head: U8) -> npt.NDArray[np.bool_]:
    """Whether each stream may begin with SOCKS or CONNECT."""
    first, second = head[:, 0], head[:, 1]
    return np.asarray(((first == 4) | (first == 5) | ((first == 0x43) & (second == 0x4F))) & (second > 0))
