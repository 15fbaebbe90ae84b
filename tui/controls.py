"""What the keys do: one handler for each row of the action table."""

from __future__ import annotations

from tui import actions
from tui.dialogs import HelpBox
from tui.drill import View
from tui.drilling import DrillingScreen
from tui.filter_bar import FilterBar
from tui.filter_language import Filter
from tui.heat_map import HeatMap
from tui.line_list import LineList
from tui.live_table import LiveTable
from tui.main_screen import Panel
from tui.ranking import SORTS


class ControlledScreen(DrillingScreen):
    """The screen with its handlers. What cannot be done is said, never silently left undone."""

    BINDINGS = actions.bindings(actions.screen_actions())

    def on_key(self) -> None:
        """Keep rows in place while somebody works with them."""
        self.session.ranking.key_pressed(self.now)
        self.alerts.hold()

    def action_move_down(self) -> None:
        """Next row."""
        self._move(1)

    def action_move_up(self) -> None:
        """Row before."""
        self._move(-1)

    def action_move_left(self) -> None:
        """Bin to the left."""
        if isinstance(self.focused, HeatMap):
            self.focused.move_sideways(-1)

    def action_move_right(self) -> None:
        """Bin to the right."""
        if isinstance(self.focused, HeatMap):
            self.focused.move_sideways(1)

    def action_half_page_down(self) -> None:
        """Half a page down."""
        self._page(0.5)

    def action_half_page_up(self) -> None:
        """Half a page up."""
        self._page(-0.5)

    def action_page_down(self) -> None:
        """A page down."""
        self._page(1)

    def action_page_up(self) -> None:
        """A page up."""
        self._page(-1)

    def action_top(self) -> None:
        """First row."""
        if panel := self._moved_panel():
            panel.move_to_end(top=True)

    def action_bottom(self) -> None:
        """Last row."""
        if panel := self._moved_panel():
            panel.move_to_end(top=False)

    def action_next_panel(self) -> None:
        """Next panel."""
        self.focus_next()

    def action_previous_panel(self) -> None:
        """Panel before."""
        self.focus_previous()

    def action_view_triage(self) -> None:
        """First screen."""
        self._jump("triage")

    def action_view_scanners(self) -> None:
        """Sources."""
        self._jump("scanners")

    def action_view_heat(self) -> None:
        """The map."""
        self._jump("heat")

    def action_view_tunnels(self) -> None:
        """Relays and tunnels."""
        self._jump("tunnels")

    def action_view_flows(self) -> None:
        """Flows of the incident under the cursor."""
        self._jump("flows")
        self.ask_flows()

    def action_view_packets(self) -> None:
        """Packets of the incident under the cursor."""
        self._jump("packets")
        self.ask_packets(None)

    def action_view_health(self) -> None:
        """What the capture lost."""
        self._jump("health")

    def action_zoom(self) -> None:
        """Show the focused panel alone, or all again."""
        focused = self.focused_panel()
        self.drill.zoomed = None if self.drill.zoomed or focused is None else focused.id
        self.lay()

    def action_victims(self) -> None:
        """Show the targets that were tried in place of the sources, or the sources again."""
        self.victims = not self.victims
        self.say("targets at which contacts failed" if self.victims else "sources by how far they reach out")
        self.paint()

    def action_back(self) -> None:
        """Close the filter; or go back a level; or un-zoom; or clear the filter."""
        bar = self.query_one(FilterBar)
        if bar.is_open:
            bar.restore()
        elif self.drill.zoomed:
            self.drill.zoomed = None
            self.lay()
        elif self.drill.back():
            self.lay()
        elif self.session.ranking.filter.text:
            self._narrow(Filter())

    def action_filter(self) -> None:
        """Begin to type a filter."""
        self.query_one(FilterBar).open(self.session.ranking.filter)
        self.paint_bars()

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """List what matches, while it is typed."""
        self._narrow(event.wanted)

    def on_filter_bar_closed(self) -> None:
        """Back to the panels."""
        self.set_focus(None)
        self.lay()

    def action_sort(self) -> None:
        """Sort by the next column."""
        ranking = self.session.ranking
        ranking.by(SORTS[(SORTS.index(ranking.sort) + 1) % len(SORTS)], reverse=False)
        self.paint()

    def action_sort_reverse(self) -> None:
        """Turn the order round."""
        ranking = self.session.ranking
        ranking.by(ranking.sort, reverse=not ranking.reverse)
        self.paint()

    def action_follow(self) -> None:
        """Keep the cursor on the newest incident."""
        self.following = not self.following
        self.say("following the newest incident" if self.following else "no longer following")
        self.paint()

    def action_freeze(self) -> None:
        """Freeze the view, or go on."""
        if self.session.frozen:
            behind = self.session.new_behind
            self.session.thaw()
            self.session.ranking.by(self.session.ranking.sort, reverse=self.session.ranking.reverse)
            self.say(f"live again: {behind} incidents changed meanwhile")
        else:
            self.session.freeze(self.now)
        self.paint()

    def action_help(self) -> None:
        """List every key."""
        self.app.push_screen(HelpBox())

    def on_live_table_moved(self, event: LiveTable.Moved) -> None:
        """Follow the cursor with what depends on it."""
        self.cursor_moved(event.table.id or "")

    def on_live_table_opened(self, _event: LiveTable.Opened) -> None:
        """Go deeper by a click."""
        self.action_drill_in()

    def on_line_list_opened(self, _event: LineList.Opened) -> None:
        """Go deeper by a click."""
        self.action_drill_in()

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        """Mark the bytes of the field under the cursor."""
        if event.lines.id == "layers":
            self.paint_bytes()

    def _narrow(self, wanted: Filter) -> None:
        self.session.ranking.narrow(wanted)
        self.paint()

    def _jump(self, view: View) -> None:
        self.drill.jump(view)
        self.set_focus(None)
        self.lay()

    def _moved_panel(self) -> Panel | None:
        self.following = False
        return self.focused_panel()

    def _move(self, rows: int) -> None:
        if panel := self._moved_panel():
            panel.move_by(rows)

    def _page(self, pages: float) -> None:
        if panel := self._moved_panel():
            panel.move_pages(pages)
