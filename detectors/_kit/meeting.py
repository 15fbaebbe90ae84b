"""A meeting of two flows that may be legs of one relay."""

from __future__ import annotations

from dataclasses import dataclass

from nettriage.model.columns import U64, Rows
from nettriage.model.tables import Tables

from .twin_check import Proof
from .twin_map import Partners


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two flows that may be legs of one relay."""

    flow: int
    partner: int
    proof: Proof
    host_key: int
    """The shared host; 0 where it is still to be found."""
    sides: tuple[int, int] = (0, 0)
    """Who sent the token on `flow` and on `partner`."""


def candidates(tables: Tables, rows: Rows, met: Partners, proof: Proof, hosts: U64) -> list[Candidate]:
    """Return the meetings with partners that still live, with the host of each."""
    alive = tables.flows.serial[met.flow] == met.serial
    each = zip(rows[alive].tolist(), met.flow[alive].tolist(), hosts[alive].tolist(), strict=True)
    return [Candidate(row, partner, proof, host) for row, partner, host in each]
