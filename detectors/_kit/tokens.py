"""Unique tokens in the first bytes of a stream: what two legs of a relay share and two sessions never do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import U64, Mixer, Rows, group

HELLO_AT, HELLO_BYTES = 11, 32
"""ClientHello.random behind record header, handshake header and version (RFC 8446 4.1.2)."""
HELLO_END = HELLO_AT + HELLO_BYTES
_HELLO_SEARCH_BYTES = 1_400
_COOKIE_BYTES = 16
_KEXINIT = 20
_SHINGLE_BYTES, _SHINGLES_MAX, _SHINGLE_STEP = 24, 16, 16
_SHINGLE_DISTINCT_MIN = 17
"""Different bytes in a shingle of unique content: text and padding have fewer."""
_ROLL = np.uint64(0x9E3779B97F4A7C15)


def hello_mask(head: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return `bool [n]`, whether each line begins with a TLS record that holds a ClientHello."""
    return np.asarray((head[:, 0] == 0x16) & (head[:, 1] == 3) & (head[:, 5] == 1))


def hello_tokens(head: npt.NDArray[np.uint8], mix: Mixer) -> U64:
    """Return `u8 [n]`, the print of ClientHello.random of lines that begin with one."""
    words = np.ascontiguousarray(head[:, HELLO_AT:HELLO_END]).view("<u8")
    return mix(*words.T)


def hidden_hello(payload: bytes) -> bytes:
    """Return ClientHello.random found anywhere in the first 1,400 bytes, empty where there is none."""
    at = payload.find(b"\x16\x03")
    while 0 <= at <= _HELLO_SEARCH_BYTES:
        if payload[at + 5 : at + 6] == b"\x01" and payload[at + 9 : at + 10] == b"\x03":
            random = payload[at + HELLO_AT : at + HELLO_END]
            return random if len(random) == HELLO_BYTES else b""
        at = payload.find(b"\x16\x03", at + 1)
    return b""


def ssh_cookie(payload: bytes) -> bytes:
    """Return the cookie of the first SSH_MSG_KEXINIT behind the version line (RFC 4253 4.2, 7.1), else empty."""
    start = payload.find(b"SSH-")
    line = payload.find(b"\n", start)
    if start < 0 or line < 0 or payload[line + 6 : line + 7] != bytes((_KEXINIT,)):
        return b""
    cookie = payload[line + 7 : line + 7 + _COOKIE_BYTES]
    return cookie if len(cookie) == _COOKIE_BYTES else b""


def print_of(token: bytes, mix: Mixer) -> int:
    """Return the keyed print of a token whose length is a multiple of 8."""
    return int(mix(*np.frombuffer(token, "<u8").reshape(-1, 1))[0])


def shingles(payload: bytes, mix: Mixer) -> U64:
    """Return `u8 [n]`, prints of at most 16 pieces of 24 bytes whose places depend on the content alone.

    A prefix of any length in front of the same content therefore moves no piece (Manber 1994).
    """
    data = np.frombuffer(payload, np.uint8)
    count = len(data) - _SHINGLE_BYTES + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    rolling = np.ndarray((len(data) - 7,), "<u8", buffer=data, strides=(1,))[:count] * _ROLL
    at = np.flatnonzero(rolling >> np.uint64(60) == 0)[: 4 * _SHINGLES_MAX]
    pieces = np.lib.stride_tricks.sliding_window_view(data, _SHINGLE_BYTES)[at]
    ordered = np.sort(pieces, axis=1)
    distinct = (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1) + 1
    unique = np.ascontiguousarray(pieces[distinct >= _SHINGLE_DISTINCT_MIN][:_SHINGLES_MAX])
    return mix(*unique.view("<u8").T) if len(unique) else np.zeros(0, np.uint64)


def repeated(tokens: U64) -> list[Rows]:
    """Return the rows of every token that occurs more than once, in order."""
    _, inverse, counts = np.unique(tokens, return_inverse=True, return_counts=True)
    if counts.max(initial=0) < 2:
        return []
    groups = group(inverse)
    return [
        groups.order[start : start + size] for start, size in zip(groups.starts, groups.counts, strict=True) if size > 1
    ]
