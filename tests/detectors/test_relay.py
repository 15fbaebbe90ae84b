"""Tests of the relay detector: every orientation, every proof, chains, and the look-alikes that must not alarm."""

from __future__ import annotations

import random

import pytest

from detectors._kit import forge
from nettriage.model.addresses import AddressSet
from nettriage.model.alert import Alert
from nettriage.model.site import Site
from tests.detectors.driver import SITE, Run, detector, run_frames

A, B, C, D = "10.0.1.11", "10.0.1.12", "10.0.1.13", "192.0.2.10"


def _noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def _turns(seed: int = 1, size: int = 90) -> tuple[tuple[int, bytes], ...]:
    return tuple((n % 2, _noise(seed * 100 + n, size + n)) for n in range(6))


def _flipped(turns):
    return tuple((1 - side, payload) for side, payload in turns)


def _legs(*legs, site: Site = SITE, gap_ns: int = 20 * forge.MS, **knobs) -> Run:
    """Run flows that begin 2 ms apart; each is (source, destination, port, turns)."""
    frames = []
    for number, (src, dst, port, turns, *isn) in enumerate(legs):
        scene = forge.Scene(now_ns=forge.START_NS + number * 2 * forge.MS)
        scene.session(
            src, dst, port, turns, gap_ns=gap_ns, sport=41_000 + number,
            isn=isn[0] if isn else (1000 + 77 * number, 5000 + 77 * number),
        )  # fmt: skip
        frames += scene.frames()
    return run_frames(sorted(frames, key=lambda item: item[0]), detector("relay", site, **knobs), site=site)


def _path(alert: Alert) -> list[str]:
    return [party.ip for party in alert.via]


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ((A, B, 4444, _turns()), (B, D, 443, _turns())),
        ((B, A, 4444, _flipped(_turns())), (B, D, 443, _turns())),
        ((A, B, 4444, _turns()), (D, B, 443, _flipped(_turns()))),
    ],
    ids=["in and out", "both dialled", "both accepted"],
)
def test_a_relay_is_found_whoever_opened_the_legs(inner, outer):
    """Bytes that cross at a host make it the subject, with A, B and C in order."""
    (alert,) = _legs(inner, outer).of("relay")

    assert alert.subject.ip == B
    assert _path(alert) == [A, B, D]
    assert alert.score >= 65


def test_both_legs_are_listed_with_their_volumes():
    """The legs of the record carry the payload bytes of each flow."""
    turns = _turns()
    (alert,) = _legs((A, B, 4444, turns), (B, D, 443, turns)).of("relay")

    volumes = [sum(len(payload) for side, payload in turns if side == way) for way in (0, 1)]
    assert [[leg.bytes_up, leg.bytes_down] for leg in alert.legs] == [volumes, volumes]
    assert alert.legs[1].lag_ms == pytest.approx(2, abs=1)


def test_a_chain_is_one_incident_of_its_first_relay():
    """A to B to C to D is joined; the second relay does not stand apart."""
    run = _legs((A, B, 4444, _turns()), (B, C, 5555, _turns()), (C, D, 443, _turns()))
    (alert,) = [alert for alert in run.of("relay") if alert.activity != "close"]

    assert alert.subject.ip == B
    assert _path(alert) == [A, B, C, D]
    assert len(alert.legs) == 3


def test_typing_is_enough():
    """A few dozen typed bytes, echoed one by one over both legs, prove a relay."""
    typed = tuple(
        item for n in range(40) for item in ((1, bytes((97 + n * 7 % 26,))), (0, bytes((97 + n * 7 % 26,)) * 3))
    )
    (alert,) = _legs((A, B, 4444, typed), (B, D, 443, typed)).of("relay")

    assert alert.subject.ip == B


def _hello(seed: int) -> bytes:
    body = b"\x03\x03" + _noise(seed, 32) + b"\x00\x00\x02\x13\x01\x01\x00"
    return b"\x16\x03\x01\x00\x31\x01\x00\x00\x2d" + body


def test_a_handshake_random_behind_another_prefix_is_proof():
    """The same ClientHello behind unknown framing on one leg is a relay although no other byte is equal."""
    inner = ((0, b"\x01\x99" + _noise(5, 21)), (1, _noise(6, 20)), (0, _hello(9)), (1, _noise(7, 300)))
    outer = ((0, _hello(9)), (1, _noise(8, 300)))
    (alert,) = _legs((A, B, 7000, inner), (B, D, 443, outer)).of("relay")

    assert _path(alert) == [A, B, D]
    assert "handshake random" in alert.reason


def test_the_same_random_without_a_shared_host_is_a_chain_with_a_hidden_middle():
    """A to B and C to D with one ClientHello: what lies between B and C is encrypted."""
    inner = ((0, _hello(9)), (1, _noise(7, 300)))
    (alert,) = _legs((A, B, 1080, inner), (C, D, 443, inner)).of("relay")

    assert _path(alert) == [A, B, C, D]


def test_bytes_behind_a_socks_handshake_are_compared():
    """A SOCKS handshake on the inner leg does not hide that the streams behind it are equal."""
    socks = ((0, b"\x05\x01\x00"), (1, b"\x05\x00"), (0, b"\x05\x01\x00\x01\xc0\x00\x02\x0a\x01\xbb"))
    granted = ((1, b"\x05\x00\x00\x01" + bytes(6)),)
    (alert,) = _legs((A, B, 1080, (*socks, *granted, *_turns())), (B, D, 443, _turns())).of("relay")

    assert "SOCKS5" in alert.reason


PING = tuple((n % 2, b"heartbeat-of-the-device!") for n in range(40))
QUIET = {
    "different bytes": ((A, B, 4444, _turns(1)), (B, D, 443, _turns(2))),
    "one client of two servers": ((B, C, 80, _turns()), (B, D, 80, _turns())),
    "two clients of one server": ((A, B, 80, _turns()), (C, B, 80, _turns())),
    "one connection through NAT": ((A, B, 443, _turns(), (500, 600)), (B, D, 443, _turns(), (500, 900))),
    "heartbeats": ((A, B, 8009, PING), (B, D, 8009, PING)),
    "heartbeats, one unanswered": ((A, B, 8009, PING + PING[:1]), (B, D, 8009, PING + PING[:1])),
    "a hello sent again": (
        (A, C, 443, ((0, _hello(3)), (1, b"x" * 300))), (A, D, 443, ((0, _hello(3)), (1, b"y" * 300))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("habit", QUIET)
def test_look_alikes_are_silent(habit):
    """Flows that only look like legs raise nothing."""
    assert _legs(*QUIET[habit]).of("relay") == []


def test_a_reverse_proxy_by_its_looks_stays_low():
    """Web ports in and out, HTTP inside and a backend at home make a reverse proxy: shown, low, explained."""
    web = ((0, b"GET /index HTTP/1.1\r\nHost: intranet\r\n\r\n"), (1, b"HTTP/1.1 200 OK\r\n\r\n" + _noise(1, 400)))
    (alert,) = _legs((A, B, 8080, web), (B, C, 80, web)).of("relay")

    assert alert.severity == "low"
    assert "reverse proxy" in alert.reason


def test_a_declared_load_balancer_is_informational():
    """A relay that the settings list is shown at the lowest severity."""
    site = Site(load_balancers=AddressSet([B]), mixer_secret=SITE.mixer_secret)
    (alert,) = _legs((A, B, 4444, _turns()), (B, D, 443, _turns()), site=site).of("relay")

    assert alert.severity == "info"


def test_many_clients_of_one_port_lower_a_relay():
    """Five clients of one port with one kind of backend inside are a service of the house, not a hidden relay."""
    legs = []
    for client in range(6):
        legs += [(f"10.0.1.{50 + client}", B, 3306, _turns(client)), (B, C, 3306, _turns(client))]
    (alert,) = _legs(*legs).of("relay")

    assert alert.severity == "low"


def test_found_within_five_seconds_while_the_flows_live():
    """The relay is said within 5 s of its second leg's first bytes, long before the flows end."""
    run = _legs((A, B, 4444, _turns()), (B, D, 443, _turns()), gap_ns=forge.S)
    first_ns = run.said[0][0]

    assert first_ns - forge.START_NS < 5 * forge.S
