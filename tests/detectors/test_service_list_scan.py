"""The service-list scan, beyond what its examples say."""

import pytest

from detectors._kit import forge
from detectors.service_list_scan import SERVICE_LIST
from nettriage.model.addresses import AddressSet
from nettriage.model.alert import severity_of
from nettriage.model.site import Site
from tests.detectors.driver import detector, run_frames

KIND = "service-list-scan"


def search(*, hosts=8, ports=SERVICE_LIST, opened=(), source="10.0.0.5", make="refused"):
    """Return a search for `ports` on `hosts` hosts, on which `opened` answer."""
    scene = forge.Scene()
    for host in range(1, hosts + 1):
        for port in ports:
            act = scene.half_open if port in opened else getattr(scene, make)
            act(source, f"10.0.1.{host}", port)
    return scene.frames()


def findings(frames, **options):
    """Return what the detector finally says of frames."""
    return run_frames(frames, detector(KIND), **options).findings


@pytest.mark.parametrize(("hosts", "fires"), [(4, False), (5, True)])
def test_five_hosts_are_needed(hosts, fires):
    """Four hosts are somebody's servers, five are a search."""
    assert bool(findings(search(hosts=hosts))) is fires


@pytest.mark.parametrize(("ports", "fires"), [((22, 3389), False), ((22, 445, 3389), True)])
def test_three_ports_of_the_list_are_needed(ports, fires):
    """Two ports of the list on eight hosts are two horizontal scans."""
    assert bool(findings(search(ports=ports))) is fires


def test_ports_beside_the_list_do_not_count():
    """Eight hosts asked for three ports that are not on the list are left to the block scan."""
    assert findings(search(ports=(80, 443, 8080))) == []


def test_half_open_doors_are_in_vain():
    """A SYN scan that finds nothing but open services made no use of them: it is a search."""
    (finding,) = findings(search(ports=(22, 445, 3389), opened=(22, 445, 3389)))

    assert (finding.findings.open_count, finding.findings.closed) == (24, 0)


def test_at_least_medium_even_from_outside():
    """Five hosts and three ports of an external source are medium."""
    (finding,) = findings(search(hosts=5, ports=(22, 445, 3389), source="198.51.100.7"))

    assert severity_of(finding.score) == "medium"


def test_declared_scanner_is_lowered():
    """A declared scanner keeps its finding, below medium where it is small."""
    site = Site(scanners=AddressSet(["10.0.0.5"]), mixer_secret=1)
    run = run_frames(search(hosts=5, ports=(22, 445, 3389)), detector(KIND, site), site=site)

    assert [severity_of(finding.score) for finding in run.findings] == ["low"]


def test_client_side_alone_is_enough():
    """Where only the source's packets are seen the search is still found."""
    frames = [item for item in search(opened=(22,)) if item[1][26:30] == bytes((10, 0, 0, 5))]

    assert len(findings(frames)) == 1


def test_every_packet_twice_changes_no_number():
    """A mirror that delivers everything twice gives the same counts."""
    frames = search(opened=(22,))
    (once,), (twice,) = findings(frames), findings([item for item in frames for _ in range(2)])

    assert (once.count, once.findings.open_count, once.score) == (twice.count, twice.findings.open_count, twice.score)


@pytest.mark.parametrize(("ports", "fires"), [((22, 445, 3389), False), (SERVICE_LIST, True)])
def test_connections_without_a_byte_count_over_half_of_the_list(ports, fires):
    """A monitor connects to three ports and says nothing; nobody monitors the whole list like that."""
    scene = forge.Scene()
    for host in range(1, 16):
        for port in ports:
            scene.session("10.0.0.5", f"10.0.1.{host}", port, turns=())

    assert bool(findings(scene.frames())) is fires
