"""Keys that failed once: whoever never failed needs no row in a ledger."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable


class Suspects:
    """Remembers since which event each key is suspect, so that the answer is the same under any cut."""

    def __init__(self, capacity: int) -> None:
        """Suspect nobody."""
        self._table = KeyTable("suspects", capacity)
        self._since: I64 = np.zeros(capacity, np.int64)
        self._events = 0

    @property
    def gauge(self) -> Gauge:
        """How many keys are suspect."""
        return self._table.gauge

    @property
    def nbytes(self) -> int:
        """Memory of the table, in bytes."""
        return self._table.capacity * 24 + self._since.nbytes

    def note(self, keys: U64, ts_ns: I64, failed: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Take in events in their order; return `bool [n]`, whether each failed or came after a failure of its key."""
        ordinal = self._events + np.arange(len(keys))
        self._events += len(keys)
        bad = np.flatnonzero(failed)
        if len(bad):
            located = self._table.locate(keys[bad], ts_ns[bad])
            self._since[located.new_rows] = ordinal[bad[located.new_first]]
        rows = self._table.find(keys)
        return np.asarray(failed | ((rows >= 0) & (self._since[rows] < ordinal)))
