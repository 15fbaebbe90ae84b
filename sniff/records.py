"""Rows of a table as one array of records: a row's fields share cache lines, and are cleared in one stroke."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import Rows


class Records:
    """A fixed number of zeroed records, with strided views of their fields as columns."""

    def __init__(self, capacity: int, dtype: np.dtype[Any]) -> None:
        self._records = np.zeros(capacity, dtype)
        self._opaque = np.dtype(f"V{dtype.itemsize}")
        self._raw = self._records.view(self._opaque)
        self._blank = np.zeros(1, self._opaque)

    def expose(self, table: object) -> None:
        """Set the view of each field as the attribute of that name of `table`."""
        for name in self._records.dtype.names or ():
            setattr(table, name, self._records[name])

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return the view of one field; it writes through."""
        return self._records[name]

    def blank(self, count: int) -> npt.NDArray[Any]:
        """Return `count` zeroed records, to be filled and `put`."""
        return np.zeros(count, self._records.dtype)

    def take(self, rows: Rows) -> npt.NDArray[Any]:
        """Return a copy of the records in `rows`."""
        return self._raw.take(rows).view(self._records.dtype)

    def put(self, rows: Rows, records: npt.NDArray[Any]) -> None:
        """Overwrite `rows` with whole records, in one stroke."""
        self._raw.put(rows, records.view(self._opaque))

    def clear(self, rows: Rows) -> None:
        """Zero every field of `rows`."""
        self._raw.put(rows, self._blank)
