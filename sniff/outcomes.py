"""What packets say about pending contacts: answered, refused, blocked, or answered unseen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nettriage.model.batch import ARP, PacketBatch, TcpFlag
from nettriage.model.columns import I64, U64, Rows
from nettriage.model.slices import Outcome
from nettriage.model.tables import ORIGINATOR, RESPONDER, U8, U16
from sniff.contacts import ND_SOLICITATION, ContactTable
from sniff.flow_key import SCTP
from sniff.flow_packets import Bools
from sniff.flow_stage import FlowStage
from sniff.hosts import HostTable
from sniff.initiator import SCTP_ABORT
from sniff.probes import ARP_REPLY, ND_ADVERTISE, neighbour_rows

_SYN, _ACK, _RST, _FIN = (np.uint16(bit) for bit in (TcpFlag.SYN, TcpFlag.ACK, TcpFlag.RST, TcpFlag.FIN))
_INITIAL_TTLS = np.array([32, 64, 128, 255], np.int64)
_PROCEEDS_BYTES = 1 << 20
"""An acknowledgement within a megabyte of the SYN belongs to its connection."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Packets that settle contacts."""

    row: Rows
    """Row of the batch."""
    contact: Rows
    """Contact rows, all pending before this batch or made in it."""
    outcome: U8
    denier_hi: U64
    denier_lo: U64

    def part(self, kept: Rows) -> Evidence:
        """Return some of it."""
        return Evidence(
            self.row[kept], self.contact[kept], self.outcome[kept], self.denier_hi[kept], self.denier_lo[kept]
        )


@dataclass(frozen=True, slots=True)
class Probes:
    """Packets that ask a pending contact, or confirm that it is silent."""

    row: Rows
    contact: Rows
    asks: Bools
    """Whether the packet counts as a try."""
    proves: Bools
    """Whether the packet proves silence so far: the segment sent again, or a router's word that nobody is there."""

    def part(self, kept: Rows) -> Probes:
        """Return some of them."""
        return Probes(self.row[kept], self.contact[kept], self.asks[kept], self.proves[kept])


def no_evidence() -> Evidence:
    """Return no evidence."""
    none = np.zeros(0, np.intp)
    return Evidence(none, none, none.astype(np.uint8), none.astype(np.uint64), none.astype(np.uint64))


def as_probes(row: Rows, contact: Rows) -> Probes:
    """Return packets that ask."""
    return Probes(row, contact, np.ones(len(row), np.bool_), np.zeros(len(row), np.bool_))


def join_evidence(parts: list[Evidence]) -> Evidence:
    """Return all evidence in one."""
    parts = [part for part in parts if len(part.row)]
    if len(parts) < 2:
        return parts[0] if parts else no_evidence()
    return Evidence(
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.contact for part in parts]),
        np.concatenate([part.outcome for part in parts]),
        np.concatenate([part.denier_hi for part in parts]),
        np.concatenate([part.denier_lo for part in parts]),
    )


def join_probes(parts: list[Probes]) -> Probes:
    """Return all probes in one."""
    parts = [part for part in parts if len(part.row)]
    if len(parts) < 2:
        none = np.zeros(0, np.intp)
        return parts[0] if parts else as_probes(none, none)
    return Probes(
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.contact for part in parts]),
        np.concatenate([part.asks for part in parts]),
        np.concatenate([part.proves for part in parts]),
    )


def from_answers(hosts: HostTable, stage: FlowStage, contacts: ContactTable, contact: Rows, at: Rows) -> Evidence:
    """Return what the packets at positions `at` say about the pending `contact` of the flow of each."""
    packets = stage.packets
    flags, tcp = packets.tcp_flags[at], packets.tcp[at]
    answer = stage.side_then[at] == RESPONDER
    rst, ack, syn = ((flags & bit) != 0 for bit in (_RST, _ACK, _SYN))
    asked = (contacts.probe_flags[contact] & (_SYN | _ACK | _FIN | _RST)) == _SYN
    since_syn = packets.seq[at] - contacts.seq[contact]
    proceeds = tcp & ~answer & asked & (contacts.sport[contact] == packets.src_port[at])
    goes_on = proceeds & ack & ~rst & ~syn & (since_syn >= 1) & (since_syn <= _PROCEEDS_BYTES)
    # Only an answer makes a half-open scanner (or its kernel) reset: without ACK, right after its SYN.
    half_open = proceeds & rst & ~ack & (since_syn == 1)
    refused = answer & ((tcp & rst) | ((packets.proto[at] == SCTP) & (flags == SCTP_ABORT)))
    blocked = refused & tcp
    if blocked.any():
        by = at[blocked]
        blocked[blocked] = foreign_ttl(hosts, stage.src[by], packets.ttl[by], packets.time_ns[by])
    outcome = np.zeros(len(at), np.uint8)
    outcome[goes_on | half_open] = Outcome.IMPLIED_OPEN
    outcome[answer] = Outcome.OPEN
    outcome[refused] = Outcome.CLOSED
    outcome[blocked] = Outcome.BLOCKED
    told = np.flatnonzero(outcome)
    unknown = np.zeros(len(told), np.uint64)
    return Evidence(packets.at[at[told]], contact[told], outcome[told], unknown, unknown)


def foreign_ttl(hosts: HostTable, host: Rows, ttl: U8, time_ns: I64) -> Bools:
    """Return `bool [n]`, whether a reset came from another distance than what its host sent before.

    Distance is the least standard initial TTL minus the TTL; a stack that sends resets with another initial TTL
    is not foreign for that. One hop of difference counts only together with another initial TTL.
    """
    since = hosts.reference_ttl_ns[host]
    known = (host >= 0) & (since > 0) & (since < time_ns)
    here, there = ttl.astype(np.int64), hosts.reference_ttl[host].astype(np.int64)
    initial, usual = (_INITIAL_TTLS[np.searchsorted(_INITIAL_TTLS, value)] for value in (here, there))
    apart = np.abs((initial - here) - (usual - there))
    return np.asarray(known & ((apart >= 2) | ((apart == 1) & (initial != usual))))


def repeated_probes(stage: FlowStage, contacts: ContactTable, contact: Rows, at: Rows) -> Probes:
    """Return those of the packets at positions `at` that ask the pending `contact` of the flow of each."""
    packets = stage.packets
    flags = packets.tcp_flags[at]
    asks = (stage.side_then[at] == ORIGINATOR) & (~packets.tcp[at] | ((flags & (_ACK | _RST)) == 0))
    at, contact = at[asks], contact[asks]
    again = packets.at[at] != contacts.entry_row[contact]
    same = packets.tcp[at] & (packets.seq[at] == contacts.seq[contact])
    same &= packets.src_port[at] == contacts.sport[contact]
    return Probes(packets.at[at], contact, np.ones(len(at), np.bool_), same & again)


def answers_of_neighbours(packets: PacketBatch, hosts: HostTable, contacts: ContactTable, sound: Bools) -> Evidence:
    """Return what ARP replies and neighbour advertisements say about pending contacts."""
    arp, nd = neighbour_rows(packets, sound, (ARP_REPLY, ND_ADVERTISE))
    quoted = packets.quoted
    row = np.concatenate((arp, quoted.row[nd]))
    if not len(row):
        return no_evidence()
    asked_hi = np.concatenate((packets.src_hi[arp], quoted.dst_hi[nd]))
    asked_lo = np.concatenate((packets.src_lo[arp], quoted.dst_lo[nd]))
    asker = hosts.keys(packets.dst_hi[row], packets.dst_lo[row])
    port: U16 = np.where(packets.proto[row] == ARP, 0, ND_SOLICITATION).astype(np.uint16)
    contact = contacts.find(asker, hosts.keys(asked_hi, asked_lo), packets.proto[row], port)
    kept = np.flatnonzero((contact >= 0) & (contacts.outcome[contact] == Outcome.ATTEMPT))
    none = np.zeros(len(kept), np.uint64)
    return Evidence(row[kept], contact[kept], np.full(len(kept), Outcome.OPEN, np.uint8), none, none)
