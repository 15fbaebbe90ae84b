"""Tests of the words on how a scan went about it, through whole scans."""

import random

from detectors._kit import forge
from detectors._kit.tools.nmap import POPULAR_FIRST
from tests.detectors.driver import detector, run_frames

RNG = random.Random(1)


def findings(scene, kind="vertical-scan"):
    """Return what the only incident of a scene found."""
    (alert,) = run_frames(scene.frames(), detector(kind)).alerts
    return alert.findings


def ports_scan(ports, gap_ns=10 * forge.MS):
    """Return a scene in which ports are tried in this order, one every `gap_ns`."""
    scene = forge.Scene()
    for port in ports:
        scene.refused("10.0.0.5", "10.0.1.9", port).wait(gap_ns)
    return scene


def test_ascending_ports_are_sequential():
    """A walk through a range is sequential, also where a few probes overtake one another."""
    ports = list(range(1000, 1060))
    ports[10], ports[11] = ports[11], ports[10]

    assert findings(ports_scan(ports)).order == "sequential"


def test_shuffled_ports_are_random():
    """Shuffled ports have no order."""
    ports = list(range(1000, 1060))
    RNG.shuffle(ports)

    assert findings(ports_scan(ports)).order == "random"


def test_popular_ports_before_all_others():
    """The popular ports at the front tell the order of nmap."""
    rest = list(range(2000, 2060))
    RNG.shuffle(rest)

    assert findings(ports_scan([*sorted(POPULAR_FIRST), *rest])).order == "popular-first"


def test_few_targets_have_no_order():
    """Seven ports in ascending order are no order."""
    assert findings(ports_scan(range(1000, 1007))).order is None


def test_pace_is_new_targets_a_second():
    """A probe every 100 ms is a pace of ten a second."""
    pace = findings(ports_scan(range(1000, 1060), gap_ns=100 * forge.MS)).pace_per_s

    assert 9.5 <= pace <= 10.1


def test_coverage_names_the_network_and_the_share_of_it():
    """A sweep of half of a /26 covers half of it; a scan of one host names no network."""
    scene = forge.Scene()
    for host in range(64, 128, 2):
        scene.refused("10.0.0.5", f"10.0.1.{host}", 445).wait(10 * forge.MS)
    covered = findings(scene, "horizontal-scan").coverage

    assert (covered.prefix, covered.touched, covered.share) == ("10.0.1.64/26", 32, 0.5)
    assert findings(ports_scan(range(1000, 1060))).coverage is None


def test_coverage_of_ipv6_targets():
    """The network of IPv6 targets is named too."""
    scene = forge.Scene()
    for host in range(16, 32):
        scene.refused("fd00::5", f"fd00:0:0:1::{host:x}", 445).wait(10 * forge.MS)

    assert findings(scene, "horizontal-scan").coverage.prefix == "fd00:0:0:1::10/124"


def test_silent_targets_tell_how_stubborn_the_scanner_is():
    """Every silent port tried twice, as nmap does, is two probes; a scan without silence has no such words."""
    scene = forge.Scene()
    scene.session("10.0.0.5", "10.0.1.9", 80)
    for port in range(100, 140):
        scene.syn("10.0.0.5", "10.0.1.9", port).wait(500 * forge.MS).syn("10.0.0.5", "10.0.1.9", port)

    assert findings(scene).retries == "2 probes to 100% of the silent targets"
    assert findings(ports_scan(range(1000, 1060))).retries == ""
