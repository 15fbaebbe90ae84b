"""The filter bar: one line to type in, and one that says how much matches or marks what is wrong."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input

from tui.bars import Bar
from tui.filter_language import FIELDS, LENGTH_MAX, Filter, FilterError, parse
from tui.lines import Line, justify, span

PROMPT = " / "


class FilterBar(Vertical):
    """Reads a filter while it is typed. The last one that could be read stays in force."""

    DEFAULT_CSS = """
    FilterBar { height: 2; display: none; }
    FilterBar Horizontal { height: 1; }
    #filter-prompt { width: 3; }
    """

    class Changed(Message):
        """Another filter is in force."""

        def __init__(self, wanted: Filter) -> None:
            super().__init__()
            self.wanted = wanted

    class Closed(Message):
        """Typing is over; the filter in force stays."""

    def __init__(self) -> None:
        super().__init__(id="filter")
        self._before = Filter()
        self._error: FilterError | None = None
        self._matches = ""

    def compose(self) -> ComposeResult:
        """One input and one line below it."""
        with Horizontal():
            yield Bar(id="filter-prompt")
            yield Input(id="filter-text", compact=True, max_length=LENGTH_MAX, select_on_focus=False)
        yield Bar(id="filter-says")

    @property
    def is_open(self) -> bool:
        """Whether something is being typed."""
        return bool(self.display)

    def open(self, current: Filter) -> None:
        """Begin to type, from the filter in force."""
        self._before, self._error = current, None
        self.display = True
        self.query_one("#filter-prompt", Bar).show(((PROMPT, "accent"),))
        box = self.query_one(Input)
        box.value = current.text
        box.cursor_position = len(box.value)
        box.focus()

    def restore(self) -> None:
        """Stop typing and put back the filter from before."""
        self.display = False
        self.post_message(self.Changed(self._before))
        self.post_message(self.Closed())

    def tell(self, matches: str, width: int) -> None:
        """Show how much matches, ``11/340``, or the mark under what is wrong."""
        self._matches = matches
        self.query_one("#filter-says", Bar).show(self._says(width))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Read what was typed so far."""
        event.stop()
        if not self.is_open:
            return
        try:
            wanted = parse(event.value)
        except FilterError as error:
            self._error = error
            self.tell(self._matches, self.size.width)
            return
        self._error = None
        self.post_message(self.Changed(wanted))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, if it can be read."""
        event.stop()
        if self._error is None:
            self.display = False
            self.post_message(self.Closed())

    def _says(self, width: int) -> Line:
        if self._error is None:
            fields = "words  " + "  ".join(f"{name}:" for name in FIELDS) + "  ! not"
            return justify((span(f"   {fields}", "muted"),), (span(f" {self._matches} ", "accent"),), width)
        at = min(self._error.at + len(PROMPT), max(width - 24, 0))
        caret = "^" * min(self._error.length, 20)
        return (span(" " * at + caret, "bad"), span(f" {self._error}", "bad"))
