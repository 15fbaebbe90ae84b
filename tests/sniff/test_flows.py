"""What flows learn from packets, by forged traffic."""

from __future__ import annotations

import numpy as np
import pytest

from detectors._kit.forge import ACK, FIN, MS, PSH, RST, START_NS, SYN, S, Scene, tcp, udp
from nettriage.model.addresses import AddressSet, to_words
from nettriage.model.health import CaptureHealth
from nettriage.model.site import Site
from nettriage.model.tables import Opened, Role, TcpState
from sniff.hosts import HostTable
from sniff.packet_clock import LEAP_NS, PacketClock
from sniff.prefixes import copy_spans
from sniff.services import ServiceTable
from tests.sniff.told import run

A, B, C = "10.0.0.2", "10.0.0.9", "10.0.0.7"


def segment(seq: int, payload: bytes, *, ident: int = 0) -> bytes:
    """Return data of a session from A whose SYN had sequence number 999."""
    return tcp(A, 40_000, B, 80, ACK | PSH, seq=seq, ack=1, payload=payload, ident=ident)


def test_a_session_is_counted_by_side() -> None:
    """Packets, payload, first lengths and speaker of both sides; FINs end it."""
    told = run(Scene().session(A, B, 80, [(0, b"ask"), (1, b"answer" * 500)], sport=40_000).frames(), settle=False)
    flows, row = told.state.tables.flows, told.only_flow()

    assert flows.endpoints(row) == (A, 40_000, B, 80)
    assert flows.packets[row].tolist() == [8, 6]
    assert flows.payload_bytes[row].tolist() == [3, 3_000]
    assert flows.payload_packets[row].tolist() == [1, 3]
    assert flows.first_payload_len[row].tolist() == [3, 1_448]
    assert (flows.first_speaker[row], flows.opened[row]) == (0, Opened.SYN)
    assert flows.state[row] == TcpState.CLOSED
    assert [end[1:] for end in told.ends] == [(1, "FIN")]
    assert told.state.tables.prefixes.payload(row, 1) == (b"answer" * 500)[:2_048]


def test_retransmissions_count_once_and_lost_segments_count() -> None:
    """Payload is measured by sequence numbers, over their wrap; a gap reads as zeros in the prefix."""
    start = 2**32 - 4
    scene = Scene().put(tcp(A, 40_000, B, 80, SYN, seq=start - 1), segment(start, b"abcdef"))
    scene.put(
        segment(start, b"abcdef", ident=1), segment(start + 3, b"defghi", ident=2), segment(start + 12, b"mno", ident=3)
    )
    told = run(scene.frames(), settle=False)
    flows, row = told.state.tables.flows, told.only_flow()

    assert flows.payload_bytes[row].tolist() == [15, 0]
    assert flows.payload_packets[row].tolist() == [3, 0]
    assert told.state.tables.prefixes.payload(row, 0) == b"abcdefghi\0\0\0mno"


def test_loss_is_what_was_acknowledged_and_never_seen() -> None:
    """A hundred of two hundred acknowledged bytes were not mirrored."""
    scene = Scene().put(tcp(A, 40_000, B, 80, SYN, seq=999), segment(1000, b"x" * 100))
    scene.put(tcp(B, 80, A, 40_000, ACK, seq=5, ack=1200))

    assert run(scene.frames()).state.tables.loss_estimate == pytest.approx(0.5)


def test_one_way_share_counts_sessions_seen_from_one_side() -> None:
    """Of forty sessions ten show only the client; SYNs to nobody do not count."""
    scene = Scene()
    for number in range(40):
        frames = Scene(now_ns=scene.now_ns).session(A, B, 80, sport=40_000 + number).frames()
        kept = [frame for _, frame in frames if number >= 10 or frame[26:30] == b"\x0a\0\0\x02"]
        scene.put(*kept)
    for number in range(50):
        scene.put(*[tcp(A, 50_000 + number, C, 80, SYN, seq=1, ident=ident) for ident in (1, 2)])

    assert run(scene.frames()).state.tables.one_way_share == pytest.approx(0.25)


def test_resumes_are_first_payloads_and_payloads_after_silence() -> None:
    """The first payload of each side, and the first after 200 ms without payload of that side."""
    turns = [(0, b"a"), (0, b"b"), (1, b"c"), (0, b"d")]
    told = run(Scene(step_ns=MS).session(A, B, 80, turns, gap_ns=150 * MS).frames())

    assert [(side, idle // MS) for _, _, side, idle in told.resumes] == [(0, 153), (1, 457), (0, 304)]


@pytest.mark.parametrize(
    ("first", "originator", "opened"),
    [
        (tcp(A, 40_000, B, 80, SYN), A, Opened.SYN),
        (tcp(B, 80, A, 40_000, SYN | ACK, seq=4, ack=1), A, Opened.SYN_ACK),
        (tcp(B, 80, A, 40_000, ACK, seq=4), A, Opened.SERVICE),
        (tcp(A, 40_000, B, 80, ACK, seq=4), A, Opened.SERVICE),
        (tcp(B, 801, A, 40_000, ACK, seq=4), A, Opened.LOWER_PORT),
        (tcp(B, 40_001, A, 40_000, ACK, seq=4), B, Opened.UNKNOWN),
        (udp(A, 40_000, B, 53, b"?"), A, Opened.SYN),
        (udp(B, 53, A, 40_000, b"!"), A, Opened.SERVICE),
        (udp(B, 53, A, 40_000), B, Opened.SYN),
        (udp(A, 123, B, 123, b"ntp"), A, Opened.SYN),
    ],
)
def test_the_originator_is_known_or_repaired(first: bytes, originator: str, opened: Opened) -> None:
    """By handshake, else by who serves, else by the lower port, else by who spoke first."""
    told = run(Scene().put(first).frames(), settle=False)
    flows, row = told.state.tables.flows, told.only_flow()

    assert (flows.endpoints(row)[0], flows.opened[row]) == (originator, opened)


def test_a_handshake_overrules_a_guess() -> None:
    """A SYN that was overtaken by the answer turns the flow, with its counters and its payload."""
    scene = Scene().put(tcp(A, 40_000, B, 39_000, ACK | PSH, seq=4, payload=b"welcome"))
    scene.put(tcp(B, 39_000, A, 40_000, SYN, seq=8))
    told = run(scene.frames(), settle=False)
    flows, row = told.state.tables.flows, told.only_flow()

    assert flows.endpoints(row) == (B, 39_000, A, 40_000)
    assert flows.payload_bytes[row].tolist() == [0, 7]
    assert told.state.tables.prefixes.payload(row, 1) == b"welcome"
    assert flows.first_speaker[row] == 1


def test_services_learned_from_traffic_tell_who_serves() -> None:
    """After a service answered on an odd port, a flow to it whose start was missed is taken the right way."""
    scene = Scene().session(A, B, 39_000, sport=40_000).wait(12 * S)
    scene.put(tcp(B, 39_000, C, 38_000, ACK | PSH, seq=9, payload=b"x"))
    told = run(scene.frames(), settle=False)
    flows = told.state.tables.flows
    row = int(np.flatnonzero(flows.serial == 2)[0])

    assert (flows.endpoints(row), flows.opened[row]) == ((C, 38_000, B, 39_000), Opened.SERVICE)


def test_a_reused_port_begins_a_new_flow() -> None:
    """A SYN of another sequence number on a closed five-tuple has a new serial; a retransmitted one has not."""
    scene = Scene()
    for isn in (1_000, 70_000):
        scene.session(A, B, 80, sport=40_000, isn=(isn, 5_000))
    scene.refused(A, C, 81, sport=41_000).put(tcp(A, 41_000, C, 81, SYN, seq=1000))
    told = run(scene.frames())

    assert told.new_flows == [1, 2, 3]
    assert [flow for flow, *_ in told.packets] == [1] * 10 + [2] * 10 + [3] * 3
    assert [end[1:] for end in told.ends] == [(1, "FIN"), (2, "FIN"), (3, "RESET")]


@pytest.mark.parametrize(
    ("frames", "state"),
    [
        (Scene().syn(A, B, 80), TcpState.ATTEMPT),
        (Scene().refused(A, B, 80), TcpState.REFUSED),
        (Scene().half_open(A, B, 80), TcpState.RESET),
        (Scene().session(A, B, 80, close=False), TcpState.ESTABLISHED),
        (Scene().session(A, B, 80), TcpState.CLOSED),
        (Scene().put(tcp(A, 40_000, B, 80, ACK, seq=4)), TcpState.MIDSTREAM),
        (Scene().put(tcp(A, 4, B, 80, SYN, seq=4), tcp(A, 4, B, 80, ACK, seq=5, ack=9)), TcpState.ESTABLISHED),
    ],
)
def test_tcp_states(frames: Scene, state: TcpState) -> None:
    """The state follows from what was seen of both sides."""
    told = run(frames.frames(), settle=False)

    assert told.state.tables.flows.state[told.only_flow()] == state


def test_idle_flows_end_at_a_sweep_and_stay_readable_for_their_slice() -> None:
    """A SYN to nobody ends after 30 s, a session after 300 s, a datagram after 60 s; then their rows are free."""
    told = run(Scene().syn(A, B, 80).session(A, B, 81, close=False).query(A, B, 161).frames(), settle=False)
    told.add(told.state.advance(START_NS + 400 * S))

    assert [((ts - START_NS) // S, flow) for ts, flow, _ in told.ends] == [(30, 1), (70, 3), (310, 2)]
    assert (told.state.tables.flows.serial > 0).sum() == 3
    told.state.advance(START_NS + 401 * S)
    assert (told.state.tables.flows.serial > 0).sum() == 0
    assert told.state.gauges()["flows"].used == 0


def test_errors_arp_and_flawed_packets_have_no_flow_but_hosts() -> None:
    """Later fragments and cut headers belong to no flow; their addresses are known all the same."""
    fragment = bytearray(udp(A, 1, B, 2, b"x" * 32))
    fragment[20:22] = (100).to_bytes(2, "big")
    cut = tcp(A, 1, B, 2, SYN)[:40]
    told = run(Scene().put(bytes(fragment), cut).frames())

    assert told.packets == [(0, 0, A, B), (0, 0, A, B)]


def test_copies_by_the_mirror_change_nothing() -> None:
    """A session delivered twice is counted once."""
    once = Scene().session(A, B, 80).frames()
    twice = [(ts + shift, frame) for ts, frame in once for shift in (0, 1_000)]
    told = run(twice)
    health = CaptureHealth()
    told.state.fill_health(health)

    assert [flow[2:] for flow in told.flows()] == [flow[2:] for flow in run(once).flows()]
    assert (health.duplicates, health.received) == (len(once), 2 * len(once))
    assert told.state.tables.duplicate_share == 0.5


def test_a_mad_timestamp_is_flagged_and_expires_nothing() -> None:
    """One packet from years ahead neither moves the clock nor calls pending contacts silent."""
    scene = Scene().syn(A, B, 80, sport=40_000)
    frames = [*scene.frames(), (START_NS + 10**17, udp(C, 1, B, 2, b"mad"))]
    frames.append((START_NS + S, tcp(B, 80, A, 40_000, SYN | ACK, seq=3, ack=1001)))
    told = run(frames, settle=False)
    health = CaptureHealth()
    told.state.fill_health(health)

    assert told.state.now_ns == START_NS + S
    assert [event[3] for event in told.outcomes if event[2] == 80] == ["ATTEMPT", "OPEN"]
    assert health.clock_jumps == 1
    assert health.malformed["bad clock"] == 1


@pytest.mark.parametrize("shift_ns", [10**18, -(10**18)])
def test_a_stepped_clock_is_followed_and_expires_nothing(shift_ns: int) -> None:
    """When all packets agree on a new time the state moves along: a session goes on, an answer is in time."""
    before = Scene().session(A, B, 443, close=False, sport=40_000).syn(A, B, 81, sport=40_001).frames()
    after = Scene(now_ns=START_NS + shift_ns)
    for number in range(12):
        after.put(tcp(A, 40_000, B, 443, ACK | PSH, seq=1005 + number, ack=5005, payload=b"x", ident=100 + number))
    after.put(tcp(B, 81, A, 40_001, SYN | ACK, seq=3, ack=1001))
    told = run([*before, *after.frames()], settle=False)

    assert told.new_flows == [1, 2]
    assert told.ends == []
    assert told.outcomes[-1][2:] == (81, "OPEN")
    assert abs(told.state.now_ns - START_NS - shift_ns) < S


def test_the_packet_clock_bears_disorder() -> None:
    """Late packets do not turn the clock back, and hours of silence are followed after eight packets."""
    clock = PacketClock()
    ahead = [2 * LEAP_NS + number for number in range(8)]

    assert clock.follow(np.array([5, 9, 7, 11])).now_ns.tolist() == [5, 9, 9, 11]
    assert clock.follow(np.array(ahead)).now_ns.tolist() == [11] * 7 + [ahead[-1]]


def test_clients_of_a_service_are_exact_then_estimated() -> None:
    """Sixteen clients are counted one by one, ten thousand to within a third."""
    table = ServiceTable(64, 1)
    host, client = np.full(10_000, 7, np.uint64), np.arange(10_000, dtype=np.uint64)
    port = np.full(10_000, 80, np.uint16)

    def answered(count: int) -> int:
        rows = slice(0, count)
        asker, one = client[rows], port[rows]
        table.answer(host[rows].astype(np.intp), host[rows], one, one, asker, asker.astype(np.int64))
        return int(table.clients(host[:1], port[:1], port[:1])[0])

    assert [answered(1), answered(1), answered(9), answered(16)] == [1, 1, 9, 16]
    assert answered(10_000) == pytest.approx(10_000, rel=0.34)


def test_spans_are_copied_exactly() -> None:
    """Spans of every length land where they should, and nowhere else."""
    rng = np.random.default_rng(1)
    source = rng.integers(1, 255, 70_000).astype(np.uint8)
    length = np.array([*range(300), 511, 512, 2_048, 0, -3])
    source_at = rng.integers(0, 60_000, len(length))
    target_at = np.concatenate(([5], np.cumsum(np.maximum(length, 0) + 3)[:-1] + 5))
    target = np.zeros(int(target_at[-1]) + 8, np.uint8)
    expected = target.copy()
    for into, out_of, size in zip(target_at.tolist(), source_at.tolist(), length.tolist(), strict=True):
        expected[into : into + max(size, 0)] = source[out_of : out_of + max(size, 0)]

    copy_spans(target, target_at, source, source_at, length)

    assert np.array_equal(target, expected)


def test_declared_roles_and_home_are_known_at_first_sight() -> None:
    """A declared scanner carries its role from its first packet."""
    hosts = HostTable(64, Site(scanners=AddressSet(["10.0.0.2/32"])))
    high, low = np.zeros(2, np.uint64), np.array([0xFFFF_0A00_0002, 0xFFFF_0808_0808], np.uint64)
    rows = hosts.locate(hosts.keys(high, low), high, low, np.ones(2, np.int64))

    assert hosts.roles[rows].tolist() == [Role.SCANNER, 0]
    assert hosts.home[rows].tolist() == [True, False]


def test_roles_are_learned_from_services() -> None:
    """Who answers Kerberos, LDAP and SMB is a directory; a resolver answers several clients."""
    scene = Scene()
    for port in (88, 389, 445):
        scene.session(A, B, port)
    scene.query(A, C, 53).query(B, C, 53).wait(12 * S).query(A, B, 9)
    told = run(scene.frames())
    hosts = told.state.tables.hosts
    high, low = np.array([to_words(B), to_words(C)], np.uint64).T

    assert [Role(int(role)) for role in hosts.roles[hosts.find(high, low)]] == [Role.DIRECTORY, Role.RESOLVER]


def test_resets_and_fins_of_others_do_not_end_twice() -> None:
    """A flow ends once, at the first reset, however many follow."""
    scene = Scene().session(A, B, 80, close=False, sport=40_000)
    scene.put(*[tcp(B, 80, A, 40_000, RST, seq=9, ident=number) for number in range(3)])
    scene.put(tcp(A, 40_000, B, 80, FIN | ACK))

    assert [end[1:] for end in run(scene.frames()).ends] == [(1, "RESET")]
