"""A fixed map from keys to the flow that showed each last: the newest wins its place, look-ups are one gather."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows
from nettriage.model.health import Gauge


@dataclass(frozen=True, slots=True)
class Partners:
    """Rows of a look-up that met another flow under the wanted key."""

    at: Rows
    """`intp [k]`, rows of the look-up."""
    flow: Rows
    """`intp [k]`, flow row of the partner when it was stored."""
    serial: I64
    """`i8 [k]`, its serial."""


class TwinMap:
    """Keys in `capacity` places (a power of two); a colliding key takes the place over."""

    def __init__(self, capacity: int, ttl_ns: int) -> None:
        """Make an empty map whose entries count for `ttl_ns`."""
        self._ttl_ns = ttl_ns
        self._mask = np.uint64(capacity - 1)
        self._key: U64 = np.zeros(capacity, np.uint64)
        self._flow: npt.NDArray[np.int32] = np.zeros(capacity, np.int32)
        self._serial: I64 = np.zeros(capacity, np.int64)
        self._ts_ns: I64 = np.zeros(capacity, np.int64)
        self._taken_over = 0

    @property
    def nbytes(self) -> int:
        """Memory of the map, in bytes."""
        return self._key.nbytes + self._flow.nbytes + self._serial.nbytes + self._ts_ns.nbytes

    @property
    def gauge(self) -> Gauge:
        """How full the map is."""
        return Gauge(cap=len(self._key), used=int(np.count_nonzero(self._key)), evicted=self._taken_over)

    def put(self, keys: U64, flows: Rows, serials: I64, now_ns: int) -> None:
        """Store flows under keys, the later ones over the earlier ones."""
        place = (keys & self._mask).astype(np.intp)
        held = self._key[place]
        self._taken_over += int(np.count_nonzero((held != 0) & (held != keys)))
        self._key[place], self._flow[place], self._serial[place] = keys, flows, serials
        self._ts_ns[place] = now_ns

    def meet(self, wanted: U64, serials: I64, now_ns: int) -> Partners:
        """Return which of the `wanted` keys are held by a flow of another serial."""
        place = (wanted & self._mask).astype(np.intp)
        hit = (self._key[place] == wanted) & (self._serial[place] != serials)
        at = np.flatnonzero(hit & (now_ns - self._ts_ns[place] <= self._ttl_ns))
        return Partners(at, self._flow[place[at]].astype(np.intp), self._serial[place[at]])
