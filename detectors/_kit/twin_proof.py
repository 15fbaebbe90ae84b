"""The proof of a pair of legs: what its kept bytes, content and volumes show."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from nettriage.model.columns import Mixer
from nettriage.model.tables import Tables

from .legs import volumes
from .twin_check import Pair, Proof, Skips, compare, content_crosses

_CLOSE_NS = 2_000_000_000
_SHINGLES_ONE_WAY = 3
"""Pieces of unusual content in one direction that prove a relay without the other direction."""


class Judgement(Enum):
    """What is known of a pair of legs."""

    PROVED = "proved"
    WAIT = "wait"
    """Equal as far as seen, too little to be sure."""
    NO = "no"


def weigh(tables: Tables, pair: Pair, skips: Skips, mix: Mixer, volume_min: int) -> tuple[Judgement, Pair]:
    """Judge a pair; a proved one comes back with what proves it."""
    if pair.proof in (Proof.TOKEN, Proof.ECHO, Proof.SESSIONS):
        return Judgement.PROVED, pair
    if pair.proof is Proof.CONTENT:
        onward, back = content_crosses(tables, pair, mix)
        crosses = (onward and back) or max(onward, back) >= _SHINGLES_ONE_WAY
        return (Judgement.PROVED if crosses else Judgement.NO), pair
    seen = compare(tables, pair, skips)
    if seen.sure:
        return Judgement.PROVED, replace(pair, proof=Proof.BYTES, equal_bytes=seen.compared)
    if pair.proof is Proof.BYTES:
        return (Judgement.WAIT if seen.equal else Judgement.NO), pair
    return _by_volume(tables, pair, volume_min, unlike=not seen.equal)


def _by_volume(tables: Tables, pair: Pair, volume_min: int, *, unlike: bool) -> tuple[Judgement, Pair]:
    """Judge a pair whose volumes are equal crosswise to the byte, but whose bytes do not show it.

    Small equal volumes happen to unrelated sessions of one protocol; large ones that begin together do not.
    """
    volume = volumes(tables, pair.inner)
    together = abs(pair.outer.first_ns - pair.inner.first_ns) <= _CLOSE_NS
    enough = min(volume) >= volume_min if unlike else sum(volume) >= volume_min
    if not (enough and together):
        return Judgement.NO, pair
    return Judgement.PROVED, replace(pair, proof=Proof.VOLUME, equal_bytes=0)
