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


def test_many_ports_are_about_so_many():
    """Counts beyond what is kept exactly are called estimates, in panel, title and reason; small ones are exact."""
    scene = forge.Scene()
    for port in range(1000, 1500):
        scene.refused("10.0.0.5", "10.0.1.9", port)
    for port in range(20, 29):
        scene.refused("10.0.0.6", "10.0.1.10", port)
    run = run_frames(scene.frames(), detector("port-fanout"))
    wide, narrow = run.pipeline.panel().rows
    words = {alert.subject.ip: (alert.title, alert.reason) for alert in run.alerts}

    assert (wide.ports_about, wide.hosts_about, wide.shape) == (True, False, "vertical")
    assert 400 <= wide.ports <= 600
    assert (narrow.ports, narrow.ports_about) == (9, False)
    assert "about" in words["10.0.0.5"][0]
    assert "to about" in words["10.0.0.5"][1]
    assert not any("about" in text for text in words["10.0.0.6"])


def test_victims_are_targets_at_which_contacts_failed():
    """The row of a victim has its sources, ports and outcomes; a target without failures is none."""
    scene = forge.Scene()
    for source in range(1, 5):
        for port in (22, 23, 3389):
            scene.refused(f"10.0.0.{source}", "10.0.1.9", port)
        scene.session(f"10.0.0.{source}", "10.0.1.9", 443).session(f"10.0.0.{source}", "10.0.1.10", 443)
    (victim,) = panel_of(scene).victims

    assert (victim.ip, victim.sources, victim.ports) == ("10.0.1.9", 4, 4)
    assert (victim.failed, victim.open, victim.settled) == (12, 4, 16)
    assert victim.cells[LABELS.index("3389")] == 4


def test_panel_names_the_tool_of_an_incident():
    """A source whose incident names a tool has it in its row."""
    scene = forge.Scene()
    for port in (80, 23, 443, 21, 22, 25, 3389, 110, 445, 139, *range(2000, 2040)):
        scene.refused("10.0.0.5", "10.0.1.9", port)
    scene.session("10.0.0.6", "10.0.1.9", 80)
    run = run_frames(scene.frames(), [detector("port-fanout"), detector("vertical-scan")])

    assert {row.ip: row.tool for row in run.pipeline.panel().rows} == {
        "10.0.0.5": next(alert.tool.name for alert in run.alerts if alert.tool), "10.0.0.6": None,
    }  # fmt: skip
