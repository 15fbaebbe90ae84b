"""Link headers and tags: from the first byte of a frame, or of what a tunnel carries, to the network layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import Flaw, Tunnel
from nettriage.model.columns import I64, Rows
from sniff.descent import Descent, Layer, as_run
from sniff.heads import gather, layout, read

LINK_HEADERS_MAX = 9
"""Link headers in a row: a frame header and eight tags."""

LINK_TYPES = {
    0: Layer.FAMILY, 1: Layer.ETHERNET, 9: Layer.PPP, 12: Layer.IP, 14: Layer.IP, 50: Layer.HDLC, 51: Layer.PPPOE,
    101: Layer.IP, 108: Layer.FAMILY, 113: Layer.COOKED, 228: Layer.IPV4, 229: Layer.IPV6, 276: Layer.COOKED_V2,
}  # fmt: skip
"""First layer by LINKTYPE_ number (tcpdump.org/linktypes.html)."""

_ETHERTYPES = {
    0x0800: Layer.IPV4, 0x86DD: Layer.IPV6, 0x0806: Layer.ARP, 0x8100: Layer.VLAN, 0x88A8: Layer.VLAN,
    0x9100: Layer.VLAN, 0x8847: Layer.MPLS, 0x8848: Layer.MPLS, 0x8864: Layer.PPPOE,
}  # fmt: skip
_CARRIED_TYPES = _ETHERTYPES | {0x6558: Layer.ETHERNET, 0x880B: Layer.PPP}
_PPP_PROTOCOLS = {0x0021: Layer.IPV4, 0x0057: Layer.IPV6, 0x0281: Layer.MPLS}
_FAMILIES = {2: Layer.IPV4, 10: Layer.IPV6, 23: Layer.IPV6, 24: Layer.IPV6, 28: Layer.IPV6, 30: Layer.IPV6}
"""AF_INET, and AF_INET6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin."""


def _table(known: dict[int, Layer]) -> npt.NDArray[np.uint8]:
    table = np.zeros(0x10000, np.uint8)
    table[list(known)] = list(known.values())
    return table


BY_ETHERTYPE = _table(_ETHERTYPES)
"""`u1 [65536]`, the `Layer` of each EtherType, `Layer.NONE` where it is not decoded."""
BY_CARRIED_TYPE = _table(_CARRIED_TYPES)
"""`u1 [65536]`, the same for the protocol types of GRE and GENEVE, which add bridged Ethernet and PPP."""
_BY_PPP_PROTOCOL = _table(_PPP_PROTOCOLS)
_BY_FAMILY = _table(_FAMILIES)

_ETHERNET = layout(14, dst=(">u8", 0), src=(">u8", 6), ethertype=(">u2", 12))
_TAG = layout(4, tci=(">u2", 0), ethertype=(">u2", 2))
_COOKED = layout(16, mac_len=(">u2", 4), mac=(">u8", 6), ethertype=(">u2", 14))
_COOKED_V2 = layout(20, ethertype=(">u2", 0), mac_len=("u1", 11), mac=(">u8", 12))
_FAMILY = layout(4, big=(">u4", 0), little=("<u4", 0))
_PPPOE = layout(8, version=("u1", 0), code=("u1", 1), protocol=(">u2", 6))
_PPP = layout(4, first=("u1", 0), protocol=(">u2", 0), framed=(">u2", 2))


def to_network(state: Descent, rows: Rows) -> None:
    """Take rows through their link headers until each stands at IPv4, IPv6 or ARP, or is refused.

    One step a header, not one a packet: each turn moves every remaining row by one header.
    """
    for _ in range(LINK_HEADERS_MAX):
        rows = rows[state.layer[rows] >= Layer.ETHERNET]
        if not len(rows):
            return
        layers = state.layer[rows]
        kinds = np.bincount(layers).nonzero()[0].tolist()
        for layer in kinds:
            _STEPS[layer](state, rows[layers == layer] if len(kinds) > 1 else rows)
    state.refuse(rows[state.layer[rows] >= Layer.ETHERNET], Flaw.TOO_DEEP)


def _ethernet(state: Descent, rows: Rows) -> None:
    rows = state.whole(rows, 14, Flaw.TRUNCATED_LINK)
    run = as_run(rows)
    at = state.at[run]
    head = read(state.data, at, _ETHERNET)
    state.dst_mac[run] = head["dst"].astype(np.uint64) >> np.uint64(16)
    state.src_mac[run] = head["src"].astype(np.uint64) >> np.uint64(16)
    state.enter(rows, at + 14, BY_ETHERTYPE[head["ethertype"]])


def _vlan(state: Descent, rows: Rows) -> None:
    """IEEE 802.1Q: a priority tag (id 0) leaves the frame in the VLAN that it is in."""
    rows = state.whole(rows, 4, Flaw.TRUNCATED_LINK)
    at = state.at[rows]
    head = read(state.data, at, _TAG)
    vlan = (head["tci"] & 0xFFF).astype(np.int32)
    tagged = vlan > 0
    state.vlan[rows[tagged]] = vlan[tagged]
    state.enter(rows, at + 4, BY_ETHERTYPE[head["ethertype"]])


def _mpls(state: Descent, rows: Rows) -> None:
    """One label (RFC 3032 2.1); below the last one nothing says what follows, so it is guessed."""
    rows = state.whole(rows, 4, Flaw.TRUNCATED_LINK)
    at = state.at[rows]
    bottom = gather(state.data, at, 4)[:, 2] & 1 != 0
    state.at[rows] = at + 4
    _below_labels(state, state.whole(rows[bottom], 1, Flaw.TRUNCATED_LINK))


def _below_labels(state: Descent, rows: Rows) -> None:
    """IP by its version nibble (RFC 4928), else an Ethernet pseudowire with or without control word (RFC 4448).

    The reading whose EtherType is one that is decoded wins, the one with control word first.
    """
    at = state.at[rows]
    head = gather(state.data, at, 18)
    nibble = head[:, 0] >> 4
    room = state.end[rows] - at
    plain = (room >= 14) & (BY_ETHERTYPE[_u16(head, 12)] != Layer.NONE)
    controlled = (nibble == 0) & (room >= 18) & (BY_ETHERTYPE[_u16(head, 16)] != Layer.NONE)
    layer = np.zeros(len(rows), np.uint8)
    layer[plain | controlled] = Layer.ETHERNET
    layer[nibble == 4] = Layer.IPV4
    layer[nibble == 6] = Layer.IPV6
    state.carry(rows, at + np.where(controlled & (layer == Layer.ETHERNET), 4, 0), layer, Tunnel.MPLS)


def _pppoe(state: Descent, rows: Rows) -> None:
    """A PPPoE session (RFC 2516 4): version and type 1, code 0, then the PPP protocol."""
    rows = state.whole(rows, 8, Flaw.TRUNCATED_LINK)
    at = state.at[rows]
    head = read(state.data, at, _PPPOE)
    session = (head["version"] == 0x11) & (head["code"] == 0)
    layer = np.where(session, _BY_PPP_PROTOCOL[head["protocol"]], np.uint8(Layer.NONE))
    state.carry(rows, at + 8, layer, Tunnel.PPPOE)


def _ppp(state: Descent, rows: Rows) -> None:
    """PPP (RFC 1661 2, 6.5, 6.6): address and control may be there, the protocol may be one odd byte."""
    rows = state.whole(rows, 1, Flaw.TRUNCATED_LINK)
    at = state.at[rows]
    head = read(state.data, at, _PPP)
    room = state.end[rows] - at
    skip = np.where((room >= 2) & (head["protocol"] == 0xFF03), 2, 0)
    protocol = np.where(skip == 2, head["framed"], head["protocol"])
    short = (protocol & 0x100 != 0) | (room <= skip)
    size = skip + np.where(short, 1, 2)
    good = state.holds(rows, size, Flaw.TRUNCATED_LINK)
    layer = _BY_PPP_PROTOCOL[np.where(short, protocol >> 8, protocol)]
    state.enter(rows[good], (at + size)[good], layer[good])


def _hdlc(state: Descent, rows: Rows) -> None:
    """PPP in HDLC-like framing (RFC 1662 3.1), or Cisco framing (RFC 1547 4.3.1) with an EtherType."""
    rows = state.whole(rows, 4, Flaw.TRUNCATED_LINK)
    at = state.at[rows]
    head = read(state.data, at, _PPP)
    cisco = (head["first"] == 0x0F) | (head["first"] == 0x8F)
    state.enter(rows[cisco], at[cisco] + 4, BY_ETHERTYPE[head["framed"][cisco]])
    state.layer[rows[~cisco]] = Layer.PPP


def _ip(state: Descent, rows: Rows) -> None:
    rows = state.whole(rows, 1, Flaw.TRUNCATED_IP)
    nibble = gather(state.data, state.at[rows], 1)[:, 0] >> 4
    state.layer[rows] = np.where(nibble == 4, Layer.IPV4, Layer.IPV6)
    state.refuse(rows[(nibble != 4) & (nibble != 6)], Flaw.BAD_IP_HEADER)


def _cooked(state: Descent, rows: Rows) -> None:
    _cooked_as(state, rows, _COOKED)


def _cooked_v2(state: Descent, rows: Rows) -> None:
    _cooked_as(state, rows, _COOKED_V2)


def _cooked_as(state: Descent, rows: Rows, head_layout: np.dtype[np.void]) -> None:
    """Linux cooked capture (LINKTYPE_LINUX_SLL and _SLL2): only the source address is known."""
    size = head_layout.itemsize
    rows = state.whole(rows, size, Flaw.TRUNCATED_LINK)
    at = state.at[rows]
    head = read(state.data, at, head_layout)
    mac = head["mac"].astype(np.uint64) >> np.uint64(16)
    state.src_mac[rows] = np.where(head["mac_len"] == 6, mac, np.uint64(0))
    state.enter(rows, at + size, BY_ETHERTYPE[head["ethertype"]])


def _family(state: Descent, rows: Rows) -> None:
    """BSD loopback (LINKTYPE_NULL, _LOOP): the family is small, so the order that makes it small is the right one."""
    rows = state.whole(rows, 4, Flaw.TRUNCATED_LINK)
    at = state.at[rows]
    head = read(state.data, at, _FAMILY)
    family = np.minimum(head["big"], head["little"])
    state.enter(rows, at + 4, _BY_FAMILY[np.minimum(family, 0xFFFF)])


def _u16(head: npt.NDArray[np.uint8], at: int) -> I64:
    return head[:, at].astype(np.int64) << 8 | head[:, at + 1]


_STEPS: dict[int, Callable[[Descent, Rows], None]] = {
    Layer.ETHERNET: _ethernet, Layer.VLAN: _vlan, Layer.MPLS: _mpls, Layer.PPPOE: _pppoe, Layer.PPP: _ppp,
    Layer.HDLC: _hdlc, Layer.IP: _ip, Layer.COOKED: _cooked, Layer.COOKED_V2: _cooked_v2, Layer.FAMILY: _family,
}  # fmt: skip
