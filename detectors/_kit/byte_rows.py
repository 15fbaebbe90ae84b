"""The first bytes of many payloads at once, as one matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64

U8 = npt.NDArray[np.uint8]


def byte_rows(data: U8, at: I64, length: npt.NDArray[np.integer], width: int) -> U8:
    """Return `u1 [n, width]`: `length[i]` bytes of `data` from `at[i]`, at most `width`, zeros behind them.

    Offsets and lengths lie inside of `data`. One overlapping view of `width`-byte items is indexed, so a row
    costs one copy, not one index for each byte.
    """
    out = np.zeros((len(at), width), np.uint8)
    if not len(at):
        return out
    last = len(data) - width
    inner = np.flatnonzero(at <= last)
    if len(inner):
        items = np.ndarray((last + 1,), f"V{width}", buffer=np.ascontiguousarray(data), strides=(1,))
        out[inner] = items[at[inner]].view(np.uint8).reshape(-1, width)
    for row in np.flatnonzero(at > last):  # payloads that begin in the last `width` bytes of the buffer: a handful
        piece = data[int(at[row]) :][:width]
        out[row, : len(piece)] = piece
    out[np.arange(width) >= np.asarray(length)[:, None]] = 0
    return out
