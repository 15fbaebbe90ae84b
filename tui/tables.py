"""The tables of the screens: their columns, and the cells of a row."""

from __future__ import annotations

from nettriage.model.alert import Alert
from nettriage.model.frames import FlowRow, PacketRow
from nettriage.model.panel import FanoutRow, VictimRow
from tui import figures
from tui.columns import Column
from tui.graphs import spark
from tui.lines import Line, span
from tui.live_table import Cells
from tui.wording import address, kind_cell, path, severity_mark

Glyphs = dict[str, str]
SPARK_CELLS = 12

ALERT_COLUMNS = (
    Column("", 1),
    Column("SEV", 6),
    Column("KIND", 21),
    Column("SRC → DST", 30, stretch=True, good=52),
    Column("SCORE", 5, 2, "right"),
    Column("AGE", 4, 2, "right"),
    Column("COUNT", 6, 3, "right"),
    Column("ACTIVITY", SPARK_CELLS, 3),
    Column("TECHNIQUE", 9, 4),
    Column("ID", 12, 4),
)
_STATE_MARKS = {
    "new": ("*", "accent"), "in_progress": ("✓", "ok"), "suppressed": ("-", "muted"), "resolved": ("=", "muted"),
}  # fmt: skip


def alert_cells(alert: Alert, now: float | None, glyphs: Glyphs) -> Cells:
    """Return the cells of an incident; `now` is the packet clock."""
    seen = figures.seconds_of(alert.last_seen)
    age = "" if now is None or seen is None else figures.duration(now - seen)
    closed = alert.activity == "close"
    mark = ("·", "muted") if closed and alert.status == "new" else _STATE_MARKS[alert.status]
    technique = alert.attack[0].technique if alert.attack else ""
    return (
        (mark,),
        severity_mark(alert, glyphs),
        (span(kind_cell(alert), "muted" if closed else "strong"),),
        path(alert, glyphs["arrow"]),
        ((f"{alert.score:.0f}", "warn" if alert.score >= 65 else "text"),),
        ((age, "muted"),),
        ((figures.count(alert.count), "text"),),
        ((spark(alert.timeline.counts, SPARK_CELLS, glyphs["spark"]), "series-0"),),
        (span(technique, "muted"),),
        (span(alert.id, "muted"),),
    )


SCANNER_COLUMNS = (
    Column("SOURCE", 15),
    Column("HOSTS", 5, 1, "right"),
    Column("PORTS", 5, 1, "right"),
    Column("RATE/m", 6, 2, "right"),
    Column("FAIL%", 5, 2, "right"),
    Column("OPEN", 4, 1, "right"),
    Column("SHAPE", 8, 2, stretch=True, good=16),
    Column("ACTIVITY", SPARK_CELLS, 4),
    Column("FIRST SEEN", 10, 5),
)


def scanner_cells(row: FanoutRow, glyphs: Glyphs) -> Cells:
    """Return the cells of a source with its fan-out."""
    fail = "-" if not row.settled else f"{100 * row.failed / row.settled:.0f}"
    failing = row.settled > 0 and row.failed / row.settled >= 0.8
    return (
        (span(row.ip, "strong"),),
        ((_counted(row.hosts, about=row.hosts_about), "text"),),
        ((_counted(row.ports, about=row.ports_about), "text"),),
        ((figures.count(row.rate_per_min), "text"),),
        ((fail, "bad" if failing else "text"),),
        ((figures.count(row.open), "ok" if row.open else "muted"),),
        _shape(row),
        ((spark(row.spark, SPARK_CELLS, glyphs["spark"]), "series-0"),),
        ((figures.clock(row.first_seen), "muted"),),
    )


def _shape(row: FanoutRow) -> Line:
    """Name the pattern of a fan-out; the tool, and who declared or learned the host, come after it."""
    known = " ".join(word for word in (row.tool, row.name or row.role) if word)
    return (span(row.shape, "text"), span(f" {known}", "muted")) if known else (span(row.shape, "text"),)


def _counted(value: int, *, about: bool) -> str:
    return f"~{figures.count(value)}" if about else figures.count(value)


VICTIM_COLUMNS = (
    Column("TARGET", 15),
    Column("SRCS", 5, 1, "right"),
    Column("PORTS", 5, 1, "right"),
    Column("FAILED", 6, 2, "right"),
    Column("FAIL%", 5, 2, "right"),
    Column("OPEN", 4, 1, "right"),
    Column("KNOWN AS", 8, 2, stretch=True, good=16),
    Column("ACTIVITY", SPARK_CELLS, 4),
    Column("FIRST SEEN", 10, 5),
)


def victim_cells(row: VictimRow, glyphs: Glyphs) -> Cells:
    """Return the cells of a target with what was tried at it."""
    share = row.failed / row.settled if row.settled else 0.0
    return (
        (span(row.ip, "strong"),),
        ((_counted(row.sources, about=row.sources_about), "text"),),
        ((_counted(row.ports, about=row.ports_about), "text"),),
        ((figures.count(row.failed), "text"),),
        ((f"{100 * share:.0f}", "bad" if share >= 0.8 else "text"),),
        ((figures.count(row.open), "ok" if row.open else "muted"),),
        (span(row.name or row.role or "", "muted"),),
        ((spark(row.spark, SPARK_CELLS, glyphs["spark"]), "series-0"),),
        ((figures.clock(row.first_seen), "muted"),),
    )


FLOW_COLUMNS = (
    Column("TIME", 9, 3),
    Column("SOURCE", 21),
    Column("DESTINATION", 21),
    Column("PROTO", 5),
    Column("STATE", 6),
    Column("UP", 5, 1, "right"),
    Column("DOWN", 5, 1, "right"),
    Column("PKTS", 5, 3, "right"),
    Column("DUR", 4, 3, "right"),
    Column("KEPT", 4, 2, "right"),
    Column("NAME", 8, 2, stretch=True, good=20),
    Column("COMMUNITY ID", 31, 5),
)


def flow_cells(row: FlowRow) -> Cells:
    """Return the cells of a flow."""
    start, end = figures.seconds_of(row.started), figures.seconds_of(row.last)
    lasted = "" if start is None or end is None else figures.duration(end - start)
    return (
        ((figures.clock(row.started), "muted"),),
        (span(address(row.src, row.sport), "text"),),
        (span(address(row.dst, row.dport), "strong"),),
        (span(row.protocol, "text"),),
        (span(row.state, "text"),),
        ((figures.size(row.bytes_up), "text"),),
        ((figures.size(row.bytes_down), "text"),),
        ((figures.count(row.packets_up + row.packets_down), "text"),),
        ((lasted, "muted"),),
        ((str(row.packets_kept), "accent" if row.packets_kept else "muted"),),
        (span(row.name, "text"),),
        (span(row.community_id, "muted"),),
    )


PACKET_COLUMNS = (
    Column("N", 4, 1, "right"),
    Column("TIME s", 10, 1, "right"),
    Column("DELTA", 9, 4, "right"),
    Column("SOURCE", 15),
    Column("DESTINATION", 15),
    Column("PROTO", 6),
    Column("LEN", 5, 2, "right"),
    Column("INFO", 10, 1, stretch=True),
)


def packet_cells(row: PacketRow, first_ns: int, before_ns: int) -> Cells:
    """Return the cells of a packet; times count from the first and from the one before."""
    return (
        ((str(row.number), "muted"),),
        ((f"{(row.ts_ns - first_ns) / 1e9:.6f}", "text"),),
        ((f"{(row.ts_ns - before_ns) / 1e9:.6f}", "muted"),),
        (span(row.src, "text"),),
        (span(row.dst, "strong"),),
        (span(row.protocol, "text"),),
        ((figures.count(row.length), "text"),),
        (span(row.info, "text"),),
    )
