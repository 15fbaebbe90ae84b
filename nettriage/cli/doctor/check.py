"""What one look at the host found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """A verdict, and how to mend it."""

    status: Literal["ok", "warn", "fail"]
    """``fail``: no capture is possible; ``warn``: something will be seen wrongly or not at all."""
    what: str
    remedy: str = ""
    """Command lines or advice; empty when nothing needs mending."""
