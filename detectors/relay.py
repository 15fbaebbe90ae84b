"""Relay: a host that passes on between two others what it receives, proved on both legs.

*What it measures*
    Pairs of TCP flows at one host where what comes in on one leg goes out on the other, both ways, whoever
    opened them: equal first bytes (compared over the first 2 KiB each way, behind any SOCKS or CONNECT
    handshake), the same TLS ClientHello random or SSH KEXINIT cookie at any place of the first bytes, pieces
    of the same unusual content, or equal payload volumes to the byte at the end and in quiet moments of long
    flows. Where nothing of that is equal, as when one leg is encrypted anew, the rhythm: after silence of
    0.2, 0.5 or 3.5 s one leg speaks again within 1, 5, 20 or 80 ms of the other, both ways, at least 4 times
    each and more often than chance explains (binomial odds below 10^-6, divided by all that was tried). Found
    while the session runs, as a rule within 20 s. Short sessions have no rhythm: of them at least 4 that are
    accepted must each begin and end together with one that is opened, alike in volume. Pairs that share a leg
    are joined to chains. The same token on two flows without a shared host is a chain whose middle is encrypted.

*Blind spots*
    For the rhythm: bulk transfers without pauses, sessions with fewer than 4 pauses, beacons as regular as a
    clock, relays that hold data back for more than 80 ms, that pad or answer by themselves, and UDP. Tunnels
    that carry several sessions in one (see tunnel-trigger). A feed that shows one leg only. Kernel forwarding
    (NAT, iptables DNAT) is one connection and no relay. Over a lossy capture only volumes, tokens and rhythm
    are left.

*Common benign causes*
    Load balancers, reverse and forward proxies, mail relays, bastions and jump hosts, application tiers that
    ask a database for each request. Their looks (one port, many clients, stable backends; web ports in and
    out; SSH in and out; other volumes behind web requests) lower the score and are said; declare them to
    settle it.

*What to do next*
    Find the process on the relay that holds both connections, ask who needs it, and look at both ends of the
    chain: the first host is where the traffic comes from, the last is what is reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from detectors._kit import forge
from detectors._kit.echo_table import Echo, EchoTable
from detectors._kit.lag_watch import LagWatch
from detectors._kit.legs import volumes
from detectors._kit.meeting import Candidate
from detectors._kit.relay_book import RelayAccount, RelayBook
from detectors._kit.relay_facts import note_news, relay_facts
from detectors._kit.relay_finding import Hops, finding
from detectors._kit.relay_role import judge
from detectors._kit.restate import worth_saying
from detectors._kit.session_pairs import SessionPairs
from detectors._kit.twin_check import Pair, Proof, pair_at, shared_host, token_pair
from detectors._kit.twin_finder import TwinFinder
from detectors._kit.twin_proof import Judgement, weigh
from nettriage.model.alert import Attack
from nettriage.model.columns import Mixer
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_CHECKS_PER_TICK = 256
_FINDINGS_PER_TICK = 64
_PENDING_MAX = 128
_PENDING_NS = 120 * _S
_RECHECK_NS = _S
_READABLE = (b"GET ", b"POST", b"HEAD", b"PUT ", b"\x16\x03")
"""How streams of HTTP and TLS begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayTuning(Tuning):
    """Thresholds of the relay detector."""

    volume_bytes: int = knob(
        4_096, "bytes", lo=200, hi=1_000_000_000, why="volumes alone met once by chance in 36,008 pairs, at a heartbeat"
    )
    service_clients: int = knob(
        5, "hosts", lo=2, hi=1_000, why="an intruder's relay has one or two clients, a service of the house has many"
    )
    idle_s: float = knob(1_800.0, "s", lo=60.0, hi=86_400.0, why="half an hour without data ends the incident")


def _both_legs(outer_turns: tuple[tuple[int, bytes], ...], inner_turns: tuple[tuple[int, bytes], ...]) -> Frames:
    inner = forge.Scene().session("10.0.1.11", "10.0.1.12", 4444, inner_turns, gap_ns=20 * forge.MS)
    outer = forge.Scene(now_ns=forge.START_NS + 2 * forge.MS)
    outer.session("10.0.1.12", "192.0.2.10", 443, outer_turns, gap_ns=20 * forge.MS, isn=(70_000, 90_000))
    return sorted(inner.frames() + outer.frames(), key=lambda item: item[0])


def _talk(start: int) -> tuple[tuple[int, bytes], ...]:
    return tuple(
        (turn % 2, bytes((start + turn * 31 + at * (7 + turn)) % 256 for at in range(60))) for turn in range(8)
    )


def _relayed() -> Frames:
    return _both_legs(_talk(3), _talk(3))


def _unrelated() -> Frames:
    return _both_legs(_talk(3), _talk(90))


class Relay(Detector):
    """Hosts that pass on between two others what they receive."""

    card: ClassVar[Card] = Card(
        kind="relay",
        title="Relay",
        attack=(
            Attack(tactic="Command and Control", technique="T1090.001", name="Internal Proxy"),
            Attack(tactic="Command and Control", technique="T1572", name="Protocol Tunneling"),
        ),
        rules=("PT-CR-461", "PT-CR-610"),
        references=(
            "Zhang and Paxson 2000, Detecting Stepping Stones", "Staniford-Chen and Heberlein 1995, thumbprints",
            "RFC 8446 section 4.1.2", "RFC 4253 section 7.1",
        ),
        counts="pairs of flows",
    )  # fmt: skip
    tuning_type: ClassVar[type[Tuning]] = RelayTuning
    reads: ClassVar[frozenset[str]] = frozenset(
        {
            "prefixes", "ends", "resumes", "flow", "side", "packets.payload_len", "packets.ts_ns",
            "packets.duplicate", "tables",
        }
    )  # fmt: skip
    examples: ClassVar[tuple[Example, ...]] = (
        Example("a workstation passes a session on to the internet", _relayed, fires=True, subject="10.0.1.12"),
        Example("two sessions of one host at the same time", _unrelated, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 64 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty maps and books."""
        super().__init__(tuning, site)
        assert isinstance(tuning, RelayTuning)
        self._limits = tuning
        self._mix = Mixer(site.mixer_secret)
        self._finder = TwinFinder(self._mix)
        self._book = RelayBook(pairs=4_096, relays=512)
        self._lags = LagWatch()
        self._echoes = EchoTable(self._mix)
        self._sessions = SessionPairs(self._mix)
        self._pending: dict[tuple[int, int], tuple[Pair, int]] = {}
        """Pairs that are equal so far but too short to be sure, and since when."""
        self._recheck_ns = 0
        self._unchecked = 0

    def push(self, seen: Slice) -> None:
        """Mark what happened to flows, and time the packets of known legs."""
        self._finder.note(seen)
        self._lags.note(seen)
        self._echoes.note(seen)
        self._sessions.note(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Check the flows that met, and say what changed."""
        met = self._finder.candidates(now_ns, tables)
        self._unchecked += max(len(met) - _CHECKS_PER_TICK, 0)
        for candidate in met[:_CHECKS_PER_TICK]:
            self._check(candidate, now_ns, tables)
        for echo in self._echoes.proved(tables):
            self._check_echo(echo, now_ns, tables)
        for match in self._sessions.proved(tables):
            pair = pair_at(tables, match.accepted, match.opened, match.host_key, Proof.SESSIONS, 0)
            if pair is not None:
                self._weigh(pair, now_ns, tables)
        if now_ns - self._recheck_ns >= _RECHECK_NS:
            self._recheck_ns = now_ns
            self._check_pending(now_ns, tables)
            self._lags.release_gone(tables)
        return self._say(now_ns, tables)

    def gauges(self) -> dict[str, Gauge]:
        """Return how full maps and books are."""
        return {
            **self._finder.gauges(),
            **self._echoes.gauges(),
            **self._sessions.gauges(),
            **self._book.gauges(),
            "pending pairs": Gauge(cap=_PENDING_MAX, used=len(self._pending), refused=self._unchecked),
            "timed pairs": self._lags.gauge,
        }

    def state_bytes(self) -> int:
        """Return the memory of maps and books."""
        parts = self._finder.nbytes + self._echoes.nbytes + self._sessions.nbytes + self._lags.nbytes
        return parts + self._book.state_bytes() + 1_400 * len(self._pending)

    def _check(self, met: Candidate, now_ns: int, tables: Tables) -> None:
        if met.proof is Proof.TOKEN:
            pair = token_pair(tables, met.flow, met.partner, met.sides)
        else:
            host = met.host_key or shared_host(tables, met.flow, met.partner)
            pair = pair_at(tables, met.flow, met.partner, host, met.proof, 0)
        if pair is not None:
            self._weigh(pair, now_ns, tables)

    def _check_echo(self, echo: Echo, now_ns: int, tables: Tables) -> None:
        """Enter a pair that its rhythm proves, or keep the better odds of one that is known."""
        pair = pair_at(tables, echo.flow, echo.partner, echo.host_key, Proof.ECHO, 0)
        if pair is None:
            return
        if pair.key not in self._book:
            self._weigh(pair, now_ns, tables)
        if pair.key in self._book:
            self._book.relay_of(pair).echo = echo

    def _weigh(self, pair: Pair, since_ns: int, tables: Tables) -> None:
        """Enter a pair that is proved, keep one that may be, drop the rest."""
        if pair.key in self._book or self._book.taken(pair):
            self._pending.pop(pair.key, None)
            return
        judgement, pair = weigh(tables, pair, self._finder.skips, self._mix, self._limits.volume_bytes)
        if judgement is Judgement.WAIT and (pair.key in self._pending or len(self._pending) < _PENDING_MAX):
            self._pending[pair.key] = (pair, since_ns)
            return
        self._pending.pop(pair.key, None)
        if judgement is Judgement.PROVED:
            self._enter(pair, tables)

    def _check_pending(self, now_ns: int, tables: Tables) -> None:
        for key, (pair, since_ns) in list(self._pending.items()):
            alive = all(int(tables.flows.serial[flow.row]) == flow.serial for flow in (pair.inner, pair.outer))
            if alive and now_ns - since_ns <= _PENDING_NS:
                self._weigh(pair, since_ns, tables)
            else:
                del self._pending[key]

    def _enter(self, pair: Pair, tables: Tables) -> None:
        note_news(self._book.relay_of(pair), pair, self.site)
        relay = self._book.enter(pair)
        relay.readable += _is_readable(pair, self._finder, tables)
        handshake = self._finder.skips.get(pair.inner.serial)
        if handshake:
            relay.proxied = handshake.protocol
        self._lags.follow(pair, tables)

    def _say(self, now_ns: int, tables: Tables) -> list[Finding]:
        said: list[Finding] = []
        for relay in list(self._book.relays.values()):
            if len(said) >= _FINDINGS_PER_TICK:
                break
            self._say_one(relay, now_ns, tables, said)
        return said

    def _say_one(self, relay: RelayAccount, now_ns: int, tables: Tables, said: list[Finding]) -> None:
        """Say a relay that is news; the middle of a chain is closed, its first relay speaks."""
        volume = _freshen(relay, tables)
        closed = now_ns - relay.last_ns > self._limits.idle_s * _S
        grew = volume != relay.said_bytes and worth_saying(
            now_ns - relay.said_ns, now_ns - relay.last_ns, volume, relay.said_bytes
        )  # fmt: skip
        if not (relay.changed or grew or closed):
            return
        joined = not relay.is_first
        relay.changed, relay.said_bytes = False, volume
        if relay.said or not joined:
            hops = self._hops(relay)
            role = judge(relay_facts(relay, hops, self.site, self._limits.service_clients))
            said.append(finding(relay, role, hops, self._lags, tables, joined=joined, closed=closed or joined))
            relay.said, relay.said_ns = not joined, now_ns
        if closed:
            for pair in relay.pairs:
                self._lags.forget(pair)
            self._book.forget(relay)

    def _hops(self, relay: RelayAccount) -> Hops:
        """Return the longest chain that begins at the relay, the latest of equals."""
        chains = [self._book.chain(pair) for pair in relay.pairs]
        longest = max(len(chain) for chain in chains)
        return Hops(tuple(next(chain for chain in reversed(chains) if len(chain) == longest)))


def _freshen(relay: RelayAccount, tables: Tables) -> int:
    """Move the relay's last time on with its flows; return the payload bytes of its latest pairs."""
    flows = tables.flows
    legs = [flow for pair in relay.pairs for flow in (pair.inner, pair.outer)]
    alive = [flow.row for flow in legs if int(flows.serial[flow.row]) == flow.serial]
    if alive:
        relay.last_ns = max(relay.last_ns, int(flows.last_ns[alive].max()))
    return sum(sum(volumes(tables, flow)) for flow in legs)


def _is_readable(pair: Pair, finder: TwinFinder, tables: Tables) -> bool:
    """Whether the relayed stream begins as HTTP or TLS."""
    handshake = finder.skips.get(pair.inner.serial)
    start = handshake.client_bytes if handshake else 0
    client = 1 - pair.inner_side
    return tables.prefixes.payload(pair.inner.row, client)[start : start + 8].startswith(_READABLE)
