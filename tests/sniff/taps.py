"""A pair of virtual interfaces in a network namespace of this thread, for tests of live capture."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator

from nettriage.model.batch import RawBatch
from tests.sniff.forged_captures import check, kept

CLONE_NEWNET = 0x4000_0000
NEAR, FAR = "near0", "far0"
"""What is sent on `FAR` arrives on `NEAR`."""
QUIET = bytes.fromhex("0200000000bb0200000000aa88b5")
"""Ethernet header of the local experimental ethertype, which nothing else here sends (IEEE 802 10.3.2)."""


def missing() -> str:
    """Return why a namespace cannot be made here, or an empty string."""
    if os.geteuid() != 0:
        return "a namespace of its own needs root"
    return "" if shutil.which("ip") else "ip is not installed"


def ip(*command: str) -> None:
    """Change the interfaces in the namespace of this thread, as the command of that name does."""
    subprocess.run(["ip", *command], check=True, capture_output=True)


def promiscuity(name: str) -> int:
    """Return how many listeners want an interface to pass on everything."""
    shown = subprocess.run(["ip", "-d", "-j", "link", "show", name], check=True, capture_output=True)
    return int(json.loads(shown.stdout)[0]["promiscuity"])


def make_pair() -> None:
    """Make `NEAR` and `FAR`, both up, without addresses of their own."""
    ip("link", "add", NEAR, "type", "veth", "peer", "name", FAR)
    for name in (NEAR, FAR):
        ip("link", "set", name, "addrgenmode", "none", "up")


@contextlib.contextmanager
def namespace() -> Iterator[None]:
    """Move this thread to a new namespace, which is gone afterwards with all that is in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    try:
        yield
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)


def sender(name: str = FAR) -> socket.socket:
    """Return a socket that sends whole frames on an interface."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    tap.bind((name, 0))
    return tap


def frame(number: int, size: int = 60, header: bytes = QUIET) -> bytes:
    """Return a frame with a number in it."""
    return (header + number.to_bytes(4, "big")).ljust(size, b"\xee")


async def hear(batches: AsyncIterator[RawBatch], count: int, timeout_s: float = 5) -> list[RawBatch]:
    """Read batches until `count` packets have come, and return copies of those that hold packets."""
    heard: list[RawBatch] = []
    async with asyncio.timeout(timeout_s):
        while sum(map(len, heard)) < count:
            batch = await anext(batches)
            check(batch)
            if len(batch):
                heard.append(kept(batch))
    return heard
