"""Headers of many packets at once: gathers from one byte array at arbitrary offsets."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64

U8 = npt.NDArray[np.uint8]
Heads = npt.NDArray[Any]
"""Structured `[k]`: one header a row, its fields by name, big-endian as on the wire."""


def layout(size: int, **fields: tuple[str, int]) -> np.dtype[np.void]:
    """Return the layout of a header of `size` bytes from name = (NumPy format, byte offset)."""
    formats, offsets = zip(*fields.values(), strict=True)
    return np.dtype({"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": size})


def gather(data: U8, at: I64, width: int) -> U8:
    """Return `u1 [k, width]`, the `width` bytes at each offset; bytes beyond the end of `data` read as 0.

    One fancy index on a view whose items overlap (stride 1) copies a whole head per row, which is some
    hundred times cheaper than an index for each byte. Offsets must not be negative.
    """
    last = len(data) - width
    if not len(at):
        return np.zeros((0, width), np.uint8)
    if int(at.max()) > last:
        return _gather_near_end(data, at, width)
    heads = np.ndarray((last + 1,), f"V{width}", buffer=data, strides=(1,))[at]
    return heads.view(np.uint8).reshape(-1, width)


def read(data: U8, at: I64, head: np.dtype[np.void]) -> Heads:
    """Return `[k]`, a header of the given layout at each offset."""
    return gather(data, at, head.itemsize).view(head)[:, 0]


def _gather_near_end(data: U8, at: I64, width: int) -> U8:
    tail_at = max(0, len(data) - width)
    tail = np.concatenate((data[tail_at:], np.zeros(2 * width, np.uint8)))
    near = at >= tail_at
    heads = np.empty((len(at), width), np.uint8)
    heads[near] = gather(tail, np.minimum(at[near] - tail_at, width), width)
    heads[~near] = gather(data, at[~near], width)
    return heads
