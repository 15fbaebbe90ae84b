"""How often each key did each of a few things."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable


class Tally:
    """Counts by key and thing; the key longest unseen gives way."""

    def __init__(self, name: str, rows: int, things: int) -> None:
        """Start at nothing."""
        self._table = KeyTable(name, rows)
        self._counts: I64 = np.zeros((rows, things), np.int64)

    @property
    def gauge(self) -> Gauge:
        """How full the tally is."""
        return self._table.gauge

    @property
    def nbytes(self) -> int:
        """Memory of the tally, in bytes."""
        return self._table.capacity * 24 + self._counts.nbytes

    def add(self, keys: U64, things: npt.NDArray[np.integer], ts_ns: I64) -> None:
        """Count one of `things` for each key, in time order."""
        located = self._table.locate(keys, ts_ns)
        self._counts[located.new_rows] = 0
        placed = located.rows >= 0
        np.add.at(self._counts, (located.rows[placed], things[placed]), np.int64(1))

    def of(self, key: int) -> I64:
        """Return `i8 [things]`, the counts of a key."""
        row = int(self._table.find(np.array([key], np.uint64))[0])
        return self._counts[row] if row >= 0 else np.zeros(self._counts.shape[1], np.int64)
