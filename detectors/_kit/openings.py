"""What both sides of young TCP flows seem to speak, told from their first bytes for all flows of a tick at once."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, Rows
from nettriage.model.tables import PREFIX_BYTES, PrefixTable, Tables

from .prefix_watch import PrefixWatch

HEAD_BYTES = 16
"""First bytes of each side that the screen looks at."""
_TCP = 6
Bools = npt.NDArray[np.bool_]


class Speech(IntFlag):
    """What the first bytes of one side look like; several may hold, none for bytes that nobody knows."""

    TLS = 1
    """A handshake record: ``16 03 0x`` (RFC 8446 5.1)."""
    SSH = 2
    """An identification string: ``SSH-`` (RFC 4253 4.2)."""
    HTTP_REQUEST = 4
    HTTP_ANSWER = 8
    POST = 16
    """An HTTP request that posts."""
    SWITCHED = 32
    """An HTTP answer with status 101 (RFC 9110 15.2.2)."""
    SOCKS = 64
    """A greeting or an answer of SOCKS5, or a request of SOCKS4: to be confirmed by both sides."""
    TEXT = 128
    """Printable from the start."""
    TPKT = 256
    """``03 00`` and a length (RFC 1006 6): RDP among others."""
    SMB = 512
    """NetBIOS framing around an SMB header."""
    OPENVPN = 1024
    """A hard reset of OpenVPN over TCP behind its two bytes of length."""


@dataclass(frozen=True, slots=True)
class Openings:
    """Flows whose kept payload grew, in order of serial, with their first bytes by side."""

    rows: Rows
    """`intp [n]`, flow rows."""
    slots: Rows
    """`intp [n]`, prefix slots."""
    length: npt.NDArray[np.int32]
    """`i4 [n, 2]`, bytes kept of each side."""
    head: npt.NDArray[np.uint8]
    """`u1 [n, 2, HEAD_BYTES]`, zero beyond `length`."""
    speech: npt.NDArray[np.uint16]
    """`u2 [n, 2]`, bits of `Speech`; where HTTP or TLS holds, nothing else was looked for."""
    odd: Rows
    """`intp [k]`, those of the flows that are not plainly HTTP or TLS on both sides, as far as both spoke."""

    def __len__(self) -> int:
        return len(self.rows)

    def speaks(self, side: int, bits: int) -> Bools:
        """Return `bool [n]`, whether a side speaks any of `bits`."""
        return np.asarray((self.speech[:, side] & np.uint16(bits)) != 0)

    def starts(self, side: int, start: bytes) -> Bools:
        """Return `bool [n]`, whether a side began with `start`."""
        wanted = np.frombuffer(start, np.uint8)
        return np.asarray((self.head[:, side, : len(wanted)] == wanted).all(axis=1))

    def part(self, at: Rows) -> Openings:
        """Return some of the flows; all of them count as odd."""
        return Openings(
            self.rows[at], self.slots[at], self.length[at], self.head[at], self.speech[at], np.arange(len(at))
        )  # fmt: skip


_NONE = Openings(
    np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros((0, 2), np.int32), np.zeros((0, 2, HEAD_BYTES), np.uint8),
    np.zeros((0, 2), np.uint16), np.zeros(0, np.intp),
)  # fmt: skip


class OpeningWatch(PrefixWatch):
    """The flows that grew since the last look, with what they speak.

    The detectors of one pipeline look at the same flows at the same moment; the screen is computed for the first
    of them and kept for the others. It is a function of the tables at that moment alone.
    """

    def openings(self, now_ns: int, tables: Tables) -> Openings:
        """Return the TCP flows that grew, each once, and forget all marks."""
        marked = self._take()
        if not len(marked):
            return _NONE
        return _MEMO.openings(now_ns, tables, marked)


class _Memo:
    """The latest screen, and of what it is."""

    def __init__(self) -> None:
        self._of: weakref.ref[Tables] | None = None
        self._now_ns = 0
        self._marked: Rows = np.zeros(0, np.intp)
        self._serial: I64 = np.zeros(0, np.int64)
        self._latest = _NONE

    def openings(self, now_ns: int, tables: Tables, marked: Rows) -> Openings:
        serial = tables.flows.serial[marked]
        same_moment = self._of is not None and self._of() is tables and self._now_ns == now_ns
        if (
            same_moment
            and (np.array_equal(self._marked, marked) and np.array_equal(self._serial, serial))
            and np.array_equal(self._latest.length, tables.prefixes.length[self._latest.slots])
        ):
            return self._latest
        self._of, self._now_ns, self._marked, self._serial = weakref.ref(tables), now_ns, marked, serial
        self._latest = _screen(tables, marked, serial)
        return self._latest


def _screen(tables: Tables, marked: Rows, serial: I64) -> Openings:
    rows = marked[(tables.flows.proto[marked] == _TCP) & (serial > 0)]
    rows = rows[np.argsort(tables.flows.serial[rows], kind="stable")]
    slots = np.asarray(tables.prefixes.slots(rows), np.intp)
    rows, slots = rows[slots >= 0], slots[slots >= 0]
    length = np.asarray(tables.prefixes.length[slots])
    head = _heads(tables.prefixes, slots)
    speech = _speech(head.reshape(-1, HEAD_BYTES), length.reshape(-1)).reshape(-1, 2)
    known = (speech & _EVERYDAY) != 0
    odd = np.flatnonzero(~known[:, 0] | ~(known[:, 1] | (length[:, 1] == 0)))
    for array in (head, speech, length, odd):
        array.setflags(write=False)
    return Openings(rows, slots, length, head, speech, odd)


def _heads(prefixes: PrefixTable, slots: Rows) -> npt.NDArray[np.uint8]:
    """Return `u1 [n, 2, HEAD_BYTES]`; one strided item a side costs a tenth of an index for each byte."""
    data = prefixes.data
    items = np.ndarray((len(data) * 2,), f"V{HEAD_BYTES}", buffer=data, strides=(PREFIX_BYTES,))
    lanes = np.repeat(slots * 2, 2)
    lanes[1::2] += 1
    return items[lanes].view(np.uint8).reshape(-1, 2, HEAD_BYTES)


def _word(text: bytes) -> np.uint32:
    return np.uint32(int.from_bytes(text, "little"))


_REQUESTS = tuple(map(_word, (b"GET ", b"HEAD", b"PUT ", b"CONN", b"OPTI", b"DELE", b"PATC", b"PROP")))
_POST, _HTTP, _SSH = _word(b"POST"), _word(b"HTTP"), _word(b"SSH-")
_101 = _word(b" 101")
_SMB = (_word(b"\xffSMB"), _word(b"\xfeSMB"), _word(b"\xfdSMB"))
_EVERYDAY = np.uint16(Speech.HTTP_REQUEST | Speech.HTTP_ANSWER | Speech.TLS)
_OPENVPN_RESETS = (np.uint8(0x38), np.uint8(0x40), np.uint8(0x50))
"""Opcodes 7, 8 and 10 in the upper five bits: hard resets of client and server, version 2 and 3."""


def _speech(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int32]) -> npt.NDArray[np.uint16]:
    """Return bits of `Speech` for `u1 [m, HEAD_BYTES]` heads: HTTP and TLS of all, the rest of what is left."""
    words = head.view("<u4")
    first = np.ascontiguousarray(words[:, 0])
    post, answer = first == _POST, first == _HTTP
    request = post.copy()
    for method in _REQUESTS:
        request |= first == method
    tls = ((first & np.uint32(0xFFFF)) == 0x0316) & ((first & np.uint32(0xFF0000)) <= 0x040000)
    speech = np.zeros(len(head), np.uint16)
    for bit, holds in (
        (Speech.HTTP_REQUEST, request), (Speech.POST, post), (Speech.HTTP_ANSWER, answer), (Speech.TLS, tls),
        (Speech.SWITCHED, answer & (words[:, 2] == _101)),
    ):  # fmt: skip
        speech |= holds * np.uint16(bit)
    rest = np.flatnonzero((speech == 0) & (length > 0))
    if len(rest):
        speech[rest] = _rare_speech(head[rest], length[rest])
    return speech


def _rare_speech(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int32]) -> npt.NDArray[np.uint16]:
    words = head.view("<u4")
    b0, b1, b2 = head[:, 0], head[:, 1], head[:, 2]
    framed = b0.astype(np.int32) * 256 + b1
    socks4 = (b0 == 4) & (b1 - np.uint8(1) < 2) & (length >= 9)
    openvpn = _any_of(b2, _OPENVPN_RESETS) & (framed >= 14) & (framed <= length - 2)
    speech = np.zeros(len(head), np.uint16)
    for bit, holds in (
        (Speech.SSH, words[:, 0] == _SSH), (Speech.SOCKS, ((b0 == 5) & (length >= 2)) | socks4),
        (Speech.TEXT, _printable(head[:, :8], length)), (Speech.OPENVPN, openvpn),
        (Speech.TPKT, (b0 == 3) & (b1 == 0) & (b2 < 16) & (length >= 7)),
        (Speech.SMB, (b0 == 0) & _any_of(words[:, 1], _SMB)),
    ):  # fmt: skip
        speech |= holds * np.uint16(bit)
    return speech


def _any_of(column: npt.NDArray[np.unsignedinteger], values: tuple[np.unsignedinteger, ...]) -> Bools:
    """Whether each entry is one of few values: on small columns this costs a fifth of `numpy.isin`."""
    found = column == values[0]
    for value in values[1:]:
        found |= column == value
    return np.asarray(found)


def _printable(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int32]) -> Bools:
    text = (head - np.uint8(0x20) < 0x5F) | (head - np.uint8(9) < 5)
    text |= np.arange(head.shape[1]) >= length[:, None]
    return np.asarray(text.all(axis=1) & (length >= 3))


_MEMO = _Memo()
