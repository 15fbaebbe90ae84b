"""From packets to contacts: attempts are entered, evidence is weighed, silence is called at its deadline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nettriage.model.batch import ARP
from nettriage.model.columns import I64, Rows
from nettriage.model.slices import ContactEvents, Outcome
from nettriage.model.tables import RESPONDER
from sniff.contact_events import Asked, Told, answers_told, attempts_told, in_order, in_time, not_before, silences_told
from sniff.contacts import Attempts, ContactTable, join_attempts, no_attempts
from sniff.flow_key import ICMP6
from sniff.flow_packets import Bools
from sniff.flow_stage import FlowKeeper, FlowStage
from sniff.flows import FlowTable
from sniff.hosts import HostTable
from sniff.icmp_errors import Errors, find_errors, from_errors, judge_errors, no_errors
from sniff.outcomes import (
    Evidence,
    Probes,
    answers_of_neighbours,
    as_probes,
    from_answers,
    join_evidence,
    join_probes,
    no_evidence,
    repeated_probes,
)
from sniff.probes import flow_probes, from_flows, from_neighbours
from sniff.stretch import Stretch

_ATTEMPT = np.uint8(Outcome.ATTEMPT)


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where attempts were entered."""

    contact: Rows
    """Contact rows, -1 where there was no room."""
    made: Bools
    """Whether the attempt made its contact."""


class ContactKeeper:
    """Keeps contacts up to date with packets and with the clock."""

    def __init__(self, contacts: ContactTable, keeper: FlowKeeper, flows: FlowTable, hosts: HostTable) -> None:
        self._contacts = contacts
        self._keeper = keeper
        self._flows = flows
        self._hosts = hosts

    def take(self, stretch: Stretch, stage: FlowStage | None, one_way_share: float | None) -> ContactEvents:
        """Take in a stretch of packets; return what became of contacts until its end."""
        contacts, made_before = self._contacts, self._contacts.made
        packets, time_ns = stretch.packets, stretch.time_ns
        errors, neighbours = self._errors(stretch, stage), self._has_neighbours(stretch)
        at = np.zeros(0, np.intp) if stage is None else flow_probes(self._flows, stage)
        parts = [
            no_attempts() if stage is None or not len(at) else from_flows(self._hosts, stage, at),
            from_neighbours(packets, time_ns, self._hosts, stretch.sound) if neighbours else no_attempts(),
            from_errors(packets, errors, self._flows, self._hosts, time_ns) if len(errors) else no_attempts(),
        ]
        new, (of_flows, of_neighbours, of_errors) = self._enter(parts)
        evidence: list[Evidence] = []
        probes: list[Probes] = []
        waiting = at[:0]
        if stage is not None:
            self._link(stage, at, of_flows.contact)
            waiting, told, asked = self._from_flows(stage, at, of_flows)
            evidence.append(told)
            probes += asked
        if neighbours:
            again = ~of_neighbours.made
            probes.append(as_probes(parts[1].row[again], of_neighbours.contact[again]))
            evidence.append(answers_of_neighbours(packets, self._hosts, contacts, stretch.sound))
        if len(errors):
            told, confirmed = judge_errors(packets, errors, parts[2], contacts, of_errors.contact)
            evidence.append(told)
            probes.append(confirmed)
        events = self._settle(stretch, new, join_evidence(evidence), join_probes(probes), made_before, one_way_share)
        if len(waiting):
            self._flows.awaiting[waiting] = self._awaits(waiting)
        return events

    def advance(self, now_ns: int, one_way_share: float | None) -> ContactEvents:
        """Let the clock come to `now_ns`; return the silences until then."""
        due_ns = self._contacts.pending.next_ns
        if due_ns is None or due_ns > now_ns:
            return in_order(self._contacts, [])
        none = np.zeros(0, np.intp)
        told = self._silences(now_ns, Asked(as_probes(none, none)), np.zeros(0, np.int64), one_way_share)
        return in_order(self._contacts, [told])

    def _enter(self, parts: list[Attempts]) -> tuple[Rows, list[_Placed]]:
        """Enter attempts in the order of their rows; return the new contacts, and where each part went."""
        if not any(map(len, parts)):
            return parts[0].row, [_Placed(part.row, part.asks) for part in parts]
        joined = join_attempts(parts)
        rows, made = np.empty(len(joined), np.intp), np.zeros(len(joined), np.bool_)
        alone = len(joined) == max(map(len, parts))
        order = np.arange(len(joined)) if alone else np.argsort(joined.row, kind="stable")
        entered = self._contacts.enter(joined if alone else joined.part(order))
        rows[order] = entered.rows
        made[order[entered.first]] = True
        ends = np.cumsum([len(part) for part in parts]).tolist()
        return entered.new, [
            _Placed(rows[end - len(part) : end], made[end - len(part) : end])
            for part, end in zip(parts, ends, strict=True)
        ]

    def _link(self, stage: FlowStage, at: Rows, contact: Rows) -> None:
        """Tie flows to their contacts."""
        if not len(at):
            return
        flows, placed = self._flows, (contact >= 0).nonzero()[0]
        row, contact = stage.rows[at[placed]], contact[placed]
        flows.contact[row] = contact
        flows.contact_serial[row] = self._contacts.serial[contact]
        flows.awaiting[row] = self._contacts.outcome[contact] == _ATTEMPT

    def _from_flows(self, stage: FlowStage, at: Rows, placed: _Placed) -> tuple[Rows, Evidence, list[Probes]]:
        """Return which flows may await an outcome, what their packets say about it, and which packets ask.

        A question that made its contact was counted there and says no more.
        """
        sides, probes = stage.sides, list[Probes]()
        answers = stage.side_then[at] == RESPONDER
        unseen = (answers & (placed.contact >= 0) & ~placed.made).nonzero()[0]
        if len(unseen):
            probes.append(as_probes(stage.packets.at[at[unseen]], placed.contact[unseen]))
        questions = at[placed.made & ~answers]
        others = sides.groups.counts.copy()
        others[sides.lane[questions]] -= 1
        lane = (others > 0).nonzero()[0]
        lane = lane[self._flows.awaiting[sides.row[lane]]]
        row = sides.row[lane]
        valid = lane[self._awaits(row)]
        if not len(valid):
            return row, no_evidence(), probes
        contact = np.full(len(sides.row), -1)
        contact[valid] = self._flows.contact[sides.row[valid]]
        awaited = contact[sides.lane]
        awaited[questions] = -1
        pending = (awaited >= 0).nonzero()[0]
        awaited = awaited[pending]
        probes.append(repeated_probes(stage, self._contacts, awaited, pending))
        return row, from_answers(self._hosts, stage, self._contacts, awaited, pending), probes

    def _settle(
        self, stretch: Stretch, new: Rows, evidence: Evidence, probes: Probes, made_before: int,
        one_way_share: float | None,
    ) -> ContactEvents:  # fmt: skip
        """Bring attempts, answers and silences of a stretch into order."""
        contacts, time_ns = self._contacts, stretch.time_ns
        now_ns, due_ns = int(time_ns[stretch.last]), contacts.pending.next_ns
        if len(probes.row):
            probes = probes.part((probes.contact >= 0).nonzero()[0])
            probes = probes.part(not_before(contacts, probes.contact, probes.row, made_before).nonzero()[0])
        told = [attempts_told(contacts, new)] if len(new) else []
        if len(evidence.row) or (due_ns is not None and due_ns <= now_ns):
            evidence = in_time(contacts, evidence, time_ns, made_before)
            self._hear(evidence, time_ns)
            asked = Asked(probes)
            told.append(answers_told(contacts, evidence, time_ns, asked))
            told.append(self._silences(now_ns, asked, time_ns, one_way_share))
        if len(probes.row):
            contacts.add_tries(probes.contact[probes.asks])
            contacts.proven[probes.contact[probes.proves]] = True
        return in_order(contacts, told)

    def _has_neighbours(self, stretch: Stretch) -> bool:
        proto = stretch.packets.proto
        quoted = stretch.packets.quoted.row[self._quoted(stretch)]
        arp = (proto[stretch.first : stretch.last + 1] == ARP).nonzero()[0] + stretch.first
        return bool((proto[quoted] == ICMP6).any() or stretch.sound[arp].any())

    def _errors(self, stretch: Stretch, stage: FlowStage | None) -> Errors:
        quoted = self._quoted(stretch)
        if not len(quoted):
            return no_errors()
        begun = (
            (np.zeros(0, np.intp),) * 2
            if stage is None
            else (stage.found.new_rows, stage.packets.at[stage.found.new_first])
        )
        return find_errors(stretch.packets, quoted, stretch.sound, self._flows, self._keeper.turn, begun)

    def _quoted(self, stretch: Stretch) -> Rows:
        row = stretch.packets.quoted.row
        return np.arange(np.searchsorted(row, stretch.first), np.searchsorted(row, stretch.last, side="right"))

    def _awaits(self, rows: Rows) -> Bools:
        contact = self._flows.contact[rows].astype(np.intp)
        return self._contacts.awaits(contact, self._flows.contact_serial[rows])

    def _hear(self, evidence: Evidence, time_ns: I64) -> None:
        """Note that the askers were heard an answer to."""
        seen = np.flatnonzero(evidence.outcome != Outcome.IMPLIED_OPEN)
        if not len(seen):
            return
        seen = seen[np.argsort(evidence.row[seen], kind="stable")]
        contact = evidence.contact[seen]
        src = self._contacts.src[contact].astype(np.intp)
        same = (src >= 0) & (self._hosts.key[src] == self._contacts.src_key[contact])
        self._hosts.hear(src[same], time_ns[evidence.row[seen[same]]])

    def _silences(self, now_ns: int, asked: Asked, time_ns: I64, one_way_share: float | None) -> Told:
        due = self._contacts.pending.pop(now_ns)
        return silences_told(self._contacts, self._hosts, due, asked, time_ns, one_way_share)
