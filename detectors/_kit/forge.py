"""Forged Ethernet frames for the examples of detectors and for tests: small, exact, and without a library."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from itertools import count

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
MSS_OPTION = b"\x02\x04\x05\xb4"
START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
S = 1_000 * MS


def checksum(data: bytes) -> int:
    """Return the internet checksum (RFC 1071) of `data`."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mac_of(address: str) -> bytes:
    """Return a locally administered MAC that belongs to `address`."""
    return b"\x02\x00" + ip_address(address).packed[-4:]


def ethernet(src: str, dst: str, ethertype: int, body: bytes, src_mac: bytes | None = None) -> bytes:
    """Return a frame from the MAC of `src` to the MAC of `dst`."""
    return mac_of(dst) + (src_mac or mac_of(src)) + struct.pack(">H", ethertype) + body


def ip(src: str, dst: str, proto: int, body: bytes, *, ttl: int = 64, ident: int = 0, df: bool = True) -> bytes:
    """Return a whole frame that carries `body` over IPv4 or IPv6, by the family of the addresses."""
    source, target = ip_address(src), ip_address(dst)
    if isinstance(source, IPv4Address):
        head = struct.pack(
            ">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), ident, 0x4000 if df else 0, ttl, proto, 0,
            source.packed, target.packed,
        )  # fmt: skip
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        return ethernet(src, dst, 0x0800, head + body)
    head = struct.pack(">IHBB16s16s", 6 << 28, len(body), proto, ttl, source.packed, target.packed)
    return ethernet(src, dst, 0x86DD, head + body)


def tcp(
    src: str, sport: int, dst: str, dport: int, flags: int, *, seq: int = 0, ack: int = 0, payload: bytes = b"",
    window: int = 64_240, options: bytes = b"", ttl: int = 64, ident: int = 0, df: bool = True,
) -> bytes:  # fmt: skip
    """Return a TCP segment as a frame; its checksum is left 0, as under offload."""
    head = struct.pack(
        ">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, (5 + len(options) // 4) << 4, flags, window,
        0, 0,
    )  # fmt: skip
    return ip(src, dst, 6, head + options + payload, ttl=ttl, ident=ident, df=df)


def udp(src: str, sport: int, dst: str, dport: int, payload: bytes = b"", *, ttl: int = 64, ident: int = 0) -> bytes:
    """Return a UDP datagram as a frame."""
    return ip(src, dst, 17, struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload, ttl=ttl, ident=ident)


def icmp_echo(
    src: str, dst: str, ident: int, seq: int, payload: bytes = b"\0" * 56, *, reply: bool = False, ttl: int = 64
) -> bytes:
    """Return an echo request or reply (ICMP or ICMPv6, by the family) as a frame."""
    v6 = ":" in src
    kind = (129 if reply else 128) if v6 else (0 if reply else 8)
    body = struct.pack(">BBHHH", kind, 0, 0, ident, seq) + payload
    if not v6:
        body = body[:2] + struct.pack(">H", checksum(body)) + body[4:]
    return ip(src, dst, 58 if v6 else 1, body, ttl=ttl)


def icmp_unreachable(src: str, frame: bytes, code: int = 3, *, ttl: int = 64) -> bytes:
    """Return the destination-unreachable that `src` sends to the source of an IPv4 `frame`, quoting it."""
    quoted = frame[14:42]
    body = struct.pack(">BBHI", 3, code, 0, 0) + quoted
    body = body[:2] + struct.pack(">H", checksum(body)) + body[4:]
    return ip(src, str(IPv4Address(frame[26:30])), 1, body, ttl=ttl)


def arp(sender: str, target: str, *, reply: bool = False) -> bytes:
    """Return an ARP request (broadcast) or reply as a frame."""
    op = 2 if reply else 1
    body = struct.pack(
        ">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, op, mac_of(sender), ip_address(sender).packed,
        mac_of(target) if reply else b"\0" * 6, ip_address(target).packed,
    )  # fmt: skip
    to = mac_of(target) if reply else b"\xff" * 6
    return to + mac_of(sender) + struct.pack(">H", 0x0806) + body


@dataclass
class Scene:
    """A little traffic, written in order of time.

    Every call appends frames at the scene's clock; `wait` moves the clock. `frames` sorts by time.
    """

    now_ns: int = START_NS
    step_ns: int = 100_000
    """Time between the frames of one call."""
    items: list[tuple[int, bytes]] = field(default_factory=list)
    _ports: count[int] = field(default_factory=lambda: count(40_000))
    _idents: count[int] = field(default_factory=lambda: count(1))

    def wait(self, ns: int) -> Scene:
        """Let `ns` pass."""
        self.now_ns += ns
        return self

    def put(self, *frames: bytes) -> Scene:
        """Append frames, `step_ns` apart."""
        for frame in frames:
            self.items.append((self.now_ns, frame))
            self.now_ns += self.step_ns
        return self

    def frames(self) -> list[tuple[int, bytes]]:
        """Return all frames in order of time."""
        return sorted(self.items, key=lambda item: item[0])

    def sport(self) -> int:
        """Return a fresh ephemeral port."""
        return next(self._ports)

    def syn(
        self, src: str, dst: str, dport: int, *, sport: int | None = None, ttl: int = 64, window: int = 1024
    ) -> Scene:
        """A SYN that nobody answers."""
        return self.put(self._syn(src, sport or self.sport(), dst, dport, ttl, window))

    def refused(self, src: str, dst: str, dport: int, *, sport: int | None = None) -> Scene:
        """A SYN, answered by a reset."""
        sport = sport or self.sport()
        return self.put(
            self._syn(src, sport, dst, dport, 64, 1024),
            tcp(dst, dport, src, sport, RST | ACK, ack=1001, window=0),
        )  # fmt: skip

    def half_open(self, src: str, dst: str, dport: int, *, sport: int | None = None) -> Scene:
        """A SYN to an open port, answered, then reset: how a SYN scan finds a service."""
        sport = sport or self.sport()
        return self.put(
            self._syn(src, sport, dst, dport, 64, 1024),
            tcp(dst, dport, src, sport, SYN | ACK, seq=5000, ack=1001, options=MSS_OPTION),
            tcp(src, sport, dst, dport, RST, seq=1001, window=0),
        )  # fmt: skip

    def session(
        self, src: str, dst: str, dport: int, turns: Iterable[tuple[int, bytes]] = ((0, b"ping"), (1, b"pong")), *,
        sport: int | None = None, gap_ns: int = 0, close: bool = True, isn: tuple[int, int] = (1000, 5000),
    ) -> Scene:  # fmt: skip
        """A whole TCP session: handshake, `turns` of (side, payload), each acknowledged, and FINs.

        Side 0 is `src`. A payload longer than 1448 bytes is cut into segments. `gap_ns` passes before each turn.
        """
        sport = sport or self.sport()
        flow = _Flow((src, sport), (dst, dport), list(isn))
        self.put(flow.send(0, SYN, options=MSS_OPTION), flow.send(1, SYN | ACK, options=MSS_OPTION), flow.send(0, ACK))
        for side, payload in turns:
            self.wait(gap_ns)
            for at in range(0, len(payload), 1448):
                self.put(flow.send(side, PSH | ACK, payload[at : at + 1448]), flow.send(1 - side, ACK))
        if close:
            self.put(flow.send(0, FIN | ACK), flow.send(1, FIN | ACK), flow.send(0, ACK))
        return self

    def query(self, src: str, dst: str, dport: int, ask: bytes = b"?", answer: bytes | None = b"!") -> Scene:
        """A UDP datagram and, unless `answer` is None, its reply."""
        sport = self.sport()
        self.put(udp(src, sport, dst, dport, ask, ident=next(self._idents)))
        if answer is not None:
            self.put(udp(dst, dport, src, sport, answer, ident=next(self._idents)))
        return self

    def _syn(self, src: str, sport: int, dst: str, dport: int, ttl: int, window: int) -> bytes:
        return tcp(
            src, sport, dst, dport, SYN, seq=1000, window=window, options=MSS_OPTION, ttl=ttl, ident=next(self._idents)
        )


class _Flow:
    """Sequence numbers of one session."""

    def __init__(self, client: tuple[str, int], server: tuple[str, int], seq: list[int]) -> None:
        self._ends = (client, server)
        self._seq = seq
        self._ident = 0

    def send(self, side: int, flags: int, payload: bytes = b"", options: bytes = b"") -> bytes:
        (src, sport), (dst, dport) = self._ends[side], self._ends[1 - side]
        self._ident += 1
        ack = self._seq[1 - side] if flags & ACK else 0
        frame = tcp(
            src, sport, dst, dport, flags, seq=self._seq[side], ack=ack, payload=payload, options=options,
            ident=self._ident,
        )  # fmt: skip
        self._seq[side] += len(payload) + bool(flags & (SYN | FIN))
        return frame


def dns_query(name: str, qtype: int = 1, txid: int = 1) -> bytes:
    """Return a DNS question as a UDP payload (RFC 1035 4.1)."""
    labels = b"".join(bytes([len(part)]) + part.encode("latin-1") for part in name.split(".") if part)
    return struct.pack(">HHHHHH", txid, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", qtype, 1)


def dns_reply(query: bytes, rdata: bytes = b"\x0a\0\0\1", qtype: int | None = None, rcode: int = 0) -> bytes:
    """Return the reply to `query` with one answer, or none where `rcode` is an error."""
    answers = 0 if rcode else 1
    kind = query[-4:-2] if qtype is None else struct.pack(">H", qtype)
    head = query[:2] + struct.pack(">HHHHH", 0x8180 | rcode, 1, answers, 0, 0)
    record = b"\xc0\x0c" + kind + struct.pack(">HIH", 1, 60, len(rdata)) + rdata
    return head + query[12:] + (record if answers else b"")
