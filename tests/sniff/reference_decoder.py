"""A slow and obvious decoder of one packet at a time, against which the columns are compared."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

V4_PREFIX = 0xFFFF_0000_0000
NO_PROTO, ARP, NO_VLAN = 0xFFFF, 0x0806, -1
DF, FIRST, LATER, TINY = 1, 2, 4, 8
CUT_LINK, CUT_IP, CUT_L4, BAD_IP, BAD_L4, TOO_DEEP, UNKNOWN = 1, 2, 4, 8, 16, 32, 64
GRE, ERSPAN, VXLAN, GENEVE, IPIP, SIXINFOUR, GTPU, TEREDO, MPLS, PPPOE = (1 << bit for bit in range(10))

ETHERTYPES = {
    0x0800: "ipv4", 0x86DD: "ipv6", 0x0806: "arp", 0x8100: "vlan", 0x88A8: "vlan", 0x9100: "vlan", 0x8847: "mpls",
    0x8848: "mpls", 0x8864: "pppoe",
}  # fmt: skip
CARRIED = ETHERTYPES | {0x6558: "ethernet", 0x880B: "ppp"}
PPP = {0x21: "ipv4", 0x57: "ipv6", 0x281: "mpls"}
FAMILIES = {2: "ipv4", 10: "ipv6", 23: "ipv6", 24: "ipv6", 28: "ipv6", 30: "ipv6"}
LINKS = {
    0: "family", 1: "ethernet", 9: "ppp", 12: "ip", 14: "ip", 50: "hdlc", 51: "pppoe", 101: "ip", 108: "family",
    113: "cooked", 228: "ipv4", 229: "ipv6", 276: "cooked2",
}  # fmt: skip
ECHO = {4: {8: 8, 0: 8, 13: 13, 14: 13, 17: 17, 18: 17}, 6: {128: 128, 129: 128}}
QUOTING = {4: {3, 4, 5, 11, 12}, 6: {1, 2, 3, 4}}


@dataclass
class Row:
    """The columns of one packet."""

    src_mac: int = 0
    dst_mac: int = 0
    vlan: int = NO_VLAN
    ip_version: int = 0
    src_hi: int = 0
    src_lo: int = 0
    dst_hi: int = 0
    dst_lo: int = 0
    proto: int = NO_PROTO
    ttl: int = 0
    ip_id: int = 0
    ip_flags: int = 0
    src_port: int = 0
    dst_port: int = 0
    icmp_type: int = 0
    icmp_code: int = 0
    tcp_flags: int = 0
    seq: int = 0
    ack: int = 0
    window: int = 0
    l4_at: int = 0
    payload_at: int = 0
    payload_len: int = 0
    payload_cap: int = 0
    tunnel: int = 0
    depth: int = 0
    flaw: int = 0
    quoted: tuple[int, ...] | None = None
    """src_hi, src_lo, dst_hi, dst_lo, proto, src_port, dst_port."""


class Stop(Exception):
    """The layer at hand cannot be read."""

    def __init__(self, flaw: int = 0) -> None:
        super().__init__(flaw)
        self.flaw = flaw


@dataclass
class Pending:
    """What is known of a packet inside a tunnel before its network header is found sound."""

    depth: int
    src_mac: int
    dst_mac: int
    vlan: int
    tunnel: int


@dataclass
class Reference:
    """Decoder of one packet: `packet` are its captured bytes, which begin at offset `base` of the batch."""

    packet: bytes
    wire_len: int
    base: int = 0
    row: Row = field(default_factory=Row)
    at: int = 0
    end: int = 0
    wire_end: int = 0

    def decode(self, link_type: int, stripped_vlan: int = NO_VLAN) -> Row:
        """Return the columns of the packet."""
        row = self.row
        row.vlan = stripped_vlan if stripped_vlan > 0 else NO_VLAN
        self.end, self.wire_end = len(self.packet), self.wire_len
        if link_type not in LINKS:
            row.flaw = UNKNOWN
            return row
        self.descend(LINKS[link_type], Pending(0, 0, 0, row.vlan, 0))
        return self.row

    def descend(self, layer: str, pending: Pending) -> None:
        """Read a packet that begins with `layer`, and the one inside it."""
        self.pending = pending
        try:
            layer = self.to_network(layer)
            if layer == "arp":
                self.arp()
                return
            standing = self.ipv4() if layer == "ipv4" else self.ipv6()
        except Stop as stop:
            if self.pending.depth == 0 or stop.flaw in (CUT_LINK, CUT_IP, CUT_L4, TOO_DEEP):
                self.row.flaw |= stop.flaw
            return
        if standing:
            try:
                self.transport()
            except Stop as stop:
                self.row.flaw |= stop.flaw
                return
            self.tunnels()

    def need(self, size: int, flaw: int) -> None:
        """Stop unless the next `size` bytes were captured."""
        if self.at + size > self.end:
            promised = self.pending.depth == 0 or self.at + size <= self.wire_end
            raise Stop(flaw if promised else 0)

    def take(self, form: str, at: int = 0) -> tuple[int, ...]:
        """Return the numbers at `at` bytes from here."""
        return struct.unpack_from(">" + form, self.packet, self.at + at)

    # --- link ---------------------------------------------------------------------------------------------------

    def to_network(self, layer: str) -> str:
        for _ in range(9):
            if layer in ("ipv4", "ipv6", "arp"):
                return layer
            layer = getattr(self, layer)()
            if layer == "":
                raise Stop(UNKNOWN)
        if layer in ("ipv4", "ipv6", "arp"):
            return layer
        raise Stop(TOO_DEEP)

    def set_macs(self, src: int, dst: int) -> None:
        self.pending.src_mac, self.pending.dst_mac = src, dst
        if self.pending.depth == 0:
            self.row.src_mac, self.row.dst_mac = src, dst

    def set_vlan(self, vlan: int) -> None:
        self.pending.vlan = vlan
        if self.pending.depth == 0:
            self.row.vlan = vlan

    def ethernet(self) -> str:
        self.need(14, CUT_LINK)
        dst, src, kind = self.packet[self.at : self.at + 6], self.packet[self.at + 6 : self.at + 12], self.take("H", 12)
        self.set_macs(int.from_bytes(src, "big"), int.from_bytes(dst, "big"))
        self.at += 14
        return ETHERTYPES.get(kind[0], "")

    def vlan(self) -> str:
        self.need(4, CUT_LINK)
        tci, kind = self.take("HH")
        if tci & 0xFFF:
            self.set_vlan(tci & 0xFFF)
        self.at += 4
        return ETHERTYPES.get(kind, "")

    def mpls(self) -> str:
        self.need(4, CUT_LINK)
        (label,) = self.take("I")
        self.at += 4
        if not label & 0x100:
            return "mpls"
        self.need(1, CUT_LINK)
        nibble = self.take("B")[0] >> 4
        if nibble in (4, 6):
            self.pending.tunnel |= MPLS
            return f"ipv{nibble}"
        for skip in (4, 0):
            if skip and nibble:
                continue
            if self.at + skip + 14 <= self.end and self.take("H", skip + 12)[0] in ETHERTYPES:
                self.at += skip
                self.pending.tunnel |= MPLS
                self.set_vlan(NO_VLAN)
                return "ethernet"
        return ""

    def pppoe(self) -> str:
        self.need(8, CUT_LINK)
        version, code, _session, _length, protocol = self.take("BBHHH")
        self.at += 8
        if (version, code) != (0x11, 0):
            return ""
        self.pending.tunnel |= PPPOE
        return PPP.get(protocol, "")

    def ppp(self) -> str:
        self.need(1, CUT_LINK)
        skip = 2 if self.at + 2 <= self.end and self.take("H") == (0xFF03,) else 0
        if skip:
            self.need(skip + 1, CUT_LINK)
        (first,) = self.take("B", skip)
        if first & 1:
            self.at += skip + 1
            return PPP.get(first, "")
        self.need(skip + 2, CUT_LINK)
        (protocol,) = self.take("H", skip)
        self.at += skip + 2
        return PPP.get(protocol, "")

    def hdlc(self) -> str:
        self.need(4, CUT_LINK)
        first, _control, kind = self.take("BBH")
        if first not in (0x0F, 0x8F):
            return "ppp"
        self.at += 4
        return ETHERTYPES.get(kind, "")

    def ip(self) -> str:
        self.need(1, CUT_IP)
        nibble = self.take("B")[0] >> 4
        if nibble not in (4, 6):
            raise Stop(BAD_IP)
        return f"ipv{nibble}"

    def cooked(self) -> str:
        self.need(16, CUT_LINK)
        _kind, _hardware, length, mac, kind = self.take("HHH8sH")
        self.set_macs(int.from_bytes(mac[:6], "big") if length == 6 else 0, 0)
        self.at += 16
        return ETHERTYPES.get(kind, "")

    def cooked2(self) -> str:
        self.need(20, CUT_LINK)
        kind, _zero, _index, _hardware, _type, length, mac = self.take("HHIHBB8s")
        self.set_macs(int.from_bytes(mac[:6], "big") if length == 6 else 0, 0)
        self.at += 20
        return ETHERTYPES.get(kind, "")

    def family(self) -> str:
        self.need(4, CUT_LINK)
        number = self.packet[self.at : self.at + 4]
        self.at += 4
        return FAMILIES.get(min(int.from_bytes(number, "big"), int.from_bytes(number, "little")), "")

    # --- network ------------------------------------------------------------------------------------------------

    def accept(self, version: int, proto: int, ttl: int) -> None:
        """Forget the transport of the carrier; the packet inside is the one that counts."""
        old, now = self.row, self.pending
        if now.depth == 0:
            now.src_mac, now.dst_mac, now.vlan = old.src_mac, old.dst_mac, old.vlan
        self.row = Row(
            src_mac=now.src_mac, dst_mac=now.dst_mac, vlan=now.vlan, depth=now.depth, tunnel=now.tunnel,
            ip_version=version, proto=proto, ttl=ttl,
        )  # fmt: skip

    def arp(self) -> None:
        row = self.row
        if self.pending.depth == 0:
            row.proto = ARP
        self.need(28, CUT_L4)
        _hw, ptype, hlen, plen, op, _smac, sender, _tmac, target = self.take("HHBBH6sI6sI")
        if (ptype, hlen, plen) != (0x0800, 6, 4):
            raise Stop(BAD_L4)
        self.accept(0, ARP, 0)
        self.row.src_lo, self.row.dst_lo = V4_PREFIX | sender, V4_PREFIX | target
        self.row.icmp_type = min(op, 255)

    def ipv4(self) -> bool:
        """Return whether a transport header follows."""
        self.need(20, CUT_IP)
        first, _tos, total, ident, word, ttl, proto, _sum, src, dst = self.take("BBHHHBBHII")
        size = (first & 15) * 4
        if first >> 4 != 4 or size < 20 or (total != 0 and total < size):
            raise Stop(BAD_IP)
        self.accept(4, proto, ttl)
        row = self.row
        row.src_lo, row.dst_lo, row.ip_id = V4_PREFIX | src, V4_PREFIX | dst, ident
        row.ip_flags = (DF if word & 0x4000 else 0) | fragment(word & 0x1FFF, word & 0x2000)
        if total:
            self.wire_end = self.at + total
        self.end = min(self.end, self.wire_end)
        self.at += size
        if self.at > self.end:
            row.flaw |= CUT_IP
            return False
        if row.ip_flags & LATER:
            return False
        return self.extensions({51})

    def ipv6(self) -> bool:
        self.need(40, CUT_IP)
        first, length, proto, hops, *words = self.take("IHBBQQQQ")
        if first >> 28 != 6:
            raise Stop(BAD_IP)
        self.accept(6, proto, hops)
        row = self.row
        row.src_hi, row.src_lo, row.dst_hi, row.dst_lo = words
        self.at += 40
        if length or proto == 59:
            self.wire_end = self.at + length
        self.end = min(self.end, self.wire_end)
        return self.extensions({0, 43, 44, 51, 60})

    def extensions(self, kinds: set[int]) -> bool:
        row = self.row
        proto, at, flags, state, stop = walk(self.packet, row.proto, self.at, self.end, kinds)
        row.proto, self.at = proto, at
        row.ip_flags |= flags
        if state == "cut":
            if row.ip_flags & FIRST and stop > self.wire_end:
                row.ip_flags |= TINY
            else:
                row.flaw |= CUT_IP
        if state == "deep":
            row.flaw |= TOO_DEEP
        return state == "done"

    # --- transport ----------------------------------------------------------------------------------------------

    def transport(self) -> None:
        row = self.row
        if row.proto == 6:
            self.tcp()
        elif row.proto == 17:
            self.udp()
        elif row.proto == 132:
            self.sctp()
        elif (row.proto, row.ip_version) in ((1, 4), (58, 6)):
            self.icmp()
        elif row.proto != 59:
            self.payload(self.at, self.wire_end)

    def header(self, size: int, ends: tuple[int, ...]) -> bytes:
        """Return a transport header; of a tiny fragment the fields that it holds whole, the rest as zeros."""
        room = self.wire_end - self.at
        first = self.row.ip_flags & FIRST
        if room < size and not first:
            raise Stop(BAD_L4)
        if self.at + min(room, size) > self.end:
            raise Stop(CUT_L4)
        head = self.packet[self.at : self.at + min(room, size)]
        if room < size:
            self.row.ip_flags |= TINY
            head = head[: max(end for end in (0, *ends) if end <= room)]
        return head.ljust(size, b"\0")

    def payload(self, start: int, stop: int) -> None:
        row = self.row
        row.l4_at = self.base + self.at
        if row.ip_flags & TINY:
            return
        row.payload_at = self.base + start
        row.payload_len = max(0, stop - start)
        row.payload_cap = max(0, min(self.end, stop) - start)

    def tcp(self) -> None:
        row = self.row
        head = self.header(20, (2, 4, 8, 12, 14, 16))
        sport, dport, seq, ack, offset_flags, window, _sum, _urgent = struct.unpack(">HHIIHHHH", head)
        size = (offset_flags >> 12) * 4
        if not row.ip_flags & TINY:
            if size < 20:
                raise Stop(BAD_L4)
            if self.at + size > self.wire_end:
                if not row.ip_flags & FIRST:
                    raise Stop(BAD_L4)
                row.ip_flags |= TINY
            elif self.at + size > self.end:
                raise Stop(CUT_L4)
        row.src_port, row.dst_port, row.seq, row.ack = sport, dport, seq, ack
        row.tcp_flags, row.window = offset_flags & 0xFFF, window
        self.payload(self.at + size, self.wire_end)

    def udp(self) -> None:
        row = self.row
        sport, dport, length, _sum = struct.unpack(">HHHH", self.header(8, (2, 4)))
        if length < 8 and not row.ip_flags & TINY:
            raise Stop(BAD_L4)
        row.src_port, row.dst_port = sport, dport
        self.payload(self.at + 8, min(self.wire_end, self.at + length))

    def sctp(self) -> None:
        row = self.row
        row.src_port, row.dst_port, row.seq, _sum = struct.unpack(">HHII", self.header(12, (2, 4, 8)))
        self.payload(self.at + 12, self.wire_end)
        if row.payload_cap:
            row.tcp_flags = self.packet[self.at + 12]

    def icmp(self) -> None:
        row = self.row
        version = row.ip_version
        kind, code, _sum, ident, seq = struct.unpack(">BBHHH", self.header(8, (1, 2)))
        if version == 6 and kind in (135, 136) and not row.ip_flags & TINY:
            self.target()
        row.icmp_type, row.icmp_code = kind, code
        row.src_port, row.dst_port = echo_ports(version, kind, ident)
        row.seq = seq if kind in ECHO[version] else 0
        self.payload(self.at + 8, self.wire_end)
        if kind in QUOTING[version] and not row.ip_flags & TINY:
            quote = self.packet[self.at + 8 : self.at + 8 + row.payload_cap]
            row.quoted = quoted_v4(quote) if version == 4 else quoted_v6(quote)

    def target(self) -> None:
        row = self.row
        if self.at + 24 > self.wire_end:
            if not row.ip_flags & FIRST:
                raise Stop(BAD_L4)
            return
        if self.at + 24 > self.end:
            raise Stop(CUT_L4)
        high, low = self.take("QQ", 8)
        row.quoted = (row.src_hi, row.src_lo, high, low, 58, 0, 0)

    # --- tunnels ------------------------------------------------------------------------------------------------

    def tunnels(self) -> None:
        """Go on with what the payload carries, if it is a packet again."""
        row = self.row
        if not row.payload_len:
            return
        ports = {4789: "vxlan", 8472: "vxlan", 6081: "geneve", 2152: "gtpu", 3544: "teredo", 6635: "in_mpls"}
        protos = {4: "in_v4", 41: "in_v6", 47: "gre", 137: "in_mpls"}
        if row.proto == 17:
            opener = ports.get(row.dst_port, "teredo" if row.src_port == 3544 else "")
        else:
            opener = protos.get(row.proto, "")
        if not opener:
            return
        self.at = row.payload_at - self.base
        self.end, self.wire_end = self.at + row.payload_cap, self.at + row.payload_len
        self.pending = Pending(row.depth + 1, row.src_mac, row.dst_mac, row.vlan, row.tunnel)
        try:
            layer = getattr(self, opener)()
        except Stop as stop:
            row.flaw |= stop.flaw
            return
        if layer == "":
            return
        if self.pending.depth > 4:
            row.flaw |= TOO_DEEP
            return
        if layer == "ethernet":
            self.pending.vlan = NO_VLAN
        self.descend(layer, self.pending)

    def in_v4(self) -> str:
        self.pending.tunnel |= IPIP
        return "ipv4"

    def in_v6(self) -> str:
        self.pending.tunnel |= SIXINFOUR if self.row.ip_version == 4 else IPIP
        return "ipv6"

    def in_mpls(self) -> str:
        self.pending.tunnel |= MPLS
        return "mpls"

    def gre(self) -> str:
        self.need(4, CUT_L4)
        flags, protocol = self.take("HH")
        checksum, routing, key, sequence = (flags & bit for bit in (0x8000, 0x4000, 0x2000, 0x1000))
        size = 4 + 4 * bool(checksum) + 4 * bool(key) + 4 * bool(sequence)
        if flags & 7 == 1 and protocol == 0x880B and key and sequence:
            size += 4 * bool(flags & 0x80)
        elif flags & 7 or routing:
            return ""
        self.need(size, CUT_L4)
        self.at += size
        if protocol == 0x22EB or (protocol == 0x88BE and sequence):
            return self.erspan()
        if protocol == 0x88BE:
            self.pending.tunnel |= ERSPAN
            return "ethernet"
        self.pending.tunnel |= GRE
        return CARRIED.get(protocol, "")

    def erspan(self) -> str:
        self.need(8, CUT_L4)
        self.pending.tunnel |= ERSPAN
        version = self.take("B")[0] >> 4
        if version == 1:
            self.at += 8
            return "ethernet"
        if version != 2:
            return ""
        self.need(12, CUT_L4)
        (last,) = self.take("H", 10)
        size = 20 if last & 1 else 12
        self.need(size, CUT_L4)
        self.at += size
        return {0: "ethernet", 2: "ip"}.get(last >> 10 & 0x1F, "")

    def vxlan(self) -> str:
        if self.at + 8 > self.end or self.take("B")[0] & 0x7F != 0x08:
            return ""
        self.pending.tunnel |= VXLAN
        self.at += 8
        return "ethernet"

    def geneve(self) -> str:
        if self.at + 8 > self.end:
            return ""
        first, _flags, protocol = self.take("BBH")
        if first >> 6:
            return ""
        size = 8 + 4 * (first & 0x3F)
        self.need(size, CUT_L4)
        self.at += size
        self.pending.tunnel |= GENEVE
        return CARRIED.get(protocol, "")

    def gtpu(self) -> str:
        if self.at + 8 > self.end:
            return ""
        flags, message = self.take("BB")
        if flags >> 4 != 3 or message != 0xFF:
            return ""
        self.pending.tunnel |= GTPU
        if not flags & 7:
            self.at += 8
            return "ip"
        self.need(12, CUT_L4)
        following = self.take("B", 11)[0] if flags & 4 else 0
        self.at += 12
        for _ in range(8):
            if not following:
                return "ip"
            self.need(4, CUT_L4)
            size = self.take("B")[0] * 4
            if not size:
                return ""
            self.need(size, CUT_L4)
            self.at += size
            following = self.packet[self.at - 1]
        if following:
            raise Stop(TOO_DEEP)
        return "ip"

    def teredo(self) -> str:
        if self.at + 4 <= self.end and self.take("H") == (1,):
            id_len, auth_len = self.take("BB", 2)
            self.at += 13 + id_len + auth_len
        if self.at + 4 <= self.end and self.take("H") == (0,):
            self.at += 8
        if self.at + 6 > self.end:
            return ""
        first, length = self.take("B3xH")
        if first >> 4 != 6 or self.at + 40 + length > self.wire_end:
            return ""
        self.pending.tunnel |= TEREDO
        return "ipv6"


def fragment(offset: int, more: int) -> int:
    """Return the fragment bits."""
    return LATER if offset else FIRST if more else 0


def walk(packet: bytes, proto: int, at: int, end: int, kinds: set[int]) -> tuple[int, int, int, str, int]:
    """Walk extension headers; return protocol, offset, fragment bits, how it ended, and where the last one ends."""
    flags, stop = 0, at
    for _ in range(8):
        if proto not in kinds:
            return proto, at, flags, "done", stop
        stop = at + 8
        if stop > end:
            return proto, at, flags, "cut", stop
        following, length, word = struct.unpack_from(">BBH", packet, at)
        size = {44: 8, 51: (length + 2) * 4}.get(proto, (length + 1) * 8)
        stop = at + size
        if stop > end:
            return proto, at, flags, "cut", stop
        at += size
        bits = fragment(word >> 3, word & 1) if proto == 44 else 0
        proto = following
        flags |= bits
        if bits == LATER:
            return proto, at, flags, "later", stop
    return proto, at, flags, "deep" if proto in kinds else "done", stop


def echo_ports(version: int, kind: int, ident: int) -> tuple[int, int]:
    """Return the ports that echo-like ICMP is given."""
    request = ECHO[version].get(kind)
    if request is None:
        return 0, 0
    return (ident, request << 8) if kind == request else (request << 8, ident)


def quoted_v4(quote: bytes) -> tuple[int, ...] | None:
    """Return the quoted datagram, None where it is no IPv4 header."""
    if len(quote) < 20:
        return None
    first, word, proto, src, dst = struct.unpack_from(">B5xHxB2xII", quote)
    size = (first & 15) * 4
    if first >> 4 != 4 or size < 20:
        return None
    ports = (0, 0) if word & 0x1FFF else quoted_ports(4, proto, quote[size:])
    return (0, V4_PREFIX | src, 0, V4_PREFIX | dst, proto, *ports)


def quoted_v6(quote: bytes) -> tuple[int, ...] | None:
    """Return the quoted packet, None where it is no IPv6 header."""
    if len(quote) < 40 or quote[0] >> 4 != 6:
        return None
    words = struct.unpack_from(">QQQQ", quote, 8)
    proto, at, _flags, state, _stop = walk(quote, quote[6], 40, len(quote), {0, 43, 44, 51, 60})
    ports = quoted_ports(6, proto, quote[at:]) if state == "done" else (0, 0)
    return (*words, proto, *ports)


def quoted_ports(version: int, proto: int, body: bytes) -> tuple[int, int]:
    """Return the ports at the start of a quoted transport header."""
    if proto in (6, 17, 132) and len(body) >= 4:
        return struct.unpack_from(">HH", body)
    if proto == (1 if version == 4 else 58) and len(body) >= 8:
        kind, ident = struct.unpack_from(">B3xH", body)
        return echo_ports(version, kind, ident)
    return 0, 0
