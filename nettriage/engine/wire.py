"""The first words over a new link: the configuration of the run, before frames begin."""

from __future__ import annotations

import socket

import msgspec

from nettriage.engine.config import RunConfig


def send_config(sock: socket.socket, config: RunConfig) -> None:
    """Send what the run is to do: four bytes of length, big-endian, and MessagePack."""
    body = msgspec.msgpack.encode(config)
    sock.sendall(len(body).to_bytes(4, "big") + body)


def receive_config(sock: socket.socket) -> RunConfig:
    """Read what the run is to do; raises ConnectionError where the other end is gone before it was said."""
    size = int.from_bytes(receive_exactly(sock, 4), "big")
    return msgspec.msgpack.decode(receive_exactly(sock, size), type=RunConfig)


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    """Read `size` bytes and not one more; raises ConnectionError at the end of the stream, TimeoutError as set."""
    content = bytearray()
    while len(content) < size:
        chunk = sock.recv(size - len(content))
        if not chunk:
            raise ConnectionError("the other end of the link is gone")
        content += chunk
    return bytes(content)
