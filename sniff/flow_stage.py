"""From packets to flows: finding or opening the flow of each packet, and all that the flow learns from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import PacketBatch, TcpFlag
from nettriage.model.columns import I32, I64, Rows, group, lengths, runs
from nettriage.model.slices import FlowEnds, Resumes
from nettriage.model.tables import ORIGINATOR, RESPONDER, U8, Opened
from sniff.flow_counters import Sides, count, group_sides
from sniff.flow_key import UDP
from sniff.flow_packets import FlowPackets, flow_packets
from sniff.flows import ANSWERED_CREDIT_NS, FlowTable, Found
from sniff.hosts import HostTable
from sniff.initiator import FirstPackets, Initiators, judge
from sniff.prefixes import PrefixTable
from sniff.resumes import find_resumes
from sniff.services import ServiceTable
from sniff.streams import NewPayload, new_payload
from sniff.tcp_state import find_ends, update_states

_SYN, _ACK, _RST, _FIN = (np.uint16(bit) for bit in (TcpFlag.SYN, TcpFlag.ACK, TcpFlag.RST, TcpFlag.FIN))
DNS_PORT = 53
"""DNS over UDP has columns of its own, so it takes no room among the kept prefixes."""


@dataclass(slots=True)
class FlowStage:
    """The packets of a stretch of a batch that belong to flows, and what happened to those flows."""

    packets: FlowPackets
    rows: Rows
    """Flow row of each packet."""
    side: U8
    """Who sent each packet, by what is known of the flow at the end of the stretch."""
    side_then: U8
    """The same by what was known when the packet came."""
    sides: Sides
    src: Rows
    """Host row of the source of each packet."""
    dst: Rows
    found: Found
    opening: Initiators
    """How each new flow was judged when it began, aligned with `found.new_rows`."""
    ends: FlowEnds
    resumes: Resumes
    grown: I32
    """Flows whose kept payload grew."""
    answered_services: Rows
    """Rows of services that answered somebody anew."""


class FlowKeeper:
    """Keeps flows, hosts, services and prefixes up to date with packets."""

    def __init__(
        self, flows: FlowTable, hosts: HostTable, services: ServiceTable, prefixes: PrefixTable
    ) -> None:  # fmt: skip
        self._flows = flows
        self._hosts = hosts
        self._services = services
        self._prefixes = prefixes

    def take(self, packets: PacketBatch, time_ns: I64, at: Rows, learned_until_ns: int) -> FlowStage | None:
        """Take in the rows `at`; services that answered since `learned_until_ns` do not yet tell who serves."""
        flows = self._flows
        seen = flow_packets(packets, time_ns, at, flows.mixer)
        found = flows.locate(seen)
        opening, homeless = self._open(seen, found, learned_until_ns)
        seen, found, opening = _placed(flows, seen, found, opening, homeless)
        if not len(seen):
            return None
        rows = found.rows
        turned = self._correct(seen, rows)
        side = (seen.low != flows.low_opened[rows]).view(np.uint8)
        side_then = _side_then(rows, side, *turned)
        sides = group_sides(flows, rows, side)
        hosts = self._renew_hosts(seen, sides, found)
        ends, _ = find_ends(flows, seen, rows, side)
        fresh = new_payload(flows, seen, sides)
        resumes, resumed_at = find_resumes(flows, seen, sides, fresh)
        resumes.side = side_then[resumed_at]
        count(flows, seen, sides, rows, side)
        flows.note_syns(seen, rows, found.new_first)
        update_states(flows, sides.row[sides.flow])
        stage = FlowStage(
            seen,
            rows,
            side,
            side_then,
            sides,
            hosts[0][sides.lane],
            hosts[1][sides.lane],
            found,
            opening,
            ends,
            resumes,
            np.zeros(0, np.int32),
            np.zeros(0, np.intp),
        )
        stage.answered_services = self._note_answers(stage, hosts[1])
        self._note_ttls(stage, hosts[0])
        stage.grown = self._keep_payload(packets, stage, sides, fresh)
        return stage

    def turn(self, rows: Rows) -> None:
        """Make the other side the originator of flows, each given once."""
        self._flows.flip(rows)
        self._prefixes.turn(rows)

    def _open(self, seen: FlowPackets, found: Found, learned_until_ns: int) -> tuple[Initiators, Rows]:
        """Fill in the rows of new flows; return who opened them, and the rows whose hosts found no room."""
        flows, hosts, row, at = self._flows, self._hosts, found.new_rows, found.new_first
        if not len(row):
            return Initiators(np.zeros(0, np.bool_), np.zeros(0, np.uint8)), row
        time_ns = seen.time_ns[at]
        high = np.concatenate((seen.src_hi[at], seen.dst_hi[at]))
        low = np.concatenate((seen.src_lo[at], seen.dst_lo[at]))
        keys = hosts.keys(high, low)
        host = hosts.locate(keys, high, low, np.concatenate((time_ns, time_ns)))
        half = len(at)
        initiators = judge(self._first_packets(seen, at, keys[:half], keys[half:], learned_until_ns))
        mine = initiators.by_source
        fresh = flows.blank(row)
        for column, source, target in (
            (fresh["host"], host[:half], host[half:]),
            (fresh["host_key"], keys[:half], keys[half:]),
            (fresh["port"], seen.src_port[at], seen.dst_port[at]),
        ):
            column[:, ORIGINATOR] = np.where(mine, source, target)
            column[:, RESPONDER] = np.where(mine, target, source)
        fresh["low_opened"] = seen.low[at] == mine
        fresh["opened"] = initiators.opened
        fresh["proto"] = seen.proto[at]
        fresh["vlan"] = seen.vlan[at]
        fresh["first_ns"] = fresh["last_ns"] = time_ns
        fresh["syn_seen"] = asks = seen.pure_syn()[at]
        fresh["syn_seq"] = seen.seq[at] * asks
        fresh["closing"] = seen.has(_FIN | _RST)[at]
        flows.begin(row, fresh)
        np.add.at(hosts.sent_flows, fresh["host"][:, ORIGINATOR], np.uint32(1))
        np.add.at(hosts.received_flows, fresh["host"][:, RESPONDER], np.uint32(1))
        return initiators, row[(host[:half] < 0) | (host[half:] < 0)]

    def _first_packets(
        self, seen: FlowPackets, at: Rows, src_key: npt.NDArray[np.uint64], dst_key: npt.NDArray[np.uint64],
        learned_until_ns: int,
    ) -> FirstPackets:  # fmt: skip
        proto = seen.proto[at]
        serves = np.zeros((2, len(at)), np.bool_)
        unsure = np.flatnonzero((seen.tcp[at] & ~seen.has(_SYN)[at]) | (proto == UDP))
        if len(unsure):
            for which, key, port in ((0, src_key, seen.src_port), (1, dst_key, seen.dst_port)):
                since_ns = self._services.since_ns(key[unsure], proto[unsure], port[at[unsure]])
                serves[which, unsure] = (since_ns > 0) & (since_ns < learned_until_ns)
        return FirstPackets(
            proto, seen.src_port[at], seen.dst_port[at], seen.tcp_flags[at], seen.seq[at], seen.payload_len[at],
            seen.icmp_type[at], serves[0], serves[1],
        )  # fmt: skip

    def _correct(self, seen: FlowPackets, rows: Rows) -> tuple[Rows, Rows]:
        """Let a handshake overrule what was guessed before; return the flows turned, and from which position."""
        flows = self._flows
        handshake = seen.marks[(seen.control[seen.marks] & (_SYN | _RST)) == _SYN]
        opened = flows.opened[rows[handshake]]
        unsure = opened != Opened.SYN
        handshake, opened = handshake[unsure], opened[unsure]
        if not len(handshake):
            return handshake, handshake
        guessed = handshake[opened > Opened.SYN_ACK]
        groups = group(rows[guessed])
        row, at = groups.ids, guessed[groups.first]
        is_answer = (seen.control[at] & _ACK) != 0
        flows.opened[row] = np.where(is_answer, Opened.SYN_ACK, Opened.SYN)
        contrary = (seen.low[at] != is_answer) != flows.low_opened[row]
        self.turn(row[contrary])
        asked = handshake[(seen.control[handshake] & _ACK) == 0]
        asked = asked[seen.low[asked] == flows.low_opened[rows[asked]]]
        flows.opened[rows[asked]] = Opened.SYN
        return row[contrary], at[contrary]

    def _renew_hosts(self, seen: FlowPackets, sides: Sides, found: Found) -> tuple[Rows, Rows]:
        """Keep the hosts of flows alive, and enter those again that had to give way.

        Return the hosts that speak and those that are spoken to, by group.
        """
        flows, hosts = self._flows, self._hosts
        speaker, listener = (sides.row, sides.side), (sides.row, 1 - sides.side)
        old = np.ones(len(sides.row), np.bool_)
        old[sides.lane[found.new_first]] = False
        lost = old.nonzero()[0]
        row = sides.row[lost]
        lost = lost[(hosts.key[flows.host[row]] != flows.host_key[row]).any(axis=1)]
        if len(lost):
            row, side, at = sides.row[lost], sides.side[lost], sides.groups.first[lost]
            for who, high, low in ((side, seen.src_hi, seen.src_lo), (1 - side, seen.dst_hi, seen.dst_lo)):
                key = flows.host_key[row, who]
                flows.host[row, who] = hosts.locate(key, high[at], low[at], seen.time_ns[at])
        src, dst = flows.host[speaker].astype(np.intp), flows.host[listener].astype(np.intp)
        hosts.table.touch(src, seen.time_ns[sides.groups.last])
        return src, dst

    def _note_answers(self, stage: FlowStage, listener: Rows) -> Rows:
        """Note first answers: the flow and its hosts live longer, the service is known, the asker was heard."""
        flows, hosts, seen = self._flows, self._hosts, stage.packets
        unheard, unanswered = ~hosts.heard[listener], ~flows.answered[stage.sides.row]
        replies = ((unheard | unanswered)[stage.sides.lane] & (stage.side_then == RESPONDER)).nonzero()[0]
        lane = stage.sides.lane[replies]
        first = replies[unheard[lane]]
        hosts.hear(stage.dst[first], seen.time_ns[first])
        fresh = replies[unanswered[lane]]
        fresh = fresh[(seen.control[fresh] & _RST) == 0]
        if not len(fresh):
            return np.asarray(fresh)
        groups = group(stage.rows[fresh])
        flows.answered[groups.ids] = True
        flows.table.credit_ns[groups.ids] = ANSWERED_CREDIT_NS
        at = np.sort(fresh[groups.first])
        row, host = stage.rows[at], stage.src[at]
        hosts.credit(host)
        hosts.credit(stage.dst[at])
        return self._services.answer(
            host, hosts.key[host], flows.proto[row], seen.src_port[at], hosts.key[stage.dst[at]], seen.time_ns[at]
        )  # fmt: skip

    def _note_ttls(self, stage: FlowStage, speaker: Rows) -> None:
        seen, fresh = stage.packets, self._hosts.reference_ttl_ns[speaker] == 0
        if not fresh.any():
            return
        steady = (fresh[stage.sides.lane] & ~seen.has(_RST)).nonzero()[0]
        self._hosts.note_ttl(stage.src[steady], seen.ttl[steady], seen.time_ns[steady])

    def _keep_payload(self, packets: PacketBatch, stage: FlowStage, sides: Sides, fresh: NewPayload) -> I32:
        flows, seen = self._flows, stage.packets
        if not len(fresh):
            return np.zeros(0, np.int32)
        heads = runs(fresh.group)
        row, position = sides.row[fresh.group[heads]], fresh.position
        young = flows.slot[row] < 0
        young &= (flows.proto[row] != UDP) | (flows.port[row, RESPONDER] != DNS_PORT)
        at = young.nonzero()[0]
        if len(at):
            begun = at[runs(row[at])]
            self._prefixes.give(row[begun[position[heads[begun]].argsort()]])
        counts = lengths(heads, len(fresh))
        kept = self._prefixes.keep(
            self._prefixes.slots(row).repeat(counts), sides.side[fresh.group], fresh.begin, packets.raw.data,
            seen.payload_at[position] + fresh.skip, seen.payload_cap[position] - fresh.skip,
        )  # fmt: skip
        grown = row.repeat(counts)[kept]
        return grown[runs(grown)].astype(np.int32)


def _placed(
    flows: FlowTable, seen: FlowPackets, found: Found, opening: Initiators, homeless: Rows
) -> tuple[FlowPackets, Found, Initiators]:  # fmt: skip
    """Leave out packets whose flow or whose hosts found no room."""
    rows = found.rows
    if len(homeless):
        flows.free(homeless)
        rows = np.where(np.isin(rows, homeless), -1, rows)
    kept = rows >= 0
    if kept.all():
        return seen, found, opening
    new = kept[found.new_first]
    position = np.cumsum(kept) - 1
    left = Found(rows[kept], found.new_rows[new], position[found.new_first[new]])
    return seen.part(np.flatnonzero(kept)), left, Initiators(opening.by_source[new], opening.opened[new])


def _side_then(rows: Rows, side: U8, turned: Rows, since: Rows) -> U8:
    """Return who sent each packet by what was known then: before position `since` a turned flow ran the other way."""
    if not len(turned):
        return side
    order = np.argsort(turned)
    index = np.minimum(np.searchsorted(turned[order], rows), len(turned) - 1)
    before = (turned[order][index] == rows) & (np.arange(len(rows)) < since[order][index])
    return np.where(before, 1 - side, side).astype(np.uint8)
