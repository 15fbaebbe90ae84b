"""Questions to the local link for services: DNS-SD over mDNS (RFC 6762, 6763), SSDP, and WS-Discovery."""

from __future__ import annotations

import numpy as np

from nettriage.model.batch import PacketBatch
from nettriage.model.columns import Rows
from nettriage.model.finding import Address
from nettriage.model.safetext import safe

MDNS, SSDP, WS_DISCOVERY = 5353, 1900, 3702
READS = frozenset(
    {f"packets.{name}" for name in ("dst_port", "proto", "duplicate", "flaw", "payload_at", "payload_cap", "raw")}
)
ALL_TYPES = "_services._dns-sd._udp"
"""The question for all service types there are (RFC 6763 9)."""
ALL_DEVICES, ALL_TARGETS = "ssdp:all", "wsd:probe"
_UDP = 17
_HEADER_BYTES, _QUESTIONS_MAX, _POINTERS_MAX, _LABELS_MAX = 12, 64, 16, 16
_TYPE_CELLS = 64
_PAYLOAD_BYTES = 1_500


def questions_on_link(packets: PacketBatch) -> Rows:
    """Return the rows of datagrams to the ports of link-local discovery."""
    port = packets.dst_port
    rows: Rows = np.flatnonzero((port == MDNS) | (port == SSDP) | (port == WS_DISCOVERY))
    sound: Rows = rows[(packets.proto[rows] == _UDP) & ~packets.duplicate[rows] & (packets.flaw[rows] == 0)]
    return sound


def is_group(address: Address) -> bool:
    """Return whether an address is a multicast or the broadcast one (RFC 5771, RFC 4291 2.7)."""
    high, low = address
    return high >> 56 == 0xFF if high else (low & 0xFFFF_FFFF) >> 28 >= 0xE


def asked_types(packets: PacketBatch, row: int) -> list[str]:
    """Return what one datagram asks the link for: service types, `ALL_DEVICES` or `ALL_TARGETS`; most ask nothing."""
    start = int(packets.payload_at[row])
    length = min(int(packets.payload_cap[row]), _PAYLOAD_BYTES)
    payload = packets.raw.data[start : start + length].tobytes()
    port = int(packets.dst_port[row])
    if port == MDNS:
        return service_types(payload)
    if port == SSDP:
        return [ALL_DEVICES] if payload.startswith(b"M-SEARCH ") and b"ssdp:all" in payload.lower() else []
    return [ALL_TARGETS] if b"discovery/Probe<" in payload and b"Types>" not in payload else []


def service_types(message: bytes) -> list[str]:
    """Return the distinct service types (``_ipp._tcp``) that an mDNS query asks for; [] for anything else."""
    if len(message) < _HEADER_BYTES or message[2] & 0xF8:
        return []
    asked: dict[str, None] = {}
    at = _HEADER_BYTES
    for _ in range(min(int.from_bytes(message[4:6], "big"), _QUESTIONS_MAX)):
        labels, at = _name(message, at)
        if at < 0 or at + 4 > len(message):
            break
        at += 4
        if service := _service_of(labels):
            asked[service] = None
    return list(asked)


def _service_of(labels: list[bytes]) -> str:
    """Return the service type in a name: the two labels before ``local``, as RFC 6763 4.1 and 9 order them."""
    lowered = [label.lower() for label in labels]
    if len(lowered) < 3 or lowered[-1] != b"local" or lowered[-2] not in (b"_tcp", b"_udp"):
        return ""
    if not lowered[-3].startswith(b"_"):
        return ""
    kept = lowered[-4:-1] if lowered[-3] == b"_dns-sd" else lowered[-3:-1]
    return safe(b".".join(kept), _TYPE_CELLS)


def _name(message: bytes, at: int) -> tuple[list[bytes], int]:
    """Return the labels of the name at `at` and where it ends, -1 where it is broken (RFC 1035 4.1.4)."""
    labels: list[bytes] = []
    end, jumps = -1, 0
    while at < len(message) and len(labels) <= _LABELS_MAX:
        size = message[at]
        if size == 0:
            return labels, end if end >= 0 else at + 1
        if size >= 0xC0:
            if at + 1 >= len(message) or jumps == _POINTERS_MAX:
                break
            end = end if end >= 0 else at + 2
            at, jumps = (size & 0x3F) << 8 | message[at + 1], jumps + 1
        elif size > 63:
            break
        else:
            labels.append(message[at + 1 : at + 1 + size])
            at += 1 + size
    return [], -1
