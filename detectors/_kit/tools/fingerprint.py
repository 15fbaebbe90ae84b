"""What a fingerprint is: which single probes fit, and what must be equal from one probe to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors._kit.tools.probes import TCP, Bools, Probes
from nettriage.model.batch import TcpFlag
from nettriage.model.columns import U64

_HANDSHAKE = TcpFlag.SYN | TcpFlag.ACK | TcpFlag.FIN | TcpFlag.RST


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """How one tool, or one mode of it, shows in its probes."""

    name: str
    evidence: str
    """The bytes that tell, in words; ``{value:#x}`` stands for the last value of `relation`."""
    confidence: float
    """0 to 1, where every probe of the source fits."""
    least: int
    """Probes that must fit: chance agreements are fewer."""
    windows: frozenset[int] = frozenset()
    """TCP windows that the tool sends; empty where the window does not tell."""
    matches: Callable[[Probes], Bools]
    relation: Callable[[Probes], U64] | None = None
    """A value that one run of the tool keeps from probe to probe; None where each probe tells by itself."""

    def fits(self, probes: Probes) -> Bools:
        """Return `bool [n]`, whether window and bytes of each probe fit."""
        fits = self.matches(probes)
        return np.asarray(fits & np.isin(probes.window, tuple(self.windows))) if self.windows else fits


def syn(probes: Probes) -> Bools:
    """Return `bool [n]`, whether a probe is a plain TCP SYN."""
    return np.asarray((probes.proto == TCP) & ((probes.flags & np.uint16(_HANDSHAKE)) == TcpFlag.SYN))


def words(column: npt.NDArray[np.unsignedinteger]) -> U64:
    """Return a column as the 64-bit words of a relation."""
    return column.astype(np.uint64)
