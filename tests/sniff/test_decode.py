import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors._kit import forge
from nettriage.model.addresses import to_text
from nettriage.model.batch import NO_PROTO, NO_VLAN, Flaw, IpFlag, TcpFlag, Tunnel
from sniff.decode import decode
from sniff.decode_link import LINK_TYPES
from tests.sniff.batches import assert_as_reference, raw_batch, rows_of
from tests.sniff.wire import A4, A6, B4, B6, C4, C6, ETHERNET, EVERY

TELLING = bytes(
    (0, 1, 2, 4, 6, 8, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 137, 0x45, 0x4F, 0x60, 0x81, 0x88, 0xFF)
)
"""Byte values that mean something in some header."""
INSIDE = {
    "gre ipv4": (Tunnel.GRE, 1), "gre ethernet": (Tunnel.GRE, 1), "gre mpls": (Tunnel.GRE | Tunnel.MPLS, 1),
    "gre pptp": (Tunnel.GRE, 1), "gre of fragments": (Tunnel.GRE, 1), "erspan 1": (Tunnel.ERSPAN, 1),
    "erspan 2": (Tunnel.ERSPAN, 1), "erspan 3": (Tunnel.ERSPAN, 1), "erspan 3 long": (Tunnel.ERSPAN, 1),
    "erspan 3 ip": (Tunnel.ERSPAN, 1), "ipip": (Tunnel.IPIP, 1), "4in6": (Tunnel.IPIP, 1),
    "mpls in ip": (Tunnel.MPLS, 1), "mpls in udp": (Tunnel.MPLS, 1), "vxlan": (Tunnel.VXLAN, 1),
    "vxlan at 8472 over ipv6": (Tunnel.VXLAN, 1), "vxlan with group policy": (Tunnel.VXLAN, 1),
    "vxlan of mpls": (Tunnel.VXLAN | Tunnel.MPLS, 1), "geneve ethernet": (Tunnel.GENEVE, 1),
    "geneve ipv4, options": (Tunnel.GENEVE, 1), "gtp-u": (Tunnel.GTPU, 1), "gtp-u extensions": (Tunnel.GTPU, 1),
    "four tunnels": (Tunnel.IPIP, 4), "vxlan in gre": (Tunnel.GRE | Tunnel.VXLAN, 2),
    "mpls pseudowire": (Tunnel.MPLS, 0), "mpls pseudowire with word": (Tunnel.MPLS, 0),
}  # fmt: skip
"""Packets around `wire.inner_ip`: tunnels opened and how many."""
INSIDE_6 = {
    "gre ipv6, all fields": Tunnel.GRE, "6in4": Tunnel.SIXINFOUR, "6in6": Tunnel.IPIP, "teredo": Tunnel.TEREDO,
    "gtp-u ipv6, sequence": Tunnel.GTPU, "teredo from port": Tunnel.TEREDO, "teredo indications": Tunnel.TEREDO,
}  # fmt: skip
"""Packets around `wire.inner_ip6`."""
OUTSIDE = (
    "gre routing", "gre keepalive", "erspan of lldp", "ipip of nonsense", "not vxlan", "vxlan with other flags",
    "geneve version 1", "gtp-u echo", "gtp-u extension of length 0", "teredo length beyond",
)  # fmt: skip
"""Packets whose inside cannot be read, or that only look like a tunnel."""
FLAWS = {
    "tcp offset below 5": Flaw.BAD_L4_HEADER, "tcp offset beyond": Flaw.BAD_L4_HEADER,
    "udp length below 8": Flaw.BAD_L4_HEADER, "ipv4 transport not promised": Flaw.BAD_L4_HEADER,
    "ipv4 total length short": Flaw.BAD_IP_HEADER, "ipv4 header length short": Flaw.BAD_IP_HEADER,
    "ipv4 version 5": Flaw.BAD_IP_HEADER, "ipv6 nine extensions": Flaw.TOO_DEEP, "vlan nine": Flaw.TOO_DEEP,
    "five tunnels": Flaw.TOO_DEEP, "gtp-u nine extensions": Flaw.TOO_DEEP, "lldp": Flaw.UNKNOWN_LINK,
    "802.3": Flaw.UNKNOWN_LINK, "pppoe lcp": Flaw.UNKNOWN_LINK, "mpls nonsense": Flaw.UNKNOWN_LINK,
    "unknown link": Flaw.UNKNOWN_LINK, "raw nonsense": Flaw.BAD_IP_HEADER, "ipv6 as ipv4": Flaw.BAD_IP_HEADER,
    "null appletalk": Flaw.UNKNOWN_LINK, "ppp lcp": Flaw.UNKNOWN_LINK, "pppoe discovery": Flaw.UNKNOWN_LINK,
    "arp of other sizes": Flaw.BAD_L4_HEADER, "icmpv6 solicitation short": Flaw.BAD_L4_HEADER,
}  # fmt: skip
"""The flaw of each whole packet that has one."""


def row_of(name):
    """Return the columns of one packet of the collection."""
    link_type, packet = EVERY[name]
    return rows_of(decode(raw_batch([packet], link_type)))[0]


@pytest.mark.parametrize("name", EVERY)
def test_columns_equal_the_reference_at_every_truncation(name):
    """A packet captured up to any of its bytes has the columns that a slow and obvious decoder finds."""
    link_type, packet = EVERY[name]
    cuts = [packet[:size] for size in range(len(packet) + 1)]

    assert_as_reference(raw_batch(cuts, link_type, wire_len=[len(packet)] * len(cuts)))
    assert_as_reference(raw_batch(cuts, link_type))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_columns_equal_the_reference_on_damaged_packets(seed):
    """Real packets with bytes changed, lost or slipped in are decoded as the reference decodes them."""
    chance = random.Random(seed)
    link_type = chance.choice([1, 1, 1, *LINK_TYPES])
    whole = [packet for number, packet in EVERY.values() if number == link_type]
    packets = [damaged(chance.choice(whole), chance) for _ in range(200)]
    wire_len = [len(packet) + chance.choice((0, 0, 1, 20, 1000)) for packet in packets]
    vlan = [chance.choice((NO_VLAN, 0, 5)) for _ in packets]

    assert_as_reference(raw_batch(packets, link_type, wire_len=wire_len, vlan=vlan))


def damaged(packet, chance):
    """Return the packet with a few bytes changed, removed or inserted, most of them in its headers."""
    body = bytearray(packet)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at = chance.randrange(min(len(body), 90)) if body else 0
        change = chance.randrange(5)
        if change < 2:
            body[at : at + 1] = bytes((chance.choice(TELLING),))
        elif change == 2:
            body[at : at + 1] = chance.randbytes(1)
        elif change == 3:
            del body[at : at + chance.choice((1, 2, 4, 8))]
        else:
            body[at:at] = bytes(chance.choices(TELLING, k=chance.choice((1, 2, 4, 8))))
    return bytes(body[: chance.randrange(len(body) + 1)] if chance.random() < 0.3 else body)


@given(packets=st.lists(st.binary(max_size=200), max_size=20), link_type=st.sampled_from([*LINK_TYPES, 147]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_columns_equal_the_reference_on_random_bytes(packets, link_type):
    """Bytes that mean nothing are decoded as the reference decodes them, on every link type."""
    assert_as_reference(raw_batch(packets, link_type))


@pytest.mark.parametrize("name", INSIDE)
def test_the_columns_are_those_of_the_innermost_packet(name):
    """Whatever is wrapped around a segment, its own addresses, ports and payload are found."""
    row = row_of(name)

    assert (row.tunnel, row.depth) == INSIDE[name]
    assert (to_text(row.src_hi, row.src_lo), to_text(row.dst_hi, row.dst_lo)) == ("10.0.0.1", "10.0.0.2")
    assert (row.src_port, row.dst_port, row.seq, row.ack, row.ttl, row.ip_id) == (1111, 22, 5, 6, 61, 77)
    assert (row.payload_len, row.payload_cap, row.flaw) == (6, 6, 0)


@pytest.mark.parametrize("name", INSIDE_6)
def test_the_columns_are_those_of_the_innermost_ipv6_packet(name):
    """IPv6 inside of anything is found with its own addresses, and no IPv4 field of the carrier stays."""
    row = row_of(name)

    assert (row.tunnel, row.depth, row.ip_version, row.proto, row.flaw) == (INSIDE_6[name], 1, 6, 17, 0)
    assert (to_text(row.src_hi, row.src_lo), to_text(row.dst_hi, row.dst_lo)) == ("fd00::1", "fd00::2")
    assert (row.src_port, row.dst_port, row.ip_id, row.payload_len) == (1111, 53, 0, 6)


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_cannot_be_opened_keeps_the_columns_of_the_carrier(name):
    """A carrier whose inside is not understood is a sound packet of its own."""
    row = row_of(name)

    assert (row.tunnel, row.depth, row.flaw) == (0, 0, 0)
    assert (to_text(row.src_hi, row.src_lo), to_text(row.dst_hi, row.dst_lo)) == (A4, B4)


@pytest.mark.parametrize("name", EVERY)
def test_only_broken_packets_have_a_flaw(name):
    """Every whole packet has exactly the flaw that was built into it, or none."""
    assert row_of(name).flaw == FLAWS.get(name, 0)


def test_encapsulated_mirrors_show_the_mirrored_frame():
    """MAC addresses and tag of a mirrored frame are its own, those of a routed tunnel are of the outer frame."""
    mirrored, tagged, routed = row_of("erspan 2"), row_of("erspan of vlan"), row_of("gre ipv4")

    assert (mirrored.src_mac, mirrored.dst_mac, mirrored.vlan) == (0x020000000A01, 0x020000000A02, NO_VLAN)
    assert (tagged.src_mac, tagged.vlan) == (0x020000000A01, 30)
    assert (routed.src_mac, routed.dst_mac) == (0x020000000001, 0x020000000002)
    assert row_of("gre ethernet").vlan == NO_VLAN


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("icmp port unreachable", (B4, C4, 17, 9, 161)),
        ("icmp quotes echo", (B4, C4, 1, 5, 8 << 8)),
        ("icmp quotes options", (B4, C4, 6, 20, 80)),
        ("icmp quotes fragment", (B4, C4, 6, 0, 0)),
        ("icmpv6 unreachable", (B6, C6, 17, 9, 161)),
        ("icmpv6 quotes echo", (B6, C6, 58, 3, 128 << 8)),
        ("icmpv6 quotes chain", (B6, C6, 17, 53, 53)),
        ("icmpv6 solicitation", (A6, C6, 58, 0, 0)),
        ("icmpv6 advertisement", (A6, C6, 58, 0, 0)),
    ],
)
def test_errors_quote_and_neighbour_messages_name_their_target(name, quoted):
    """The datagram that an error is about, and the target of neighbour discovery, stand in `quoted`."""
    src_hi, src_lo, dst_hi, dst_lo, *rest = row_of(name).quoted

    assert (to_text(src_hi, src_lo), to_text(dst_hi, dst_lo), *rest) == quoted


def test_echo_request_and_reply_are_one_flow():
    """The asker has the identifier as port, the asked the type of the request."""
    ask, answer = row_of("icmp echo"), row_of("icmp echo reply")

    assert (ask.src_port, ask.dst_port, ask.seq) == (7, 8 << 8, 9)
    assert (answer.src_port, answer.dst_port, answer.seq) == (8 << 8, 7, 9)


def test_fragments_say_what_they_hold():
    """A tiny fragment shows the fields it holds, a later one none."""
    tiny, longer, later = row_of("fragment tiny 8"), row_of("fragment tiny 16"), row_of("fragment later 8")

    assert tiny.ip_flags == IpFlag.FIRST_FRAGMENT | IpFlag.TINY_FRAGMENT
    assert (tiny.src_port, tiny.dst_port, tiny.tcp_flags, tiny.payload_len) == (40000, 443, 0, 0)
    assert (longer.dst_port, longer.tcp_flags) == (443, TcpFlag.SYN)
    assert (later.ip_flags, later.src_port, later.l4_at, later.payload_at) == (IpFlag.LATER_FRAGMENT, 0, 0, 0)


def test_padding_is_no_payload_and_no_length_means_the_frame():
    """The IP length ends the payload; a segment that the card has yet to cut fills its frame."""
    assert row_of("tcp padded").payload_len == 0
    assert row_of("ipv4 total length 0").payload_len == row_of("tcp").payload_len
    assert row_of("ipv6 length 0").payload_len == row_of("ipv6 tcp").payload_len


def test_a_cut_payload_counts_on_the_wire_only():
    """`payload_len` is what was sent, `payload_cap` what was captured."""
    packet = EVERY["tcp"][1]

    (row,) = rows_of(decode(raw_batch([packet[:60]], wire_len=[len(packet)])))

    assert (row.payload_len, row.payload_cap, row.flaw) == (31, 6, 0)


def test_the_stripped_tag_counts_where_the_frame_has_none():
    """The tag that the kernel took off is the outermost one; id 0 is only a priority."""
    packets = [EVERY["tcp"][1], EVERY["tcp"][1], EVERY["vlan"][1]]

    rows = rows_of(decode(raw_batch(packets, vlan=[7, 0, 7])))

    assert [row.vlan for row in rows] == [7, NO_VLAN, 10]


def test_cutting_a_batch_changes_no_column():
    """Rows decode alike alone and in company."""
    raw = raw_batch([bytes(packet) for packet in ETHERNET.values()])

    alone = [row for at in range(len(raw)) for row in rows_of(decode(raw.rows(slice(at, at + 1))))]

    assert rows_of(decode(raw)) == alone


@pytest.mark.parametrize("seed", range(5))
def test_packets_of_all_kinds_share_a_batch(seed):
    """In a batch of both families, plain, tagged and tunnelled, every packet is decoded as if it were alone."""
    some = [packet for link_type, packet in EVERY.values() if link_type == 1] * 2
    random.Random(seed).shuffle(some)

    assert_as_reference(raw_batch(some))


def test_tunnels_of_both_families_take_turns():
    """Where tunnels over IPv4 and IPv6 alternate, a cut concerns the packet that was cut."""
    four, six = EVERY["gre ipv4"][1], EVERY["vxlan at 8472 over ipv6"][1]

    for held in range(len(four)):
        assert_as_reference(raw_batch([four, six, four[:held], six, four, six]))


def test_empty_and_hopeless_batches_decode():
    """No packets, packets of no bytes, and a link type that nobody knows give columns all the same."""
    assert len(decode(raw_batch([]))) == 0
    assert decode(raw_batch([b"", b""])).flaw.tolist() == [Flaw.TRUNCATED_LINK] * 2
    assert decode(raw_batch([b"abc"], 9999)).proto.tolist() == [NO_PROTO]


def test_the_raw_batch_is_left_alone():
    """Decoding writes to nothing that it was given."""
    raw = raw_batch([forge.udp(A4, 1, B4, 2)], vlan=[5])
    for column in (raw.ts_ns, raw.offset, raw.cap_len, raw.wire_len, raw.vlan):
        column.flags.writeable = False

    batch = decode(raw)
    batch.vlan[0] = 9

    assert raw.vlan.tolist() == [5]
    assert not np.shares_memory(batch.payload_at, raw.offset)


@pytest.mark.parametrize(
    ("name", "carriers"),
    [
        ("gre ipv4", [(A4, B4, Tunnel.GRE)]),
        ("erspan 2", [(A4, B4, Tunnel.ERSPAN)]),
        ("vxlan at 8472 over ipv6", [(A6, B6, Tunnel.VXLAN)]),
        ("teredo", [(A4, B4, Tunnel.TEREDO)]),
        ("vxlan in gre", [(A4, B4, Tunnel.GRE), ("10.9.0.1", "10.9.0.2", Tunnel.VXLAN)]),
        ("erspan of lldp", []),
        ("not vxlan", []),
    ],
)
def test_the_endpoints_of_every_tunnel_around_a_packet_are_kept(name, carriers):
    """Each opened tunnel gives one row with its own endpoints, the outermost first; what stays closed gives none."""
    link_type, packet = EVERY[name]
    outer = decode(raw_batch([packet, packet], link_type)).outer
    rows = [
        (to_text(int(outer.src_hi[at]), int(outer.src_lo[at])), to_text(int(outer.dst_hi[at]), int(outer.dst_lo[at])),
         outer.tunnel[at])
        for at in range(len(outer.row))
    ]  # fmt: skip

    assert rows == carriers * 2
    assert outer.row.tolist() == [0] * len(carriers) + [1] * len(carriers)
