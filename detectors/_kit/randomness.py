"""Whether first payloads look encrypted from the first byte: exemptions Ex1 to Ex5 of the Great Firewall, by columns.

Wu et al., How the Great Firewall of China Detects and Blocks Fully Encrypted Traffic (USENIX Security 2023);
nDPI src/lib/ndpi_main.c has the same tests.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .openings import Bools

WIDTH = 256
"""Bytes of a payload that are looked at."""
LENGTH_MIN = 40
"""Shorter payloads tell too little: of 40 random bytes one in 60 has a mean of bits outside of Ex1."""
_BITS_MIN, _BITS_MAX = 3.4, 4.6
_PRINTABLE_START, _PRINTABLE_SHARE, _PRINTABLE_RUN = 6, 0.5, 20
_HIGH_MIN, _HIGH_MAX = 0.25, 0.75
_SAME_RUN = 4
_KNOWN_STARTS = (b"GET ", b"PUT ", b"POST", b"HEAD", b"ZBXD")
"""Methods of HTTP, and the header of Zabbix before compressed records."""


def looks_random(
    payload: npt.NDArray[np.uint8], length: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]
) -> Bools:  # fmt: skip
    """Return `bool [n]`, whether none of the exemptions holds for `u1 [n, WIDTH]` payloads.

    `length` is how many bytes of each row count, `whole` how long the payload was: its first bytes may say so,
    which random bytes never do.
    """
    inside = np.arange(payload.shape[1]) < length[:, None]
    count = np.maximum(length, 1)
    bits = np.where(inside, np.bitwise_count(payload), 0).sum(axis=1) / count
    printable = inside & (payload - np.uint8(0x20) < 0x5F)
    high = (inside & (payload >= 0x80)).sum(axis=1) / count
    random = (length >= LENGTH_MIN) & (bits > _BITS_MIN) & (bits < _BITS_MAX)
    random &= ~printable[:, :_PRINTABLE_START].all(axis=1)
    random &= printable.sum(axis=1) <= _PRINTABLE_SHARE * count
    random &= ~_has_run(printable, _PRINTABLE_RUN)
    random &= ~_known_start(payload)
    random &= (high > _HIGH_MIN) & (high < _HIGH_MAX)
    random &= ~_has_run((payload[:, 1:] == payload[:, :-1]) & inside[:, 1:], _SAME_RUN - 1)
    return np.asarray(random & ~_says_its_length(payload, whole))


def _has_run(holds: Bools, size: int) -> Bools:
    """Return `bool [n]`, whether `size` neighbours in a row hold, by doubling."""
    run, have = holds, 1
    while have < size:
        step = min(have, size - have)
        if run.shape[1] <= step:
            return np.zeros(len(holds), np.bool_)
        run = run[:, :-step] & run[:, step:]
        have += step
    return np.asarray(run.any(axis=1))


def _known_start(payload: npt.NDArray[np.uint8]) -> Bools:
    """Ex5: a TLS record, a method of HTTP, or another known word."""
    first, second, third = payload[:, 0], payload[:, 1], payload[:, 2]
    known = (first - np.uint8(0x14) < 4) & (second == 3) & (third <= 4)
    for start in _KNOWN_STARTS:
        known |= (payload[:, :4] == np.frombuffer(start, np.uint8)).all(axis=1)
    return np.asarray(known)


def _says_its_length(payload: npt.NDArray[np.uint8], whole: npt.NDArray[np.int64]) -> Bools:
    """Whether the first two or four bytes give the length of what follows, in either byte order."""
    says = np.zeros(len(payload), np.bool_)
    for width in (2, 4):
        for order in (">", "<"):
            told = np.ascontiguousarray(payload[:, :width]).view(f"{order}u{width}")[:, 0].astype(np.int64)
            says |= (told == whole - width) | (told == whole)
    return says
