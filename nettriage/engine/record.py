"""From a finding to the alert record: names, roles, visibility and filters are filled in here, once for all kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from nettriage.engine.pivots import pivots
from nettriage.engine.protocols import protocol_name
from nettriage.engine.standing_orders import judged
from nettriage.engine.times import rfc3339
from nettriage.model.addresses import mac_text, to_text
from nettriage.model.alert import Activity, Alert, Evidence, Party, Related, Timeline, Visibility, severity_of
from nettriage.model.detector import Card
from nettriage.model.finding import Endpoint, Finding
from nettriage.model.site import Site
from nettriage.model.tables import Role, Tables

OBJECTS_MAX = 32
PORTS_MAX = 64
VIA_MAX = 16
LEGS_MAX = 16

ONE_WAY_WEIGHT = 0.3
"""What a wholly one-way feed takes off the confidence: half of the answers are missing, yet askers behave by them."""


def visibility_of(tables: Tables) -> Visibility:
    """Return how well the sensor sees at this moment."""
    return Visibility(
        loss=_rounded(tables.loss_estimate),
        one_way=_rounded(tables.one_way_share),
        duplicates=_rounded(tables.duplicate_share),
    )


def trust(seen: Visibility) -> float:
    """Return the factor, 0 to 1, that the visibility leaves of a confidence."""
    return (1.0 - (seen.loss or 0.0)) * (1.0 - ONE_WAY_WEIGHT * (seen.one_way or 0.0))


@dataclass(frozen=True)
class Moment:
    """What one judgement shares between its records."""

    now_ns: int
    tables: Tables

    @cached_property
    def visibility(self) -> Visibility:
        """How well the sensor sees, measured once and only where something is recorded."""
        return visibility_of(self.tables)


@dataclass(frozen=True, slots=True)
class Frame:
    """What the book knows of an incident beside the present finding."""

    id: str
    first_ns: int
    detected_ns: int
    activity: Activity
    community_ids: list[str]
    packets_kept: int
    timeline: Timeline
    related: list[Related]


class Recorder:
    """Writes alert records for one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def alert(self, card: Card, finding: Finding, frame: Frame, moment: Moment) -> Alert:
        """Return the record of an incident."""
        subject, objects, via = self._actors(finding, moment.tables)
        verdict = judged(card, finding, self._site)
        return Alert(
            id=frame.id,
            kind=card.kind,
            title=finding.title,
            severity=severity_of(verdict.score),
            score=round(verdict.score, 1),
            confidence=round(min(max(finding.confidence, 0.0), 1.0) * trust(moment.visibility), 3),
            status=verdict.status,
            activity=frame.activity,
            count=finding.count,
            first_seen=rfc3339(frame.first_ns),
            last_seen=rfc3339(finding.last_ns),
            detected_at=rfc3339(frame.detected_ns),
            subject=subject,
            objects=objects,
            object_count=max(finding.object_count, len(finding.objects)),
            via=via,
            legs=finding.legs[:LEGS_MAX],
            protocol=protocol_name(finding.proto),
            ports=finding.ports[:PORTS_MAX],
            port_count=max(finding.port_count, len(finding.ports)),
            vlan=sorted(set(finding.vlan)),
            reason=finding.reason,
            counterfactual=finding.counterfactual,
            observations=finding.observations,
            tool=finding.tool,
            findings=finding.findings,
            benign_checked=verdict.benign_checked,
            visibility=msgspec.structs.replace(moment.visibility, note=finding.visibility_note),
            attack=list(card.attack),
            rules=list(card.rules),
            timeline=frame.timeline,
            community_ids=frame.community_ids,
            pivots=pivots(finding),
            next_steps=finding.next_steps,
            evidence=Evidence(packets=frame.packets_kept),
            related=frame.related,
        )

    def _actors(self, finding: Finding, tables: Tables) -> tuple[Party, list[Party], list[Party]]:
        objects, via = finding.objects[:OBJECTS_MAX], finding.via[:VIA_MAX]
        parties = self.parties([finding.subject, *objects, *via], tables)
        return parties[0], parties[1 : 1 + len(objects)], parties[1 + len(objects) :]

    def parties(self, ends: Sequence[Endpoint], tables: Tables) -> list[Party]:
        """Return the record of each endpoint, with what the host table knows of it."""
        high = np.array([end.addr[0] for end in ends], np.uint64)
        low = np.array([end.addr[1] for end in ends], np.uint64)
        rows = tables.hosts.find(high, low).tolist()
        home = self._site.home.contains(high, low).tolist()
        return [_party(end, row, inside, tables) for end, row, inside in zip(ends, rows, home, strict=True)]


def _party(end: Endpoint, row: int, inside: bool, tables: Tables) -> Party:
    party = Party(ip=to_text(*end.addr), port=end.port, zone="home" if inside else "external")
    if row >= 0:
        mac = int(tables.hosts.mac[row])
        party.mac = mac_text(mac) if mac else None
        party.role = roles_text(int(tables.hosts.roles[row])) or None
        party.name = tables.hosts.name(row)
    return party


def roles_text(bits: int) -> str:
    """Return the names of `Role` bits, comma separated."""
    return ",".join(role_names(bits))


def role_names(bits: int) -> list[str]:
    """Return the names of `Role` bits, as records spell them."""
    return [(role.name or "").lower().replace("_", "-") for role in Role if role & bits]


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(min(max(share, 0.0), 1.0), 4)
