"""State says the same however the source cut its batches."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors._kit.forge import ACK, FIN, MS, RST, START_NS, SYN, S, Scene, arp, icmp_echo, icmp_unreachable, tcp, udp
from tests.sniff.told import Frames, run

CLIENT, SERVER, OTHER, ROUTER = "10.0.0.2", "10.0.0.9", "10.0.0.7", "10.0.0.1"


def busy_scene() -> Frames:
    """Everything at once: sessions, refusals, silence, late answers, port reuse, gaps, errors, neighbours, disorder."""
    scene = Scene()
    scene.put(tcp(SERVER, 443, OTHER, 50_000, ACK, seq=77, payload=b"mid"), tcp(OTHER, 50_000, SERVER, 443, SYN, seq=5))
    scene.put(
        tcp(OTHER, 51_000, SERVER, 3_999, ACK, seq=5, payload=b"x"), tcp(SERVER, 3_999, OTHER, 51_000, SYN, seq=1)
    )
    scene.session(
        CLIENT, SERVER, 80, [(0, b"GET / HTTP/1.0\r\n\r\n"), (1, b"z" * 4_000)], sport=40_001, gap_ns=300 * MS
    )
    for port in range(1, 30):
        scene.refused(CLIENT, SERVER, port).syn(CLIENT, OTHER, port)
    scene.half_open(CLIENT, SERVER, 22).query(CLIENT, SERVER, 161)
    probe = udp(CLIENT, 45_000, SERVER, 9, b"?")
    scene.put(probe, icmp_unreachable(SERVER, probe)).put(probe, icmp_unreachable(ROUTER, probe, code=13))
    fixed = udp(CLIENT, 53, OTHER, 33_434, b"odd")
    scene.put(fixed).put(icmp_unreachable(OTHER, fixed))
    for number in range(3):
        scene.session(CLIENT, SERVER, 8_080, sport=40_500, isn=(1_000 * number + 1, 9_000 * number + 1))
        scene.refused(OTHER, SERVER, 81, sport=40_600).put(tcp(OTHER, 40_600, SERVER, 81, SYN, seq=number))
    scene.put(arp(CLIENT, OTHER), arp(OTHER, CLIENT, reply=True), arp(CLIENT, "10.0.0.200"), arp(CLIENT, "10.0.0.200"))
    scene.put(
        icmp_echo(CLIENT, SERVER, 7, 1), icmp_echo(SERVER, CLIENT, 7, 1, reply=True), icmp_echo(CLIENT, OTHER, 8, 1)
    )
    scene.put(tcp(CLIENT, 41_000, SERVER, 7_000, 0), tcp(CLIENT, 41_001, SERVER, 7_001, FIN | ACK, seq=3))
    late = udp(CLIENT, 46_000, OTHER, 162, b"late")
    scene.put(late).wait(6 * S).put(udp(OTHER, 162, CLIENT, 46_000, b"at last"))
    scene.wait(12 * S).syn(OTHER, CLIENT, 5_000, sport=42_000).wait(S).put(
        tcp(OTHER, 42_000, CLIENT, 5_000, SYN, seq=1000), tcp(SERVER, 6_000, CLIENT, 42_001, RST | ACK, ack=9)
    )
    scene.wait(70 * S).query(CLIENT, SERVER, 161).wait(400 * S).syn(CLIENT, SERVER, 1)
    return scene.frames()


REFERENCE = busy_scene()


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_batch_size_is_invisible(size: int) -> None:
    """Packets, flows, hosts, contacts, ends and resumes are the same for any size of batch."""
    assert run(REFERENCE, size).said() == run(REFERENCE).said()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 40))
def test_disorder_and_loss_do_not_let_the_batch_size_show(seed: int, size: int) -> None:
    """The same holds where packets are lost, repeated and out of order."""
    rng = random.Random(seed)
    frames = [
        (ts + rng.randrange(40 * MS) * (rng.random() < 0.2), frame) for ts, frame in REFERENCE if rng.random() < 0.8
    ]
    frames = [frame for frame in frames for _ in range(1 + (rng.random() < 0.05))]

    assert run(frames, size).said() == run(frames).said()


def test_random_segments_keep_batches_invisible() -> None:
    """Random segments on sixty five-tuples, with every flag, give the same for any size of batch."""
    rng = random.Random(3)
    one_way = [(CLIENT, port, SERVER, 80) for port in range(2_000, 2_060)]
    ends = one_way + [(dst, dport, src, sport) for src, sport, dst, dport in one_way]
    flags = [SYN, SYN | ACK, ACK, ACK, FIN | ACK, RST, RST | ACK, 0, FIN, SYN | FIN]
    frames, now_ns = [], START_NS
    for _ in range(250):
        now_ns += rng.choice((10_000, 10_000, 300 * MS, 2 * S))
        src, sport, dst, dport = rng.choice(ends)
        payload = b"p" * rng.choice((0, 0, 1, 50))
        seq, ack = rng.choice((0, 1, 100, 2**32 - 3)) + rng.randrange(60), rng.randrange(200)
        frames.append(
            (
                now_ns,
                tcp(src, sport, dst, dport, rng.choice(flags), seq=seq, ack=ack, payload=payload, ident=len(frames)),
            )
        )

    whole = run(frames).said()

    assert all(run(frames, size).said() == whole for size in (1, 5, 50))


def test_time_may_pass_in_steps() -> None:
    """Letting packet time pass in small steps tells the same events as in one."""
    cut = len(REFERENCE) - 40
    together, apart = run(REFERENCE[:cut], settle=False), run(REFERENCE[:cut], settle=False)
    now_ns = together.state.now_ns

    together.add(together.state.advance(now_ns + 500 * S))
    for step in range(1, 251):
        apart.add(apart.state.advance(now_ns + step * 2 * S))

    assert (together.contacts, together.ends) == (apart.contacts, apart.ends)
