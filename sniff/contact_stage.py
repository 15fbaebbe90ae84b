"""From packets to contacts: attempts are entered, evidence is weighed, silence is called at its deadline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nettriage.model.batch import ARP
from nettriage.model.columns import I64, Rows
from nettriage.model.slices import ContactEvents, Outcome
from nettriage.model.tables import RESPONDER
from sniff.contact_events import Asked, Told, answers_told, attempts_told, in_order, in_time, not_before, silences_told
from sniff.contacts import ContactTable
from sniff.flow_key import ICMP6
from sniff.flow_packets import Bools
from sniff.flow_stage import FlowKeeper, FlowStage
from sniff.flows import FlowTable
from sniff.hosts import HostTable
from sniff.icmp_errors import find_errors, from_errors, judge_errors
from sniff.outcomes import (
    Evidence,
    Probes,
    answers_of_neighbours,
    from_answers,
    join_evidence,
    join_probes,
    no_evidence,
    repeated_probes,
)
from sniff.probes import flow_probes, from_flows, from_neighbours
from sniff.stretch import Stretch


@dataclass(slots=True)
class _Heard:
    """What is gathered while one stretch is looked through."""

    evidence: list[Evidence]
    probes: list[Probes]
    new: list[Rows]


class ContactKeeper:
    """Keeps contacts up to date with packets and with the clock."""

    def __init__(self, contacts: ContactTable, keeper: FlowKeeper, flows: FlowTable, hosts: HostTable) -> None:
        self._contacts = contacts
        self._keeper = keeper
        self._flows = flows
        self._hosts = hosts

    def take(self, stretch: Stretch, stage: FlowStage | None, one_way_share: float | None) -> ContactEvents:
        """Take in a stretch of packets; return what became of contacts until its end."""
        made_before = self._contacts.made
        heard = _Heard([no_evidence()], [_no_probes()], [])
        pending = np.zeros(0, np.intp) if stage is None else self._from_flows(stage, heard)
        self._from_neighbours(stretch, heard)
        self._from_errors(stretch, heard)
        probes = join_probes(heard.probes)
        probes = probes.part(np.flatnonzero(not_before(self._contacts, probes.contact, probes.row, made_before)))
        evidence = in_time(self._contacts, join_evidence(heard.evidence), stretch.time_ns, made_before)
        self._hear(evidence, stretch.time_ns)
        asked = Asked(probes)
        told = [attempts_told(self._contacts, rows) for rows in heard.new]
        told.append(answers_told(self._contacts, evidence, stretch.time_ns, asked))
        told.append(self._silences(int(stretch.time_ns[stretch.last]), asked, stretch.time_ns, one_way_share))
        self._contacts.add_tries(probes.contact[probes.asks])
        self._contacts.proven[probes.contact[probes.proves]] = True
        if stage is not None:
            self._stop_waiting(stage, pending)
        return in_order(self._contacts, told)

    def advance(self, now_ns: int, one_way_share: float | None) -> ContactEvents:
        """Let the clock come to `now_ns`; return the silences until then."""
        due_ns = self._contacts.pending.next_ns
        if due_ns is None or due_ns > now_ns:
            return in_order(self._contacts, [])
        told = self._silences(now_ns, Asked(_no_probes()), np.zeros(0, np.int64), one_way_share)
        return in_order(self._contacts, [told])

    def _from_flows(self, stage: FlowStage, heard: _Heard) -> Rows:
        """Enter the attempts of flows; return the positions of packets whose flow awaits an outcome."""
        flows, contacts, rows = self._flows, self._contacts, stage.rows
        at = flow_probes(flows, stage)
        if len(at):
            entered = contacts.enter(from_flows(self._hosts, stage, at))
            placed = np.flatnonzero(entered.rows >= 0)
            row, contact = rows[at[placed]], entered.rows[placed]
            flows.contact[row] = contact
            flows.contact_serial[row] = contacts.serial[contact]
            flows.awaiting[row] = contacts.outcome[contact] == Outcome.ATTEMPT
            heard.new.append(entered.new)
            unseen = placed[stage.side_then[at[placed]] == RESPONDER]
            heard.probes.append(_as_probes(stage.packets.at[at[unseen]], entered.rows[unseen]))
        pending = np.flatnonzero(flows.awaiting[rows])
        valid = pending[self._awaits(rows[pending])]
        if len(valid):
            contact = flows.contact[rows[valid]].astype(np.intp)
            heard.evidence.append(from_answers(self._hosts, stage, contacts, contact, valid))
            heard.probes.append(repeated_probes(stage, contacts, contact, valid))
        return pending

    def _from_neighbours(self, stretch: Stretch, heard: _Heard) -> None:
        packets = stretch.packets
        quoted = self._quoted(stretch)
        arp = np.flatnonzero(stretch.sound & (packets.proto == ARP))
        neighbour = quoted[packets.proto[packets.quoted.row[quoted]] == ICMP6]
        if not len(arp) and not len(neighbour):
            return
        attempts = from_neighbours(packets, stretch.time_ns, self._hosts, stretch.sound)
        if len(attempts):
            entered = self._contacts.enter(attempts)
            placed = entered.rows >= 0
            heard.new.append(entered.new)
            heard.probes.append(_as_probes(attempts.row[placed], entered.rows[placed]))
        heard.evidence.append(answers_of_neighbours(packets, self._hosts, self._contacts, stretch.sound))

    def _from_errors(self, stretch: Stretch, heard: _Heard) -> None:
        quoted = self._quoted(stretch)
        if not len(quoted):
            return
        packets, contacts = stretch.packets, self._contacts
        errors = find_errors(packets, quoted, stretch.sound, self._flows, self._keeper.turn)
        if not len(errors):
            return
        attempts = from_errors(packets, errors, self._flows, self._hosts, stretch.time_ns)
        made = contacts.made
        entered = contacts.enter(attempts)
        heard.new.append(entered.new)
        first = (entered.rows >= 0) & (contacts.serial[entered.rows] > made)
        first &= contacts.entry_row[entered.rows] == errors.row
        heard.probes.append(_as_probes(errors.row[first], entered.rows[first]))
        evidence, confirmed = judge_errors(packets, errors, attempts, contacts, entered.rows)
        heard.evidence.append(evidence)
        heard.probes.append(confirmed)

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


def _as_probes(row: Rows, contact: Rows) -> Probes:
    return Probes(row, contact, np.ones(len(row), np.bool_), np.zeros(len(row), np.bool_))


def _no_probes() -> Probes:
    none = np.zeros(0, np.intp)
    return _as_probes(none, none)
