"""An interface, read through libpcap: for systems that have no packet ring of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pcapy

from nettriage.model.batch import HEAD_WIDTH, RawBatch
from nettriage.model.errors import CapturePermissionError, InterfaceError, nearest
from nettriage.model.safetext import safe
from nettriage.model.snapshot import SourceInfo
from sniff.bpf import bad_filter
from sniff.idle import Waiter, empty_batch
from sniff.linktype import from_dlt
from sniff.source import SourceCounters, SourceOptions

GATHER_S = 0.01
"""Rest after a batch that was not full."""
REOPEN_S = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each attempt to open an interface again that was lost; the last one repeats."""
NOTE = "libpcap delivers whole µs and not the length on the wire: a cut packet counts as whole"

_POLL_MS = 100
_NO_SUCH_DEVICE, _NOT_UP, _NOT_PERMITTED = -5, -9, (-8, -11)
"""What activation answers (pcap/pcap.h, PCAP_ERROR_...)."""


class PcapySource:
    """Receives what arrives on one interface; one that goes down or away is tried again with growing rests.

    libpcap's batches hold no length on the wire, so `wire_len` is `cap_len`, and timestamps in µs.
    Raises `InterfaceError`, `CapturePermissionError`, or `UsageError` for a bad filter.
    """

    is_live = True

    def __init__(self, name: str, options: SourceOptions) -> None:
        self._name = name
        self._options = options
        self._counters = SourceCounters(note=NOTE)
        self._past = (0, 0)
        self._closed = False
        self._open()
        self.info = SourceInfo(
            type="live", name=safe(name), link_types=[self._link_type], bpf=options.bpf, snaplen=options.snaplen
        )

    async def batches(self) -> AsyncIterator[RawBatch]:
        """Yield what arrived, or an empty batch about every 100 ms; batches stay valid."""
        while not self._closed:
            try:
                batch = self._next()
            except pcapy.PcapError:
                async for heartbeat in self._come_back():
                    yield heartbeat
                continue
            if len(batch):
                self._counters.received += len(batch)
                yield batch
                await asyncio.sleep(0 if len(batch) == self._options.batch_rows else GATHER_S)
            elif not await self._waiter.readable():
                yield batch

    def counters(self) -> SourceCounters:
        """Return the counters; libpcap's own begin anew whenever the interface is opened again."""
        if self._counters.interface_state == "up" and not self._closed:
            _, drops, nic_drops = self._tap.stats()
            self._counters.kernel_drops = self._past[0] + drops
            self._counters.nic_drops = self._past[1] + nic_drops
        return replace(self._counters)

    def close(self) -> None:
        """Leave the interface as it was found."""
        if not self._closed:
            self.counters()
            self._closed = True
            self._release()

    def _open(self) -> None:
        options = self._options
        tap = pcapy.create(self._name)
        tap.set_snaplen(options.snaplen)
        tap.set_promisc(int(options.promiscuous))
        tap.set_timeout(_POLL_MS)
        tap.set_buffer_size(options.ring_mib << 20)
        status = tap.activate()
        if status < 0:
            raise self._cannot_open(status)
        self._link_type = from_dlt(tap.datalink())
        if options.bpf:
            try:
                tap.setfilter(options.bpf)
            except pcapy.PcapError as error:
                raise bad_filter(options.bpf, error) from error
        tap.setnonblock(1)
        self._tap = tap
        self._waiter = Waiter(tap.getfd())
        self._counters.interface_state = "up"

    def _cannot_open(self, status: int) -> InterfaceError | CapturePermissionError:
        name = safe(self._name)
        if status in _NOT_PERMITTED:
            return CapturePermissionError(
                f"capturing on {name} is not permitted: run it as root, `sudo nettriage {name}`"
            )
        if status == _NOT_UP:
            return InterfaceError(f"{name} is down")
        known = pcapy.findalldevs()
        reason = "no such interface" if status == _NO_SUCH_DEVICE else f"libpcap cannot open it (status {status})"
        return InterfaceError(f"{name}: {reason}{nearest(self._name, known)}; interfaces: {', '.join(known)}")

    def _next(self) -> RawBatch:
        """Return what libpcap has ready; its records are four words: seconds, µs, offset, captured length."""
        packets, records = self._tap.next_batch(self._options.batch_rows)
        words = np.frombuffer(records, np.uint32).reshape(-1, 4).astype(np.int64)
        if not len(words):
            return empty_batch(self._link_type)
        data = np.zeros(len(packets) + HEAD_WIDTH, np.uint8)
        data[: len(packets)] = np.frombuffer(packets, np.uint8)
        cap_len = words[:, 3].astype(np.int32)
        ts_ns = words[:, 0] * 1_000_000_000 + words[:, 1] * 1000
        return RawBatch(self._link_type, ts_ns, words[:, 2].copy(), cap_len, cap_len, data)

    async def _come_back(self) -> AsyncIterator[RawBatch]:
        """Open the interface again, with an empty batch for every 100 ms that it takes."""
        self.counters()
        self._past = (self._counters.kernel_drops or 0, self._counters.nic_drops or 0)
        self._release()
        attempt = 0
        while not self._closed:
            self._counters.interface_state = "down" if self._name in pcapy.findalldevs() else "gone"
            rest_s = REOPEN_S[min(attempt, len(REOPEN_S) - 1)]
            for _ in range(round(rest_s * 1000 / _POLL_MS)):
                yield empty_batch(self._link_type)
                await asyncio.sleep(_POLL_MS / 1000)
            attempt += 1
            try:
                self._open()
            except (InterfaceError, CapturePermissionError):
                continue
            self._counters.reopened += 1
            return

    def _release(self) -> None:
        self._waiter.stop()
        self._tap.close()
