"""Decoys unmasked: sources that scan one victim in step, with probes from one MAC although they have their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from detectors._kit.incidents import Incident
from nettriage.model.batch import PacketBatch
from nettriage.model.finding import Address

IN_STEP_NS = 1_000_000_000
"""Sources in step cross their alarms within this: nmap sends the probes of all decoys back to back."""
MEMBERS_MIN = 3
WATCHED_NS = 10 * 1_000_000_000
GROUPS_MAX = 16
"""Groups watched at once; more wait until one is over."""
_MACS_MAX = 4


@dataclass(slots=True)
class _Group:
    start_ns: int
    """The alarm of the third source: only later packets count, so that the cut of the capture does not show."""
    macs: dict[Address, set[int]] = field(default_factory=dict)


class Decoys:
    """Groups of sources in step, by victim, and the MACs of what they sent since."""

    def __init__(self) -> None:
        """Know of no group."""
        self._groups: dict[tuple[Address, int], _Group] = {}

    @property
    def nbytes(self) -> int:
        """Memory of the groups, in bytes, at most."""
        return 1_024 + sum(400 * len(group.macs) for group in self._groups.values())

    def watch(self, incidents: Iterable[Incident], packets: PacketBatch) -> None:
        """Form groups of new incidents, and note the MACs of their members' packets."""
        self._form(incidents)
        newest_ns = int(packets.ts_ns[-1]) if len(packets) else 0
        for victim, group in list(self._groups.items()):
            self._note(group, packets)
            if newest_ns - group.start_ns > 60 * WATCHED_NS:
                del self._groups[victim]

    def owner(self, incident: Incident) -> Address | None:
        """Return the real source behind an incident whose source is a decoy, else None.

        The decoys' probes carry the MAC of the real source; their own stacks answer what comes back with theirs.
        """
        group = self._groups.get((incident.dst, incident.proto))
        if group is None or len(group.macs.get(incident.src, ())) < 2:
            return None
        plain = [src for src, macs in group.macs.items() if len(macs) == 1 and macs <= group.macs[incident.src]]
        return plain[0] if len(plain) == 1 else None

    def _form(self, incidents: Iterable[Incident]) -> None:
        by_victim: dict[tuple[Address, int], list[Incident]] = defaultdict(list)
        for incident in incidents:
            by_victim[incident.dst, incident.proto].append(incident)
        for victim, members in by_victim.items():
            if len(members) < MEMBERS_MIN or (victim not in self._groups and len(self._groups) == GROUPS_MAX):
                continue
            third_ns = members[MEMBERS_MIN - 1].alarm_ns
            if third_ns - members[0].alarm_ns <= IN_STEP_NS:
                group = self._groups.setdefault(victim, _Group(third_ns))
                for member in members:
                    if abs(member.alarm_ns - group.start_ns) <= IN_STEP_NS:
                        group.macs.setdefault(member.src, set())

    def _note(self, group: _Group, packets: PacketBatch) -> None:
        since = packets.ts_ns - group.start_ns
        at = np.flatnonzero((since > 0) & (since <= WATCHED_NS))
        for (high, low), macs in group.macs.items():
            mine = at[(packets.src_lo[at] == np.uint64(low)) & (packets.src_hi[at] == np.uint64(high))]
            if len(mine) and len(macs) < _MACS_MAX:
                macs.update(np.unique(packets.src_mac[mine])[:_MACS_MAX].tolist())
