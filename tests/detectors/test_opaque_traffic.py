"""Tests of the opaque traffic detector: random first payloads of both sides, and each exemption."""

from __future__ import annotations

import numpy as np
import pytest

from detectors._kit import forge
from detectors._kit.randomness import WIDTH, looks_random
from nettriage.model.alert import Alert
from tests.detectors.driver import detector, run_frames

CLIENT, INSIDE, OUTSIDE = "10.0.1.11", "10.0.1.12", "192.0.2.66"


def noise(seed: int, size: int) -> bytes:
    """Return bytes as a cipher makes them, the same for the same seed."""
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8).tobytes()


def _alerts(payloads, *, server: str = INSIDE, port: int = 8388, times: int = 4) -> list[Alert]:
    scene = forge.Scene()
    for turn in range(times):
        up, down = (payload(turn + 50 * side) for side, payload in enumerate(payloads))
        scene.session(CLIENT, server, port, ((0, up), (1, down)), gap_ns=forge.MS)
    scene.wait(10 * forge.S).session("10.0.9.1", "10.0.9.2", 80)
    return run_frames(scene.frames(), detector("opaque-traffic")).of("opaque-traffic")


def _random(seed: int) -> bytes:
    return noise(seed, 181)


def test_a_server_inside_is_the_subject():
    """A host that serves encrypted bytes again and again inside the network is high."""
    (alert,) = _alerts((_random, _random))

    assert (alert.subject.ip, alert.subject.port) == (INSIDE, 8388)
    assert alert.severity == "high"
    assert alert.count == 4


def test_a_server_outside_weighs_less_than_one_inside():
    """Outside the client is the subject and stays low, a little higher on 443 where TLS is expected."""
    other, tls_port = (_alerts((_random, _random), server=OUTSIDE, port=port)[0] for port in (9_999, 443))

    assert (other.subject.ip, other.severity) == (CLIENT, "low")
    assert (tls_port.subject.ip, tls_port.severity) == (CLIENT, "low")
    assert tls_port.score > other.score


def test_one_connection_is_not_enough_for_medium():
    """A single random-looking flow may be chance."""
    assert _alerts((_random, _random), times=1)[0].severity in ("info", "low")


@pytest.mark.parametrize(
    "start",
    [
        b"\x16\x03\x01", b"GET ", b"ZBXD\x01", b"hello ", bytes(4), b"aaaa", (181).to_bytes(4), (179).to_bytes(2),
        (177).to_bytes(4, "little"),
    ],
    ids=["TLS", "HTTP", "Zabbix", "text", "zeros", "repeated byte", "own length", "length behind", "little-endian"],
)  # fmt: skip
def test_a_start_that_tells_something_exempts(start):
    """A known, printable, repeated or framed start of one side is enough to be left alone."""

    def framed(seed: int) -> bytes:
        return start + noise(seed, 181 - len(start))

    assert _alerts((framed, _random)) == []
    assert _alerts((_random, framed)) == []


def _text(seed: int) -> bytes:
    return b"\x80" + bytes(97 + byte % 26 for byte in noise(seed, 180))


def _low_bits(seed: int) -> bytes:
    return bytes(byte & 0x93 for byte in noise(seed, 181))


def _high_bits(seed: int) -> bytes:
    return bytes(byte | 0x6C for byte in noise(seed, 181))


def _short(seed: int) -> bytes:
    return noise(seed, 30)


def _run_of_text(seed: int) -> bytes:
    return noise(seed, 80) + b"x1y2z3" * 4 + noise(seed + 1, 80)


@pytest.mark.parametrize("payload", [_text, _low_bits, _high_bits, _short, _run_of_text])
def test_payloads_that_are_not_random_exempt(payload):
    """Text, few bits, too little, or a long printable run: one side is enough."""
    assert _alerts((payload, _random)) == []


def test_exempt_ports_are_silent():
    """Kerberos, mobile push and monitoring agents begin with keys and compressed records."""
    assert [_alerts((_random, _random), port=port) for port in (88, 5222, 10_051)] == [[], [], []]


def test_random_bytes_pass_and_text_does_not():
    """Of a thousand random payloads of 200 bytes nearly all pass the exemptions, of as many texts none does."""
    random = np.random.default_rng(5).integers(0, 256, (1_000, WIDTH), np.uint8)
    text = (97 + random % 26).astype(np.uint8)
    length = np.full(1_000, 200)

    assert looks_random(random, length, length).mean() > 0.97
    assert not looks_random(text, length, length).any()
