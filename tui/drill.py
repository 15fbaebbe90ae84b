"""How deep the operator stands: the view, the way back, and the rows that were asked for on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nettriage.model.frames import FlowRow, PacketRow
from tui.dissect_child import Field

View = Literal["triage", "why", "scanners", "heat", "tunnels", "flows", "packets", "health"]
FIRST_FOCUS: dict[str, str] = {
    "triage": "alerts", "why": "alerts", "scanners": "scanners", "heat": "heat", "tunnels": "tunnels",
    "flows": "flows", "packets": "packets", "health": "health",
}  # fmt: skip


@dataclass(slots=True)
class Drill:
    """Where the screens stand. Rows belong to `flows_of` and `packets_of`; late answers for others are dropped."""

    view: View = "triage"
    zoomed: str | None = None
    trail: list[View] = field(default_factory=list)
    """Views to go back to, outermost first; never the same one twice."""
    flows_of: str | None = None
    """Incident that the flows belong to."""
    flows: dict[str, FlowRow] = field(default_factory=dict)
    flows_total: int = 0
    flows_note: str = ""
    """What is said in place of flows: being asked for, or why there are none."""
    packets_of: tuple[str, int | None] | None = None
    """Incident and flow that the packets belong to."""
    packets: dict[str, PacketRow] = field(default_factory=dict)
    packets_total: int = 0
    packets_note: str = ""
    fields: list[Field] = field(default_factory=list)
    fields_of: str | None = None
    """Packet that the decoded fields belong to."""
    fields_note: str = ""

    def deeper(self, view: View) -> None:
        """Go to `view`, and remember the way."""
        if self.view in self.trail:
            del self.trail[self.trail.index(self.view) :]
        self.trail.append(self.view)
        self.view, self.zoomed = view, None

    def jump(self, view: View) -> None:
        """Go to `view` directly: the way back leads to the first screen."""
        self.trail = [] if view == "triage" else ["triage"]
        self.view, self.zoomed = view, None

    def back(self) -> bool:
        """Go back one level; False where there is none."""
        if not self.trail:
            return False
        self.view, self.zoomed = self.trail.pop(), None
        return True

    def set_flows(self, rows: list[FlowRow], total: int) -> None:
        """Take in the flows that were asked for."""
        self.flows = {flow_key(row): row for row in rows}
        self.flows_total = total
        self.flows_note = "" if rows else "The flows of this incident are no longer in the table."

    def set_packets(self, rows: list[PacketRow], total: int) -> None:
        """Take in the packets that were asked for."""
        self.packets = {str(row.number): row for row in rows}
        self.packets_total = total
        self.packets_note = "" if rows else "No packets were kept for it."


def flow_key(row: FlowRow) -> str:
    """Return the identity of a flow; flows that left the table have serial 0 and are known by their ends."""
    return f"{row.serial}/{row.protocol}/{row.src}/{row.sport}/{row.dst}/{row.dport}"
