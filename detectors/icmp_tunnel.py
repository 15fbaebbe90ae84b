"""ICMP tunnel: echo packets that carry a conversation instead of a ping.

*What it measures*
    Echo requests and replies of ICMP and ICMPv6 by pair of asker and asked, over the running minute and the
    one before: replies that do not give their request back (RFC 792 and RFC 4443 4.2 say they must), payloads
    that are whole IPv4 packets, the header of ptunnel and ptunnel-ng with the target that it asks for,
    replies that nobody asked for, and requests whose payload changes behind the time stamp again and again.

*Blind spots*
    A tunnel that moves a few bytes a minute, one that hides in the time stamp or the identifier, and one in
    other ICMP types. On a one-way feed no reply can be compared; only payloads themselves tell then.

*Common benign causes*
    Pings with random payload (``fping -R``), path MTU probes, devices that cut long replies short (these are
    recognised: a cut reply still begins like its request), a load tester.

*What to do next*
    Look at the payloads of the kept packets. Find the process with a raw socket on the subject, and cut
    echo traffic between the two hosts; the target in the reason is what is reached through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.allowed import lowered
from detectors._kit.echo_finding import Rule, finding
from detectors._kit.echo_pairs import COUNTERS, EchoPairs, PairView
from detectors._kit.echoes import RequestTable, echoes
from detectors._kit.fold import Fold
from detectors._kit.restate import Restatement
from nettriage.model.alert import Attack
from nettriage.model.columns import Mixer, Rows
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_PACKETS_PER_SLICE = 16_384
_FINDINGS_PER_TICK = 64
_INCIDENTS_MAX = 1_024
_PING_SIZES = 5
"""Different payload sizes of one pair that ordinary pings and monitors stay at or below."""
_VARIED_SHARE = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpTunnelTuning(Tuning):
    """Thresholds of the ICMP tunnel detector."""

    differing_replies: int = knob(
        4, "replies", lo=1, hi=1_000, why="0 of 31 captures with pings had one, a tunnel 415 of 415"
    )
    differing_share: float = knob(
        0.25, "share", lo=0.05, hi=1.0, why="the asked host's own stack may answer beside the tunnel, so half can match"
    )
    ipv4_payloads: int = knob(3, "packets", lo=1, hi=1_000, why="header, length and checksum never fit by chance")
    varied_requests: int = knob(
        20, "requests", lo=5, hi=10_000, why="an ordinary ping repeats its payload behind the time stamp for ever"
    )
    orphan_replies: int = knob(
        20, "replies", lo=5, hi=10_000, why="a lost request now and then is normal, twenty in a minute are not"
    )
    one_way_share: float = knob(
        0.3, "share", lo=0.0, hi=1.0, why="where more flows show one side only, missing requests are the sensor's fault"
    )
    idle_s: float = knob(1_800.0, "s", lo=60.0, hi=86_400.0, why="half an hour without an echo ends the incident")


def _tunnelled() -> Frames:
    scene = forge.Scene()
    for seq in range(20):
        up, down = (bytes([seq, side]) + bytes((seq + at) % 256 for at in range(70 + 9 * seq)) for side in (1, 2))
        scene.put(forge.icmp_echo("10.0.1.11", "192.0.2.9", 7, seq, up))
        scene.put(forge.icmp_echo("192.0.2.9", "10.0.1.11", 7, seq, down, reply=True)).wait(50 * forge.MS)
    return scene.frames()


def _pinged() -> Frames:
    scene = forge.Scene()
    for seq in range(40):
        stamp = seq.to_bytes(16, "little") + bytes(range(0x10, 0x38))
        scene.put(forge.icmp_echo("10.0.1.11", "10.0.2.20", 9, seq, stamp))
        scene.put(forge.icmp_echo("10.0.2.20", "10.0.1.11", 9, seq, stamp, reply=True)).wait(forge.S)
    return scene.frames()


class IcmpTunnel(Detector):
    """Pairs of hosts that converse by echo."""

    card: ClassVar[Card] = Card(
        kind="icmp-tunnel",
        title="ICMP tunnel",
        attack=(
            Attack(tactic="Command and Control", technique="T1095", name="Non-Application Layer Protocol"),
            Attack(tactic="Command and Control", technique="T1572", name="Protocol Tunneling"),
        ),
        rules=("PT-CR-428",),
        references=("RFC 792", "RFC 4443 section 4.2", "ptunnel-ng src/pkt.h", "icmptunnel icmp.c (DhavalKapil)"),
        counts="echo packets",
    )
    tuning_type: ClassVar[type[Tuning]] = IcmpTunnelTuning
    reads: ClassVar[frozenset[str]] = frozenset(
        {
            "packets.proto", "packets.icmp_type", "packets.flaw", "packets.duplicate", "packets.ts_ns", "packets.seq",
            "packets.src_port", "packets.dst_port", "packets.payload_at", "packets.payload_len", "packets.payload_cap",
            "packets.raw", "flow", "src", "dst", "tables",
        }
    )  # fmt: skip
    examples: ClassVar[tuple[Example, ...]] = (
        Example("replies that differ from their requests", _tunnelled, fires=True, subject="10.0.1.11"),
        Example("an ordinary ping with time stamps", _pinged, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 16 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty tables."""
        super().__init__(tuning, site)
        assert isinstance(tuning, IcmpTunnelTuning)
        self._limits = tuning
        self._fold = Fold.keyed(Mixer(site.mixer_secret))
        self._requests = RequestTable(16_384)
        self._pairs = EchoPairs(4_096, self._fold)
        self._said = Restatement(_INCIDENTS_MAX, int(tuning.idle_s * _S))
        self._beyond = 0

    def push(self, seen: Slice) -> None:
        """Match and count the echo packets of a slice."""
        echo, beyond = echoes(seen, self._fold, _PACKETS_PER_SLICE)
        self._beyond += beyond
        if echo:
            self._pairs.add(echo, self._requests.match(echo), seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Judge the pairs that were touched, and close those that fell silent."""
        view = self._pairs.drain()
        for at in self._suspicious(view).tolist():
            rules = self._rules(view, at, tables)
            if rules:
                row = int(view.rows[at])
                pair = self.site.allow.between(*self._pairs.ends(row))
                self._said.offer(lowered(finding(self._pairs, row, rules), pair))
        return self._said.due(now_ns, _FINDINGS_PER_TICK)

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the tables are, and how many packets were left out."""
        return {
            "echo requests": self._requests.gauge,
            "echo pairs": self._pairs.gauge,
            "incidents": self._said.gauge,
            "echo packets a slice": Gauge(cap=_PACKETS_PER_SLICE, used=0, refused=self._beyond),
        }

    def state_bytes(self) -> int:
        """Return the memory of tables and incidents."""
        return self._requests.nbytes + self._pairs.nbytes + self._said.nbytes

    def _suspicious(self, view: PairView) -> Rows:
        limits = self._limits
        found = view["magic"] > 0
        found |= view["ipv4"] >= limits.ipv4_payloads
        found |= view["differs"] >= limits.differing_replies
        found |= view["varied"] >= limits.varied_requests
        found |= view["orphans"] >= limits.orphan_replies
        return np.flatnonzero(found)

    def _rules(self, view: PairView, index: int, tables: Tables) -> list[Rule]:
        limits = self._limits
        seen = {name: int(view[name][index]) for name in COUNTERS}
        sizes = int(view.sizes[index])
        rules = []
        if seen["magic"]:
            rules.append(Rule("tool header", seen["magic"], "packets", 1, 92, "the header of a tunnelling tool"))
        if seen["ipv4"] >= limits.ipv4_payloads:
            words = f"{seen['ipv4']:,} payloads that are whole IPv4 packets"
            rules.append(Rule("IPv4 inside echo", seen["ipv4"], "packets", limits.ipv4_payloads, 88, words))
        compared = seen["differs"] + seen["matched"]
        if seen["differs"] >= max(limits.differing_replies, limits.differing_share * compared):
            words = f"{seen['differs']:,} of {compared:,} replies that differ from their request"
            limit = limits.differing_replies
            rules.append(Rule("differing replies", seen["differs"], "replies", limit, 74, words))
        rules += self._weaker_rules(seen, sizes, tables)
        if rules and sizes > _PING_SIZES:
            words = f"{sizes} different payload sizes"
            rules.append(Rule("payload sizes", sizes, "sizes", _PING_SIZES, 10, words))
        return rules

    def _weaker_rules(self, seen: dict[str, int], sizes: int, tables: Tables) -> list[Rule]:
        limits = self._limits
        rules = []
        if seen["varied"] >= max(limits.varied_requests, _VARIED_SHARE * seen["requests"]):
            words = f"{seen['varied']:,} of {seen['requests']:,} requests with a payload unlike the one before"
            points = 48 if sizes > _PING_SIZES else 30
            rules.append(Rule("changing payload", seen["varied"], "requests", limits.varied_requests, points, words))
        both_seen = (tables.one_way_share or 0.0) <= limits.one_way_share
        if seen["orphans"] >= limits.orphan_replies and seen["orphans"] > seen["matched"] and both_seen:
            words = f"{seen['orphans']:,} replies that nobody asked for"
            rules.append(Rule("unasked replies", seen["orphans"], "replies", limits.orphan_replies, 42, words))
        return rules
