"""Contacts whose answer is awaited, by deadline."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from nettriage.model.columns import I64, Rows
from nettriage.model.health import Gauge


@dataclass(slots=True)
class Due:
    """Contacts and the moments at which silence is their outcome."""

    deadline_ns: I64
    """`i8`, never decreasing."""
    row: Rows
    serial: I64
    """`i8`, of the contact: its row may have been given to another since."""

    def __len__(self) -> int:
        return len(self.row)

    def part(self, rows: slice | Rows) -> Due:
        """Return some of them."""
        return Due(self.deadline_ns[rows], self.row[rows], self.serial[rows])


class Pending:
    """Queues of contacts, one for each length of wait, so that each queue is in order of deadline."""

    def __init__(self, capacity: int) -> None:
        """Make empty queues that together hold `capacity` contacts; beyond, the oldest are given up."""
        self._capacity = capacity
        self._queues: dict[int, deque[Due]] = {}
        self._used = 0
        self._evicted = 0
        self.next_ns: int | None = None
        """Earliest deadline, None where nothing is pending."""

    @property
    def gauge(self) -> Gauge:
        """How many contacts are pending."""
        return Gauge(cap=self._capacity, used=self._used, evicted=self._evicted)

    @property
    def last_ns(self) -> int | None:
        """Latest deadline, None where nothing is pending."""
        return max((int(queue[-1].deadline_ns[-1]) for queue in self._queues.values() if queue), default=None)

    def add(self, due: Due, wait: I64) -> None:
        """Queue contacts (at least one), given in time order, by how long each waits."""
        lengths = [int(wait[0])] if (wait == wait[0]).all() else np.unique(wait).tolist()
        for length in lengths:
            some = due if len(lengths) == 1 else due.part((wait == length).nonzero()[0])
            self._queues.setdefault(length, deque()).append(some)
            self._used += len(some)
        while self._used > self._capacity:
            self._give_up()
        self._find_next()

    def pop(self, now_ns: int) -> Due:
        """Return and forget every contact whose deadline has come, in order of deadline, then of their making."""
        taken = []
        if self.next_ns is not None and self.next_ns <= now_ns:
            for wait in sorted(self._queues, reverse=True):
                queue = self._queues[wait]
                while queue and queue[0].deadline_ns[0] <= now_ns:
                    taken.append(self._take(queue, now_ns))
            self._find_next()
        if not taken:
            none = np.zeros(0, np.int64)
            return Due(none, none.astype(np.intp), none)
        due = Due(
            np.concatenate([some.deadline_ns for some in taken]),
            np.concatenate([some.row for some in taken]),
            np.concatenate([some.serial for some in taken]),
        )
        self._used -= len(due)
        return due.part(np.argsort(due.deadline_ns, kind="stable"))

    def shift(self, shift_ns: int) -> None:
        """Follow a step of the clock."""
        for queue in self._queues.values():
            for due in queue:
                due.deadline_ns = due.deadline_ns + shift_ns
        self._find_next()

    @staticmethod
    def _take(queue: deque[Due], now_ns: int) -> Due:
        head = queue.popleft()
        count = int(np.searchsorted(head.deadline_ns, now_ns, side="right"))
        if count < len(head):
            queue.appendleft(head.part(slice(count, None)))
        return head.part(slice(0, count))

    def _give_up(self) -> None:
        oldest = min((queue for queue in self._queues.values() if queue), key=lambda queue: queue[0].deadline_ns[0])
        lost = len(oldest.popleft())
        self._used -= lost
        self._evicted += lost

    def _find_next(self) -> None:
        heads = [int(queue[0].deadline_ns[0]) for queue in self._queues.values() if queue]
        self.next_ns = min(heads, default=None)
