"""A sensor that plays a part: hand-made updates and answers over a socketpair, for tests and pictures."""

from __future__ import annotations

import asyncio
import socket

from nettriage.model.alert import Alert
from nettriage.model.frames import (
    AskFlows,
    AskPackets,
    AskSnapshot,
    Flows,
    FrameReader,
    Message,
    Packets,
    SnapshotReply,
    encode,
)
from nettriage.model.snapshot import Snapshot, ToolInfo
from tests.tui.made import NOW, busy_alerts, flow_rows, packet_rows, update


class FakeSensor:
    """The other end of the link: sends what it is told, answers what it is asked, remembers what it heard."""

    def __init__(self) -> None:
        self.screens_end, self._end = socket.socketpair()
        self._end.setblocking(True)
        self._writer: asyncio.StreamWriter | None = None
        self.linked = asyncio.Event()
        """Set once `say` works."""
        self.heard: list[object] = []
        self.flows = flow_rows()
        self.packets = packet_rows()
        self.alerts: list[Alert] = []

    def send(self, *messages: Message) -> None:
        """Send messages, all in one piece."""
        self._end.sendall(b"".join(encode(message) for message in messages))

    def say(self, message: Message) -> None:
        """Send a message while `answer` runs."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(message))

    def busy(self, seq: int = 1) -> None:
        """Send an update with a dozen incidents."""
        self.alerts = busy_alerts()
        self.send(update(self.alerts, seq))

    def close(self) -> None:
        """Die without a word."""
        self._end.close()

    async def answer(self) -> None:
        """Answer questions until the screens are gone."""
        reader, writer = await asyncio.open_connection(sock=self._end)
        self._writer = writer
        self.linked.set()
        frames = FrameReader()
        while chunk := await reader.read(65_536):
            for message in frames.feed(chunk):
                self.heard.append(message)
                if (reply := self._reply(message)) is not None:
                    writer.write(encode(reply))
        writer.close()

    def _reply(self, message: object) -> Message | None:
        match message:
            case AskFlows(request=number):
                return Flows(request=number, rows=self.flows, total=len(self.flows) + 3)
            case AskPackets(request=number, flow=flow):
                rows = [row for row in self.packets if flow is None or row.flow == flow]
                return Packets(request=number, rows=rows, total=len(rows))
            case AskSnapshot(request=number):
                return SnapshotReply(request=number, snapshot=self._snapshot())
        return None

    def _snapshot(self) -> Snapshot:
        now = update([])
        return Snapshot(
            id="0123456789abcdef", created=NOW, tool=ToolInfo(version="0", python="3", platform="test"),
            source=now.source, window=now.window, capture_health=now.health, limits=now.limits,
            config_digest="0" * 64, home_net=["10.0.0.0/8"], alerts=self.alerts,
        )  # fmt: skip
