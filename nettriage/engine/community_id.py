"""Community ID v1 of a flow: the name under which Zeek, Suricata, Arkime and Security Onion know it too.

Specification and baseline values: github.com/corelight/community-id-spec.
"""

from __future__ import annotations

import base64
import hashlib

from nettriage.engine.protocols import ICMP, ICMP6, PORTED
from nettriage.model.batch import V4_PREFIX
from nettriage.model.finding import Address, FlowRef

_ICMP_REPLIES = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 10: 9, 9: 10, 17: 18, 18: 17}
_ICMP6_REPLIES = {
    128: 129, 129: 128, 130: 131, 131: 130, 133: 134, 134: 133, 135: 136, 136: 135, 139: 140, 140: 139, 144: 145,
    145: 144,
}  # fmt: skip


def community_id(flow: FlowRef) -> str:
    """Return ``1:`` and the base64 of the SHA-1 over the flow tuple, seed 0.

    ICMP flows stand under the made-up ports of `PacketBatch.src_port`: the request type is in the port of the
    asked, whose answer type the specification pairs with it.
    """
    if flow.proto in (ICMP, ICMP6):
        return icmp_community_id(flow.src, flow.dst, flow.proto, flow.dport >> 8, 0)
    ports = (flow.sport, flow.dport) if flow.proto in PORTED else None
    return _digest(flow.src, flow.dst, flow.proto, ports, ordered=True)


def icmp_community_id(src: Address, dst: Address, proto: int, kind: int, code: int) -> str:
    """Return the id of an ICMP or ICMPv6 message of type `kind`.

    A type with a counterpart (echo and its reply) is one flow both ways; any other is one-way and never reordered.
    """
    reply = (_ICMP_REPLIES if proto == ICMP else _ICMP6_REPLIES).get(kind)
    ports = (kind, code if reply is None else reply)
    return _digest(src, dst, proto, ports, ordered=reply is not None)


def _digest(src: Address, dst: Address, proto: int, ports: tuple[int, int] | None, *, ordered: bool) -> str:
    near, far = (_packed(src), ports[0] if ports else 0), (_packed(dst), ports[1] if ports else 0)
    if ordered and near > far:
        near, far = far, near
    text = b"\0\0" + near[0] + far[0] + bytes((proto & 0xFF, 0))
    if ports:
        text += near[1].to_bytes(2, "big") + far[1].to_bytes(2, "big")
    return "1:" + base64.b64encode(hashlib.sha1(text, usedforsecurity=False).digest()).decode()


def _packed(address: Address) -> bytes:
    high, low = address
    if high == 0 and low >> 32 == V4_PREFIX >> 32:
        return (low & 0xFFFF_FFFF).to_bytes(4, "big")
    return (high << 64 | low).to_bytes(16, "big")
