"""The pcap file format (draft-ietf-opsawg-pcap) as columns."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import RawBatch
from nettriage.model.columns import I64
from sniff.lanes import PROBE, SEGMENT, find_records, heads_at, words_at
from sniff.linktype import from_file

FILE_HEADER = 24
"""Bytes of the file header."""
CAP_LEN_MAX = 262_144
"""Captured bytes of the largest packet (libpcap, MAXIMUM_SNAPLEN); a record that claims more is damage."""
WIRE_LEN_MAX = 2**31 - 1

U8 = npt.NDArray[np.uint8]

_MAGICS = {
    0xA1B2C3D4: (1000, 16),
    0xA1B23C4D: (1, 16),
    0xA1B2CD34: (1000, 24),
}
"""Magic number: ns in a unit of the fraction, bytes of a record header (the last is Kuznetzov's modified format)."""


@dataclass(frozen=True, slots=True)
class PcapHeader:
    """What the file header says."""

    order: str
    """Byte order, ``<`` or ``>``."""
    tick_ns: int
    """ns in one unit of the fractional part of a timestamp."""
    record_header: int
    """Bytes before each packet."""
    snaplen: int
    link_type: int

    @staticmethod
    def read(head: bytes) -> PcapHeader | None:
        """Read the first `FILE_HEADER` bytes of a file; None if they are not a pcap header."""
        for order in "<>":
            tick_ns, record_header = _MAGICS.get(struct.unpack_from(order + "I", head)[0], (0, 0))
            if tick_ns:
                snaplen, link_type = struct.unpack_from(order + "II", head, 16)
                return PcapHeader(order, tick_ns, record_header, snaplen, from_file(link_type))
        return None


class PcapFraming:
    """Records of a pcap: a header whose third word is the captured length, then the packet."""

    def __init__(self, data: U8, start: int, end: int, header: PcapHeader) -> None:
        self.last = end - header.record_header
        self._end = end
        self._data = data
        self._header = header.record_header
        self._lengths = words_at(data, header.order, end)[8:]
        self._read = struct.Struct(header.order + "8xI").unpack_from
        self._bytes = data.data
        self._high = 3 if header.order == "<" else 0
        self._era = data[start + self._high] if start <= self.last else 0

    def step(self, at: I64) -> I64:
        """Return where each record ends, or its beginning if it is insane or not whole."""
        length = self._lengths[at].astype(np.int64)
        after = at + length
        after += self._header
        stuck = (after > self._end) | (length > CAP_LEN_MAX)
        return np.where(stuck, at, after) if stuck.any() else after

    def step_one(self, at: int) -> int:
        """Return what `step` would for one position."""
        (length,) = self._read(self._bytes, at)
        after: int = at + self._header + length
        return at if length > CAP_LEN_MAX or after > self._end else after

    def candidates(self, edges: I64) -> I64:
        """Return positions whose seconds resemble the first record's and whose lengths are below 16 MiB.

        The high byte of the seconds turns over every 194 days.
        """
        first = int(edges[0]) + self._high
        eras = np.ndarray((len(edges), PROBE), np.uint8, buffer=self._data, offset=first, strides=(SEGMENT, 1))
        row, column = np.nonzero(eras == self._era)
        at = edges[row] + column
        likely = (self._data[at + (8 + self._high)] == 0) & (self._data[at + (12 + self._high)] == 0)
        return np.asarray(at[likely])


class PcapParser:
    """Turns stretches of a pcap into batches; one stretch begins where the one before ended."""

    name = "pcap"
    fault = ""
    """What is wrong with the record at `at`; empty while it is only not whole."""
    lost = ""
    """What had to be left out on the way; a pcap has nothing such."""

    def __init__(self, header: PcapHeader) -> None:
        self._header = header
        self.at = FILE_HEADER
        """Where the first record begins that was not yielded yet."""
        self.snaplen: int | None = header.snaplen
        self.link_types = [header.link_type]
        self.kernel_drops: int | None = None
        self.nic_drops: int | None = None

    def parse(self, data: U8, start: int, end: int, rows: int) -> Iterator[RawBatch]:
        """Yield every whole record of ``data[start:end]`` in batches of at most `rows`, then set `at`."""
        framing = PcapFraming(data, start, end, self._header)
        starts, self.at = find_records(framing, start)
        for first in range(0, len(starts), rows):
            yield self._batch(data, starts[first : first + rows])
        if self.at <= framing.last:
            (length,) = struct.unpack_from(self._header.order + "8xI", data.data, self.at)
            if length > CAP_LEN_MAX:
                self.fault = f"a record claims {length} captured bytes"

    def _batch(self, data: U8, starts: I64) -> RawBatch:
        header = self._header
        head = heads_at(data, starts, header.order, 4).astype(np.int64)
        cap_len = head[:, 2].astype(np.int32)
        return RawBatch(
            header.link_type,
            head[:, 0] * 1_000_000_000 + head[:, 1] * header.tick_ns,
            starts + header.record_header,
            cap_len,
            np.maximum(np.minimum(head[:, 3], WIRE_LEN_MAX).astype(np.int32), cap_len),
            data,
        )
