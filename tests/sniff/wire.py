"""Whole packets of many shapes, by name: every link type, tag, network, transport and tunnel that is decoded."""

from __future__ import annotations

import struct

from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.ipsec import ESP
from scapy.layers.l2 import ARP, GRE, GRE_PPTP, CookedLinux, CookedLinuxV2, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Packet

A4, B4, C4 = "192.0.2.1", "198.51.100.2", "203.0.113.3"
A6, B6, C6 = "2001:db8::1", "2001:db8::2", "2001:db8::3"
MAC_A, MAC_B = "02:00:00:00:00:01", "02:00:00:00:00:02"
INNER = Ether(src="02:00:00:00:0a:01", dst="02:00:00:00:0a:02")


def ether(**fields: object) -> Packet:
    """Return the header of the outermost frame."""
    return Ether(src=MAC_A, dst=MAC_B, **fields)


def inner(tag: Packet | None = None) -> Packet:
    """Return a whole frame to put inside a tunnel: a TCP segment with payload."""
    return INNER / tag / inner_ip() if tag else INNER / inner_ip()


def inner_ip() -> Packet:
    """Return an IPv4 packet to put inside a tunnel."""
    return IP(src="10.0.0.1", dst="10.0.0.2", ttl=61, id=77) / TCP(sport=1111, dport=22, seq=5, ack=6) / b"inside"


def inner_ip6() -> Packet:
    """Return an IPv6 packet to put inside a tunnel."""
    return IPv6(src="fd00::1", dst="fd00::2", hlim=61) / UDP(sport=1111, dport=53) / b"inside"


V4, V6 = IP(src=A4, dst=B4, id=4660), IPv6(src=A6, dst=B6)
SEGMENT = TCP(sport=40000, dport=443, seq=0x01020304, ack=0x05060708, flags="PA", window=1024)
HELLO = b"hello, decoder, this is payload"
ERSPAN_II = struct.pack(">HHI", 0x1005, 0x0001, 0)
ERSPAN_III = struct.pack(">HHIHH", 0x2005, 0x0001, 0, 0, 0)
ERSPAN_III_LONG = struct.pack(">HHIHHQ", 0x2005, 0x0001, 0, 0, 1, 0)
ERSPAN_III_IP = struct.pack(">HHIHH", 0x2005, 0x0001, 0, 0, 2 << 10)
AUTHENTICATION = struct.pack(">BBHII", 6, 4, 0, 1, 2) + b"x" * 12
TEREDO_AUTH = bytes((0, 1, 2, 3)) + b"idkey" + bytes(8) + b"\0"
TEREDO_ORIGIN = bytes(8)


def gtp(flags: int, body: bytes, optional: bytes = b"") -> bytes:
    """Return a G-PDU."""
    return struct.pack(">BBHI", 0x30 | flags, 0xFF, len(optional) + len(body), 9) + optional + body


def vxlan(body: object, first: int = 0x08) -> bytes:
    """Return a VXLAN header with `first` as its flags, and what it carries."""
    return struct.pack(">II", first << 24, 7 << 8) + bytes(body)


def udp(port: int, payload: object) -> Packet:
    """Return a frame with a datagram to `port`."""
    return ether() / V4 / UDP(sport=50000, dport=port) / payload


def fragments(size: int) -> list[Packet]:
    """Return the fragments of a TCP segment, `size` bytes in each."""
    whole = V4 / TCP(sport=40000, dport=443, flags="S", options=[("MSS", 1460)])
    return [ether() / part for part in whole.fragment(size)]


def fragment6(offset: int, more: int, body: object) -> Packet:
    """Return an IPv6 fragment."""
    return ether() / V6 / IPv6ExtHdrFragment(nh=6, offset=offset, m=more, id=7) / body


def options(count: int) -> bytes:
    """Return a chain of destination options that ends in TCP."""
    return b"".join(bytes((60 if number < count - 1 else 6, 0)) + bytes(6) for number in range(count))


def tags(count: int) -> bytes:
    """Return the VLAN tags of a frame of IPv4, without the first EtherType."""
    return struct.pack(">HH", 9, 0x8100) * (count - 1) + struct.pack(">HH", 9, 0x0800)


def nested(depth: int) -> Packet:
    """Return a segment inside `depth` IP-in-IP tunnels."""
    packet = inner_ip()
    for number in range(depth):
        packet = IP(src=f"10.1.0.{number}", dst=B4, proto=4) / packet
    return ether() / packet


ETHERNET: dict[str, Packet | bytes] = {
    "tcp": ether() / V4 / SEGMENT / HELLO,
    "tcp padded": bytes(ether() / V4 / TCP(flags="S")) + bytes(6),
    "tcp all flags": ether() / V4 / TCP(flags=0x1FF, reserved=7, options=[("Timestamp", (1, 2))]),
    "tcp offset below 5": ether() / V4 / TCP(dataofs=4) / HELLO,
    "tcp offset beyond": ether() / V4 / TCP(dataofs=15) / b"x",
    "udp": udp(53, HELLO),
    "udp empty": udp(9, b""),
    "udp with surplus": ether() / V4 / UDP(dport=9, len=12) / HELLO,
    "udp length below 8": ether() / V4 / UDP(dport=9, len=7) / HELLO,
    "sctp": ether() / V4 / SCTP(sport=1, dport=2, tag=0xABCDEF01) / SCTPChunkInit(),
    "sctp bare": ether() / V4 / SCTP(sport=1, dport=2, tag=3),
    "icmp echo": ether() / V4 / ICMP(type=8, id=7, seq=9) / HELLO,
    "icmp echo reply": ether() / V4 / ICMP(type=0, id=7, seq=9) / HELLO,
    "icmp timestamp": ether() / V4 / ICMP(type=13, id=7, seq=9),
    "icmp port unreachable": ether() / V4 / ICMP(type=3, code=3) / IP(src=B4, dst=C4) / UDP(sport=9, dport=161),
    "icmp quotes echo": ether() / V4 / ICMP(type=11) / IP(src=B4, dst=C4) / ICMP(type=8, id=5, seq=6),
    "icmp quotes options": ether() / V4 / ICMP(type=3, code=13) / IP(src=B4, dst=C4, options=[IPOption_RR()]) / TCP(),
    "icmp quotes fragment": ether() / V4 / ICMP(type=3) / IP(src=B4, dst=C4, frag=3, proto=6) / HELLO,
    "icmp quotes little": ether() / V4 / ICMP(type=3) / bytes(IP(src=B4, dst=C4, proto=6, len=40)) / b"ab",
    "icmp quotes nonsense": ether() / V4 / ICMP(type=3) / b"nothing that looks like a header",
    "ospf": ether() / IP(src=A4, dst=B4, proto=89) / HELLO,
    "esp": ether() / V4 / ESP(spi=1, seq=2, data=HELLO),
    "ah over ipv4": ether() / IP(src=A4, dst=B4, proto=51) / AUTHENTICATION / SEGMENT,
    "ipv4 options": ether() / IP(src=A4, dst=B4, options=[IPOption_RR()]) / SEGMENT / HELLO,
    "ipv4 total length 0": ether() / IP(src=A4, dst=B4, len=0) / SEGMENT / HELLO,
    "ipv4 total length short": ether() / IP(src=A4, dst=B4, len=12) / SEGMENT,
    "ipv4 total length long": ether() / IP(src=A4, dst=B4, len=9000) / SEGMENT / HELLO,
    "ipv4 header length short": ether() / IP(src=A4, dst=B4, ihl=4) / SEGMENT,
    "ipv4 version 5": ether() / IP(src=A4, dst=B4, version=5) / SEGMENT,
    "ipv4 transport not promised": ether() / IP(src=A4, dst=B4, proto=6, len=30) / HELLO,
    "fragment tiny 8": fragments(8)[0],
    "fragment later 8": fragments(8)[1],
    "fragment tiny 16": fragments(16)[0],
    "fragment first": (ether() / IP(src=A4, dst=B4, flags="MF") / SEGMENT / HELLO),
    "fragment first options beyond": ether() / IP(src=A4, dst=B4, flags="MF") / TCP(dataofs=9),
    "fragment first udp": ether() / IP(src=A4, dst=B4, flags="MF") / UDP(sport=7, dport=8, len=4000) / HELLO,
    "fragment tiny odd": ether() / IP(src=A4, dst=B4, flags="MF", proto=17) / b"\1\2\3\4\5",
    "fragment tiny icmp": ether() / IP(src=A4, dst=B4, flags="MF", proto=1) / b"\x08\1\2\3\4\5",
    "ipv6 tcp": ether() / V6 / SEGMENT / HELLO,
    "ipv6 udp": ether() / V6 / UDP(sport=1, dport=2) / HELLO,
    "ipv6 no next": ether() / IPv6(src=A6, dst=B6, nh=59),
    "ipv6 chain": ether() / V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting() / IPv6ExtHdrDestOpt() / SEGMENT / HELLO,
    "ipv6 long option": ether() / V6 / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(60))]) / SEGMENT,
    "ipv6 ah": ether() / IPv6(src=A6, dst=B6, nh=51) / AUTHENTICATION / SEGMENT,
    "ipv6 eight extensions": ether() / IPv6(src=A6, dst=B6, nh=60) / options(8) / SEGMENT,
    "ipv6 nine extensions": ether() / IPv6(src=A6, dst=B6, nh=60) / options(9) / SEGMENT,
    "ipv6 mobility": ether() / IPv6(src=A6, dst=B6, nh=135) / HELLO,
    "ipv6 length 0": ether() / IPv6(src=A6, dst=B6, plen=0, nh=6) / SEGMENT / HELLO,
    "ipv6 icmp of ipv4": ether() / IPv6(src=A6, dst=B6, nh=1) / HELLO,
    "ipv6 fragment first": fragment6(0, 1, bytes(TCP(sport=5, dport=6, options=[("MSS", 1460)]))),
    "ipv6 fragment tiny": fragment6(0, 1, b"\0\5\0\6\0\0\0\1"),
    "ipv6 fragment later": fragment6(3, 0, HELLO),
    "ipv6 fragment second": fragment6(1, 1, HELLO),
    "ipv6 fragment atomic": fragment6(0, 0, bytes(SEGMENT)),
    "ipv6 fragment without chain": ether() / V6 / IPv6ExtHdrFragment(nh=60, m=1) / b"\6\4\0\0\0\0\0\0",
    "icmpv6 echo": ether() / V6 / ICMPv6EchoRequest(id=3, seq=4, data=HELLO),
    "icmpv6 solicitation": ether() / V6 / ICMPv6ND_NS(tgt=C6),
    "icmpv6 advertisement": ether() / V6 / ICMPv6ND_NA(tgt=C6),
    "icmpv6 solicitation short": ether() / IPv6(src=A6, dst=B6, nh=58) / b"\x87\0\0\0\0\0\0\0\1\2\3",
    "icmpv6 unreachable": ether() / V6 / ICMPv6DestUnreach(code=4) / IPv6(src=B6, dst=C6) / UDP(sport=9, dport=161),
    "icmpv6 quotes echo": ether() / V6 / ICMPv6DestUnreach() / IPv6(src=B6, dst=C6) / ICMPv6EchoRequest(id=3, seq=4),
    "icmpv6 quotes chain": ether() / V6 / ICMPv6DestUnreach() / IPv6(src=B6, dst=C6) / IPv6ExtHdrHopByHop() / UDP(),
    "arp request": ether() / ARP(op=1, psrc=A4, pdst=B4),
    "arp reply": bytes(ether() / ARP(op=2, psrc=A4, pdst=B4)) + bytes(18),
    "arp of other sizes": ether() / ARP(hwlen=8, plen=4, psrc=A4, pdst=B4),
    "arp opcode 300": ether() / ARP(op=300, psrc=A4, pdst=B4),
    "lldp": ether(type=0x88CC) / HELLO,
    "802.3": ether(type=38) / HELLO,
    "vlan": ether() / Dot1Q(vlan=10) / V4 / SEGMENT,
    "vlan priority only": ether() / Dot1Q(vlan=0, prio=5) / V4 / SEGMENT,
    "vlan q-in-q": ether(type=0x88A8) / Dot1Q(vlan=100) / Dot1Q(vlan=10) / V6 / SEGMENT,
    "vlan 0x9100": ether(type=0x9100) / Dot1Q(vlan=100) / Dot1Q(vlan=10) / ARP(psrc=A4, pdst=B4),
    "vlan eight": ether(type=0x8100) / tags(8) / V4 / SEGMENT,
    "vlan nine": ether(type=0x8100) / tags(9) / V4 / SEGMENT,
    "mpls ipv4": ether() / MPLS(label=16, s=0) / MPLS(label=17, s=1) / V4 / SEGMENT,
    "mpls ipv6": ether() / MPLS(label=17, s=1) / V6 / SEGMENT,
    "mpls pseudowire with word": ether(type=0x8847) / bytes(MPLS(label=17, s=1)) / bytes(4) / bytes(inner()),
    "mpls pseudowire": ether(type=0x8847)
    / bytes(MPLS(label=17, s=1))
    / bytes(Ether(src=MAC_A, dst="00:1b:21:00:00:01") / inner_ip()),
    "mpls nonsense": ether(type=0x8848) / bytes(MPLS(label=17, s=1)) / b"\x10nothing known in here",
    "pppoe ipv4": ether() / PPPoE(sessionid=5) / PPP() / V4 / SEGMENT,
    "pppoe ipv6": ether() / PPPoE(sessionid=5) / PPP() / V6 / SEGMENT,
    "pppoe lcp": ether() / PPPoE(sessionid=5) / PPP(proto=0xC021) / HELLO,
    "gre ipv4": ether() / V4 / GRE() / inner_ip(),
    "gre ipv6, all fields": ether() / V6 / GRE(chksum_present=1, key_present=1, seqnum_present=1) / inner_ip6(),
    "gre ethernet": ether() / Dot1Q(vlan=4) / V4 / GRE(proto=0x6558) / inner(),
    "gre mpls": ether() / V4 / GRE(proto=0x8847) / MPLS(label=17, s=1) / inner_ip(),
    "gre pptp": ether() / V4 / GRE_PPTP(seqnum_present=1, acknum_present=1, call_id=1) / PPP() / inner_ip(),
    "gre routing": ether() / V4 / GRE(routing_present=1, proto=0x800) / inner_ip(),
    "gre keepalive": ether() / V4 / GRE(proto=0),
    "gre of fragments": ether() / IP(src=A4, dst=B4, flags="MF") / GRE() / inner_ip(),
    "erspan 1": ether() / V4 / GRE(proto=0x88BE) / bytes(inner()),
    "erspan 2": ether() / V4 / GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II / bytes(inner()),
    "erspan 3": ether() / V4 / GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III / bytes(inner()),
    "erspan 3 long": ether() / V4 / GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III_LONG / bytes(inner()),
    "erspan 3 ip": ether() / V4 / GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III_IP / bytes(inner_ip()),
    "erspan of vlan": ether() / Dot1Q(vlan=4) / V4 / GRE(proto=0x88BE) / bytes(inner(Dot1Q(vlan=30))),
    "erspan of lldp": ether() / V4 / GRE(proto=0x88BE) / bytes(Ether(src=MAC_A, dst=MAC_B, type=0x88CC) / HELLO),
    "erspan of arp": ether() / V4 / GRE(proto=0x88BE) / bytes(INNER / ARP(psrc=A4, pdst=C4)),
    "ipip": ether() / V4 / inner_ip(),
    "4in6": ether() / V6 / inner_ip(),
    "6in4": ether() / V4 / inner_ip6(),
    "6in6": ether() / V6 / inner_ip6(),
    "ipip of nonsense": ether() / IP(src=A4, dst=B4, proto=4) / HELLO,
    "ipip of ospf": ether() / V4 / IP(src="10.0.0.1", dst="10.0.0.2", proto=89, id=5) / HELLO,
    "mpls in ip": ether() / IP(src=A4, dst=B4, proto=137) / MPLS(label=17, s=1) / inner_ip(),
    "mpls in udp": udp(6635, MPLS(label=17, s=1) / inner_ip()),
    "vxlan": udp(4789, vxlan(inner())),
    "vxlan at 8472 over ipv6": ether() / V6 / UDP(sport=5, dport=8472) / vxlan(inner()),
    "vxlan with group policy": udp(4789, vxlan(inner(), 0x88)),
    "vxlan of mpls": udp(4789, vxlan(inner(MPLS(label=17, s=1)))),
    "vxlan with other flags": udp(4789, vxlan(inner(), 0x18)),
    "not vxlan": udp(4789, HELLO),
    "geneve ethernet": udp(6081, GENEVE(vni=7) / inner()),
    "geneve ipv4, options": udp(6081, GENEVE(proto=0x800, options=[GeneveOptions(data=bytes(8))]) / inner_ip()),
    "geneve version 1": udp(6081, b"\x40" + bytes(7) + bytes(inner())),
    "gtp-u": udp(2152, gtp(0, bytes(inner_ip()))),
    "gtp-u ipv6, sequence": udp(2152, gtp(2, bytes(inner_ip6()), bytes(4))),
    "gtp-u extensions": udp(2152, gtp(4, bytes(inner_ip()), b"\0\0\0\x85" + b"\1\0\0\x85" + b"\2\0\0\0\0\0\0\0")),
    "gtp-u nine extensions": udp(2152, gtp(4, bytes(inner_ip()), b"\0\0\0\x85" + b"\1\0\0\x85" * 9)),
    "gtp-u extension of length 0": udp(2152, gtp(4, bytes(inner_ip()), b"\0\0\0\x85" + bytes(4))),
    "gtp-u echo": udp(2152, struct.pack(">BBHI", 0x32, 1, 4, 0) + bytes(4)),
    "teredo": udp(3544, inner_ip6()),
    "teredo from port": ether() / V4 / UDP(sport=3544, dport=50000) / bytes(inner_ip6()),
    "teredo indications": udp(3544, TEREDO_AUTH + TEREDO_ORIGIN + bytes(inner_ip6())),
    "teredo length beyond": udp(3544, bytes(IPv6(src=A6, dst=B6, plen=len(HELLO) + 1, nh=17) / HELLO)),
    "four tunnels": nested(4),
    "five tunnels": nested(5),
    "vxlan in gre": ether() / V4 / GRE() / IP(src="10.9.0.1", dst="10.9.0.2") / UDP(dport=4789) / vxlan(inner()),
}
"""Frames of link type 1."""

LINKS: dict[str, tuple[int, Packet | bytes]] = {
    "raw 101": (101, V4 / SEGMENT),
    "raw 12": (12, V6 / SEGMENT),
    "raw 14": (14, V4 / SEGMENT),
    "raw nonsense": (101, b"\x90" + HELLO),
    "ipv4 228": (228, V4 / SEGMENT),
    "ipv6 229": (229, V6 / SEGMENT),
    "ipv6 as ipv4": (228, V6 / SEGMENT),
    "cooked": (113, CookedLinux(src=b"\2\0\0\0\0\1", lladdrlen=6) / V4 / SEGMENT),
    "cooked vlan": (113, CookedLinux(src=b"\2\0\0\0\0\1", lladdrlen=6) / Dot1Q(vlan=5) / V4 / SEGMENT),
    "cooked without address": (113, CookedLinux(src=b"\7" * 8, lladdrlen=0) / V4 / SEGMENT),
    "cooked 2": (276, CookedLinuxV2(src=b"\2\0\0\0\0\1", lladdrlen=6) / V6 / SEGMENT),
    "cooked 2 arp": (276, CookedLinuxV2(src=b"\2\0\0\0\0\1", lladdrlen=6) / ARP(psrc=A4, pdst=B4)),
    "null little": (0, b"\2\0\0\0" + bytes(V4 / SEGMENT)),
    "null big": (0, b"\0\0\0\x1e" + bytes(V6 / SEGMENT)),
    "loop": (108, b"\0\0\0\2" + bytes(V4 / SEGMENT)),
    "null appletalk": (0, b"\x10\0\0\0" + HELLO),
    "ppp": (9, b"\xff\3\0\x21" + bytes(V4 / SEGMENT)),
    "ppp compressed": (9, b"\x21" + bytes(V4 / SEGMENT)),
    "ppp without address": (9, b"\0\x57" + bytes(V6 / SEGMENT)),
    "ppp lcp": (9, b"\xff\3\xc0\x21" + HELLO),
    "hdlc ppp": (50, b"\xff\3\0\x21" + bytes(V4 / SEGMENT)),
    "hdlc cisco": (50, b"\x0f\0\x08\0" + bytes(V4 / SEGMENT)),
    "hdlc cisco multicast": (50, b"\x8f\0\x86\xdd" + bytes(V6 / SEGMENT)),
    "pppoe": (51, PPPoE(sessionid=5) / PPP() / V4 / SEGMENT),
    "pppoe discovery": (51, b"\x11\x09" + bytes(6) + HELLO),
    "unknown link": (147, HELLO),
}
"""Packets of every other link type."""

EVERY: dict[str, tuple[int, bytes]] = {name: (1, bytes(packet)) for name, packet in ETHERNET.items()} | {
    name: (link_type, bytes(packet)) for name, (link_type, packet) in LINKS.items()
}
"""Link type and bytes of each packet."""
