"""The VPN sessions that were recognised, each with its flow; bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from nettriage.model.health import Gauge
from nettriage.model.tables import Tables

from .legs import BYTES_PER_NOTED_FLOW, NotedFlow, volumes
from .vpn_speech import VpnTalk


@dataclass(slots=True)
class VpnSession:
    """One flow that speaks a VPN protocol."""

    flow: NotedFlow
    talk: VpnTalk
    pair_key: int
    last_ns: int
    seen_bytes: int = 0
    """Payload bytes when it was last looked at."""

    def renew(self, tables: Tables) -> bool:
        """Take in the present volume; return whether it grew."""
        if int(tables.flows.serial[self.flow.row]) == self.flow.serial:
            self.last_ns = int(tables.flows.last_ns[self.flow.row])
        total = sum(volumes(tables, self.flow))
        grew = total > self.seen_bytes
        self.seen_bytes = max(total, self.seen_bytes)
        return grew


class VpnBook:
    """VPN sessions by flow serial and by pair of hosts; the oldest give way."""

    def __init__(self, sessions: int) -> None:
        """Make an empty book."""
        self._cap = sessions
        self._sessions: OrderedDict[int, VpnSession] = OrderedDict()
        self._by_pair: dict[int, list[int]] = {}
        self._evicted = 0

    @property
    def gauge(self) -> Gauge:
        """How full the book is."""
        return Gauge(cap=self._cap, used=len(self._sessions), evicted=self._evicted)

    @property
    def nbytes(self) -> int:
        """Memory of the book, estimated."""
        return len(self._sessions) * 2 * BYTES_PER_NOTED_FLOW

    def enter(self, session: VpnSession) -> bool:
        """Take in a session, or what is new of it; return whether anything is."""
        serial = session.flow.serial
        known = self._sessions.get(serial)
        if known:
            news = known.talk != session.talk
            known.talk = session.talk
            return news
        self._sessions[serial] = session
        self._by_pair.setdefault(session.pair_key, []).append(serial)
        if len(self._sessions) > self._cap:
            self._forget(next(iter(self._sessions)))
            self._evicted += 1
        return True

    def grown(self, tables: Tables, idle_before_ns: int) -> set[int]:
        """Return the keys of pairs whose sessions moved data since the last call; forget sessions long idle."""
        keys = set()
        for serial, session in list(self._sessions.items()):
            if session.renew(tables):
                keys.add(session.pair_key)
            elif session.last_ns < idle_before_ns:
                self._forget(serial)
        return keys

    def of(self, pair_key: int) -> list[VpnSession]:
        """Return the sessions of a pair of hosts, oldest first."""
        return [self._sessions[serial] for serial in self._by_pair.get(pair_key, ())]

    def clients_of(self, host_key: int) -> int:
        """Return how many hosts have answered sessions with a server."""
        sessions = self._sessions.values()
        return len(
            {item.flow.host_keys[0] for item in sessions if item.talk.answered and item.flow.host_keys[1] == host_key}
        )

    def _forget(self, serial: int) -> None:
        session = self._sessions.pop(serial)
        left = [item for item in self._by_pair[session.pair_key] if item != serial]
        if left:
            self._by_pair[session.pair_key] = left
        else:
            del self._by_pair[session.pair_key]
