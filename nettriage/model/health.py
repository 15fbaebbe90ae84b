"""What the tool could and could not see: capture counters and table gauges."""

from __future__ import annotations

import msgspec


class Gauge(msgspec.Struct, frozen=True, kw_only=True):
    """How full a bounded table is."""

    cap: int
    """Rows that the table can hold."""
    used: int
    """Rows held now."""
    evicted: int = 0
    """Rows given up for newer ones since the start."""
    refused: int = 0
    """Rows that found no place since the start."""


class CaptureHealth(msgspec.Struct, kw_only=True):
    """Packets received and lost since the start, each cause apart."""

    received: int = 0
    """Packets that reached the decoder."""
    bytes: int = 0
    """Wire bytes of those packets."""
    kernel_drops: int | None = None
    """Packets the kernel dropped because the ring was full; None where the source cannot know."""
    nic_drops: int | None = None
    """Packets the interface dropped before the kernel; None where the source cannot know."""
    shed: int = 0
    """Packets that nettriage itself left unanalysed to keep up."""
    truncated: int = 0
    """Packets captured shorter than they were on the wire."""
    malformed: dict[str, int] = msgspec.field(default_factory=dict)
    """Packets with a flaw, by reason."""
    duplicates: int = 0
    """Copies of a packet that the mirror delivered more than once."""
    one_way_share: float | None = None
    """Share of TCP flows seen in one direction only, 0 to 1; None before there were any."""
    loss_estimate: float | None = None
    """Share of acknowledged data that was never seen, 0 to 1; None before there was any."""
    offload_suspect: int = 0
    """Frames larger than any Ethernet: the interface merges packets (GRO, LRO, TSO)."""
    clock_jumps: int = 0
    """Times the packet clock went back or leapt ahead by more than it may."""
    interface_state: str = ""
    """``up``, ``down``, ``gone``, or empty for a file."""
    note: str = ""
    """What else lowers the trust in this capture, in one sentence; empty when nothing does."""
