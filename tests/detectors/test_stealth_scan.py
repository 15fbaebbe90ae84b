"""The stealth scan, beyond what its examples say."""

import pytest

from detectors._kit import forge
from nettriage.model.addresses import to_text
from tests.detectors.driver import detector, run_frames

KIND = "stealth-scan"
XMAS = forge.FIN | forge.PSH | 0x20


def probes(flags, *, ports=range(20, 50), sport=40_000, answered=True, source="10.0.0.5"):
    """Return probes of one kind to one host; half the ports reset them where `answered`."""
    scene = forge.Scene()
    for port in ports:
        scene.put(forge.tcp(source, sport, "10.0.1.9", port, flags, seq=7, ack=9, window=1_024))
        if answered and port % 2:
            scene.put(forge.tcp("10.0.1.9", port, source, sport, forge.RST | forge.ACK, ack=8, window=0))
    return scene


def later(scene):
    """Let the answers become overdue, with a session that shows that time passed."""
    return scene.wait(5 * forge.S).session("10.0.0.7", "10.0.1.9", 80)


def findings(scene, **options):
    """Return what the detector finally says of a scene."""
    return run_frames(scene.frames(), detector(KIND), **options).findings


@pytest.mark.parametrize(
    ("flags", "name"),
    [(0, "NULL"), (forge.FIN, "FIN"), (XMAS, "XMAS"), (forge.SYN | forge.FIN, "SYN+FIN"), (0x28, "odd flags")],
)
def test_odd_flags_are_named(flags, name):
    """Each technique stands in the reason by its name, with the closed ports that answered."""
    (finding,) = findings(later(probes(flags)))

    assert f"({name} 30)" in finding.reason
    assert (finding.findings.closed, finding.findings.silent) == (15, 15)


@pytest.mark.parametrize(("ports", "fires"), [(2, False), (3, True)])
def test_three_targets_are_needed(ports, fires):
    """Two odd packets may be damaged, three targets are a scan."""
    assert bool(findings(later(probes(0, ports=range(20, 20 + ports))))) is fires


@pytest.mark.parametrize(("ports", "fires"), [(9, False), (10, True)])
def test_ack_probes_need_a_crowd(ports, fires):
    """Nine ports asked with a bare ACK are nothing, ten are an ACK scan."""
    scene = probes(forge.ACK, ports=range(21, 21 + 2 * ports, 2))

    assert bool(findings(later(scene))) is fires


def test_all_techniques_of_a_source_are_one_incident():
    """FIN, NULL, XMAS, ACK and Maimon of one source fold into one finding that counts each of them."""
    scene = forge.Scene()
    for at, flags in enumerate((forge.FIN, 0, XMAS, forge.ACK, forge.FIN | forge.ACK)):
        scene.items += [(ts + at * 2 * forge.S, frame) for ts, frame in probes(flags, sport=40_000 + at).items]
    (finding,) = findings(later(scene.wait(12 * forge.S)))

    assert all(f"{name} 30" in finding.reason for name in ("FIN", "NULL", "XMAS"))
    assert "ACK or window" in finding.reason
    assert "Maimon" in finding.reason


def test_probe_inside_a_session_is_none():
    """Odd packets within established sessions do not count: something else is wrong there."""
    scene = forge.Scene()
    for port in range(80, 90):
        scene.session("10.0.0.5", "10.0.1.9", port, sport=50_000 + port, close=False)
        scene.put(forge.tcp("10.0.0.5", 50_000 + port, "10.0.1.9", port, forge.FIN, seq=1_005))

    assert findings(later(scene)) == []


def test_sessions_cut_in_the_middle_are_quiet():
    """Capture begins while twelve services of one host are in use: first ACKs, then data or nothing."""
    scene = forge.Scene()
    for port in range(1_000, 1_012):
        up, down = ("10.0.0.5", 50_000 + port, "10.0.1.9", port), ("10.0.1.9", port, "10.0.0.5", 50_000 + port)
        scene.put(forge.tcp(*up, forge.ACK, seq=9, ack=5), forge.tcp(*down, forge.ACK, seq=5, ack=9))

    assert findings(later(scene)) == []


def test_leftover_fins_of_a_browser_are_quiet():
    """A browser that closes forty old connections to forty servers, all forgotten there, is no scanner."""
    scene = forge.Scene()
    for host in range(1, 41):
        up = ("10.0.0.5", 50_000 + host, f"192.0.2.{host}", 443)
        down = (up[2], up[3], up[0], up[1])
        scene.put(forge.tcp(*up, forge.FIN | forge.ACK, seq=9, ack=5), forge.tcp(*down, forge.RST, seq=5))

    assert findings(later(scene)) == []


def test_server_side_leftovers_are_quiet():
    """A server whose FINs and ACKs to the ephemeral ports of one client are all reset does not scan it."""
    scene = forge.Scene()
    for port in range(50_000, 50_040):
        flags = forge.FIN | forge.ACK if port % 2 else forge.ACK
        scene.put(forge.tcp("10.0.1.9", 443, "10.0.0.5", port, flags, seq=9, ack=5))
        scene.put(forge.tcp("10.0.0.5", port, "10.0.1.9", 443, forge.RST, seq=5))

    assert findings(later(scene)) == []


def test_ack_pings_of_many_hosts_stay_low():
    """Bare ACKs from one source port to port 80 of forty hosts are told as host discovery, low."""
    scene = forge.Scene()
    for host in range(1, 41):
        scene.put(forge.tcp("10.0.0.5", 40_000, f"10.0.1.{host}", 80, forge.ACK, ack=9, window=1_024))
        scene.put(forge.tcp(f"10.0.1.{host}", 80, "10.0.0.5", 40_000, forge.RST, seq=9, window=0))
    (finding,) = findings(later(scene))

    assert finding.score <= 35
    assert finding.object_count == 40


def test_answered_probes_are_told_at_once():
    """Probes that were reset need no waiting: an ACK scan at the very end of a capture is found."""
    assert len(findings(probes(forge.ACK, ports=range(21, 61, 2)))) == 1


def test_silent_acks_of_an_unheard_source_say_nothing():
    """Where no answer to the source was ever seen, ACKs without an answer are what a one-way feed shows."""
    assert findings(later(probes(forge.ACK, answered=False))) == []


def test_crowd_is_counted_once():
    """An ACK scan that goes on over several judgements counts every probe once."""
    scene = probes(forge.ACK, ports=range(21, 61, 2)).wait(3 * forge.S)
    scene.items += [(ts + 3 * forge.S, frame) for ts, frame in probes(forge.ACK, ports=range(101, 141, 2)).items]
    (finding,) = findings(later(scene))

    assert finding.count == 40


def test_tiny_fragments_are_probes():
    """First fragments that end before the TCP flags are found by their ports."""
    scene = forge.Scene()
    for port in range(20, 40):
        head = forge.tcp("10.0.0.5", 40_000, "10.0.1.9", port, forge.SYN, ident=port)[34:]
        whole = forge.ip("10.0.0.5", "10.0.1.9", 6, head[:8], ident=port, df=False)
        scene.put(whole[:20] + b"\x20\x00" + whole[22:])
    (finding,) = findings(later(scene))

    assert "tiny fragment 20" in finding.reason
    assert to_text(*finding.subject.addr) == "10.0.0.5"


@pytest.mark.parametrize("keep", ["client", "lossy", "doubled", "late start"])
def test_scan_is_found_however_the_mirror_mangles_it(keep):
    """One-way, a fifth lost, everything twice, or the first third missing: the FIN scan is found all the same."""
    frames = later(probes(forge.FIN)).frames()
    mangled = {
        "client": [item for item in frames if item[1][26:30] != bytes((10, 0, 1, 9))],
        "lossy": [item for at, item in enumerate(frames) if at % 5],
        "doubled": [item for item in frames for _ in range(2)],
        "late start": frames[len(frames) // 3 :],
    }[keep]
    run = run_frames(mangled, detector(KIND))

    assert {to_text(*item.subject.addr) for item in run.findings} == {"10.0.0.5"}


def test_flood_of_probes_is_refused_by_count():
    """More probes than can be awaited are left out, and the gauge says how many."""
    scene = forge.Scene(step_ns=1_000)
    for turn in range(17_000):
        scene.put(forge.tcp(f"10.{turn >> 8}.{turn & 255}.7", 40_000, "10.0.1.9", 80, 0))
    run = run_frames(scene.frames(), detector(KIND))

    assert run.detectors[0].gauges()["awaited"].refused == 17_000 - 16_384
