"""Kept packets as rows for people: addresses, protocol, and one short line of what the headers say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nettriage.engine.packet_history import Kept
from nettriage.engine.protocols import ICMP, ICMP6, PORTED, TCP, protocol_name
from nettriage.model.addresses import mac_text, to_text
from nettriage.model.batch import ARP, HEAD_WIDTH, NO_VLAN, Flaw, PacketBatch, RawBatch, TcpFlag
from nettriage.model.frames import PacketRow
from sniff.decode import decode

_ICMP_WORDS = {0: "echo reply", 3: "unreachable", 5: "redirect", 8: "echo request", 11: "time exceeded"}
_ICMP6_WORDS = {
    1: "unreachable", 2: "too big", 3: "time exceeded", 128: "echo request", 129: "echo reply",
    133: "router solicitation", 134: "router advertisement", 135: "neighbour solicitation",
    136: "neighbour advertisement",
}  # fmt: skip


def packet_rows(packets: Sequence[Kept]) -> list[PacketRow]:
    """Return a row for each packet, numbered from 1 in the order given."""
    rows: list[PacketRow | None] = [None] * len(packets)
    for link_type in sorted({kept.link_type for kept in packets}):
        places = [place for place, kept in enumerate(packets) if kept.link_type == link_type]
        batch = decode(as_batch([packets[place] for place in places]))
        for index, place in enumerate(places):
            rows[place] = _row(batch, index, place + 1, packets[place])
    return [row for row in rows if row is not None]


def as_batch(packets: Sequence[Kept]) -> RawBatch:
    """Return kept packets of one link type as a batch again."""
    lengths = np.array([len(kept.data) for kept in packets], np.int32)
    data = np.frombuffer(b"".join(kept.data for kept in packets) + bytes(HEAD_WIDTH), np.uint8)
    return RawBatch(
        packets[0].link_type,
        np.array([kept.ts_ns for kept in packets], np.int64),
        np.concatenate(([0], np.cumsum(lengths[:-1], dtype=np.int64))),
        lengths,
        np.array([kept.wire_len for kept in packets], np.int32),
        data,
    )


def _row(batch: PacketBatch, row: int, number: int, kept: Kept) -> PacketRow:
    addressed = bool(batch.ip_version[row]) or int(batch.proto[row]) == ARP
    src = to_text(int(batch.src_hi[row]), int(batch.src_lo[row])) if addressed else mac_text(int(batch.src_mac[row]))
    dst = to_text(int(batch.dst_hi[row]), int(batch.dst_lo[row])) if addressed else mac_text(int(batch.dst_mac[row]))
    return PacketRow(
        number=number,
        ts_ns=kept.ts_ns,
        src=src,
        dst=dst,
        protocol=protocol_name(int(batch.proto[row])),
        length=kept.wire_len,
        info=packet_info(batch, row),
        data=kept.data,
        link_type=kept.link_type,
        flow=kept.serial,
    )


def packet_info(batch: PacketBatch, row: int) -> str:
    """Return one line on a packet, made of numbers and fixed words only."""
    parts = [_transport(batch, row)]
    if int(batch.vlan[row]) != NO_VLAN:
        parts.append(f"vlan {int(batch.vlan[row])}")
    flaw = Flaw(int(batch.flaw[row]))
    parts += [(item.name or "").lower().replace("_", " ") for item in Flaw if item in flaw]
    return " ".join(part for part in parts if part)


def _transport(batch: PacketBatch, row: int) -> str:
    proto, kind = int(batch.proto[row]), int(batch.icmp_type[row])
    if proto == ARP:
        return {1: "who-has", 2: "is-at"}.get(kind, f"operation {kind}")
    if proto in (ICMP, ICMP6):
        words = _ICMP_WORDS if proto == ICMP else _ICMP6_WORDS
        return f"{words.get(kind, f'type {kind}')} code {int(batch.icmp_code[row])}"
    ports = f"{int(batch.src_port[row])} > {int(batch.dst_port[row])}" if proto in PORTED else ""
    if proto == TCP:
        ports = f"{ports} [{flag_names(int(batch.tcp_flags[row]))}] seq {int(batch.seq[row])}"
    return f"{ports} len {int(batch.payload_len[row])}".strip()


def flag_names(flags: int) -> str:
    """Return the names of TCP flags, comma separated; ``none`` for a null probe."""
    return (
        ",".join(item.name or "" for item in TcpFlag if item in TcpFlag(flags) and item != TcpFlag.RESERVED) or "none"
    )
