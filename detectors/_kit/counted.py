"""Detectors that count targets in a window instead of walking: their ledger plan, their alarm, their observations."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from detectors._kit.incidents import Incident
from detectors._kit.ledger import Burst, LedgerPlan
from detectors._kit.results import ANSWERED, FAILED, Cells
from detectors._kit.sequential import Clock
from detectors._kit.verdict import Standing
from nettriage.model.alert import BenignCheck, Observation

_NEVER = Clock(600.0, 1e6)
"""A walk that never alarms."""


def counted_plan(name: str, *, rows: int, incidents: int, cells: int, depth: int = 16) -> LedgerPlan:
    """Return the plan of a ledger that opens incidents by `Burst` alone."""
    return LedgerPlan(
        name=name, rows=rows, incidents=incidents, cells=cells, fast=_NEVER, slow=_NEVER, floor=1, depth=depth
    )


def burst_of(contacts: int, count: int, window_s: float) -> Burst:
    """Return the alarm of `count` targets within `window_s` for each of `contacts` contacts."""
    return Burst(np.full(contacts, count), np.full(contacts, int(window_s * 1e9)))


def distinct_targets(cells: Cells) -> int:
    """Return how many different (address, port) targets the contacts have."""
    return len(np.unique(cells[["hi", "lo", "port"]]))


def distinct_hosts(cells: Cells) -> int:
    """Return how many different addresses the contacts have."""
    return len(np.unique(cells[["hi", "lo"]]))


def most_ports_of_a_host(cells: Cells) -> int:
    """Return the number of different ports of the address that has most of them."""
    targets = np.unique(cells[["hi", "lo", "port"]])
    return int(np.unique(targets[["hi", "lo"]], return_counts=True)[1].max(initial=0))


def observations(rows: Iterable[tuple[str, float, str, float, float, float]]) -> list[Observation]:
    """Return (name, value, unit, threshold, window in s, weight) rows as observations."""
    return [
        Observation(
            name=name, value=round(value, 3), unit=unit, threshold=threshold, window_s=round(window_s, 3), weight=weight
        )
        for name, value, unit, threshold, window_s, weight in rows
    ]


def span_s(incident: Incident) -> float:
    """Return how long the incident lasts so far."""
    return (incident.last_ns - incident.first_ns) / 1e9


def outcome_words(incident: Incident) -> str:
    """Return what became of the targets: ``12 closed, 3 blocked, 5 silent, 1 open``, without what did not happen."""
    counts = incident.results.counts
    total = int(counts.sum())
    failed = (f"{int(counts[code]):,} {code.name.lower()}" for code in FAILED if counts[code])
    answered = int(counts[list(ANSWERED)].sum())
    unknown = total - int(counts[list(FAILED)].sum()) - answered
    parts = [*failed, *([f"{answered:,} open"] if answered else []), *([f"{unknown:,} unknown"] if unknown else [])]
    return ", ".join(parts) or "nothing"


def declared_check(who: Standing) -> BenignCheck:
    """Return the check whether the source is declared as a scanner or monitor."""
    because = (
        "it is declared: the score is lowered by 25" if who.declared_scanner else "the settings declare no such role"
    )
    return BenignCheck(hypothesis="a declared scanner or monitor", rejected_because=because, holds=who.declared_scanner)
