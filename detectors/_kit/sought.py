"""Who lately sought which host over IP: tells the ARP requests of a router from those of a sweep."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import ARP
from nettriage.model.columns import U64, Rows
from nettriage.model.slices import ContactEvents, Outcome

_ICMPV6, _SOLICITATION = 58, 135 << 8


class Sought:
    """The last source that sought each host, in `slots` slots; a newer host takes the slot of an older one."""

    def __init__(self, slots: int = 1 << 15) -> None:
        """Make empty slots (a power of two)."""
        self._target: U64 = np.zeros(slots, np.uint64)
        self._source: U64 = np.zeros(slots, np.uint64)

    @property
    def nbytes(self) -> int:
        """Memory of the slots, in bytes."""
        return self._target.nbytes + self._source.nbytes

    def note(self, events: ContactEvents) -> None:
        """Take in who sought whom in this slice, other than by ARP and neighbour discovery."""
        tried = (events.outcome == Outcome.ATTEMPT) & (events.proto != ARP)
        at = np.flatnonzero(tried & ~((events.proto == _ICMPV6) & (events.port == _SOLICITATION)))
        slot = self._slot(events.dst_key[at])
        self._target[slot] = events.dst_key[at]
        self._source[slot] = events.src_key[at]

    def by_another(self, targets: U64, asker: int) -> npt.NDArray[np.bool_]:
        """Return `bool [n]`, whether the last to seek each target was somebody else than `asker`."""
        slot = self._slot(targets)
        return np.asarray((self._target[slot] == targets) & (self._source[slot] != np.uint64(asker)))

    def _slot(self, keys: U64) -> Rows:
        return (keys & np.uint64(len(self._target) - 1)).astype(np.intp)
