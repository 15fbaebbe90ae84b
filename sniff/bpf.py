"""Capture filters in pcap-filter(7) syntax, compiled by libpcap."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pcapy

from nettriage.model.batch import RawBatch
from nettriage.model.errors import InterfaceError, UsageError
from nettriage.model.safetext import safe
from sniff.linktype import ETHERNET, to_dlt

_NETMASK_UNKNOWN = 0xFFFF_FFFF
_SNAPLEN = 262_144
_SO_ATTACH_FILTER = 26
_SO_GET_FILTER = 26
_SO_LOCK_FILTER = 44


class Sieve:
    """Keeps the packets of a file or stream that a filter accepts.

    libpcap judges one packet at a time, at about 0.3 µs each, so that its verdict is the one that tcpdump would
    give. It knows only the captured bytes: ``less`` and ``greater`` see the captured length.
    """

    def __init__(self, expression: str, link_types: Iterable[int]) -> None:
        """Raise `UsageError` if libpcap cannot compile `expression` for one of the `link_types`.

        Where none is known yet it is compiled for Ethernet, so that a typing error shows at once.
        """
        self._expression = expression
        self._programs: dict[int, pcapy.BPFProgram] = {}
        for link_type in list(link_types) or [ETHERNET]:
            self._program(link_type)

    def __call__(self, batch: RawBatch) -> RawBatch:
        """Return the accepted rows; the batch itself without a filter."""
        if not self._expression or not len(batch):
            return batch
        accepts = self._program(batch.link_type).filter
        data = batch.data.data
        places = zip(batch.offset.tolist(), batch.cap_len.tolist(), strict=True)
        kept = np.fromiter((bool(accepts(bytes(data[at : at + size]))) for at, size in places), np.bool_, len(batch))
        return replace(
            batch, ts_ns=batch.ts_ns[kept], offset=batch.offset[kept],
            cap_len=batch.cap_len[kept], wire_len=batch.wire_len[kept],
        )  # fmt: skip

    def _program(self, link_type: int) -> pcapy.BPFProgram:
        program = self._programs.get(link_type)
        if program is None and self._expression:
            program = self._programs[link_type] = compile_filter(self._expression, link_type)
        return program


def compile_filter(expression: str, link_type: int) -> pcapy.BPFProgram:
    """Compile for packets of a file; raise `UsageError` with libpcap's words if that cannot be."""
    try:
        return pcapy.compile(to_dlt(link_type), _SNAPLEN, expression, 1, _NETMASK_UNKNOWN)
    except pcapy.PcapError as error:
        raise bad_filter(expression, error) from error


def bad_filter(expression: str, error: Exception) -> UsageError:
    """Return the error that quotes libpcap."""
    return UsageError(f"filter `{safe(expression)}`: {safe(str(error))}")


def kernel_program(expression: str, interface: str) -> bytes:
    """Return the kernel's program (an array of struct sock_filter) for what arrives on `interface`.

    The kernel takes the VLAN tag off a frame before a filter sees it. libpcap knows how to ask for the tag,
    but only while it compiles for an open interface; so it does that here, and the program is read back from
    its socket. The interface must be up.
    """
    try:
        tap = pcapy.open_live(interface, _SNAPLEN, 0, 0)
    except pcapy.PcapError as error:
        raise InterfaceError(
            f"a filter can only be compiled for an interface that is up: {safe(str(error))}"
        ) from error
    try:
        tap.setfilter(expression)
        return _read_back(expression, tap.getfd())
    except pcapy.PcapError as error:
        raise bad_filter(expression, error) from error
    finally:
        tap.close()


def _read_back(expression: str, fd: int) -> bytes:
    """Return the filter of a socket: getsockopt(2) counts this option in instructions, not in bytes."""
    getsockopt = ctypes.CDLL(None, use_errno=True).getsockopt
    count = ctypes.c_uint(0)
    if getsockopt(fd, socket.SOL_SOCKET, _SO_GET_FILTER, None, ctypes.byref(count)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if not count.value:
        raise UsageError(f"filter `{safe(expression)}`: the kernel cannot run it")
    program = ctypes.create_string_buffer(8 * count.value)
    if getsockopt(fd, socket.SOL_SOCKET, _SO_GET_FILTER, program, ctypes.byref(count)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return program.raw


def attach(tap: socket.socket, program: bytes) -> None:
    """Let the kernel pass on only what `program` accepts, and keep anyone from changing that."""
    instructions = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    tap.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
    tap.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)
