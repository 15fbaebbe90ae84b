"""Tests of the answers to the screens."""

from __future__ import annotations

from detectors._kit.forge import Scene, arp, dns_query, icmp_echo, udp
from nettriage.engine.drilldown import flows_of, packets_of
from nettriage.engine.packet_history import Kept
from nettriage.engine.packet_info import packet_rows
from nettriage.engine.pipeline import Pipeline
from nettriage.model.frames import AskFlows, AskPackets, FlowRow
from tests.nettriage.engine.knocks import SITE, Knocks, raw_of

WEB = ((0, b"GET / HTTP/1.1\r\nHost: intranet.example\r\n\r\n"), (1, b"HTTP/1.1 200 OK\r\n\r\nhello"))


def scene() -> Scene:
    """Return one host that asks a web server, knocks at a closed and at a silent port."""
    return (
        Scene()
        .session("10.0.9.1", "10.0.0.2", 80, WEB)
        .refused("10.0.9.1", "10.0.0.2", 81)
        .syn("10.0.9.1", "10.0.0.2", 82)
        .session("10.0.0.7", "10.0.0.2", 80, WEB)
    )


def raised() -> tuple[Pipeline, str]:
    """Return a pipeline after the scene, and the id of its incident."""
    pipeline = Pipeline(SITE, [Knocks()], strict=True)
    pipeline.push(raw_of(scene().frames()))
    pipeline.finish()
    return pipeline, pipeline.alerts()[0].id


def test_flows_say_who_what_and_how_it_ended() -> None:
    """The flows of the incident alone, in the words of conn.log, with names, ids, bytes and kept packets."""
    pipeline, alert_id = raised()
    answer = flows_of(pipeline, AskFlows(request=3, alert_id=alert_id))
    by_port: dict[int, FlowRow] = {row.dport: row for row in answer.rows}

    assert (answer.request, answer.total, len(answer.rows)) == (3, 3, 3)
    assert {row.src for row in answer.rows} == {"10.0.9.1"}
    assert {port: row.state for port, row in by_port.items()} == {80: "SF", 81: "REJ", 82: "S0"}
    assert by_port[80].name == "intranet.example"
    assert (by_port[80].bytes_up, by_port[80].bytes_down) == (len(WEB[0][1]), len(WEB[1][1]))
    assert by_port[81].packets_kept == 2
    assert all(row.community_id.startswith("1:") for row in answer.rows)


def test_flows_that_left_the_table_are_still_named() -> None:
    """What only the detector remembers is shown by its tuple."""
    pipeline, alert_id = raised()
    incident = pipeline.incident(alert_id)
    assert incident is not None
    pipeline.tables.flows.serial[:] = 0
    answer = flows_of(pipeline, AskFlows(request=1, alert_id=alert_id))

    assert {(row.dport, row.state) for row in answer.rows} == {(80, "gone"), (81, "gone"), (82, "gone")}
    assert [row.community_id for row in answer.rows] == list(incident.flows.values())


def test_packets_are_those_of_the_incident_or_of_one_flow() -> None:
    """Rows are in order of time, have a number, and can be narrowed to a flow."""
    pipeline, alert_id = raised()
    everything = packets_of(pipeline, AskPackets(request=1, alert_id=alert_id))
    refused = next(row for row in flows_of(pipeline, AskFlows(request=2, alert_id=alert_id)).rows if row.dport == 81)
    two = packets_of(pipeline, AskPackets(request=3, alert_id=alert_id, flow=refused.serial))

    assert [row.ts_ns for row in everything.rows] == sorted(row.ts_ns for row in everything.rows)
    assert [row.number for row in everything.rows] == list(range(1, everything.total + 1))
    assert ["SYN" in two.rows[0].info, "RST,ACK" in two.rows[1].info] == [True, True]
    assert {row.flow for row in two.rows} == {refused.serial}


def test_an_unknown_incident_has_nothing() -> None:
    """An id that left the book is answered, with nothing."""
    pipeline, _ = raised()

    assert flows_of(pipeline, AskFlows(request=1, alert_id="a0")).total == 0
    assert packets_of(pipeline, AskPackets(request=1, alert_id="a0")).rows == []


def test_packet_rows_read_like_headers() -> None:
    """One line says what the headers say; broken packets say what is wrong with them."""
    frames = [
        (1, arp("10.0.0.1", "10.0.0.2")),
        (1, icmp_echo("10.0.0.1", "10.0.0.2", 1, 1)),
        (1, icmp_echo("2001:db8::1", "2001:db8::2", 1, 1, reply=True)),
        (1, udp("10.0.0.1", 5353, "10.0.0.2", 53, dns_query("a.example"))),
        (101, udp("10.0.0.1", 1, "10.0.0.2", 2)[14:]),
        (1, udp("10.0.0.1", 1, "10.0.0.2", 2)[:30]),
    ]
    rows = packet_rows([Kept(at, frame, link, len(frame), 0) for at, (link, frame) in enumerate(frames)])

    assert [(row.protocol, row.info) for row in rows[:5]] == [
        ("arp", "who-has"),
        ("icmp", "echo request code 0"),
        ("icmpv6", "echo reply code 0"),
        ("udp", "5353 > 53 len 27"),
        ("udp", "1 > 2 len 0"),
    ]
    assert (rows[3].src, rows[3].dst, rows[3].length) == ("10.0.0.1", "10.0.0.2", 69)
    assert "truncated" in rows[5].info
