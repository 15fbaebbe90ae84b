"""Counts of what the feed delivers: packets, bytes, flaws, copies, and frames that no wire carried."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nettriage.model.batch import Flaw, PacketBatch
from nettriage.model.health import CaptureHealth

OFFLOAD_WIRE_LEN = 1_600
"""A frame above this is longer than a tagged, encapsulated Ethernet frame of 1,500 bytes."""
_REASONS = {flaw: flaw.name.lower().replace("_", " ") for flaw in Flaw if flaw.name}


@dataclass(slots=True)
class FeedCounts:
    """Running counts since the start."""

    received: int = 0
    bytes: int = 0
    truncated: int = 0
    duplicates: int = 0
    offload_suspect: int = 0
    malformed: dict[str, int] = field(default_factory=dict)

    def count(self, packets: PacketBatch) -> None:
        """Count a batch whose duplicates are marked."""
        self.received += len(packets)
        self.bytes += int(packets.wire_len.sum(dtype=np.int64))
        self.truncated += int(np.count_nonzero(packets.raw.cap_len < packets.raw.wire_len))
        self.duplicates += int(np.count_nonzero(packets.duplicate))
        self.offload_suspect += int(np.count_nonzero(packets.wire_len > OFFLOAD_WIRE_LEN))
        flaws = packets.flaw[packets.flaw != 0]
        if not len(flaws):
            return
        for flaw, reason in _REASONS.items():
            hits = int(np.count_nonzero(flaws & np.uint32(flaw)))
            if hits:
                self.malformed[reason] = self.malformed.get(reason, 0) + hits

    def fill(self, health: CaptureHealth) -> None:
        """Write the counts into `health`."""
        health.received = self.received
        health.bytes = self.bytes
        health.truncated = self.truncated
        health.duplicates = self.duplicates
        health.offload_suspect = self.offload_suspect
        health.malformed = dict(self.malformed)
