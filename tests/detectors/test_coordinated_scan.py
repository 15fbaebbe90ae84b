"""The coordinated scan, beyond what its examples say."""

import pytest

from detectors._kit import forge
from nettriage.model.addresses import to_text
from tests.detectors.driver import detector, run_frames

VICTIM, REAL, ROUTER = "10.0.1.9", "10.0.0.11", "10.0.0.1"
DECOYS = ("10.0.0.12", "10.0.0.13", "10.0.0.14")


def under(frame, address):
    """Return a frame with the MAC of another address."""
    return frame[:6] + forge.mac_of(address) + frame[12:]


def probe(source, port, ident, *, seq=77, sport=40_000):
    """Return a probe of nmap."""
    return forge.tcp(
        source, sport, VICTIM, port, forge.SYN, seq=seq, window=1024, options=forge.MSS_OPTION, ttl=50, ident=ident,
        df=False,
    )  # fmt: skip


def decoy_scan(sources, *, ports=range(20, 30), mac=REAL, resets=(), announce=()):
    """Return a scan with decoys; `resets` and `announce` speak with MACs of their own."""
    scene = forge.Scene()
    for address in announce:
        scene.put(forge.arp(address, ROUTER))
    for at, port in enumerate(ports):
        for source in sources:
            scene.put(under(probe(source, port, 500 + at), mac))
    for source in resets:
        scene.put(forge.tcp(source, 40_000, VICTIM, 22, forge.RST, seq=78, window=0))
    return scene


def run(scene, **knobs):
    """Return the findings on a scene."""
    return run_frames(scene.frames(), detector("coordinated-scan", **knobs)).findings


def subject(finding):
    """Return the address of the subject."""
    return to_text(*finding.subject.addr)


@pytest.mark.parametrize("place", range(4))
def test_real_source_is_told_wherever_it_stands(place):
    """The MAC of the probes speaks for the real source in resets, whatever its place among the decoys."""
    sources = [*DECOYS[:place], REAL, *DECOYS[place:]]
    (finding,) = run(decoy_scan(sources, resets=(REAL, *DECOYS)))

    assert subject(finding) == REAL
    assert finding.confidence > 0.9
    assert all(decoy in finding.reason for decoy in DECOYS)


def test_arp_tells_the_owner_as_well():
    """Without an open port nobody resets, but who announces himself with the MAC of the probes is the source."""
    (finding,) = run(decoy_scan([*DECOYS, REAL], announce=(REAL,)))

    assert subject(finding) == REAL


def test_source_is_told_by_elimination():
    """Where every decoy speaks with its own MAC, the one that is silent is left."""
    (finding,) = run(decoy_scan([*DECOYS, REAL], resets=DECOYS))

    assert subject(finding) == REAL


def test_behind_a_router_the_source_is_not_guessed():
    """All sources by one MAC, and nobody to tell them apart: the scan is said, the guess is not."""
    (finding,) = run(decoy_scan([*DECOYS, REAL], mac=ROUTER))

    assert "cannot be told" in finding.reason
    assert finding.confidence < 0.7


@pytest.mark.parametrize(("sources", "ports", "fires"), [(2, 10, False), (3, 2, False), (3, 3, True)])
def test_three_sources_and_three_probes_are_needed(sources, ports, fires):
    """Two sources, or two probes, are not enough."""
    scene = decoy_scan([REAL, *DECOYS][:sources], ports=range(20, 20 + ports))

    assert bool(run(scene)) is fires


def test_same_scan_by_several_hosts_is_no_decoy():
    """Hosts that run the same scanner differ in sequence numbers, and try the same ports: neither kind."""
    scene = forge.Scene()
    for at, port in enumerate(range(20, 40)):
        for number, source in enumerate((REAL, *DECOYS)):
            scene.put(probe(source, port, 500 + at, seq=1000 * number))
            scene.put(forge.tcp(VICTIM, port, source, 40_000, forge.RST | forge.ACK, ack=1000 * number + 1, window=0))

    assert run(scene) == []


def test_late_twins_are_no_decoys():
    """Equal headers a second apart are not one probe sent under several names."""
    scene = forge.Scene()
    for at, port in enumerate(range(20, 30)):
        for source in (REAL, *DECOYS):
            scene.put(under(probe(source, port, 500 + at), REAL)).wait(forge.S)

    assert run(scene) == []


@pytest.mark.parametrize(("each", "fires"), [(4, False), (5, True)])
def test_each_source_needs_five_failing_ports(each, fires):
    """Three clients that fail at four different ports are chance; at five each they share the work."""
    scene = forge.Scene()
    for at in range(3 * each):
        scene.refused(f"10.0.0.{at % 3 + 11}", VICTIM, 1000 + at)
    findings = run(scene)

    assert bool(findings) is fires
    assert all(finding.count == 3 * each for finding in findings)


def test_random_sources_of_a_flood_share_no_work():
    """A thousand sources with one port each are no division."""
    scene = forge.Scene()
    for at in range(1_000):
        scene.refused(f"11.0.{at // 250}.{at % 250 + 1}", VICTIM, 1000 + at)

    assert run(scene) == []


def test_division_over_hours_is_chance():
    """Sources that fail at different ports in different hours do not work together."""
    scene = forge.Scene()
    for source in (REAL, *DECOYS):
        for port in range(5):
            scene.refused(source, VICTIM, 1000 + port + 10 * int(source[-2:]))
        scene.wait(3600 * forge.S)

    assert run(scene) == []


def idle_scan(*, knocks=8, mac=REAL):
    """Return an idle scan over a zombie."""
    scene, zombie = forge.Scene(), "10.0.0.30"
    for at in range(knocks):
        knock = forge.tcp(REAL, 41_000 + at, zombie, 80, forge.SYN | forge.ACK, seq=at, ack=5)
        scene.put(knock, forge.tcp(zombie, 80, REAL, 41_000 + at, forge.RST, seq=5, window=0))
    for port in range(20, 26):
        probe_in_name = forge.tcp(zombie, 80, VICTIM, port, forge.SYN, seq=9, options=forge.MSS_OPTION, df=False)
        scene.put(under(probe_in_name, mac))
    return scene


def test_idle_scan_names_who_knocked_and_the_zombie():
    """The subject is the prober, the zombie stands in between, and the victim is the object."""
    (finding,) = run(idle_scan())

    assert subject(finding) == REAL
    assert [to_text(*end.addr) for end in finding.via] == ["10.0.0.30"]
    assert [to_text(*end.addr) for end in finding.objects] == [VICTIM]
    assert finding.port_count == 6


@pytest.mark.parametrize("scene", [idle_scan(knocks=5), idle_scan(mac="10.0.0.30")])
def test_backscatter_is_no_idle_scan(scene):
    """Few knocks, or probes by the zombie's own MAC, are what an attacked or scanning host shows."""
    assert run(scene) == []


def test_incident_closes_after_half_an_hour():
    """A scan that stopped is said to be over, once."""
    scene = decoy_scan([*DECOYS, REAL], announce=(REAL,)).wait(1900 * forge.S).session("10.0.0.7", "10.0.0.8", 80)
    said = run_frames(scene.frames(), detector("coordinated-scan")).said

    assert [finding.closed for _, finding in said] == [False, True]
