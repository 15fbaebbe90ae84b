"""Which packets belong to flows, and the keyed identity of the flow that each belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import ARP, NO_PROTO, Flaw, IpFlag, PacketBatch
from nettriage.model.columns import U64, Mixer

ICMP, TCP, UDP, ICMP6, SCTP = 1, 6, 17, 58, 132
ECHO_REQUESTS = {ICMP: (8, 13, 15, 17), ICMP6: (128,)}
"""Echo, timestamp, information and mask requests (RFC 792, RFC 950); echo request (RFC 4443 4.1)."""
_ECHO_REPLIES = {ICMP: (0, 14, 16, 18), ICMP6: (129,)}
UNUSABLE = (
    Flaw.TRUNCATED_LINK | Flaw.TRUNCATED_IP | Flaw.TRUNCATED_L4 | Flaw.BAD_IP_HEADER | Flaw.BAD_L4_HEADER
)  # fmt: skip
_NO_PORTS = IpFlag.LATER_FRAGMENT | IpFlag.TINY_FRAGMENT


def _types(kinds: dict[int, tuple[int, ...]]) -> npt.NDArray[np.bool_]:
    """Return `bool [2, 256]`: by ICMP (0) or ICMPv6 (1) and type."""
    table = np.zeros((2, 256), np.bool_)
    table[0, list(kinds[ICMP])] = True
    table[1, list(kinds[ICMP6])] = True
    return table


IS_REQUEST = _types(ECHO_REQUESTS)
IS_ECHO_LIKE = IS_REQUEST | _types(_ECHO_REPLIES)


def usable(packets: PacketBatch) -> npt.NDArray[np.bool_]:
    """Return `bool [n]`, whether a packet is sound and no copy of an earlier one."""
    return np.asarray(~packets.duplicate & ((packets.flaw & np.uint32(UNUSABLE)) == 0))


def in_flow(packets: PacketBatch, sound: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return `bool [n]`, whether a packet belongs to a flow: all of IP but ICMP errors, ND and later fragments."""
    proto = packets.proto
    mask: npt.NDArray[np.bool_] = sound & (proto < np.uint16(256)) & ((packets.ip_flags & np.uint8(_NO_PORTS)) == 0)
    assert min(ARP, NO_PROTO) >= 256
    icmp = np.flatnonzero((proto == ICMP) | (proto == ICMP6))
    if len(icmp):
        mask[icmp] &= IS_ECHO_LIKE[(proto[icmp] == ICMP6).astype(np.intp), packets.icmp_type[icmp]]
    return mask


@dataclass(frozen=True, slots=True)
class FlowKeys:
    """Identity of the flow of each packet, the same in both directions."""

    key: U64
    """`u8 [n]`, keyed; its low half also chooses the set of the flow table."""
    low: npt.NDArray[np.bool_]
    """`bool [n]`, whether the source is the lower of the two ends in the (arbitrary, fixed) order of ends."""


def flow_keys(
    mixer: Mixer,
    source: tuple[U64, U64, npt.NDArray[np.uint16]],
    target: tuple[U64, U64, npt.NDArray[np.uint16]],
    proto: npt.NDArray[np.uint16],
) -> FlowKeys:
    """Return the flow identity of packets between `source` and `target`, each (high word, low word, port).

    The VLAN is no part of it: a mirror often shows one packet on both sides of a router or trunk.
    """
    one, other = mixer(*source), mixer(*target)
    return FlowKeys(mixer(np.minimum(one, other), np.maximum(one, other), proto), one <= other)
