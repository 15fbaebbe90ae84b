"""From packets to contacts: attempts are entered, evidence is weighed, silence is called at its deadline."""

from __future__ import annotations

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
        errors = self._errors(stretch, stage)
        at = np.zeros(0, np.intp) if stage is None else flow_probes(self._flows, stage)
        parts = [
            no_attempts() if stage is None or not len(at) else from_flows(self._hosts, stage, at),
            from_neighbours(packets, time_ns, self._hosts, stretch.sound)
            if self._has_neighbours(stretch)
            else no_attempts(),
            from_errors(packets, errors, self._flows, self._hosts, time_ns) if len(errors) else no_attempts(),
        ]
        new, (of_flows, of_neighbours, of_errors) = self._enter(parts)
        evidence, probes = [no_evidence()], [as_probes(parts[1].row, of_neighbours)]
        pending = at
        if stage is not None:
            pending = self._link(stage, at, of_flows)
            told, asked = self._from_flows(stage, at, of_flows, pending)
            evidence.append(told)
            probes += asked
        if self._has_neighbours(stretch):
            evidence.append(answers_of_neighbours(packets, self._hosts, contacts, stretch.sound))
        if len(errors):
            told, confirmed = judge_errors(packets, errors, parts[2], contacts, of_errors)
            made = (contacts.serial[of_errors] > made_before) & (contacts.entry_row[of_errors] == errors.row)
            evidence.append(told)
            probes += [confirmed, as_probes(errors.row[made], of_errors[made])]
        events = self._settle(stretch, new, join_evidence(evidence), join_probes(probes), made_before, one_way_share)
        if stage is not None:
            self._stop_waiting(stage, pending)
        return events

    def advance(self, now_ns: int, one_way_share: float | None) -> ContactEvents:
        """Let the clock come to `now_ns`; return the silences until then."""
        due_ns = self._contacts.pending.next_ns
        if due_ns is None or due_ns > now_ns:
            return in_order(self._contacts, [])
        none = np.zeros(0, np.intp)
        told = self._silences(now_ns, Asked(as_probes(none, none)), np.zeros(0, np.int64), one_way_share)
        return in_order(self._contacts, [told])

    def _enter(self, parts: list[Attempts]) -> tuple[Rows, list[Rows]]:
        """Enter attempts in the order of their rows; return the new contacts, and the contact of each, by part."""
        if not any(map(len, parts)):
            return np.zeros(0, np.intp), [part.row for part in parts]
        joined = join_attempts(parts)
        order = np.argsort(joined.row, kind="stable")
        entered = self._contacts.enter(joined.part(order))
        rows = np.empty(len(joined), np.intp)
        rows[order] = entered.rows
        return entered.new, np.split(rows, np.cumsum([len(part) for part in parts])[:-1])

    def _link(self, stage: FlowStage, at: Rows, contact: Rows) -> Rows:
        """Tie flows to their contacts; return the positions of packets whose flow awaits an outcome."""
        flows, placed = self._flows, np.flatnonzero(contact >= 0)
        row, contact = stage.rows[at[placed]], contact[placed]
        flows.contact[row] = contact
        flows.contact_serial[row] = self._contacts.serial[contact]
        flows.awaiting[row] = self._contacts.outcome[contact] == Outcome.ATTEMPT
        return np.flatnonzero(flows.awaiting[stage.rows])

    def _from_flows(self, stage: FlowStage, at: Rows, contact: Rows, pending: Rows) -> tuple[Evidence, list[Probes]]:
        """Return what the packets of flows say about contacts, and which of them ask."""
        unseen = np.flatnonzero((stage.side_then[at] == RESPONDER) & (contact >= 0))
        probes = [as_probes(stage.packets.at[at[unseen]], contact[unseen])]
        valid = pending[self._awaits(stage.rows[pending])]
        if not len(valid):
            return no_evidence(), probes
        awaited = self._flows.contact[stage.rows[valid]].astype(np.intp)
        probes.append(repeated_probes(stage, self._contacts, awaited, valid))
        return from_answers(self._hosts, stage, self._contacts, awaited, valid), probes

    def _settle(
        self, stretch: Stretch, new: Rows, evidence: Evidence, probes: Probes, made_before: int,
        one_way_share: float | None,
    ) -> ContactEvents:  # fmt: skip
        """Bring attempts, answers and silences of a stretch into order."""
        contacts, time_ns = self._contacts, stretch.time_ns
        probes = probes.part(np.flatnonzero(probes.contact >= 0))
        probes = probes.part(np.flatnonzero(not_before(contacts, probes.contact, probes.row, made_before)))
        evidence = in_time(contacts, evidence, time_ns, made_before)
        self._hear(evidence, time_ns)
        asked = Asked(probes)
        told = [
            attempts_told(contacts, new),
            answers_told(contacts, evidence, time_ns, asked),
            self._silences(int(time_ns[stretch.last]), asked, time_ns, one_way_share),
        ]
        contacts.add_tries(probes.contact[probes.asks])
        contacts.proven[probes.contact[probes.proves]] = True
        return in_order(contacts, told)

    def _has_neighbours(self, stretch: Stretch) -> bool:
        quoted = stretch.packets.quoted.row[self._quoted(stretch)]
        return bool(
            (stretch.packets.proto[quoted] == ICMP6).any() or (stretch.sound & (stretch.packets.proto == ARP)).any()
        )

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

    def _stop_waiting(self, stage: FlowStage, pending: Rows) -> None:
        row = stage.rows[pending]
        self._flows.awaiting[row] = self._awaits(row)

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
