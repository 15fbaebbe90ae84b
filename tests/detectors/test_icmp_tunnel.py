"""Tests of the ICMP tunnel detector: each rule fires alone, and ordinary pings of every habit are silent."""

from __future__ import annotations

import random
import struct

import pytest

from detectors._kit import forge
from nettriage.model.addresses import AddressPairs
from nettriage.model.alert import Alert
from nettriage.model.site import Site
from tests.detectors.driver import SITE, detector, run_frames

ASKER, ASKED = "10.0.1.11", "192.0.2.9"


def _alerts(exchanges, *, asker: str = ASKER, asked: str = ASKED, site: Site = SITE) -> list[Alert]:
    scene = forge.Scene()
    for seq, (up, down) in enumerate(exchanges):
        if up is not None:
            scene.put(forge.icmp_echo(asker, asked, 7, seq, up))
        if down is not None:
            scene.put(forge.icmp_echo(asked, asker, 7, seq, down, reply=True))
        scene.wait(100 * forge.MS)
    return run_frames(scene.frames(), detector("icmp-tunnel", site), site=site).of("icmp-tunnel")


def _noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("hosts", [(ASKER, ASKED), ("fd00::11", "2001:db8::9")], ids=["ICMP", "ICMPv6"])
def test_replies_that_differ_from_their_requests_are_a_tunnel(hosts):
    """An answer with other bytes than the question makes the asker the subject, in both families."""
    (alert,) = _alerts([(_noise(n, 90), _noise(1000 + n, 90)) for n in range(10)], asker=hosts[0], asked=hosts[1])

    assert alert.subject.ip == hosts[0]
    assert alert.score >= 65
    assert "10 of 10 replies" in alert.reason


def test_an_ipv4_packet_inside_is_a_tunnel_even_when_echoed():
    """Payloads that are whole IPv4 packets tell a tunnel although the replies match."""
    inner = [forge.tcp("10.8.0.1", 1, "10.8.0.2", 22, forge.ACK, ident=n)[14:] for n in range(6)]
    (alert,) = _alerts([(packet, packet) for packet in inner])

    assert "whole IPv4 packets" in alert.reason


def test_ptunnel_is_named_with_its_target():
    """The header of ptunnel-ng names the tool and the target that it asks for."""
    head = struct.pack(">I4sIIIIHH", 0xDEADC0DE, bytes((10, 0, 2, 26)), 22, 0, 0, 0, 1, 1)
    (alert,) = _alerts([(head, head)])

    assert alert.tool.name == "ptunnel-ng"
    assert [(party.ip, party.port) for party in alert.via][-1] == ("10.0.2.26", 22)


def test_changing_payload_in_many_sizes_is_at_least_medium():
    """Data pushed out in requests that an ordinary host echoes back is seen by its change."""
    (alert,) = _alerts([(data := _noise(n, 64 + 13 * (n % 9)), data) for n in range(40)])

    assert alert.score >= 40


STAMPED = [struct.pack("<QQ", n, n * 7) + bytes(range(0x10, 0x38)) for n in range(60)]
WINDOWS = [b"abcdefghijklmnopqrstuvwabcdefghi"] * 60
PROBES = [bytes(size) for size in range(1_200, 1_473, 16)]


@pytest.mark.parametrize(
    "exchanges",
    [
        [(up, up) for up in STAMPED],
        [(up, up) for up in WINDOWS],
        [(up, up) for up in PROBES],
        [(up, None) for up in STAMPED],
        [(bytes(1_400), bytes(64))] * 20,
    ],
    ids=["Linux", "Windows", "MTU probes", "no answer", "replies cut short"],
)
def test_ordinary_pings_are_silent(exchanges):
    """Pings that repeat their payload behind a time stamp and get it back raise nothing."""
    assert _alerts(exchanges) == []


def test_a_reused_sequence_number_is_compared_with_the_latest_request():
    """The same exchange used again with a new payload is compared with the new one, at every batch size."""
    scene = forge.Scene()
    for n in range(12):
        data = _noise(n // 3, 60)
        scene.put(forge.icmp_echo(ASKER, ASKED, 7, 1, data), forge.icmp_echo(ASKED, ASKER, 7, 1, data, reply=True))

    for cut in (1, 7, None):
        assert run_frames(scene.frames(), detector("icmp-tunnel"), cut=cut).said == []


def test_icmptunnel_is_named_by_replies_that_meet_no_request():
    """Whole IPv4 packets under a fresh identifier in every packet are the manner of icmptunnel."""
    scene = forge.Scene()
    for n in range(20):
        up = forge.udp("10.8.0.1", 1, "10.8.0.2", 2, bytes(40), ident=n)[14:]
        down = forge.udp("10.8.0.2", 2, "10.8.0.1", 1, bytes(40), ident=n)[14:]
        scene.put(forge.icmp_echo(ASKER, ASKED, 100 + n, n, up))
        scene.put(forge.icmp_echo(ASKED, ASKER, 900 + n, 50 + n, down, reply=True)).wait(forge.MS)
    (alert,) = run_frames(scene.frames(), detector("icmp-tunnel")).of("icmp-tunnel")

    assert alert.tool is not None
    assert alert.tool.name == "icmptunnel"


def test_an_allowed_pair_is_informational_and_says_so():
    """A tunnel between two hosts that the settings allow is shown at the lowest severity, with the pair."""
    site = Site(allow=AddressPairs([f"{ASKED} <-> {ASKER}"]), mixer_secret=SITE.mixer_secret)
    (alert,) = _alerts([(_noise(n, 90), _noise(1000 + n, 90)) for n in range(10)], site=site)

    assert alert.severity == "info"
    assert "is declared under network.allow" in alert.reason
