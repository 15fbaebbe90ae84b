"""DNS tunnel: a client that moves data in the names that it asks for.

*What it measures*
    By client and registered domain, in a sliding minute: the number of different sub-names times their mean
    length, and whether the longest label, the types that carry data back (TXT, NULL, KEY, CNAME, MX), or the
    entropy of the names fit a tunnel. Names that end in no plausible domain are grouped by client and resolver.
    iodine, dns2tcp and dnscat2 are named by their bytes, also iodine's raw mode, which is no DNS at all.
    A resolver that passes the questions on is not the subject: its client is.

*Blind spots*
    DNS over TLS, HTTPS or QUIC, DNS over TCP, a tunnel below the volume limit (under about 60 bytes/s), and one
    spread over many registered domains.

*Common benign causes*
    Mail and antivirus reputation services that ask for digests, telemetry that packs data into names
    (declare its domain in `network.tunnel_domains`).

*What to do next*
    Find the process on the client, look up the domain and its name servers, sinkhole it on the resolver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.allowed import lowered
from detectors._kit.dns_finding import TunnelFacts, finding
from detectors._kit.dns_groups import NO_DOMAIN, DnsGroups, GroupView, questions
from detectors._kit.dns_names import hash_lookups, labels, mean_entropy, text, tool_of
from detectors._kit.fold import Fold
from detectors._kit.raw_dns import RawDns
from detectors._kit.restate import Restatement
from nettriage.model.alert import Attack, Tool
from nettriage.model.columns import Mixer, Rows
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Address, Finding
from nettriage.model.health import Gauge
from nettriage.model.safetext import SafeStr
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Role, Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_FINDINGS_PER_TICK = 64
_INCIDENTS_MAX = 512
_TOOL_SHARE = 0.125
"""Names that betray a tool by its bytes count from an eighth of the volume on."""
_TOOL_SURE = 0.9
_LATEST_NAMES = 4
_DIGEST_FACTOR = 4
"""Look-ups of digests are let pass up to this multiple of the volume: they carry 20 bytes each, to a fixed length."""
_WATCH_SHARE = 0.25
"""A group at a quarter of the limit has its names sampled, so that they are at hand when it crosses."""
_LEG_SHARE = 0.3
"""Share of a resolver's volume that a client must have to be the one for whom it asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsTunnelTuning(Tuning):
    """Thresholds of the DNS tunnel detector."""

    volume: int = knob(
        4_000, "bytes", lo=500, hi=1_000_000, why="of 91 measured domain groups only tunnels pass it with a second mark"
    )
    label_bytes: int = knob(45, "bytes", lo=20, hi=63, why="tunnels fill labels to the limit of 63; names are shorter")
    typed_share: float = knob(
        0.8, "share", lo=0.1, hi=1.0, why="browsing asks for addresses, tunnels for types with room"
    )
    entropy: float = knob(
        3.6, "bits/character", lo=2.0, hi=8.0, why="words stay near 3, encoded data comes near 4 to 5"
    )
    idle_s: float = knob(1_800.0, "s", lo=60.0, hi=86_400.0, why="half an hour without a long name ends the incident")


def _tunnelled() -> Frames:
    scene = forge.Scene()
    for number in range(70):
        data = "".join(
            "abcdefghijklmnopqrstuvwxyz012345"[(number * 7 + at * at * 5 + number * at) % 32] for at in range(54)
        )
        ask = forge.dns_query(f"{data}{number:02}.{data[::-1][:30]}.t.example.com", qtype=16, txid=number)
        scene.query("10.0.1.11", "10.0.2.11", 53, ask, forge.dns_reply(ask, b"\x04data")).wait(200 * forge.MS)
    return scene.frames()


def _browsed() -> Frames:
    scene = forge.Scene()
    for number in range(120):
        ask = forge.dns_query(f"static-assets-{number % 40}.cdn.eu-west.example.net", txid=number)
        scene.query("10.0.1.11", "10.0.2.11", 53, ask, forge.dns_reply(ask)).wait(200 * forge.MS)
    return scene.frames()


class DnsTunnel(Detector):
    """Clients that move data in the names that they ask for."""

    card: ClassVar[Card] = Card(
        kind="dns-tunnel",
        title="DNS tunnel",
        attack=(
            Attack(tactic="Command and Control", technique="T1071.004", name="DNS"),
            Attack(tactic="Command and Control", technique="T1572", name="Protocol Tunneling"),
        ),
        rules=("PT-CR-428",),
        references=(
            "RFC 1035 section 2.3.4", "iodine doc/proto_00000502.txt", "dns2tcp client/rr.c", "dnscat2 doc/protocol.md",
        ),
        counts="different names in the last minute",
    )  # fmt: skip
    tuning_type: ClassVar[type[Tuning]] = DnsTunnelTuning
    reads: ClassVar[frozenset[str]] = frozenset(
        {
            "dns",
            "src",
            "dst",
            "flow",
            "packets.ts_ns",
            "packets.duplicate",
            "packets.raw",
            "packets.dst_port",
            "packets.proto",
            "packets.payload_at",
            "packets.payload_cap",
            "tables",
        }
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example("long TXT questions below one domain", _tunnelled, fires=True, subject="10.0.1.11"),
        Example("names of a content network", _browsed, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 48 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty tables."""
        super().__init__(tuning, site)
        assert isinstance(tuning, DnsTunnelTuning)
        self._limits = tuning
        self._groups = DnsGroups(groups=8_192, names=65_536, fold=Fold.keyed(Mixer(site.mixer_secret)))
        self._raw = RawDns()
        self._said = Restatement(_INCIDENTS_MAX, int(tuning.idle_s * _S))

    def push(self, seen: Slice) -> None:
        """Count the long questions of a slice."""
        self._raw.note(seen)
        asked = questions(seen) if len(seen.dns) else None
        if asked:
            self._groups.add(asked, seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Judge the groups that were touched."""
        view = self._groups.drain(now_ns, _TOOL_SHARE * self._limits.volume)
        if len(view.rows):
            self._groups.watched[view.rows] = view.sub_bytes >= _WATCH_SHARE * self._limits.volume
            for at in np.flatnonzero(view.sub_bytes >= _TOOL_SHARE * self._limits.volume):
                found = self._judge(view, int(at), now_ns, tables)
                if found:
                    pair = self.site.allow.between(*self._groups.ends(int(view.rows[at])))
                    self._said.offer(lowered(found, pair))
        return self._raw.tick(now_ns, tables) + self._said.due(now_ns, _FINDINGS_PER_TICK // 2)

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the tables are."""
        return {**self._groups.gauges(), "incidents": self._said.gauge, "raw tunnels": self._raw.gauge}

    def state_bytes(self) -> int:
        """Return the memory of tables and incidents."""
        return self._groups.nbytes + self._raw.nbytes + self._said.nbytes

    def _judge(self, view: GroupView, at: int, now_ns: int, tables: Tables) -> Finding | None:
        """Return the finding of a group, None where it is no tunnel or only the resolver's leg of one."""
        row, volume = int(view.rows[at]), int(view.sub_bytes[at])
        names = [labels(wire) for wire in self._groups.names(row)]
        tool = tool_of(names, float(view.null_share[at]))
        named = tool is not None and tool.confidence >= _TOOL_SURE
        if volume < self._limits.volume and not named:
            return None
        entropy = mean_entropy([name[:-2] or name for name in self._data_names(row)])
        typed = view.typed_share[at] >= self._limits.typed_share
        shaped = typed or view.longest[at] >= self._limits.label_bytes or entropy >= self._limits.entropy
        digests = not typed and hash_lookups(names)
        if not (shaped or named) or (digests and volume < _DIGEST_FACTOR * self._limits.volume):
            return None
        if self._asks_for(row, volume, now_ns):
            return None
        return self._found(view, at, tables, tool, entropy, digests=digests)

    def _data_names(self, row: int) -> list[list[bytes]]:
        """Return the labels of the latest sampled names; the first ones are often a handshake."""
        return [labels(wire) for wire in self._groups.names(row)[-_LATEST_NAMES:]]

    def _found(
        self, view: GroupView, at: int, tables: Tables, tool: Tool | None, entropy: float, *, digests: bool
    ) -> Finding:
        limits, row = self._limits, int(view.rows[at])
        client, resolver = self._groups.ends(row)
        domain = self._domain(row)
        return finding(
            TunnelFacts(
                key=int(self._groups.keys[row]), client=client, resolver=resolver, upstream=self._upstream(row),
                domain=domain, first_ns=int(self._groups.first_ns[row]), last_ns=int(self._groups.last_ns[row]),
                unique=int(view.unique[at]), sub_bytes=int(view.sub_bytes[at]), queries=int(view.queries[at]),
                typed_share=float(view.typed_share[at]), longest=int(view.longest[at]), entropy=entropy,
                tool=tool, only_resolver=_is_resolver(client, tables), digests=digests,
                allowed=domain.lower() in self.site.tunnel_domains,
                limits=(limits.volume, limits.label_bytes, limits.typed_share, limits.entropy),
            )
        )  # fmt: skip

    def _domain(self, row: int) -> SafeStr:
        wire = self._groups.domain_wire(row)
        return SafeStr("") if self._groups.domain[row] == NO_DOMAIN else text(wire)

    def _legs(self, row: int) -> Rows:
        """Return the other groups of the same domain."""
        same = np.flatnonzero((self._groups.domain == self._groups.domain[row]) & (self._groups.keys != 0))
        return np.asarray(same[same != row])

    def _asks_for(self, row: int, sub_bytes: int, now_ns: int) -> bool:
        """Whether this client is a resolver that repeats the questions of its own clients."""
        legs = self._legs(row)
        legs = legs[self._groups.resolver_key[legs] == self._groups.client_key[row]]
        return bool(self._groups.view(legs, now_ns).sub_bytes.sum() >= _LEG_SHARE * sub_bytes) if len(legs) else False

    def _upstream(self, row: int) -> Address | None:
        """Return the server that the resolver passed these questions on to."""
        legs = self._legs(row)
        legs = legs[self._groups.client_key[legs] == self._groups.resolver_key[row]]
        return self._groups.ends(int(legs[0]))[1] if len(legs) else None


def _is_resolver(client: Address, tables: Tables) -> bool:
    row = int(tables.hosts.find(np.array([client[0]], np.uint64), np.array([client[1]], np.uint64))[0])
    return row >= 0 and bool(tables.hosts.roles[row] & Role.RESOLVER)
