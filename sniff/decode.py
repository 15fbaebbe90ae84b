"""From the bytes of a batch to its columns: every packet, layer by layer, all packets at once."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from nettriage.model.batch import Flaw, Outer, PacketBatch, Quoted, RawBatch
from nettriage.model.columns import Rows
from sniff.decode_icmp import ICMP, ICMPV6, read_icmp, read_icmpv6
from sniff.decode_ip import to_transport
from sniff.decode_l4 import READERS, read_other
from sniff.decode_link import LINK_TYPES, to_network
from sniff.decode_tunnel import open_tunnels
from sniff.descent import DEPTH_MAX, Descent, Layer, no_outer, no_quotes


def decode(raw: RawBatch) -> PacketBatch:
    """Return the columns of a batch; never raises on traffic.

    All rows go down together: link headers, network, transport, and again for those that carry a tunnel.
    What is wrong with a packet is said in `flaw`; bytes beyond `cap_len` are never believed.
    """
    state = Descent.begin(raw, LINK_TYPES.get(raw.link_type, Layer.NONE))
    rows = np.arange(len(raw), dtype=np.intp)
    if raw.link_type not in LINK_TYPES:
        state.flaw(rows, Flaw.UNKNOWN_LINK)
    for _ in range(DEPTH_MAX + 1):
        if not len(rows):
            break
        to_network(state, rows)
        rows = to_transport(state, rows)
        _to_payload(state, rows)
        rows = open_tunnels(state, rows)
    state.out.quoted = _joined(state.quotes)
    state.out.outer = _carriers(state)
    return state.out


def _to_payload(state: Descent, rows: Rows) -> None:
    """Read the transport headers of rows, which stand at them."""
    proto, version = state.out.proto[rows], state.out.ip_version[rows]
    readers = [(proto == number, read) for number, read in READERS.items()]
    readers.append(((proto == ICMP) & (version == 4), read_icmp))
    readers.append(((proto == ICMPV6) & (version == 6), read_icmpv6))
    rest = np.ones(len(rows), np.bool_)
    for mine, read in readers:
        if mine.any():
            read(state, rows[mine])
            rest &= ~mine
    if rest.any():
        read_other(state, rows[rest])


def _joined(quotes: list[Quoted]) -> Quoted:
    if not quotes:
        return no_quotes()
    columns = [np.concatenate([getattr(part, item.name) for part in quotes]) for item in fields(Quoted)]
    order = np.argsort(columns[0], kind="stable")
    return Quoted(*(column[order] for column in columns))


def _carriers(state: Descent) -> Outer:
    """Return the carriers of the packets that proved sound inside; a row of depth d lies in the first d of them."""
    if not state.outers:
        return no_outer()
    depth = np.repeat(np.arange(1, len(state.outers) + 1), [len(part.row) for part in state.outers])
    columns = [np.concatenate([getattr(part, item.name) for part in state.outers]) for item in fields(Outer)]
    sound = np.flatnonzero(depth <= state.out.depth[columns[0]])
    order = sound[np.argsort(columns[0][sound], kind="stable")]
    return Outer(*(column[order] for column in columns))
