"""Tests of the tunnel trigger: forwarding both ways, scans through a tunnel, and what only looks like it."""

from __future__ import annotations

import random

import pytest

from detectors._kit import forge
from nettriage.model.addresses import AddressPairs, AddressSet
from nettriage.model.site import Site
from tests.detectors.driver import SITE, Run, detector, run_frames

A, B, C, OUTSIDE = "10.0.1.11", "10.0.2.5", "10.0.3.9", "192.0.2.10"


def _frames(
    *, peer: str = A, port: int = 22, dialled: bool = False, targets: list[tuple[str, int]], lag_ms: float = 0.7,
    ask: int = 160, answer: int = 240, onward: tuple[int, int] = (60, 90), first: bytes = b"",
) -> forge.Scene:  # fmt: skip
    """Return a session in which the peer speaks at random pauses, and B connects after each of its words."""
    rng = random.Random(5)
    scene = forge.Scene()
    client, server = (B, peer) if dialled else (peer, B)
    asker = 1 if dialled else 0
    flow = forge._Flow((client, 50_000), (server, port), [1_000, 5_000])
    scene.put(flow.send(0, forge.SYN), flow.send(1, forge.SYN | forge.ACK), flow.send(0, forge.ACK))
    for number, (host, dport) in enumerate(targets):
        scene.wait(int(rng.uniform(0.3, 1.5) * forge.S))
        scene.put(flow.send(asker, forge.PSH | forge.ACK, (first + bytes(ask))[:ask]))
        inner = forge.Scene(now_ns=scene.now_ns + int(lag_ms * forge.MS))
        turns = [(0, bytes(onward[0])), (1, bytes(onward[1]))] if sum(onward) else []
        inner.session(B, host, dport, turns, sport=41_000 + number, isn=(9_000 + number, 70_000 + number))
        scene.items += inner.items
        scene.wait(5 * forge.MS).put(flow.send(1 - asker, forge.PSH | forge.ACK, bytes(answer)))
    return scene


def _run(site: Site = SITE, **how) -> Run:
    return run_frames(_frames(**how).frames(), detector("tunnel-trigger", site), site=site)


def test_a_forwarding_session_is_found_with_its_path_and_legs():
    """Eight connections after eight pieces of data: the peer, the host and the target stand in order."""
    (alert,) = _run(targets=[(C, 445)] * 8).of("tunnel-trigger")

    assert [party.ip for party in alert.via] == [A, B, C]
    assert alert.severity == "medium"
    assert "one target (as ssh -L)" in alert.reason
    assert [(leg.dst, leg.dport) for leg in alert.legs][:2] == [(B, 22), (C, 445)]


def test_several_targets_are_a_dynamic_forward():
    """Connections to different hosts through one session look like ssh -D."""
    (alert,) = _run(targets=[(f"10.0.3.{n}", 80) for n in range(8)]).of("tunnel-trigger")

    assert "as ssh -D" in alert.reason


def test_a_reverse_tunnel_to_the_internet_is_high():
    """B dialled out, and the data that comes back steers it into the network."""
    (alert,) = _run(peer=OUTSIDE, dialled=True, targets=[(C, 445)] * 8).of("tunnel-trigger")

    assert alert.severity == "high"
    assert alert.subject.ip == B
    assert [party.ip for party in alert.via] == [OUTSIDE, B, C]


def test_pages_that_make_a_browser_connect_are_silent():
    """What a client fetches elsewhere does not go back to the server that named it."""
    run = _run(peer=OUTSIDE, dialled=True, targets=[("192.0.2.77", 443)] * 9, answer=40, onward=(90, 30_000))

    assert run.of("tunnel-trigger") == []


def test_a_scan_through_the_tunnel_is_said():
    """More than ten targets in a minute are a scan on behalf of the peer, although nothing answers there."""
    targets = [(f"10.0.3.{n}", 22) for n in range(1, 25)]
    (alert,) = _run(targets=targets, onward=(0, 0)).of("tunnel-trigger")

    assert alert.severity == "high"
    assert "scan on behalf of the peer" in alert.reason


def test_a_web_server_that_asks_its_backend_is_an_application_tier():
    """Web requests in and one backend inside stay low, and the role is said."""
    run = _run(port=8080, targets=[("10.0.3.9", 5432)] * 8, first=b"GET /orders HTTP/1.1\r\n")
    (alert,) = run.of("tunnel-trigger")

    assert alert.severity == "low"
    assert "application tier" in alert.reason


def test_commands_whose_output_differs_are_low():
    """An administrator's commands open connections, but what they bring is not what goes back."""
    (alert,) = _run(targets=[(C, 443)] * 8, answer=100, onward=(400, 60_000)).of("tunnel-trigger")

    assert alert.severity == "low"


@pytest.mark.parametrize("lag_ms", [60, 200])
def test_connections_that_come_later_are_no_evidence(lag_ms):
    """Beyond 20 ms a connection follows nothing."""
    assert _run(targets=[(C, 445)] * 8, lag_ms=lag_ms).of("tunnel-trigger") == []


def test_three_connections_are_not_enough():
    """Below four nothing is said."""
    assert _run(targets=[(C, 445)] * 3).of("tunnel-trigger") == []


def test_one_piece_of_data_counts_once():
    """A burst of connections after one piece of data is one event, not many."""
    scene = forge.Scene()
    turns = [(0, bytes(100)), (1, bytes(100))] * 2
    scene.session(A, B, 22, turns, gap_ns=400 * forge.MS, sport=50_000, close=False)
    last_ns = forge.START_NS + 300_000 + 3 * 400 * forge.MS + 2 * 200_000
    for number in range(12):
        burst = forge.Scene(now_ns=last_ns + number * 200_000)
        burst.session(B, f"10.0.3.{number + 1}", 80, sport=41_000 + number, isn=(9_000 + number, 70_000 + number))
        scene.items += burst.items

    assert run_frames(scene.frames(), detector("tunnel-trigger")).of("tunnel-trigger") == []


@pytest.mark.parametrize(
    "site",
    [Site(mixer_secret=1, bastions=AddressSet([B])), Site(mixer_secret=1, allow=AddressPairs([f"{A} <-> {B}"]))],
    ids=["bastion", "allowed pair"],
)
def test_what_the_settings_declare_is_informational(site):
    """A declared role or an allowed pair lowers the incident and is said."""
    (alert,) = _run(site=site, targets=[(C, 445)] * 8).of("tunnel-trigger")

    assert alert.severity == "info"
    assert "declared" in alert.reason


def test_a_busy_host_hides_no_tunnel():
    """Connections of the host's own, at any time, do not drown the tunnel's."""
    rng = random.Random(9)
    scene = _frames(targets=[(C, 445)] * 10)
    span_ns = scene.now_ns - forge.START_NS
    for number in range(60):
        own = forge.Scene(now_ns=forge.START_NS + rng.randrange(span_ns))
        own.session(B, "10.0.3.200", 9200, sport=30_000 + number, isn=(11_000 + number, 90_000 + number))
        scene.items += own.items
    (alert,) = run_frames(scene.frames(), detector("tunnel-trigger")).of("tunnel-trigger")

    assert f"{C}:445" in alert.reason
