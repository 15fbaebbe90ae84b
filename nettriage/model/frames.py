"""The closed set of messages between the sensor process and the screens, as length-prefixed MessagePack."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from nettriage.model.alert import Alert
from nettriage.model.health import CaptureHealth, Gauge
from nettriage.model.panel import Panel
from nettriage.model.snapshot import Snapshot, SourceInfo, WindowInfo

FRAME_MAX_BYTES = 64 * 1024 * 1024
"""A longer frame is a bug of the sender: the link is closed."""


class Message(msgspec.Struct, kw_only=True, tag=True):
    """Base of all messages; the tag is the class name."""


class Update(Message, kw_only=True):
    """Sensor to screens, at most four a second: counters, panels, and the alerts that changed."""

    seq: int
    """Grows by one with each update that was made, sent or skipped."""
    now: str
    """Packet clock, RFC 3339 UTC; empty before the first packet."""
    source: SourceInfo
    window: WindowInfo
    health: CaptureHealth
    limits: dict[str, Gauge]
    packets_per_s: float
    bits_per_s: float
    flows: int
    hosts: int
    lag_s: float
    """Wall time that the pipeline is behind the source; 0 for a file."""
    fanout: Panel | None = None
    alerts: list[Alert] = msgspec.field(default_factory=list)
    """Created, changed and closed since the update that was last *sent*."""
    state: str = "running"
    """``running``, ``paused``, ``finished`` or ``failed``."""


class FlowRow(msgspec.Struct, kw_only=True):
    """A flow of the drill-down list."""

    serial: int
    started: str
    last: str
    src: str
    sport: int
    dst: str
    dport: int
    protocol: str
    state: str
    bytes_up: int
    bytes_down: int
    packets_up: int
    packets_down: int
    community_id: str
    name: str = ""
    """What the payload named: server name, host, or query; made harmless."""
    packets_kept: int = 0


class PacketRow(msgspec.Struct, kw_only=True):
    """A kept packet of the drill-down list."""

    number: int
    """Identity of the packet within its incident."""
    ts_ns: int
    src: str
    dst: str
    protocol: str
    length: int
    info: str
    data: bytes
    """Captured bytes, hostile: only for the hexdump and the dissector."""
    link_type: int
    flow: int = 0
    """Serial of its flow, 0 where it has none."""


class AskFlows(Message, kw_only=True):
    """Screens to sensor: the flows of an incident."""

    request: int
    alert_id: str


class AskPackets(Message, kw_only=True):
    """Screens to sensor: the kept packets of an incident, of one of its flows where `flow` is given."""

    request: int
    alert_id: str
    flow: int | None = None


class AskSnapshot(Message, kw_only=True):
    """Screens to sensor: everything, for export."""

    request: int


class Stop(Message, kw_only=True):
    """Screens to sensor: end the run in order."""


class Flows(Message, kw_only=True):
    """Sensor to screens: the answer to `AskFlows`."""

    request: int
    rows: list[FlowRow]
    total: int


class Packets(Message, kw_only=True):
    """Sensor to screens: the answer to `AskPackets`."""

    request: int
    rows: list[PacketRow]
    total: int


class SnapshotReply(Message, kw_only=True):
    """Sensor to screens: the answer to `AskSnapshot`."""

    request: int
    snapshot: Snapshot


class Failed(Message, kw_only=True):
    """Sensor to screens: the run ended with an error that the user can act on."""

    message: str
    exit_code: int


class Finished(Message, kw_only=True):
    """Sensor to screens: the source is used up and everything pending is settled."""

    exit_code: int
    message: str = ""


FromSensor = Update | Flows | Packets | SnapshotReply | Failed | Finished
FromScreens = AskFlows | AskPackets | AskSnapshot | Stop

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[FromSensor | FromScreens] = msgspec.msgpack.Decoder(FromSensor | FromScreens)


def encode(message: Message) -> bytes:
    """Return the frame of a message: four bytes of length, big-endian, and MessagePack."""
    body = _ENCODER.encode(message)
    if len(body) > FRAME_MAX_BYTES:
        raise ValueError(f"a {type(message).__name__} of {len(body)} bytes is longer than a frame may be")
    return len(body).to_bytes(4, "big") + body


class FrameReader:
    """Cuts a byte stream back into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[FromSensor | FromScreens]:
        """Take in bytes and yield every message that is whole.

        Raises ValueError (or msgspec.ValidationError, which is one) for a stream that is no such link.
        """
        self._buffer += chunk
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if size > FRAME_MAX_BYTES:
                raise ValueError(f"a frame of {size} bytes is longer than a frame may be")
            if len(self._buffer) < 4 + size:
                return
            body = bytes(self._buffer[4 : 4 + size])
            del self._buffer[: 4 + size]
            yield _DECODER.decode(body)
