"""The vertical scan, beyond what its examples say."""

import pytest

from detectors._kit import forge
from nettriage.model.addresses import AddressSet
from nettriage.model.site import Site
from tests.detectors.driver import SITE, detector, run_frames


def scan(*, closed=30, opened=(22,), source="10.0.0.5"):
    """Return a scan of one host."""
    scene = forge.Scene()
    for port in opened:
        scene.half_open(source, "10.0.1.9", port)
    for port in range(1000, 1000 + closed):
        scene.refused(source, "10.0.1.9", port)
    return scene


def test_finding_tells_what_the_scanner_learned():
    """The open service stands in the finding, new to the capture, with the counts of all other outcomes."""
    (finding,) = run_frames(scan().frames(), detector("vertical-scan")).findings

    assert [(service.port, service.new) for service in finding.findings.open] == [(22, True)]
    assert (finding.findings.closed, finding.findings.open_count) == (30, 1)
    assert (finding.port_count, finding.count) == (31, 31)


def test_service_in_use_is_not_new():
    """A service that somebody used before the scan is open, but not new."""
    scene = forge.Scene().session("10.0.0.7", "10.0.1.9", 22)
    scene.items += scan().wait(forge.S).items[:]
    for at, (ts, frame) in enumerate(scene.items[12:], 12):
        scene.items[at] = (ts + forge.S, frame)
    (finding,) = run_frames(scene.frames(), detector("vertical-scan")).findings

    assert [(service.port, service.new) for service in finding.findings.open] == [(22, False)]


@pytest.mark.parametrize(("closed", "fires"), [(6, False), (7, True)])
def test_seven_failing_ports_are_needed(closed, fires):
    """Six refusals are nothing, seven are a scan."""
    run = run_frames(scan(closed=closed, opened=()).frames(), detector("vertical-scan"))

    assert bool(run.findings) is fires


def test_counterfactual_holds():
    """Had as many ports answered as the finding says, there would have been no alert."""
    (finding,) = run_frames(scan(closed=10, opened=()).frames(), detector("vertical-scan")).findings
    needed = int(finding.counterfactual.split(" of ")[0].split()[-1])
    spared = run_frames(scan(closed=10 - needed, opened=range(50, 50 + needed)).frames(), detector("vertical-scan"))

    assert "of the 10 refused ports" in finding.counterfactual
    assert spared.findings == []


def test_declared_scanner_is_lowered_not_hidden():
    """The scan of a declared scanner stays, twenty-five points lower, and says so."""
    site = Site(scanners=AddressSet(["10.0.0.5"]), mixer_secret=1)
    (plain,) = run_frames(scan().frames(), detector("vertical-scan")).findings
    (lowered,) = run_frames(scan().frames(), detector("vertical-scan", site), site=site).findings

    assert lowered.score == pytest.approx(plain.score - 25)
    assert any("declared in the settings" in check.rejected_because for check in lowered.benign_checked)


def test_dead_service_is_no_scan():
    """Clients that each fail at the same few dead services of one host do not look like scanners."""
    scene = forge.Scene()
    for client in range(10, 40):
        for port in range(9000, 9008):
            scene.refused(f"10.0.0.{client}", "10.0.1.9", port)
    early = {f"10.0.0.{client}" for client in (10, 11, 12)}
    run = run_frames(scene.frames(), detector("vertical-scan"))

    assert {alert.subject.ip for alert in run.alerts} <= early


def test_udp_scan_is_found_by_refusals():
    """Port-unreachable messages to one source betray a UDP scan."""
    scene = forge.Scene()
    for port in range(2000, 2012):
        ask = forge.udp("10.0.0.5", 40_000, "10.0.1.9", port, b"")
        scene.put(ask, forge.icmp_unreachable("10.0.1.9", ask))
    (finding,) = run_frames(scene.frames(), detector("vertical-scan")).findings

    assert finding.proto == 17


def test_quiet_scan_closes_and_a_later_one_is_new():
    """After half an hour of silence the incident closes; the next scan opens another."""
    scene = scan()
    scene.wait(2_000 * forge.S)
    for port in range(3000, 3010):
        scene.refused("10.0.0.5", "10.0.1.9", port)
    run = run_frames(scene.frames(), detector("vertical-scan"))

    assert [alert.status for alert in run.alerts] == ["resolved", "new"]


def test_many_hosts_are_left_to_the_block_scan():
    """A source that scans more hosts at once than three gets no incident for each."""
    scene = forge.Scene()
    for port in range(100, 120):
        for host in range(1, 9):
            scene.refused("10.0.0.5", f"10.0.1.{host}", port)

    assert run_frames(scene.frames(), detector("vertical-scan")).findings == []
    assert len(run_frames(scene.frames(), detector("block-scan")).findings) == 1


def test_decoys_are_unmasked():
    """Of sources in step, those whose probes carry another host's MAC are decoys and score low."""
    scene = forge.Scene()
    real, borrowed = "10.0.0.11", ("10.0.0.12", "10.0.0.13", "10.0.0.14")
    for port in range(1000, 1060):
        for source in (*borrowed, real):
            probe = forge.tcp(source, 40_000, "10.0.1.9", port, forge.SYN, seq=7, options=forge.MSS_OPTION, ident=port)
            reset = forge.tcp("10.0.1.9", port, source, 40_000, forge.RST | forge.ACK, ack=8)
            scene.put(probe[:6] + forge.mac_of(real) + probe[12:], reset)
        for source in borrowed:
            scene.put(forge.arp(source, "10.0.0.1", reply=True))
    scores = {alert.subject.ip: alert.score for alert in run_frames(scene.frames(), detector("vertical-scan")).alerts}

    assert scores[real] > 40
    assert all(scores[source] < 20 for source in borrowed)


def test_half_of_a_lossy_capture_is_still_found():
    """With every other frame lost the scan is found; the finding leans on what was seen."""
    frames = scan(closed=60).frames()[::2]

    assert [alert.subject.ip for alert in run_frames(frames, detector("vertical-scan"), site=SITE).alerts] == [
        "10.0.0.5"
    ]
