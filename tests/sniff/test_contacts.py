"""What becomes of contacts, by forged traffic."""

from __future__ import annotations

import pytest

from detectors._kit.forge import (
    ACK,
    FIN,
    MS,
    PSH,
    RST,
    START_NS,
    SYN,
    S,
    Scene,
    arp,
    icmp_echo,
    icmp_unreachable,
    tcp,
    udp,
)
from nettriage.model.addresses import to_words
from tests.sniff.told import Frames, run

A, B, C, ROUTER = "10.0.0.2", "10.0.0.9", "10.0.0.7", "10.0.0.1"


def outcome(frames: Frames) -> list[tuple[str, str, int, str]]:
    """Return asker, asked, port and outcome of what settled."""
    return [event for event in run(frames).outcomes if event[3] != "ATTEMPT"]


def stranger(number: int) -> str:
    """Return one of many addresses."""
    return f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}"


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (Scene().half_open(A, B, 22), "OPEN"),
        (Scene().refused(A, B, 22), "CLOSED"),
        (Scene().syn(A, B, 22), "SILENT"),
        (Scene().query(A, B, 22), "OPEN"),
        (Scene().query(A, B, 22, answer=None), "SILENT"),
    ],
)
def test_an_attempt_gets_the_outcome_that_its_answer_tells(frames: Scene, expected: str) -> None:
    """SYN-ACK and replies open, resets close, silence is told at the deadline; the attempt comes first."""
    assert run(frames.frames()).outcomes == [(A, B, 22, "ATTEMPT"), (A, B, 22, expected)]


def test_silence_is_dated_at_its_deadline_and_late_answers_change_nothing() -> None:
    """A SYN-ACK after three seconds is no second outcome."""
    late = tcp(B, 80, A, 40_000, SYN | ACK, seq=5, ack=1001)
    told = run(Scene().syn(A, B, 80, sport=40_000).wait(4 * S).put(late).frames())

    assert [contact[3:5] for contact in told.contacts] == [("ATTEMPT", START_NS), ("SILENT", START_NS + 3 * S)]


def test_repeats_of_a_contact_tell_nothing_new() -> None:
    """A second connection to a known service makes no event, from whatever port."""
    told = run(Scene().session(A, B, 80).session(A, B, 80).syn(A, B, 80).frames())

    assert [event[3] for event in told.outcomes] == ["ATTEMPT", "OPEN"]


def test_tries_count_the_probes_before_the_outcome() -> None:
    """Three SYNs and an answer are three tries; a SYN after the answer does not count."""
    syn = tcp(A, 40_000, B, 80, SYN, seq=1000)
    scene = Scene(step_ns=MS).put(syn)
    scene.wait(S).put(tcp(A, 40_000, B, 80, SYN, seq=1000, ident=2)).wait(S).put(tcp(A, 40_001, B, 80, SYN, seq=7))
    scene.put(tcp(B, 80, A, 40_001, SYN | ACK, seq=1, ack=8)).put(tcp(A, 40_002, B, 80, SYN, seq=9))

    assert [(contact[3], contact[9]) for contact in run(scene.frames()).contacts] == [("ATTEMPT", 1), ("OPEN", 3)]


def test_silence_of_an_unheard_asker_is_a_guess_until_its_syn_is_repeated() -> None:
    """On a feed that may show one direction, only the retransmission proves that no answer came."""
    guess = run(Scene().syn(A, B, 80).frames()).contacts[-1]
    again = Scene().put(tcp(A, 40_000, B, 80, SYN, seq=1000)).wait(S).put(tcp(A, 40_000, B, 80, SYN, seq=1000, ident=2))
    proof = run(again.frames()).contacts[-1]
    heard = run(Scene().refused(A, C, 1).syn(A, B, 80).frames()).contacts[-1]

    assert [contact[12] for contact in (guess, proof, heard)] == [False, True, True]


def test_port_unreachable_closes_and_a_stranger_who_says_so_blocks() -> None:
    """The asked host itself closes; a port-unreachable from another address is a filter's, and names it."""
    probe, other = udp(A, 40_000, B, 9), udp(A, 40_001, B, 10)
    told = run(Scene().put(probe, icmp_unreachable(B, probe), other, icmp_unreachable(ROUTER, other)).frames())

    settled = {contact[2]: (contact[3], contact[-1]) for contact in told.contacts if contact[3] != "ATTEMPT"}
    assert settled == {9: ("CLOSED", 0), 10: ("BLOCKED", to_words(ROUTER)[1])}


@pytest.mark.parametrize("code", [9, 10, 13])
def test_prohibited_blocks(code: int) -> None:
    """Administratively prohibited is a filter's refusal."""
    probe = tcp(A, 40_000, B, 25, SYN, seq=1)

    assert outcome(Scene().put(probe, icmp_unreachable(ROUTER, probe, code=code)).frames()) == [(A, B, 25, "BLOCKED")]


def test_host_unreachable_is_proven_silence() -> None:
    """A router that knows of nobody there does not refuse; the silence is sure."""
    probe = tcp(A, 40_000, B, 25, SYN, seq=1)
    last = run(Scene().put(probe, icmp_unreachable(ROUTER, probe, code=1)).frames()).contacts[-1]

    assert (last[3], last[9], last[12]) == ("SILENT", 1, True)


def test_an_error_alone_tells_of_the_probe_it_quotes() -> None:
    """Where the probe itself was not seen, its error makes the contact and settles it, unsure."""
    told = run(Scene().put(icmp_unreachable(ROUTER, tcp(A, 40_000, B, 25, SYN), code=13)).frames())

    assert [(contact[3], contact[12]) for contact in told.contacts] == [("ATTEMPT", False), ("BLOCKED", False)]


def test_a_refused_late_answer_is_no_probe_of_the_server() -> None:
    """A client that closed its port before the answer came does not make the server a scanner."""
    scene = Scene().put(udp(A, 40_000, B, 53, b"ask"))
    answer = udp(B, 53, A, 40_000, b"answer")

    scene.put(answer, icmp_unreachable(A, answer))

    assert [event[:3] for event in run(scene.frames()).outcomes] == [(A, B, 53)] * 2


def test_a_scan_from_the_dns_port_is_unmasked_by_its_errors() -> None:
    """A datagram from port 53 to a high port looks like an answer until its target refuses it."""
    probe = udp(A, 53, B, 33_434, b"odd")

    assert outcome(Scene().put(probe, icmp_unreachable(B, probe)).frames()) == [(A, B, 33_434, "CLOSED")]


def test_a_reset_from_another_distance_is_a_filter() -> None:
    """The host is seven hops away, the reset comes from five: somebody in between refused."""
    scene = Scene().put(tcp(A, 40_000, B, 80, SYN, seq=1), tcp(B, 80, A, 40_000, SYN | ACK, ack=2, ttl=57))
    scene.put(tcp(A, 40_001, B, 81, SYN, seq=1), tcp(B, 81, A, 40_001, RST | ACK, ack=2, ttl=59))
    scene.put(tcp(A, 40_002, B, 82, SYN, seq=1), tcp(B, 82, A, 40_002, RST | ACK, ack=2, ttl=248))

    assert outcome(scene.frames()) == [(A, B, 80, "OPEN"), (A, B, 81, "BLOCKED"), (A, B, 82, "CLOSED")]


def test_one_way_feed_implies_open() -> None:
    """Who goes on with the handshake, or resets right after his SYN, got an answer that was not seen."""
    scene = Scene().put(tcp(A, 40_000, B, 80, SYN, seq=1), tcp(A, 40_000, B, 80, ACK, seq=2, ack=9))
    scene.put(tcp(A, 40_001, B, 81, SYN, seq=1), tcp(A, 40_001, B, 81, RST, seq=2))

    assert outcome(scene.frames()) == [(A, B, 80, "IMPLIED_OPEN"), (A, B, 81, "IMPLIED_OPEN")]


@pytest.mark.parametrize("flags", [0, FIN, FIN | PSH | 0x20, FIN | ACK, SYN | FIN])
def test_odd_probes_are_attempts(flags: int) -> None:
    """NULL, FIN, XMAS and Maimon probes make contacts that carry their flags."""
    told = run(Scene().put(tcp(A, 40_000, B, 80, flags, seq=1), tcp(B, 80, A, 40_000, RST | ACK, ack=1)).frames())

    assert told.outcomes == [(A, B, 80, "ATTEMPT"), (A, B, 80, "CLOSED")]
    assert told.contacts[0][7] == flags


@pytest.mark.parametrize("flags", [ACK, ACK | PSH, RST])
def test_the_middle_of_a_session_is_no_attempt(flags: int) -> None:
    """A bare ACK, data, or a reset without its session make no contact."""
    frame = tcp(A, 40_000, B, 80, flags, seq=4, payload=b"x" * bool(flags & PSH))

    assert run(Scene().put(frame).frames()).outcomes == []


def test_answers_without_questions_tell_of_an_unsure_contact() -> None:
    """A SYN-ACK, or the reset that only a SYN draws, shows who asked; it may be backscatter."""
    scene = Scene().put(tcp(B, 80, A, 40_000, SYN | ACK, seq=7, ack=2), tcp(B, 81, A, 40_001, RST | ACK, ack=2))
    told = run(scene.frames())

    assert [(contact[:4], contact[12]) for contact in told.contacts] == [
        ((A, B, 80, "ATTEMPT"), False), ((A, B, 80, "OPEN"), False),
        ((A, B, 81, "ATTEMPT"), False), ((A, B, 81, "CLOSED"), False),
    ]  # fmt: skip


def test_udp_answers_seen_without_the_request_make_no_scanner() -> None:
    """A server that answers many clients whose requests were not mirrored contacts nobody."""
    scene = Scene()
    for port in range(40_000, 40_050):
        scene.put(udp(B, 53, A, port, b"answer"))

    assert run(scene.frames()).outcomes == []


def test_arp_requests_are_contacts() -> None:
    """An answered target is open, a dark one silent after a second; probes and announcements make none."""
    scene = Scene().put(arp(A, B), arp(B, A, reply=True), arp(A, C), arp("0.0.0.0", C), arp(A, A))
    told = run(scene.frames())

    assert outcome(scene.frames()) == [(A, B, 0, "OPEN"), (A, C, 0, "SILENT")]
    assert told.contacts[-1][4] == START_NS + 200_000 + S


def test_pings_are_contacts_of_their_request_type() -> None:
    """An echo request to a live and to a dark host."""
    scene = Scene().put(icmp_echo(A, B, 7, 1), icmp_echo(B, A, 7, 1, reply=True), icmp_echo(A, C, 7, 2))

    assert outcome(scene.frames()) == [(A, B, 8 << 8, "OPEN"), (A, C, 8 << 8, "SILENT")]


def test_group_addresses_are_marked() -> None:
    """A datagram to a multicast or broadcast address is no target of its own, and its silence means nothing."""
    scene = Scene().query(A, "239.255.255.250", 1_900, answer=None).query(A, "10.0.0.255", 137, answer=None)
    told = run(scene.frames())

    assert [(contact[11], contact[12]) for contact in told.contacts if contact[3] == "SILENT"] == [(True, False)] * 2


def test_full_tables_shed_visibly() -> None:
    """A flood beyond the capacity of the tables evicts, says so, and grows nothing."""
    scene = Scene(step_ns=1_000)
    for number in range(30_000):
        scene.put(tcp(stranger(number), 1_024 + number % 999, B, 80, SYN, seq=number))
    told = run(scene.frames(), 256)
    gauges = told.state.gauges()

    assert gauges["contacts"].used > 0.95 * gauges["contacts"].cap
    assert gauges["contacts"].evicted > 0
    assert gauges["hosts"].evicted > 0
    assert gauges["pending"].used <= gauges["pending"].cap


def test_what_answered_survives_a_flood() -> None:
    """A session and its hosts outlive a flood of one-packet flows many times the size of the tables."""
    scene = Scene(step_ns=1_000).session(A, B, 443, close=False, sport=40_000)
    for number in range(40_000):
        scene.put(tcp(stranger(number), 1_024 + number % 999, C, 80, SYN, seq=number))
    scene.put(tcp(A, 40_000, B, 443, ACK | PSH, seq=1005, ack=5005, payload=b"still here"))
    told = run(scene.frames(), 4_096, settle=False)

    assert told.packets[-1] == (1, 0, A, B)


@pytest.mark.parametrize("size", [None, 1, 2])
def test_an_attempt_points_at_the_packet_that_made_it(size: int | None) -> None:
    """The row names the first probe, or the answer where the probe was not seen; outcomes have none."""
    probe = tcp(A, 40_000, B, 80, SYN, seq=7, ttl=51)
    answer = tcp(C, 443, A, 40_001, SYN | ACK, seq=5, ack=9, ttl=63)
    told = run(Scene().put(probe, answer, probe).frames(), size)
    ttls = [int(one.packets.ttl[row]) for one in told.slices for row in one.contacts.probe_row.tolist() if row >= 0]

    assert ttls == [51, 63]
    assert all((one.contacts.probe_row >= 0).tolist() == (one.contacts.outcome == 0).tolist() for one in told.slices)
