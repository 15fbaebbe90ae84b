"""Refused connections: closed ports reset one host's connections, seen even where its own packets are not.

*What it measures*
    Resets with sequence number 0, an acknowledgement and window 0, which answer a connection to a closed port,
    by the host that receives them: many different (server, port) pairs within a minute. That needs only the
    servers' side of a one-way feed. Where the probes were seen too, the scan incident of the same host leads,
    and this one stays low.

*Blind spots*
    Firewalls that drop; closed UDP ports; resets that are rate-limited or sent with another sequence number;
    a host whose address somebody else borrows for its probes: what the servers answer is the same.

*Common benign causes*
    A client after the death of a host that ran many services; a monitor of services that are switched off;
    programs that try ports in turn; backscatter, which comes from one or two service ports and is not counted.

*What to do next*
    Look at the receiver's own packets, on its own segment if this mirror does not show them. What the same
    servers did not refuse is what the host found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.counted import burst_of, counted_plan, declared_check, distinct_targets, observations
from detectors._kit.incident_detector import Account, IncidentDetector
from detectors._kit.incidents import Incident
from detectors._kit.ledger import Burst, LedgerPlan
from detectors._kit.reasons import counted, duration, listed, port_ranges, rate
from detectors._kit.results import Cells
from detectors._kit.scancontacts import TCP, ScanContacts
from detectors._kit.verdict import Standing, score
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, BenignCheck
from nettriage.model.batch import TcpFlag
from nettriage.model.columns import U64, Rows
from nettriage.model.detector import Card, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.site import Site
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tables import ORIGINATOR, RESPONDER, Tables
from nettriage.model.tuning import Tuning, knob

_REFUSAL = np.uint16(TcpFlag.RST | TcpFlag.ACK)
_LED_SCORE_MAX = 35.0
"""Where the probes were seen, the scan incident tells the same and leads."""
_LOOKED_AT = 256
"""Newest refusals whose flows are asked for the probe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedConnectionsTuning(Tuning):
    """Thresholds of refused connections."""

    targets: int = knob(7, "targets", lo=3, hi=32, why="PT-CR-2913; a client retries one dead service, not seven")
    window_s: float = knob(60.0, "s", lo=1.0, hi=3_600.0, why="closed ports answer at once: a scan gathers them fast")
    probes_seen: float = knob(0.5, "share", lo=0.1, hi=1.0, why="where most probes were seen the scan incident leads")


def _refusals_alone() -> Frames:
    scene = forge.Scene()
    for port in range(1_000, 1_030):
        scene.put(_refusal("10.0.1.9", port, "10.0.0.5", 40_000 + port))
    return scene.frames()


def _backscatter() -> Frames:
    scene = forge.Scene()
    for turn in range(200):
        victim, borrowed = "198.51.100.7", f"10.0.{turn % 8}.{turn % 200 + 1}"
        scene.put(_refusal(victim, (80, 443)[turn % 2], borrowed, 1_024 + turn * 37))
        scene.put(_refusal(victim, 80, "10.0.0.5", 1_024 + turn * 53))
    return scene.frames()


def _dead_service() -> Frames:
    scene = forge.Scene()
    for turn in range(60):
        scene.refused("10.0.0.5", "10.0.1.9", (8_080, 8_443)[turn % 2]).wait(forge.S)
    return scene.frames()


def _refusal(server: str, port: int, client: str, client_port: int) -> bytes:
    return forge.tcp(server, port, client, client_port, forge.RST | forge.ACK, ack=1_001, window=0)


class RefusedConnections(IncidentDetector):
    """One host, refused by many closed ports."""

    card: ClassVar[Card] = Card(
        kind="refused-connections",
        title="Connections refused by many ports",
        attack=(Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),),
        rules=("PT-CR-2913",),
        references=("RFC 9293 3.10.7.1: the reset of a closed port", "PT-CR-2913"),
        counts="refusals",
    )
    tuning_type: ClassVar[type[Tuning]] = RefusedConnectionsTuning
    tuning: RefusedConnectionsTuning
    reads: ClassVar[frozenset[str]] = frozenset(
        {
            "tables", "flow", "src", "dst", "packets.ts_ns", "packets.proto", "packets.tcp_flags", "packets.seq",
            "packets.window", "packets.payload_len", "packets.duplicate", "packets.src_port", "packets.src_hi",
            "packets.src_lo", "packets.dst_hi", "packets.dst_lo",
        }
    )  # fmt: skip
    examples: ClassVar[tuple[Example, ...]] = (
        Example("30 resets of closed ports, no probe in sight", _refusals_alone, fires=True, subject="10.0.0.5"),
        Example("backscatter of a flooded server", _backscatter, fires=False),
        Example("a client of two dead services", _dead_service, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 32 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._seen_share: dict[int, float] = {}

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Judge, and forget the shares of incidents that are gone."""
        findings = super().tick(now_ns, tables)
        kept = self._seen_share
        self._seen_share = {item.key: kept[item.key] for item in self._ledger.book if item.key in kept}
        return findings

    def _plan(self) -> LedgerPlan:
        return counted_plan("refused-connections", rows=4_096, incidents=128, cells=2_048, depth=32)

    def _contacts(self, seen: Slice) -> ScanContacts | None:
        at = _refusals(seen)
        if not len(at):
            return None
        packets, keys = seen.packets, seen.tables.hosts.key
        flow = seen.flow[at]
        started = np.where(flow >= 0, seen.tables.flows.first_ns[flow], packets.ts_ns[at])
        return ScanContacts(
            ts_ns=packets.ts_ns[at],
            outcome=np.full(len(at), Outcome.CLOSED, np.uint8),
            failed=np.ones(len(at), np.bool_),
            weight=np.zeros(len(at), np.int64),
            src_key=keys[seen.dst[at]],
            dst_key=keys[seen.src[at]],
            src_hi=packets.dst_hi[at],
            src_lo=packets.dst_lo[at],
            dst_hi=packets.src_hi[at],
            dst_lo=packets.src_lo[at],
            proto=packets.proto[at],
            port=packets.src_port[at],
            flow=flow,
            attempt_ns=np.minimum(started, packets.ts_ns[at]),
            fresh=np.zeros(len(at), np.bool_),
            tries=np.ones(len(at), np.uint16),
        )

    def _keys(self, contacts: ScanContacts) -> U64:
        return self._mixer(contacts.src_key)

    def _burst(self, contacts: ScanContacts) -> Burst:
        return burst_of(len(contacts), self.tuning.targets, self.tuning.window_s)

    def _credible(self, incident: Incident, now_ns: int, tables: Tables) -> bool:  # noqa: ARG002 - judged by state
        """Return whether enough different ports refused; notes how many of the probes were seen."""
        if distinct_targets(incident.results.cells) < self.tuning.targets:
            return False
        share = _probes_seen(incident, tables)
        if share is not None:
            self._seen_share[incident.key] = share
        return True

    def _account(self, incident: Incident, who: Standing) -> Account:
        results, src = incident.results, to_text(*incident.src)
        targets, span = distinct_targets(results.cells), incident.last_ns - incident.first_ns
        hosts, ports = results.hosts(), sorted(results.ports())
        share = self._seen_share.get(incident.key, 0.0)
        led = share >= self.tuning.probes_seen
        points = score(targets, False, replace(who, loss=0.0, one_way=0.0))
        servers = listed([to_text(*addr) for addr in hosts], limit=3)
        return Account(
            title=f"Refused by {counted(targets, 'closed port')} of {counted(len(hosts), 'host')}",
            reason=(
                f"{counted(targets, 'closed port')} of {servers} refused {src} in {duration(span)} "
                f"({rate(targets, span)}); {_probes(share, src, led)}."
            ),
            score=min(points, _LED_SCORE_MAX) if led else points,
            confidence=0.9 if led else 0.7,
            objects=hosts,
            object_count=len(hosts),
            ports=ports,
            port_count=len(ports),
            counterfactual=(
                f"would not alert if fewer than {self.tuning.targets} of the {targets:,} ports had refused within "
                f"{self.tuning.window_s:g} s"
            ),
            observations=observations(
                (
                    ("refusing ports", targets, "targets", self.tuning.targets, self.tuning.window_s, 1.0),
                    ("probes seen", share, "share", self.tuning.probes_seen, self.tuning.window_s, 0.0),
                )
            ),
            benign_checked=_benign(results.cells, targets, who),
            next_steps=_next_steps(src, led, port_ranges(ports)),
        )


def _refusals(seen: Slice) -> Rows:
    """Return the rows of resets that a closed port sent to one host."""
    packets = seen.packets
    at = np.flatnonzero(packets.tcp_flags == _REFUSAL)
    if not len(at):
        return at
    plain = (packets.proto[at] == TCP) & (packets.seq[at] == 0) & (packets.window[at] == 0)
    plain &= (packets.payload_len[at] == 0) & ~packets.duplicate[at] & (seen.src[at] >= 0) & (seen.dst[at] >= 0)
    return np.asarray(at[plain])


def _probes_seen(incident: Incident, tables: Tables) -> float | None:
    """Return the share of the newest refusals whose probe was seen; None where no flow is known any more."""
    newest, flows = incident.results.cells[-_LOOKED_AT:], tables.flows
    known = (newest["flow"] >= 0) & (flows.port[newest["flow"], RESPONDER] == newest["port"])
    rows = newest["flow"][known]
    return float((flows.packets[rows, ORIGINATOR] > 0).mean()) if len(rows) else None


def _probes(share: float, src: str, led: bool) -> str:
    if led:
        return f"{share:.0%} of its probes were seen: the scan incident of {src} leads"
    return f"its own packets are not in this capture ({share:.0%} of the probes were seen)"


def _benign(cells: Cells, targets: int, who: Standing) -> list[BenignCheck]:
    return [
        declared_check(who),
        BenignCheck(
            hypothesis="backscatter of a flood that borrowed the address",
            rejected_because=f"a flooded service answers from its own port; here {targets:,} different ports refused",
        ),
        BenignCheck(
            hypothesis="a dead service, retried",
            rejected_because=f"{len(cells):,} refusals came from {targets:,} different ports, not from one",
        ),
    ]


def _next_steps(src: str, led: bool, ports: str) -> list[str]:
    if led:
        return [f"Go on with the scan incident of {src}; this one adds the refusals of ports {ports}."]
    return [
        f"Find the packets of {src} itself: this mirror shows only the servers' side.",
        f"Check whether {src} sent them: compare TTL and MAC address at its own segment.",
        f"Look which ports besides {ports} of these servers did answer {src}.",
    ]
