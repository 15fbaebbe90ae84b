"""The one protocol that every capture source speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from nettriage.model.batch import BATCH_ROWS_MAX, RawBatch
from nettriage.model.errors import UsageError
from nettriage.model.snapshot import SourceInfo

SNAPLEN_MIN, SNAPLEN_MAX = 64, 262_144
"""Bytes; the upper end is libpcap's MAXIMUM_SNAPLEN."""
RING_MIB_MIN, RING_MIB_MAX = 1, 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What the user may choose about a source; a value out of range raises `UsageError`."""

    bpf: str = ""
    """Filter in pcap-filter(7) syntax, empty for everything."""
    snaplen: int = 2048
    """Bytes that a live source keeps of each packet; a file or a stream has what it has."""
    ring_mib: int = 128
    """MiB of the kernel's ring of a live source."""
    promiscuous: bool = True
    """Whether the interface shall also pass on what is not addressed to it: a mirror port must."""
    batch_rows: int = BATCH_ROWS_MAX
    """Rows of the largest batch."""

    def __post_init__(self) -> None:
        _check("snapshot length", self.snaplen, SNAPLEN_MIN, SNAPLEN_MAX, "bytes")
        _check("ring size", self.ring_mib, RING_MIB_MIN, RING_MIB_MAX, "MiB")
        _check("batch size", self.batch_rows, 1, BATCH_ROWS_MAX, "rows")


def _check(what: str, value: int, low: int, high: int, unit: str) -> None:
    if not low <= value <= high:
        raise UsageError(f"the {what} must lie between {low} and {high} {unit}, not {value}")


@dataclass(slots=True)
class SourceCounters:
    """What a source has delivered and lost since it was opened."""

    received: int = 0
    """Packets delivered in batches."""
    kernel_drops: int | None = None
    """Packets the kernel dropped because the ring was full; None where the source cannot know."""
    nic_drops: int | None = None
    """Packets the interface dropped before the kernel saw them; None where the source cannot know."""
    interface_state: str = ""
    """``up``, ``down``, ``gone``, or empty where there is no interface."""
    reopened: int = 0
    """Times the interface was opened again after it had gone."""
    done_bytes: int | None = None
    """Bytes of the file or stream read so far; None for an interface."""
    note: str = ""
    """What this source cannot know, in one sentence; empty when nothing."""


class Source(Protocol):
    """Packets from one place: an interface, a file or a stream.

    A source is opened when it is made, and read once, by one task.
    """

    info: SourceInfo
    """Kept up to date while the source is read."""
    is_live: bool
    """Whether packets arrive in real time and the source ends only when it is closed."""

    def batches(self) -> AsyncIterator[RawBatch]:
        """Yield batches of at most `batch_rows` packets, each of one link type, in capture order.

        A live source yields an empty batch about every 100 ms while nothing arrives. A batch that is not
        `stable` may be read only until the next one is asked for. Damage in a file or stream raises
        `CaptureError` after everything readable was yielded.
        """
        ...

    def counters(self) -> SourceCounters:
        """Return the counters of this moment."""
        ...

    def close(self) -> None:
        """Give the interface or file back; safe to call twice."""
        ...
