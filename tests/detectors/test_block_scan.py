"""The block scan, beyond what its examples say."""

from detectors._kit import forge
from tests.detectors.driver import detector, run_frames


def grid(hosts, ports):
    """Return a scan of some ports on some hosts."""
    scene = forge.Scene()
    for port in ports:
        for host in hosts:
            scene.refused("10.0.0.5", f"10.0.1.{host}", port)
    return scene.frames()


def test_one_incident_covers_the_grid():
    """Twenty ports on thirty hosts are one incident with all hosts and ports."""
    (finding,) = run_frames(grid(range(1, 31), range(100, 120)), detector("block-scan")).findings

    assert (finding.object_count, finding.port_count, finding.count) == (30, 20, 600)


def test_two_ports_are_no_block():
    """Two ports on many hosts stay two horizontal scans."""
    frames = grid(range(1, 31), (445, 3389))

    assert run_frames(frames, detector("block-scan")).findings == []
    assert len(run_frames(frames, detector("horizontal-scan")).findings) == 2


def test_two_hosts_are_no_block():
    """Many ports on two hosts stay two vertical scans."""
    frames = grid((1, 2), range(100, 130))

    assert run_frames(frames, detector("block-scan")).findings == []
    assert len(run_frames(frames, detector("vertical-scan")).findings) == 2


def test_grid_beyond_the_cap_is_counted():
    """Contacts beyond the matrix are in the count, and the reason says that the lists are not whole."""
    frames = grid(range(1, 121), range(100, 140))
    (finding,) = run_frames(frames, detector("block-scan")).findings

    assert finding.count == 4_800
    assert "at least" in finding.reason
