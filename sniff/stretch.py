"""A stretch: rows of a batch between which no sweep is due."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nettriage.model.batch import PacketBatch
from nettriage.model.columns import I64
from sniff.flow_packets import Bools
from sniff.sweep import SWEEP_NS


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows `first` to `last` of a batch."""

    packets: PacketBatch
    time_ns: I64
    """`i8`, packet clock of every row of the whole batch."""
    sound: Bools
    """Whether a row of the whole batch is sound and lies in this stretch."""
    first: int
    last: int


def stretches(packets: PacketBatch, time_ns: I64, sound: Bools, start: int, stop: int) -> Iterator[Stretch]:
    """Cut the rows from `start` to `stop` wherever a sweep is due."""
    if start == stop:
        return
    cell = time_ns[start:stop] // SWEEP_NS
    if stop - start == len(packets) and cell[0] == cell[-1]:
        yield Stretch(packets, time_ns, sound, start, stop - 1)
        return
    heads = np.append(np.flatnonzero(np.diff(cell, prepend=cell[0] - 1)), stop - start) + start
    for first, after in zip(heads[:-1].tolist(), heads[1:].tolist(), strict=True):
        inside = np.zeros_like(sound)
        inside[first:after] = sound[first:after]
        yield Stretch(packets, time_ns, inside, first, after - 1)
