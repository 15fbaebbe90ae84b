"""The flood, beyond what its examples say."""

from detectors._kit import forge
from nettriage.model.addresses import to_text
from tests.detectors.driver import detector, run_frames

KNOBS = {"half_open": 200}


def test_flood_of_one_source_names_it():
    """A flood from one host has that host as subject and the victim as object."""
    scene = forge.Scene(step_ns=forge.MS)
    for at in range(400):
        scene.put(forge.tcp("10.0.0.66", 1024 + at, "10.0.1.9", 80, forge.SYN, seq=at, ident=at))
    scene.wait(2 * forge.S).query("10.0.0.7", "10.0.1.53", 53)
    (finding,) = run_frames(scene.frames(), detector("flood", **KNOBS)).findings

    assert to_text(*finding.subject.addr) == "10.0.0.66"
    assert [to_text(*item.addr) for item in finding.objects] == ["10.0.1.9"]


def test_answered_half_open_flood_counts():
    """SYN-ACKs of the victim do not make the flood a busy service: nobody acknowledges them."""
    scene = forge.Scene(step_ns=500_000)
    for at in range(400):
        source = f"198.51.{at % 50}.{at // 50 + 1}"
        scene.put(
            forge.tcp(source, 1024 + at, "10.0.1.9", 80, forge.SYN, seq=at, ident=at),
            forge.tcp("10.0.1.9", 80, source, 1024 + at, forge.SYN | forge.ACK, seq=9, ack=at + 1),
        )
    scene.wait(2 * forge.S).query("10.0.0.7", "10.0.1.53", 53)

    assert len(run_frames(scene.frames(), detector("flood", **KNOBS)).findings) == 1


def test_scan_under_a_flood_is_found():
    """A flood does not hide the scan of another host, and raises no scan itself."""
    scene = forge.Scene(step_ns=200_000)
    for at in range(1_200):
        scene.put(forge.tcp(f"198.51.{at % 100}.{at // 100 + 1}", 1024 + at, "10.0.1.9", 80, forge.SYN, seq=at))
        if at % 40 == 0:
            scene.refused("10.0.0.5", "10.0.2.2", 1000 + at)
    run = run_frames(scene.frames(), [detector("flood"), detector("vertical-scan"), detector("horizontal-scan")])

    assert {(alert.kind, alert.subject.ip) for alert in run.alerts} == {
        ("flood", "10.0.1.9"),
        ("vertical-scan", "10.0.0.5"),
    }


def test_flood_ends():
    """A minute after its last flow the incident closes."""
    scene = forge.Scene(step_ns=forge.MS)
    for at in range(400):
        scene.put(forge.tcp(f"198.51.{at % 50}.{at // 50 + 1}", 1024 + at, "10.0.1.9", 80, forge.SYN, seq=at))
    for _ in range(50):
        scene.wait(2 * forge.S).query("10.0.0.7", "10.0.1.53", 53)

    assert [alert.status for alert in run_frames(scene.frames(), detector("flood", **KNOBS)).alerts] == ["resolved"]
