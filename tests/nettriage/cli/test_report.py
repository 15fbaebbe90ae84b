"""The plain report puts what matters first and hides nothing that was not seen."""

from __future__ import annotations

from nettriage.cli.report import report
from nettriage.model.alert import Alert, Findings, OpenService, Party, Pivots, Timeline, Tool
from nettriage.model.health import CaptureHealth
from nettriage.model.safetext import safe
from nettriage.model.snapshot import SourceInfo, Summary, ToolInfo, WindowInfo

AT = "2026-01-02T03:04:05.000000Z"


def alert(**chosen) -> Alert:
    """Return an incident with what the test does not choose filled in."""
    filled = {
        "id": "a1", "kind": "vertical-scan", "title": "Vertical scan", "severity": "high", "score": 80.0,
        "confidence": 0.9,
        "first_seen": AT, "last_seen": AT, "detected_at": AT, "subject": Party(ip="10.0.0.1"),
        "reason": "10.0.0.1 tried 100 ports of 10.0.0.2", "timeline": Timeline(t0=AT, step_s=1.0, counts=[1]),
        "pivots": Pivots(bpf="host 10.0.0.1", wireshark="ip.addr == 10.0.0.1"),
    }  # fmt: skip
    return Alert(**(filled | chosen))


def summary(**health) -> Summary:
    """Return the summary of a small file."""
    return Summary(
        tool=ToolInfo(version="0", python="3", platform="test"), source=SourceInfo(type="file", name="x.pcap"),
        window=WindowInfo(first_packet=AT, last_packet=AT), packets=1234, bytes=5678, seconds=0.5, packet_rate=2468.0,
        alerts_by_severity={}, alerts_by_kind={}, capture_health=CaptureHealth(**health), limits={},
    )  # fmt: skip


def test_the_most_severe_incident_stands_first():
    """Severity decides, then the score."""
    text = report(
        [alert(severity="low", score=30.0, kind="beacon"), alert(severity="critical", kind="relay")], summary()
    )

    assert text.index("CRITICAL  relay") < text.index("LOW       beacon")
    assert "2 incidents: 1 critical, 1 low" in text


def test_a_relay_is_shown_as_its_chain():
    """A relay reads A -> B -> C."""
    chain = [Party(ip="10.0.0.9"), Party(ip="10.0.0.1", port=1080), Party(ip="2001:db8::5", port=22)]

    assert "10.0.0.9 -> 10.0.0.1:1080 -> [2001:db8::5]:22" in report([alert(via=chain)], summary())


def test_what_the_scanner_learned_is_said():
    """Open services are listed, and those beyond the list are counted."""
    found = Findings(open=[OpenService(ip="10.0.0.2", port=22, protocol="tcp")], open_count=5)
    text = report(
        [alert(findings=found, tool=Tool(name="nmap", confidence=0.95, evidence=safe("window 1024")))], summary()
    )

    assert "Learned: 10.0.0.2:22/tcp and 4 more" in text
    assert "Tool: nmap (95%, window 1024)" in text


def test_drops_are_never_silent():
    """Each cause of loss that is known has its own figure."""
    text = report([], summary(kernel_drops=7, nic_drops=3, one_way_share=0.25, malformed={"truncated_ip": 2}))

    assert "No incidents." in text
    for said in ("7 dropped by the kernel", "3 dropped by the card", "25.0% of TCP flows one-way", "2 malformed"):
        assert said in text
