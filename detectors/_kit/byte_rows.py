"""The first bytes of many payloads at once, as one matrix."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64

U8 = npt.NDArray[np.uint8]


def byte_rows(data: U8, at: I64, length: npt.NDArray[np.integer], width: int) -> U8:
    """Return `u1 [n, width]`: `length[i]` bytes of `data` from `at[i]`, at most `width`, zeros behind them.

    Offsets and lengths lie inside of `data`. One overlapping view of `width`-byte items is indexed, so a row
    costs one copy, not one index for each byte.
    """
    if not len(at):
        return np.zeros((0, width), np.uint8)
    last = len(data) - width
    if last >= 0:
        items = np.ndarray((last + 1,), f"V{width}", buffer=np.ascontiguousarray(data), strides=(1,))
        out = items[np.minimum(at, last)].view(np.uint8).reshape(-1, width)
    else:
        out = np.zeros((len(at), width), np.uint8)
    for row in np.flatnonzero(at > last):  # payloads that begin in the last `width` bytes of the buffer: a handful
        piece = data[int(at[row]) :][:width]
        out[row, : len(piece)] = piece
    masks = _masks(width)
    out.view(masks.dtype)[...] &= masks[np.minimum(length, width)]
    return out


@cache
def _masks(width: int) -> npt.NDArray[np.uint64] | U8:
    """Return what keeps the first bytes of a row, by their number: in words where the width allows it."""
    kept = (np.arange(width) < np.arange(width + 1)[:, None]) * np.uint8(0xFF)
    return kept.view(np.uint64) if width % 8 == 0 else kept
