"""The pieces that a slice is put together from, stretch by stretch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TypeVar

import numpy as np

from nettriage.model.batch import Outer, PacketBatch, Quoted, RawBatch
from nettriage.model.columns import I32, Rows
from nettriage.model.slices import ContactEvents, DnsColumns, FlowEnds, Resumes, Slice
from nettriage.model.tables import U8, Tables
from sniff.contact_events import no_contacts
from sniff.flow_stage import FlowStage
from sniff.resumes import no_resumes
from sniff.tcp_state import no_ends

Events = TypeVar("Events", ContactEvents, FlowEnds, Resumes)
LINKTYPE_ETHERNET = 1


def no_packets() -> PacketBatch:
    """Return a batch without packets, for slices in which only time passed."""
    none = np.zeros(0, np.int64)
    small, words = none.astype(np.int32), none.astype(np.uint64)
    raw = RawBatch(LINKTYPE_ETHERNET, none, none, small, small, none.astype(np.uint8))
    port, byte = none.astype(np.uint16), none.astype(np.uint8)
    return PacketBatch(
        raw=raw, ts_ns=none, wire_len=small, src_mac=words, dst_mac=words, vlan=small, ip_version=byte, src_hi=words,
        src_lo=words, dst_hi=words, dst_lo=words, proto=port, ttl=byte, ip_id=port, ip_flags=byte, src_port=port,
        dst_port=port, icmp_type=byte, icmp_code=byte, tcp_flags=port, seq=none.astype(np.uint32),
        ack=none.astype(np.uint32), window=port, l4_at=none, payload_at=none, payload_len=small, payload_cap=small,
        tunnel=port, depth=byte, flaw=none.astype(np.uint32), duplicate=none.astype(np.bool_),
        quoted=Quoted(none, words, words, words, words, port, port, port),
        outer=Outer(none, words, words, words, words, port),
    )  # fmt: skip


@dataclass(slots=True)
class SliceParts:
    """What happened in the stretches of one slice, in time order."""

    packets: PacketBatch
    flow: I32 = field(init=False)
    side: U8 = field(init=False)
    src: I32 = field(init=False)
    dst: I32 = field(init=False)
    new_flows: list[Rows] = field(default_factory=list)
    grown: list[I32] = field(default_factory=list)
    ends: list[FlowEnds] = field(default_factory=list)
    contacts: list[ContactEvents] = field(default_factory=list)
    resumes: list[Resumes] = field(default_factory=list)

    def __post_init__(self) -> None:
        rows = len(self.packets)
        self.flow, self.src, self.dst = (np.full(rows, -1, np.int32) for _ in range(3))
        self.side = np.zeros(rows, np.uint8)

    def add(self, stage: FlowStage) -> None:
        """Take in what happened to flows."""
        at = stage.packets.at
        self.flow[at] = stage.rows
        self.side[at] = stage.side_then
        self.src[at] = stage.src
        self.dst[at] = stage.dst
        self.new_flows.append(stage.found.new_rows)
        self.grown.append(stage.grown)
        self.ends.append(stage.ends)
        self.resumes.append(stage.resumes)

    def slice(self, dns: DnsColumns, tables: Tables, now_ns: int) -> Slice:
        """Return the slice."""
        grown = np.unique(_joined(self.grown)) if len(self.grown) > 1 else _joined(self.grown)
        return Slice(
            packets=self.packets,
            flow=self.flow,
            side=self.side,
            src=self.src,
            dst=self.dst,
            new_flows=_joined(self.new_flows),
            ends=join_events(self.ends, no_ends()),
            contacts=join_events(self.contacts, no_contacts()),
            resumes=join_events(self.resumes, no_resumes()),
            prefixes=grown,
            dns=dns,
            tables=tables,
            now_ns=now_ns,
        )


def join_events(parts: list[Events], none: Events) -> Events:
    """Return the events of all parts, one part after another."""
    kept = [part for part in parts if len(part)]
    if len(kept) < 2:
        return kept[0] if kept else none
    kind = type(none)
    return kind(*(np.concatenate([getattr(part, one.name) for part in kept]) for one in fields(kind)))


def _joined(parts: list[Rows] | list[I32]) -> I32:
    return np.concatenate(parts).astype(np.int32, copy=False) if parts else np.zeros(0, np.int32)
