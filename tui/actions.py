"""The one table of what the operator can do: bindings, footer and help are all made from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Action:
    """Something that the operator can do."""

    id: str
    """Name of the handler: `action_<id>`."""
    keys: tuple[str, ...]
    """As Textual names them; the first one is shown."""
    label: str
    """One or two words, for the footer."""
    help: str
    """What it does, one line."""
    group: str
    """Heading in the help."""
    shown_in: tuple[str, ...] = ()
    """Contexts whose footer has it, in the order of this table."""
    of_app: bool = False
    """Whether the app has the handler, rather than the screen."""
    priority: bool = False
    """Whether it works while text is typed."""

    @property
    def binding(self) -> Binding:
        """The binding of all its keys."""
        return Binding(
            ",".join(self.keys), self.id, self.label, show=False, id=f"nettriage.{self.id}", priority=self.priority
        )  # fmt: skip

    @property
    def key_text(self) -> str:
        """Its keys as people write them."""
        return " ".join(key_name(key) for key in self.keys)


_EVERYWHERE = ("triage", "why", "scanners", "heat", "tunnels", "flows", "packets", "health")

ACTIONS: tuple[Action, ...] = (
    Action("drill_in", ("enter",), "Open", "go deeper: incident, why it fired, its flows, their packets", "Go",
           ("triage", "why", "scanners", "heat", "tunnels", "flows", "filter")),
    Action("back", ("escape",), "Back", "un-zoom, or go back one level, or clear the filter", "Go",
           ("why", "flows", "packets", "dialog", "filter")),
    Action("filter", ("slash",), "Filter", "filter the incidents while you type", "Find", ("triage", "tunnels")),
    Action("freeze", ("p",), "Freeze", "freeze the view; capture goes on, new ones are counted", "View",
           ("triage", "why", "scanners", "heat", "tunnels", "flows", "health")),
    Action("sort", ("s",), "Sort", "sort the incidents by the next column", "Find", ("triage",)),
    Action("sort_reverse", ("S",), "Reverse", "turn the order round", "Find"),
    Action("follow", ("f",), "Follow", "keep the cursor on the newest incident until it moves", "Find", ("triage",)),
    Action("export", ("e",), "Export", "write this incident or everything to a JSON file", "Hand over",
           ("triage", "why", "scanners", "heat", "tunnels", "flows", "packets")),
    Action("victims", ("v",), "Victims", "show targets in place of sources; again to undo", "View",
           ("scanners", "heat")),
    Action("zoom", ("z",), "Zoom", "show the focused panel alone; again to undo", "View", ("triage", "packets")),
    Action("move_down", ("j", "down"), "Down", "next row", "Move"),
    Action("move_up", ("k", "up"), "Up", "row before", "Move"),
    Action("move_left", ("h", "left"), "Left", "bin to the left on the map", "Move"),
    Action("move_right", ("l", "right"), "Right", "bin to the right on the map", "Move"),
    Action("half_page_down", ("ctrl+d",), "Half down", "half a page down", "Move"),
    Action("half_page_up", ("ctrl+u",), "Half up", "half a page up", "Move"),
    Action("page_down", ("pagedown",), "Page down", "a page down", "Move"),
    Action("page_up", ("pageup",), "Page up", "a page up", "Move"),
    Action("top", ("g", "home"), "Top", "first row", "Move"),
    Action("bottom", ("G", "end"), "Bottom", "last row", "Move"),
    Action("next_panel", ("tab",), "Panel", "next panel", "Move", ("triage", "why", "packets")),
    Action("previous_panel", ("shift+tab",), "Panel back", "panel before", "Move"),
    Action("view_triage", ("1",), "Triage", "incidents, and what stands around them", "Screens"),
    Action("view_scanners", ("2",), "Scanners", "sources by how far they reach out", "Screens"),
    Action("view_heat", ("3",), "Heatmap", "port fan-out: sources against ports", "Screens"),
    Action("view_tunnels", ("4",), "Tunnels", "relays, proxies and tunnels with their legs", "Screens"),
    Action("view_flows", ("5",), "Flows", "flows of the incident under the cursor", "Screens"),
    Action("view_packets", ("6",), "Packets", "packets kept for the incident under the cursor", "Screens"),
    Action("view_health", ("7",), "Health", "what the capture lost, and how full the tables are", "Screens"),
    Action("next_theme", ("T",), "Theme", "next theme", "View", of_app=True),
    Action("help", ("question_mark", "f1"), "Help", "this list", "Help", _EVERYWHERE),
    Action("suspend_process", ("ctrl+z",), "Suspend", "back to the shell; `fg` returns", "Leave", of_app=True),
    Action("quit_twice", ("q",), "Quit", "leave; twice while capturing", "Leave", _EVERYWHERE, of_app=True),
    Action("quit", ("ctrl+q",), "Quit now", "leave at once", "Leave", (), priority=True, of_app=True),
)  # fmt: skip

_NAMES = {
    "slash": "/", "question_mark": "?", "enter": "⏎", "escape": "esc", "down": "↓", "up": "↑", "left": "←",
    "right": "→", "pagedown": "PgDn", "pageup": "PgUp", "f1": "F1",
}  # fmt: skip


def key_name(key: str) -> str:
    """Return a key as people write it."""
    return _NAMES.get(key, key)


def bindings(ids: Iterable[str]) -> list[BindingType]:
    """Return the bindings of the actions named."""
    wanted = set(ids)
    return [action.binding for action in ACTIONS if action.id in wanted]


def app_actions() -> list[str]:
    """Return the ids of the actions whose handler the app has."""
    return [action.id for action in ACTIONS if action.of_app]


def screen_actions() -> list[str]:
    """Return the ids of the actions whose handler the screen has."""
    return [action.id for action in ACTIONS if not action.of_app]


def footer(context: str) -> list[Action]:
    """Return the actions that the footer of `context` shows."""
    return [action for action in ACTIONS if context in action.shown_in]


def by_group() -> dict[str, list[Action]]:
    """Return all actions under their headings, in the order of the table."""
    groups: dict[str, list[Action]] = {}
    for action in ACTIONS:
        groups.setdefault(action.group, []).append(action)
    return groups
