"""The snapshot, ``nettriage.snapshot/1``, and the summary, ``nettriage.summary/1``."""

from __future__ import annotations

import msgspec

from nettriage.model.alert import Alert
from nettriage.model.health import CaptureHealth, Gauge
from nettriage.model.panel import Panel

SNAPSHOT_SCHEMA = "nettriage.snapshot/1"
SUMMARY_SCHEMA = "nettriage.summary/1"


class ToolInfo(msgspec.Struct, kw_only=True):
    """Which program wrote this."""

    name: str = "nettriage"
    version: str
    python: str
    platform: str


class SourceInfo(msgspec.Struct, kw_only=True):
    """Where the packets came from."""

    type: str
    """``live``, ``file``, ``stream`` or ``demo``."""
    name: str
    """Interface or file name."""
    link_types: list[int] = msgspec.field(default_factory=list)
    bpf: str = ""
    snaplen: int | None = None
    size_bytes: int | None = None
    """Size of the file; None for a live source."""
    done_bytes: int | None = None
    """Bytes of the file read so far."""
    finished: bool = False
    error: str = ""
    """What was wrong with the source and where, empty when nothing was."""


class WindowInfo(msgspec.Struct, kw_only=True):
    """Packet time covered."""

    first_packet: str | None = None
    last_packet: str | None = None
    clock: str = "packet"
    jumps: int = 0


class HostInfo(msgspec.Struct, kw_only=True):
    """A host that an alert names."""

    ip: str
    mac: str | None = None
    vendor: str | None = None
    name: str | None = None
    roles: list[str] = msgspec.field(default_factory=list)
    zone: str = ""
    first_seen: str = ""
    last_seen: str = ""


class Snapshot(msgspec.Struct, kw_only=True):
    """Everything the operator can see at one moment, for handing over."""

    schema: str = SNAPSHOT_SCHEMA
    id: str
    created: str
    """Wall clock, RFC 3339 UTC."""
    tool: ToolInfo
    source: SourceInfo
    window: WindowInfo
    capture_health: CaptureHealth
    limits: dict[str, Gauge]
    config_digest: str
    """SHA-256 of the effective settings."""
    home_net: list[str]
    suppressions: list[str] = msgspec.field(default_factory=list)
    alerts: list[Alert] = msgspec.field(default_factory=list)
    hosts: list[HostInfo] = msgspec.field(default_factory=list)
    fanout: Panel | None = None
    truncated: dict[str, int] = msgspec.field(default_factory=dict)
    """Entries left out of each list; empty when nothing was."""


class Summary(msgspec.Struct, kw_only=True):
    """The last line of a headless run."""

    schema: str = SUMMARY_SCHEMA
    kind: str = "summary"
    tool: ToolInfo
    source: SourceInfo
    window: WindowInfo
    packets: int
    bytes: int
    seconds: float
    """Wall time of the run."""
    packet_rate: float
    """Packets a second of wall time."""
    alerts_by_severity: dict[str, int]
    alerts_by_kind: dict[str, int]
    capture_health: CaptureHealth
    limits: dict[str, Gauge]
    exit_code: int = 0
