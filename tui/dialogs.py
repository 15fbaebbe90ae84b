"""Boxes over the screen: the list of keys, and the choice of what to export."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui.actions import bindings, by_group
from tui.filter_language import FIELDS
from tui.line_list import LineList
from tui.lines import Line, line, wrap
from tui.painting import set_titles

_MOVES = (
    "move_down", "move_up", "page_down", "page_up", "half_page_down", "half_page_up", "top", "bottom",
)  # fmt: skip
KEY_CELLS = 12
BOX_WIDTH = 76

FILTER_HELP = (
    "Words match anywhere; every term must hold; ! turns a term round; quotes keep spaces.",
    "kind:scan,tunnel   sev:high,critical   sev>=medium   score>=80   age<10m   state:new",
    "src:10.1.0.0/16   dst:10.1.9.5   host:web-1   port:22,8000-8100",
)
HINT = "An incident is a hint, not a verdict: look at why it fired, and at how well could be seen."


class Box(ModalScreen[str | None]):
    """A list in a box. Escape closes it without an answer; enter answers with the key under the cursor."""

    BINDINGS = bindings((*_MOVES, "drill_in", "back"))

    DEFAULT_CSS = """
    Box { align: center middle; background: $background 60%; }
    Box > Vertical { width: 80; max-width: 100%; height: auto; max-height: 90%; border: round $primary;
                     background: $background; padding: 0 1; }
    Box LineList { height: auto; max-height: 100%; background: $background; }
    """

    def __init__(self, title: str, lines: list[Line], keys: list[str] | None = None, *, id: str) -> None:
        super().__init__(id=id)
        self._title, self._lines, self._keys = title, lines, keys or []

    def compose(self) -> ComposeResult:
        """The box and its list."""
        with Vertical():
            yield LineList(id="box-lines")

    def on_mount(self) -> None:
        """Fill the list."""
        set_titles(self.query_one(Vertical), self._title, "esc closes" if not self._keys else "⏎ choose   esc cancel")
        self._list.styles.height = len(self._lines)
        self._list.set_lines(self._lines, self._keys)
        self._list.focus()

    @property
    def _list(self) -> LineList:
        return self.query_one(LineList)

    def on_line_list_opened(self) -> None:
        """Answer with what was clicked."""
        self.action_drill_in()

    def action_drill_in(self) -> None:
        """Answer."""
        self.dismiss(self._list.cursor_key)

    def action_back(self) -> None:
        """Close without an answer."""
        self.dismiss(None)

    def action_move_down(self) -> None:
        """Next line."""
        self._list.move_by(1)

    def action_move_up(self) -> None:
        """Line before."""
        self._list.move_by(-1)

    def action_page_down(self) -> None:
        """A page down."""
        self._list.move_pages(1)

    def action_page_up(self) -> None:
        """A page up."""
        self._list.move_pages(-1)

    def action_half_page_down(self) -> None:
        """Half a page down."""
        self._list.move_pages(0.5)

    def action_half_page_up(self) -> None:
        """Half a page up."""
        self._list.move_pages(-0.5)

    def action_top(self) -> None:
        """First line."""
        self._list.move_to_end(top=True)

    def action_bottom(self) -> None:
        """Last line."""
        self._list.move_to_end(top=False)


class HelpBox(Box):
    """Every key, and the filter's language. Its own keys close it too."""

    BINDINGS = bindings(("help", "quit_twice"))

    def __init__(self) -> None:
        super().__init__("Help", help_lines(BOX_WIDTH), id="help-box")

    def action_help(self) -> None:
        """Close."""
        self.dismiss(None)

    def action_quit_twice(self) -> None:
        """Close."""
        self.dismiss(None)


class ExportBox(Box):
    """Chooses between one incident and everything."""

    def __init__(self, incident: str | None, folder: str, alerts: int) -> None:
        rows: list[Line] = []
        keys: list[str] = []
        if incident is not None:
            rows.append(line((" this incident   ", "strong"), (incident, "text")))
            keys.append("incident")
        what = f"snapshot: {alerts} incidents, hosts, capture health"
        rows.append(line((" everything      ", "strong"), (what, "text")))
        keys.append("snapshot")
        rows += [(), line((" JSON into ", "muted"), (folder, "text"))]
        super().__init__("Export", rows, [*keys, "", ""], id="export-box")


def help_lines(width: int) -> list[Line]:
    """Return all actions under their headings, then the language of the filter."""
    rows: list[Line] = []
    for group, actions in by_group().items():
        rows.append(line((group, "heading")))
        for action in actions:
            rows.append(line((f"  {action.key_text.ljust(KEY_CELLS)} ", "accent"), (action.help, "text")))
    rows.append(line(("Filter", "heading"), (f"  {' '.join(FIELDS)}", "muted")))
    for sentence in (*FILTER_HELP, HINT):
        rows += [(("  ", "text"), *row) for row in wrap(sentence, width - 4, "text")]
    return rows
