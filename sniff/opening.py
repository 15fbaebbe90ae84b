"""From the name that the user gave to the source that it means."""

from __future__ import annotations

import os
import socket
import stat
import sys

import pcapy

from nettriage.model.errors import CaptureError, UsageError
from nettriage.model.safetext import safe
from sniff.capture_file import FileSource
from sniff.interface import ListedInterface, find_link, list_interfaces
from sniff.pcapy_source import PcapySource
from sniff.ring import RingSource
from sniff.source import Source, SourceOptions
from sniff.stream import StreamSource

STDIN = "-"
HAS_RING = hasattr(socket, "AF_PACKET")


def open_source(name: str, options: SourceOptions) -> Source:
    """Open ``-`` as a stream from stdin, the name of an interface, or a capture file.

    An interface wins over a file of its name; a path with a slash is always a file. What is neither is taken for
    a misspelt interface.

    Raises `CaptureError` for what is no readable capture, `InterfaceError` for an unknown interface with the
    nearest names, `CapturePermissionError` with the remedy, and `UsageError` for a bad filter.
    """
    if name == STDIN:
        return _open_stream(sys.stdin.fileno(), "stdin", options)
    if HAS_RING and find_link(name) is not None:
        return RingSource(name, options)
    if os.path.isdir(name):
        raise CaptureError(f"{safe(name)}: is a folder, not a capture")
    if os.path.isfile(name):
        return FileSource(name, options)
    if os.path.exists(name):
        return _open_stream(os.open(name, os.O_RDONLY | os.O_CLOEXEC), name, options)
    return RingSource(name, options) if HAS_RING else PcapySource(name, options)


def _open_stream(fd: int, name: str, options: SourceOptions) -> Source:
    """Open a descriptor: a regular file can be mapped even if it came as stdin."""
    if os.isatty(fd):
        raise UsageError(f"{safe(name)} is a terminal: pipe a capture into it, e.g. `tcpdump -U -w - | nettriage -`")
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return FileSource(name, options, fd)
    return StreamSource(fd, name, options)


def interfaces() -> list[ListedInterface]:
    """Return what can be captured on, in the system's order."""
    if HAS_RING:
        return list_interfaces()
    return [ListedInterface(name, True, "", 0) for name in pcapy.findalldevs()]
