import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors._kit import forge
from nettriage.model.columns import Mixer
from sniff.decode import decode
from sniff.duplicates import COPIES_MAX, WINDOW_NS, DuplicateFilter
from tests.sniff.batches import raw_batch
from tests.sniff.wire import ETHERNET, EVERY

A, B = "192.0.2.1", "198.51.100.2"
A6, B6 = "2001:db8::1", "2001:db8::2"
US = 1_000


def marked(frames, times, size=None):
    """Return which frames are marked, when they come in batches of `size`."""
    raw, state, found = raw_batch(frames, ts_ns=times), DuplicateFilter(Mixer(11)), []
    for at in range(0, len(raw), size or max(1, len(raw))):
        packets = decode(raw.rows(slice(at, at + (size or len(raw)))))
        assert state.mark(packets) == int(packets.duplicate.sum())
        found += packets.duplicate.tolist()
    return found


@pytest.mark.parametrize("name", [name for name in ETHERNET if EVERY[name][1]])
def test_a_copy_right_behind_is_marked_if_it_can_be_judged(name):
    """Every sound packet is recognised when it comes again; flawed ones and later fragments are left alone."""
    frame = EVERY[name][1]
    packets = decode(raw_batch([frame]))
    judged = not packets.flaw[0] and not packets.ip_flags[0] & 4

    assert marked([frame, frame], [0, 10 * US]) == [False, judged]


def test_the_window_ends_after_two_milliseconds():
    """What comes later than the window is no copy."""
    frame = forge.udp(A, 1, B, 2, b"x", ident=9)

    assert marked([frame, frame], [0, WINDOW_NS]) == [False, True]
    assert marked([frame, frame], [0, WINDOW_NS + 1]) == [False, False]
    assert marked([frame, frame], [WINDOW_NS, 0]) == [False, True], "a copy may carry the earlier time"


def test_a_copy_taken_behind_a_router_is_marked():
    """TTL, MAC addresses and tags do not make a packet another one."""
    frame = forge.tcp(A, 1, B, 2, forge.ACK, seq=5, payload=b"data", ident=9, ttl=64)
    routed = forge.tcp(A, 1, B, 2, forge.ACK, seq=5, payload=b"data", ident=9, ttl=63)
    routed = bytes(12) + b"\x81\0\0\x07" + routed[12:]

    assert marked([frame, routed], [0, US]) == [False, True]


@pytest.mark.parametrize(
    "other",
    [
        forge.tcp(A, 1, B, 2, forge.SYN, seq=5, ident=8),
        forge.tcp(A, 1, B, 2, forge.SYN, seq=6, ident=9),
        forge.tcp(A, 1, B, 3, forge.SYN, seq=5, ident=9),
        forge.tcp(A, 7, B, 2, forge.SYN, seq=5, ident=9),
        forge.tcp(A, 1, B, 2, forge.FIN, seq=5, ident=9),
        forge.tcp(A, 1, B, 2, forge.SYN, seq=5, ack=1, ident=9),
        forge.tcp(A, 1, B, 2, forge.SYN, seq=5, ident=9, payload=b"x"),
        forge.tcp(A, 1, "198.51.100.3", 2, forge.SYN, seq=5, ident=9),
        forge.tcp("192.0.2.9", 1, B, 2, forge.SYN, seq=5, ident=9),
    ],
)
def test_what_differs_where_senders_differ_is_no_copy(other):
    """Identification, sequence, ports, flags, lengths and addresses tell packets apart."""
    assert marked([forge.tcp(A, 1, B, 2, forge.SYN, seq=5, ident=9), other], [0, US]) == [False, False]


def test_payload_and_checksum_tell_datagrams_apart():
    """The first bytes decide, and behind them the checksum, also without an identification."""
    one, other = (bytearray(forge.udp(A6, 1, B6, 2, b"0123456789ab" + tail)) for tail in (b"x", b"y"))
    early = forge.udp(A6, 1, B6, 2, b"0123456789aBx")
    summed = bytearray(one)
    summed[60:62] = b"\x12\x34"

    assert marked([one, early], [0, US]) == [False, False]
    assert marked([one, summed], [0, US]) == [False, False]
    assert marked([one, other], [0, US]) == [False, True], "no checksum was sent: the tail is not compared"


def test_echo_requests_and_arp_are_told_apart_by_number_and_target():
    """A ping series is no row of copies; an ARP request is one only if all of it is equal."""
    pings = [forge.icmp_echo(A, B, 7, number) for number in range(3)]
    asks = [forge.arp(A, target) for target in (B, "198.51.100.3", B)]

    assert not any(marked(pings, [0, US, 2 * US]))
    assert marked(asks, [0, US, 2 * US]) == [False, False, True]


def test_an_answer_from_another_mac_is_no_copy():
    """Two hosts that claim one address in the same moment both show."""
    claim = forge.arp(A, B, reply=True)
    rival = claim[:6] + b"\x02\x66\x66\x66\x66\x66" + claim[12:]

    assert marked([claim, rival], [0, US]) == [False, False]


def test_a_sender_that_repeats_itself_without_end_is_traffic():
    """A flood of equal packets is marked up to a limit, and then shows."""
    frame = forge.udp(A, 1, B, 2, b"flood")
    found = marked([frame] * 1_000, list(range(0, 1_000 * US, US)))

    assert found == [False] + [True] * COPIES_MAX + [False] * (999 - COPIES_MAX)


def test_bytes_that_were_not_captured_do_not_count():
    """Two packets cut behind their headers are compared by the headers; what lies behind them is not read."""
    frame = forge.udp(A, 1, B, 2, b"payload", ident=9)
    raw = raw_batch([frame[:44]] * 2, wire_len=[len(frame)] * 2, ts_ns=[0, US], gap=0)
    packets = decode(raw)

    assert DuplicateFilter(Mixer(1)).mark(packets) == 1


@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_cutting_the_capture_changes_no_verdict(data):
    """Whatever the batches, the same packets are marked."""
    frames = [forge.udp(A, 1, B, 2, bytes([number]), ident=9) for number in range(4)]
    chosen = data.draw(st.lists(st.sampled_from(frames), min_size=1, max_size=200))
    gaps = data.draw(st.lists(st.integers(-US, 2_500 * US), min_size=len(chosen), max_size=len(chosen)))
    times = np.cumsum(gaps).tolist()

    whole = marked(chosen, times)

    for size in (1, 3, 50):
        assert marked(chosen, times, size) == whole


def test_every_packet_that_is_mirrored_twice_is_found_among_many():
    """In a busy mirror of both directions each packet is kept once."""
    frames = [forge.tcp(A, 1024 + number, B, 80, forge.SYN, seq=number, ident=number) for number in range(3_000)]
    twice = [frame for frame in frames for _ in range(2)]

    found = marked(twice, [number * 500 for number in range(len(twice))], size=1_024)

    assert found == [False, True] * len(frames)


def test_packets_that_share_a_slot_are_judged_alike_however_the_capture_is_cut():
    """Among thousands of packets some displace others; which copies are missed for it never depends on batches."""
    frames = [forge.udp(A, number, B, 9, b"x", ident=1) for number in range(1, 3_001)] * 2
    times = [number * 300 for number in range(len(frames))]

    whole = marked(frames, times)

    assert 0.9 < sum(whole) / 3_000 < 1, "some copies are missed, so that the test sees slots shared"
    assert marked(frames, times, 170) == whole


def test_the_gauge_counts_slots():
    """The memory is bounded, and says how full it is."""
    state = DuplicateFilter(Mixer(3))
    state.mark(decode(raw_batch([forge.udp(A, 1, B, port, ident=port) for port in range(100)])))

    assert (state.gauge.used, state.gauge.evicted) == (100, 0)


def test_an_empty_batch_has_no_copies():
    """Nothing in, nothing marked."""
    assert DuplicateFilter(Mixer(3)).mark(decode(raw_batch([]))) == 0
