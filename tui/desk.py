"""Where the panels of a view stand: a plan made from the size of the screen alone."""

from __future__ import annotations

from textual.containers import Container
from textual.geometry import NULL_OFFSET, NULL_SPACING, Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

WIDTH_MIN, HEIGHT_MIN = 60, 16
WIDE, XWIDE = 100, 160
STRIP_ROWS = 6
"""Height of the strip of neighbours: border, titles and three rows."""
ALERT_ROWS_MAX = 13
HEX_WIDTH, HALF_HEX_WIDTH = 77, 44
"""Sixteen or eight bytes on a line, with border, padding and scrollbar."""

Plan = dict[str, Region]


def plan(view: str, zoomed: str | None, size: Size) -> Plan:
    """Return the region of each panel of `view`; panels not in it are hidden."""
    whole = Region(0, 0, size.width, size.height)
    if zoomed is not None:
        return {zoomed: whole}
    match view:
        case "triage":
            return _triage(size)
        case "why":
            return _under_strip("alerts", {"detail": whole}, size)
        case "flows":
            return _under_strip("alerts", {"flows": whole}, size)
        case "packets":
            return _packets(size)
        case _:
            return {view: whole}


def _triage(size: Size) -> Plan:
    width, height = size
    if width >= XWIDE and height >= 36:
        return _xwide(width, height)
    if width >= WIDE and height >= 24:
        return _wide(width, height)
    top = max(height // 2, 5)
    return {"alerts": Region(0, 0, width, top), "detail": Region(0, top, width, height - top)}


def _wide(width: int, height: int) -> Plan:
    """Incidents over the whole width, for chains need it; below them detail and map, then scanners and tunnels."""
    half = width // 2
    top = min(max(height // 3, 7), ALERT_ROWS_MAX)
    low = max((height - top) * 2 // 5, 6)
    middle = height - top - low
    return {
        "alerts": Region(0, 0, width, top),
        "detail": Region(0, top, half, middle),
        "heat": Region(half, top, width - half, middle),
        "scanners": Region(0, top + middle, half, low),
        "tunnels": Region(half, top + middle, width - half, low),
    }


def _xwide(width: int, height: int) -> Plan:
    """Lists on the left, the explanation always open on the right."""
    left = width * 58 // 100
    alerts = height * 2 // 5
    scanners = max(height // 5, 8)
    tunnels = max(height * 3 // 10, 8)
    return {
        "alerts": Region(0, 0, left, alerts),
        "scanners": Region(0, alerts, left, scanners),
        "heat": Region(0, alerts + scanners, left, height - alerts - scanners),
        "detail": Region(left, 0, width - left, height - tunnels),
        "tunnels": Region(left, height - tunnels, width - left, tunnels),
    }


def _under_strip(strip: str, panels: Plan, size: Size) -> Plan:
    """Neighbours of the parent list above, and below them `panels`, which share the rest by height."""
    top = STRIP_ROWS if size.height >= STRIP_ROWS * 2 + 2 else 0
    rest = Region(0, top, size.width, size.height - top)
    placed = dict.fromkeys(panels, rest)
    return {strip: Region(0, 0, size.width, top), **placed} if top else placed


def _packets(size: Size) -> Plan:
    width, height = size
    strip = STRIP_ROWS if height >= 34 else 0
    listed = max((height - strip) * 2 // 5, 5)
    low = height - strip - listed
    hexes = HEX_WIDTH if width >= HEX_WIDTH + 40 else HALF_HEX_WIDTH if width >= HALF_HEX_WIDTH + 30 else width // 2
    places = {
        "packets": Region(0, strip, width, listed),
        "layers": Region(0, strip + listed, width - hexes, low),
        "bytes": Region(width - hexes, strip + listed, hexes, low),
    }
    return {"flows": Region(0, 0, width, strip), **places} if strip else places


class DeskLayout(Layout):
    """Places children by id where the plan says."""

    name = "desk"

    def __init__(self) -> None:
        """Begin with the first view."""
        self.view = "triage"
        self.zoomed: str | None = None

    def arrange(
        self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True  # noqa: ARG002 - the interface
    ) -> ArrangeResult:  # fmt: skip
        """Return the place of each child that the plan names."""
        regions = plan(self.view, self.zoomed, size)
        return [
            WidgetPlacement(regions[child.id], NULL_OFFSET, NULL_SPACING, child)
            for child in children
            if child.id in regions
        ]


class Desk(Container):
    """Holds all panels once; a view is a choice of them."""

    DEFAULT_CSS = "Desk { height: 1fr; width: 1fr; overflow: hidden hidden; }"

    def __init__(self, *panels: Widget) -> None:
        super().__init__(*panels, id="desk")
        self._desk_layout = DeskLayout()

    @property
    def layout(self) -> Layout:
        """The plan as a layout."""
        return self._desk_layout

    def lay(self, view: str, zoomed: str | None) -> list[str]:
        """Show the panels of `view`, or one alone, and return their ids in order of focus."""
        self._desk_layout.view, self._desk_layout.zoomed = view, zoomed
        shown = list(plan(view, zoomed, self.size or Size(80, 20)))
        for panel in self.children:
            panel.display = panel.id in shown
            panel.refresh(layout=True)  # also where it stays displayed: its region may be another one
        return shown
