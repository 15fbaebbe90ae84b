"""DNS questions for the relays and the download site of the Global Socket toolkit, found among many by columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.slices import Slice

from .byte_rows import byte_rows

_RELAY = b"\x01?\x02gs\x03thc\x03org"
"""``[a-z].gs.thc.org`` (hackerschoice/gsocket lib/gsocket-util.c); ``?`` stands for the letter."""
_SITES = (b"\x07gsocket\x02io", b"\x03cdn\x07gsocket\x02io")
"""Where deploy/deploy.sh comes from."""
_PATTERNS = {len(pattern): pattern for pattern in (_RELAY, *_SITES)}
_WIDTH = 16
"""Bytes of a name that are looked at: as many as the longest pattern, rounded up to whole words."""
_LENGTHS = np.array(sorted(_PATTERNS), np.uint8)


@dataclass(frozen=True, slots=True)
class Question:
    """One question."""

    flow: int
    """Flow row of the question, -1 where it has none."""
    serial: int
    """Serial of that flow."""
    letter: str
    """Letter of the relay; empty for a site."""
    name: str


def questions(seen: Slice, most: int) -> list[Question]:
    """Return the questions of a slice for names of the toolkit, at most so many."""
    dns = seen.dns
    fits = np.logical_or.reduce([dns.qname_len == size for size in _LENGTHS])
    at = np.flatnonzero(fits & ~dns.is_reply)
    if not len(at):
        return []
    names = byte_rows(seen.packets.raw.data, dns.qname_at[at], dns.qname_len[at], _WIDTH)
    upper = (names >= ord("A")) & (names <= ord("Z"))
    names = np.where(upper, names | np.uint8(0x20), names)
    hits = [_hits(names, dns.qname_len[at], pattern) for pattern in _PATTERNS.values()]
    found = np.flatnonzero(np.logical_or.reduce(hits))
    return [_question(seen, int(at[row]), names[row].tobytes()) for row in found[:most]]


def _hits(names: npt.NDArray[np.uint8], sizes: npt.NDArray[np.uint8], pattern: bytes) -> npt.NDArray[np.bool_]:
    wanted = np.frombuffer(pattern, np.uint8)
    differs = (names[:, : len(wanted)] != wanted) & (wanted != ord("?"))
    return np.asarray((sizes == len(wanted)) & ~differs.any(axis=1))


def _question(seen: Slice, at: int, name: bytes) -> Question:
    row = int(seen.dns.row[at])
    size = int(seen.dns.qname_len[at])
    is_relay = size == len(_RELAY)
    labels = name[1:size].decode("latin-1")
    text = "".join(char if char.isalnum() else "." for char in labels)
    flow = int(seen.flow[row])
    serial = int(seen.tables.flows.serial[flow]) if flow >= 0 else 0
    return Question(flow, serial, text[0] if is_relay else "", text)
