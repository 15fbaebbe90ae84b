"""The one screen: bars and all panels, painted from the session and the drill."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static

from nettriage.model.alert import Alert
from nettriage.model.panel import Panel as FanoutPanel
from tui import figures, panels
from tui.bars import Bar, crumb_line, footer_line, status_line, tab_line
from tui.desk import HEIGHT_MIN, WIDTH_MIN, Desk
from tui.detail import detail_lines
from tui.drill import FIRST_FOCUS, Drill
from tui.filter_bar import FilterBar
from tui.health_lines import health_lines
from tui.heat_map import HeatMap
from tui.line_list import LineList
from tui.lines import Line, line, span
from tui.live_table import Cells, LiveTable
from tui.painting import inner_width, palette_of, set_titles
from tui.paths import tunnel_lines
from tui.session import Session
from tui.tables import (
    ALERT_COLUMNS,
    FLOW_COLUMNS,
    PACKET_COLUMNS,
    SCANNER_COLUMNS,
    VICTIM_COLUMNS,
    alert_cells,
    flow_cells,
    packet_cells,
    scanner_cells,
    victim_cells,
)

if TYPE_CHECKING:
    from tui.app import NettriageApp

Panel = LiveTable | LineList | HeatMap
PANELS = 10


class MainScreen(Screen[None]):
    """Says which function fills which panel, and paints those that are seen."""

    def __init__(self, session: Session, drill: Drill) -> None:
        super().__init__()
        self.session = session
        self.drill = drill
        self.victims = False
        """Whether scanners and map show targets in place of sources."""
        self._explained: tuple[Alert | None, int, str] | None = None
        """Incident, width and palette of the lines in the detail: they are made anew when one changes."""

    def compose(self) -> ComposeResult:
        """All panels once; the view decides which are seen."""
        yield Bar(id="status")
        yield Bar(id="tabs")
        yield Desk(
            LiveTable(ALERT_COLUMNS, id="alerts"), LineList(id="detail"), LiveTable(SCANNER_COLUMNS, id="scanners"),
            HeatMap(id="heat"), LineList(id="tunnels"), LiveTable(FLOW_COLUMNS, id="flows"),
            LiveTable(PACKET_COLUMNS, id="packets"), LineList(id="layers"), LineList(id="bytes"), LineList(id="health"),
        )  # fmt: skip
        yield Static(f"The terminal is too small: need {WIDTH_MIN}x{HEIGHT_MIN}", id="too-small", markup=False)
        yield FilterBar()
        yield Bar(id="footer")

    def on_mount(self) -> None:
        """Lay out the first view."""
        self.lay()

    def on_resize(self) -> None:
        """Lay out anew, or say that there is no room."""
        small = self.size.width < WIDTH_MIN or self.size.height < HEIGHT_MIN
        self.query_one("#too-small").display = small
        for name in ("#status", "#tabs", "#desk", "#footer"):
            self.query_one(name).display = not small
        self.lay()

    @property
    def alerts(self) -> LiveTable:
        """The list of incidents."""
        return self.query_one("#alerts", LiveTable)

    @property
    def alert(self) -> Alert | None:
        """The incident under the cursor."""
        return self.session.alerts.get(self.alerts.cursor_key or "")

    @property
    def now(self) -> float:
        """Steady clock."""
        return cast("NettriageApp", self.app).clock()

    @property
    def stands(self) -> bool:
        """Whether all parts are there: not while the screen is being set up or taken down."""
        desk = self.query_one_optional(Desk)
        return desk is not None and len(desk.children) == PANELS and self.query_one_optional("#footer") is not None

    def lines(self, name: str) -> LineList:
        """Return a panel of lines."""
        return self.query_one(f"#{name}", LineList)

    def table(self, name: str) -> LiveTable:
        """Return a panel that is a table."""
        return self.query_one(f"#{name}", LiveTable)

    def focused_panel(self) -> Panel | None:
        """Return the panel with the focus."""
        return self.focused if isinstance(self.focused, Panel) else None

    def lay(self) -> None:
        """Show the panels of the view, keep the focus where it is or give it to the first of them, and paint."""
        shown = self.query_one(Desk).lay(self.drill.view, self.drill.zoomed)
        if not self.query_one(FilterBar).is_open and (self.focused is None or self.focused.id not in shown):
            wanted = self.drill.zoomed or FIRST_FOCUS[self.drill.view]
            self.query_one(f"#{wanted if wanted in shown else shown[0]}").focus()
        self.call_after_refresh(self.paint)

    def paint(self) -> None:
        """Bring everything that is seen up to date; only lines that changed are drawn."""
        if not self.stands:
            return
        self.session.renew(self.now)
        for name, paint in (
            ("alerts", self._paint_alerts), ("detail", self._paint_detail), ("heat", self._paint_heat),
            ("scanners", self._paint_scanners), ("tunnels", self._paint_tunnels), ("flows", self._paint_flows),
            ("packets", self._paint_packets), ("layers", self._paint_layers), ("health", self._paint_health),
        ):  # fmt: skip
            if name == "alerts" or self.query_one(f"#{name}").display:
                paint()
        self.paint_bars()

    def paint_bars(self) -> None:
        """Bring status, tabs and footer up to date."""
        width, glyphs, drill = self.size.width, palette_of(self).glyphs, self.drill
        self.query_one("#status", Bar).show(status_line(self.session, self.now, width, glyphs))
        if drill.trail and drill.view in ("why", "flows", "packets"):
            where = panels.crumbs(self.session, drill, self.alerts.cursor_key)
            top = crumb_line(where, (("esc back ", "muted"),), width, glyphs)
        else:
            top = tab_line(self._tabs(), drill.view, self._filter_chip(), width)
        self.query_one("#tabs", Bar).show(top)
        typing = self.query_one(FilterBar).is_open
        labels = {"drill_in": "Keep", "back": "Restore"} if typing else {}
        labels |= {"freeze": "Resume"} if self.session.frozen else {}
        context = "filter" if typing else drill.view
        self.query_one("#footer", Bar).show(footer_line(context, width, labels))
        self.query_one(FilterBar).tell(self._matched(), width)

    def _tabs(self) -> list[tuple[str, str]]:
        update = self.session.update
        sources = len(update.fanout.rows) if update and update.fanout else 0
        names = (
            ("triage", "Triage", len(self.session.alerts)), ("scanners", "Scan", sources), ("heat", "Heat", 0),
            ("tunnels", "Tunl", len(panels.paths_of(self.session))), ("flows", "Flows", 0), ("packets", "Pkts", 0),
            ("health", "Health", 0),
        )  # fmt: skip
        return [(view, f"{name} {number}" if number else name) for view, name, number in names]

    def _matched(self) -> str:
        return f"{len(self.session.ranking.ids)}/{len(self.session.alerts)}"

    def _filter_chip(self) -> Line:
        text = self.session.ranking.filter.text
        shown = text and not self.query_one(FilterBar).is_open
        return (span(f"/ {text}  {self._matched()}", "accent"),) if shown else ()

    def _paint_alerts(self) -> None:
        session, table, glyphs = self.session, self.alerts, palette_of(self).glyphs
        packet_now = session.packet_now
        table.empty = panels.no_alerts(session, self.now, max(inner_width(table), 20))

        def cells(key: str) -> Cells:
            return alert_cells(session.alerts[key], packet_now, glyphs)

        table.set_rows(session.ranking.ids, cells)
        set_titles(table, *panels.alerts_title(session))

    def _paint_detail(self) -> None:
        panel, alert = self.lines("detail"), self.alert
        before, looks = self._explained, (alert, inner_width(panel), palette_of(self).key)
        if alert is None:
            panel.set_lines(panels.nothing_to_explain(self.session))
            set_titles(panel, "Detail")
        elif before is None or before[0] is not alert or before[1:] != looks[1:]:
            if before is None or before[0] is None or before[0].id != alert.id:
                panel.scroll_to(y=0, animate=False)
            panel.set_lines(detail_lines(alert, inner_width(panel), palette_of(self).glyphs))
            set_titles(panel, "Detail", f"#{alert.id}")
        self._explained = looks

    def _paint_heat(self) -> None:
        update, heat = self.session.update, self.query_one("#heat", HeatMap)
        fanout = update.fanout if update else None
        if self.victims:
            heat.set_panel(panels.by_victim(fanout), [])
        else:
            heat.set_panel(fanout, self.session.fanout_order)

    def _paint_scanners(self) -> None:
        panel = self.session.update.fanout if self.session.update else None
        if self.victims:
            self._paint_victims(panel)
            return
        rows = {row.ip: row for row in panel.rows} if panel else {}
        order = [ip for ip in self.session.fanout_order if ip in rows]
        order += [ip for ip in rows if ip not in set(order)]
        table, glyphs = self.table("scanners"), palette_of(self).glyphs
        table.columns = SCANNER_COLUMNS
        table.empty = [line(("No source reaches out to several targets.", "muted"))]
        table.set_rows(order, lambda ip: scanner_cells(rows[ip], glyphs))
        set_titles(table, "2 Scanners", f"{figures.duration(panel.window_s)} window" if panel else "")

    def _paint_victims(self, panel: FanoutPanel | None) -> None:
        rows = {row.ip: row for row in panel.victims} if panel else {}
        table, glyphs = self.table("scanners"), palette_of(self).glyphs
        table.columns = VICTIM_COLUMNS
        table.empty = [line(("No contact failed.", "muted"))]
        table.set_rows(list(rows), lambda ip: victim_cells(rows[ip], glyphs))
        set_titles(table, "2 Victims", f"{figures.duration(panel.window_s)} window" if panel else "")

    def _paint_tunnels(self) -> None:
        panel, paths = self.lines("tunnels"), panels.paths_of(self.session)
        width = inner_width(panel)
        lines, keys = tunnel_lines(paths, width, palette_of(self).glyphs, self.session.packet_now)
        panel.set_lines(lines or panels.no_tunnels(width), keys)
        set_titles(panel, f"4 Tunnels · {len(paths)}" if paths else "4 Tunnels")

    def _paint_flows(self) -> None:
        drill, table = self.drill, self.table("flows")
        table.empty = [line((drill.flows_note, "muted"))]
        flows = dict(drill.flows)
        table.set_rows(list(flows), lambda key: flow_cells(flows[key]))
        left = f" of {drill.flows_total}" if drill.flows_total > len(flows) else ""
        set_titles(table, f"5 Flows · {len(flows)}{left}")

    def _paint_packets(self) -> None:
        drill, table = self.drill, self.table("packets")
        table.empty = [line((drill.packets_note, "muted"))]
        packets = dict(drill.packets)
        order = list(packets)
        before = dict(zip(order[1:], order, strict=False))

        def cells(key: str) -> Cells:
            first = packets[order[0]].ts_ns
            return packet_cells(packets[key], first, packets[before.get(key, key)].ts_ns)

        table.set_rows(order, cells)
        left = f" of {drill.packets_total}" if drill.packets_total > len(packets) else ""
        set_titles(table, f"6 Packets · {len(packets)}{left}")

    def _paint_layers(self) -> None:
        panel, packet = self.lines("layers"), self.table("packets").cursor_key
        panel.set_lines(*panels.layer_lines(self.drill, packet))
        set_titles(panel, "Decoded")
        self.paint_bytes()

    def paint_bytes(self) -> None:
        """Show the bytes of the packet, with those of the field under the cursor marked."""
        panel, packet = self.lines("bytes"), self.table("packets").cursor_key
        field = self.lines("layers").cursor_key
        lines, first = panels.byte_lines(self.drill, packet, field, inner_width(panel))
        panel.set_lines(lines)
        if not panel.has_focus and not 0 <= first - round(panel.scroll_y) < max(panel.size.height, 1):
            panel.scroll_to(y=first, animate=False, force=True)
        set_titles(panel, "Bytes")

    def _paint_health(self) -> None:
        panel, update = self.lines("health"), self.session.update
        own = {"screens: incidents": self.session.book.gauge()}
        glyphs = palette_of(self).glyphs
        panel.set_lines(health_lines(update, own, inner_width(panel), glyphs) if update else [])
        set_titles(panel, "7 Health")
