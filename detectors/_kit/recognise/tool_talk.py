"""What the bytes of a tunnelling tool say, whatever the tool."""

from __future__ import annotations

from dataclasses import dataclass

from nettriage.model.safetext import SafeStr

_NOTHING = SafeStr("")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTalk:
    """A tool, recognised in one flow."""

    tool: str
    evidence: SafeStr
    """The bytes, or the words, that tell it."""
    confidence: float
    """0 to 1."""
    score: float
    """0 to 100, before the place of the hosts is counted in."""
    target: SafeStr = _NOTHING
    """What the tunnel leads to, where the bytes tell it."""
    acting_side: int = 0
    """Side on which the tool's client stands: the host that tunnels."""
