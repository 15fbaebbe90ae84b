"""The port fan-out, beyond what its examples say."""

from detectors._kit import forge
from nettriage.model.panel import PORT_BINS
from tests.detectors.driver import detector, run_frames

LABELS = [label for label, _, _ in PORT_BINS]


def panel_of(scene):
    """Run a scene and return the panel at its end."""
    run = run_frames(scene.frames(), detector("port-fanout"))
    return run.pipeline.panel()


def test_panel_counts_cells_outcomes_and_sources():
    """A row of the panel has the contacts by bin, what became of them, and the spark; bins count their sources."""
    scene = forge.Scene()
    for host in (1, 2, 3):
        scene.session("10.0.0.5", f"10.0.1.{host}", 443).refused("10.0.0.5", f"10.0.1.{host}", 3389)
    scene.session("10.0.0.6", "10.0.1.1", 443)
    panel = panel_of(scene)
    first = panel.rows[0]

    assert (first.ip, first.hosts, first.ports) == ("10.0.0.5", 3, 2)
    assert first.cells[LABELS.index("443")] == 3
    assert (first.failed, first.open, first.settled) == (3, 3, 6)
    assert sum(first.spark) == 6
    assert panel.bin_sources[LABELS.index("443")] == 2


def test_servers_are_not_wide():
    """Answers do not count: a server that talks to many client ports is not in the panel."""
    scene = forge.Scene()
    for client in range(1, 30):
        scene.session(f"10.0.0.{client}", "10.0.1.9", 443)

    assert "10.0.1.9" not in {row.ip for row in panel_of(scene).rows}


def test_window_slides():
    """Contacts older than the window leave it."""
    scene = forge.Scene()
    for port in range(100, 108):
        scene.session("10.0.0.5", "10.0.1.9", port)
    scene.wait(400 * forge.S).session("10.0.0.6", "10.0.1.9", 80)

    assert [row.ip for row in panel_of(scene).rows] == ["10.0.0.6"]


def test_five_ports_are_not_listed_and_six_are():
    """The analytic asks for more than five ports."""
    five, six = forge.Scene(), forge.Scene()
    for port in range(100, 106):
        six.session("10.0.0.5", "10.0.1.9", port)
        if port != 105:
            five.session("10.0.0.5", "10.0.1.9", port)

    assert run_frames(five.frames(), detector("port-fanout")).findings == []
    (finding,) = run_frames(six.frames(), detector("port-fanout")).findings
    assert (finding.port_count, finding.score) == (6, 10.0)
