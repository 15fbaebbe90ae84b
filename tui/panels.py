"""Which lines stand in which panel: panels as functions of the session and the drill."""

from __future__ import annotations

from nettriage.model.alert import Alert
from nettriage.model.panel import FanoutRow, Panel
from nettriage.model.snapshot import SourceInfo
from tui import figures
from tui.drill import Drill
from tui.hexdump import hexdump
from tui.incident_book import tally
from tui.lines import Line, line, span, wrap
from tui.session import Session, short_name
from tui.wording import SEVERITY_WORDS, is_path, kind_words

WATCHED = "ports, hosts, sweeps, proxies, relays, DNS and ICMP tunnels, floods"


def alerts_title(session: Session) -> tuple[str, str]:
    """Return title and subtitle of the incidents."""
    counts = tally(session.alerts.values())
    words = "  ".join(f"{number} {SEVERITY_WORDS[name].lower()}" for name, number in counts.items())  # type: ignore[index]  # tally's keys are severities
    ranking = session.ranking
    waiting = f"{ranking.waiting} new below · " if ranking.waiting else ""
    arrow = "↑" if ranking.reverse else "↓"
    return f"1 Incidents · {words}" if words else "1 Incidents", f"{waiting}sort {ranking.sort} {arrow}"


def no_alerts(session: Session, now: float, width: int) -> list[Line]:
    """Return what stands in an empty list: proof of life, or what hides everything."""
    if session.alerts:
        text = f"0 of {len(session.alerts)} match {session.ranking.filter.text!r}; esc clears the filter"
        return wrap(text, width, "warn")
    update = session.update
    if update is None:
        return [line((f"Waiting for {session.source_name}.", "muted"))]
    seen = f"{figures.count(update.health.received)} packets, {figures.plural(update.hosts, 'host')}"
    mode = session.mode(now)
    if mode == "no packets":
        return _no_packets(session, now, width)
    if mode in ("finished", "failed", "sensor lost"):
        return wrap(f"Nothing to report in {short_name(session)}: {seen}.", width, "text")
    running = figures.stopwatch(session.running_s(now))
    rows = wrap(f"No incidents yet. Watching {short_name(session)} for {running}: {seen}.", width, "text")
    return [*rows, *wrap(f"Looked for: {WATCHED}.", width, "muted")]


def _no_packets(session: Session, now: float, width: int) -> list[Line]:
    source: SourceInfo | None = session.update.source if session.update else None
    name = source.name if source else session.source_name
    steps = (
        f"No packet on {name} for {session.silence_s(now):.0f} s. Look at:",
        "  1 is the mirror session on, and does it end at this port?",
        "  2 is the interface up, and is this the right one? `nettriage -D` lists them",
        "  3 does the filter let anything through?" + (f" now: {source.bpf}" if source and source.bpf else ""),
        "  4 do VLANs reach this port as a trunk?",
    )
    return [(span(step, "warn" if not at else "text"),) for at, step in enumerate(steps) if width > 0]


def nothing_to_explain(session: Session) -> list[Line]:
    """Return what stands in the detail while no incident is chosen."""
    if not session.alerts:
        return [line(("What an incident is made of will be explained here.", "muted"))]
    return []


def paths_of(session: Session) -> list[Alert]:
    """Return the listed incidents that are paths, in the order of the list."""
    return [alert for key in session.ranking.ids if (alert := session.alerts.get(key)) and is_path(alert)]


def by_victim(panel: Panel | None) -> Panel | None:
    """Return the panel with its targets in place of its sources, for the map."""
    if panel is None:
        return None
    rows = [
        FanoutRow(
            ip=row.ip, hosts=row.sources, ports=row.ports, cells=row.cells, rate_per_min=0, failed=row.failed,
            settled=row.settled, open=row.open, first_seen=row.first_seen, spark=row.spark, name=row.name,
            role=row.role, hosts_about=row.sources_about, ports_about=row.ports_about,
        )
        for row in panel.victims
    ]  # fmt: skip
    return Panel(window_s=panel.window_s, step_s=panel.step_s, rows=rows, bin_sources=panel.bin_sources)


def no_tunnels(width: int) -> list[Line]:
    """Return what stands in the tunnels panel while there are none."""
    looked_for = "same bytes on two legs, SOCKS and CONNECT, DNS and ICMP"
    return wrap(f"No relay, proxy or tunnel seen: {looked_for}.", width, "muted")


def crumbs(session: Session, drill: Drill, alert_id: str | None) -> list[str]:
    """Return where the operator is, outermost first."""
    alert = session.alerts.get(alert_id or "")
    name = f"{kind_words(alert.kind)} {alert.subject.ip}" if alert else "no incident"
    left = f" of {drill.flows_total}" if drill.flows_total > len(drill.flows) else ""
    words = {
        "triage": "Triage", "why": name, "scanners": "Scanners", "heat": "Heatmap", "tunnels": "Tunnels",
        "flows": f"Flows {len(drill.flows)}{left}", "packets": f"Packets {len(drill.packets)}", "health": "Health",
    }  # fmt: skip
    views = [*drill.trail, drill.view]
    if ("flows" in views or "packets" in views) and "why" not in views:
        words["flows"] = f"{name}: {words['flows']}"
        if "flows" not in views:
            words["packets"] = f"{name}: {words['packets']}"
    return [words[view] for view in views]


def layer_lines(drill: Drill, packet: str | None) -> tuple[list[Line], list[str]]:
    """Return the decoded packet and, beside each line, its place among the fields."""
    if drill.fields_of != packet or not drill.fields:
        return [line((drill.fields_note or "…", "muted"))], []
    rows: list[Line] = []
    for field in drill.fields:
        if field.depth == 0:
            rows.append(line((field.label, "heading"), (f"  {field.value}", "muted")))
        else:
            rows.append(line((f"  {field.label} ", "muted"), (field.value, "text")))
    return rows, [str(at) for at in range(len(rows))]


def byte_lines(drill: Drill, packet: str | None, field: str | None, width: int) -> tuple[list[Line], int]:
    """Return the dump of a packet with the bytes of `field` marked, and the first marked line."""
    row = drill.packets.get(packet or "")
    if row is None:
        return [], 0
    marked = (0, 0)
    if drill.fields_of == packet and field is not None and int(field) < len(drill.fields):
        chosen = drill.fields[int(field)]
        marked = (chosen.start, chosen.end)
    lines = hexdump(row.data, width, marked)
    step = max(-(-len(row.data) // max(len(lines), 1)), 1)
    cut = row.length - len(row.data)
    if cut > 0:
        lines.append(line((f"{cut} more bytes were on the wire", "muted")))
    return lines, marked[0] // step
