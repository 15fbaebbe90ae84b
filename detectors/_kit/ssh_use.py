"""What an SSH connection is used for, told from the sizes of its packets: typing, bulk, forwarding, SSH inside SSH."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .ssh_shapes import CONFIRM_OVER_UNIT, EXACT, FULL, STEP, UNITS

PACKETS_MIN = 24
_NESTED_OVER_UNIT = (36, 48)
"""A packet of SSH inside a channel of SSH: the inner packet with header, padding and MAC of the outer one."""
_MODE_SHARE = 0.4
_UNIT_DEFAULT = 36
"""Bytes of a keystroke under chacha20-poly1305 and AES-GCM."""
_TYPING_SHARE = 0.7
_NESTED_EACH_WAY = 20
_BULK_SHARE = 0.5

Histogram = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class SshUse:
    """What the sizes say."""

    packets: tuple[int, int]
    """Payload packets measured of each side."""
    unit: int
    """Bytes of the shortest packet: a keystroke, a window adjustment, an end of file."""
    opened: tuple[int, int]
    """Channels that each side opened for forwarding: packets of an open's size, confirmed at once, and not more
    than it sent shortest packets, for every channel ends with one. File transfers open files with packets of the
    same sizes, yet end none of them with a shortest packet."""
    nested: bool
    """Whether most packets of both sides have the size of a keystroke in SSH inside SSH."""
    typed: bool
    """Whether the originator mostly sends keystrokes."""
    bulk: tuple[float, float]
    """Share of full segments of each side."""

    @property
    def words(self) -> str:
        """The plain use, for a sentence."""
        if self.typed:
            return "keystrokes"
        side = int(self.bulk[1] >= self.bulk[0])
        return ("bulk upwards", "bulk downwards")[side] if self.bulk[side] >= _BULK_SHARE else "mixed sizes"


def use_of(sizes: Histogram, pairs: npt.NDArray[np.uint32]) -> SshUse | None:
    """Return the use of a flow from `u4 [2, BINS]` sizes and `u4 [2, steps, 2]` pairs, None while it is too young."""
    totals = sizes.sum(axis=1)
    if int(totals.sum()) < PACKETS_MIN:
        return None
    unit = _unit(sizes)
    bulk = sizes[:, FULL] / np.maximum(totals, 1)
    keys = [int(sizes[side, unit // STEP]) for side in (0, 1)]
    return SshUse(
        packets=(int(totals[0]), int(totals[1])), unit=unit,
        opened=(min(_opened(pairs[0], unit), keys[0]), min(_opened(pairs[1], unit), keys[1])),
        nested=_nested(sizes, totals, unit), typed=bool(keys[0] >= _TYPING_SHARE * totals[0] and keys[1]),
        bulk=(float(bulk[0]), float(bulk[1])),
    )  # fmt: skip


def _unit(sizes: Histogram) -> int:
    """Return the shortest size that comes again and again, by default that of the common ciphers."""
    often = sizes.sum(axis=0) >= 3
    return next((size for size in UNITS if often[size // STEP]), _UNIT_DEFAULT)


def _opened(pairs: npt.NDArray[np.uint32], unit: int) -> int:
    """Return how many opens of one side were confirmed: of the two possible sizes, that which mostly answers opens."""
    best = 0
    for over in CONFIRM_OVER_UNIT:
        step = (unit + over) // STEP
        other, opens = (int(value) for value in pairs[step])
        if opens >= other:
            best = max(best, opens)
    return best


def _nested(sizes: Histogram, totals: npt.NDArray[np.uint64], unit: int) -> bool:
    steps = np.arange(EXACT // STEP) * STEP - unit
    inner = np.flatnonzero((steps >= _NESTED_OVER_UNIT[0]) & (steps <= _NESTED_OVER_UNIT[1]))
    modes = sizes.argmax(axis=1)
    if modes[0] not in inner:
        return False
    keys = sizes[:, modes[0]]
    return bool((keys >= _NESTED_EACH_WAY).all() and keys[0] >= _MODE_SHARE * totals[0])
