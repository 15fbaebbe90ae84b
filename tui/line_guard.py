"""The last gate before the terminal: no control, bidirectional or zero-width character passes it."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class LineGuard(LineFilter):
    """Replaces what is not printable in every line that is drawn, whoever drew it.

    Textual writes such characters to the terminal raw from nearly every widget, so a name on the wire could
    drive it. Text is made harmless where it is created; this stands behind that.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - the interface has it
        """Return `segments`, with new ones only where something had to be replaced."""
        if "".join([segment.text for segment in segments]).isprintable():
            return segments
        return [
            segment if segment.text.isprintable() else Segment(_harmless(segment.text), segment.style)
            for segment in segments
        ]


def _harmless(text: str) -> str:
    return "".join(char if char.isprintable() else REPLACEMENT for char in text)
