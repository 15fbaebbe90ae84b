"""TLS among many young flows: which show a certificate in the clear or records of telling sizes, told by columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import Rows
from nettriage.model.tables import PREFIX_BYTES, Tables

from .openings import Bools, Openings, Speech

_RECORD = 5
_CERTIFICATE = 11
_RECORDS_MAX = 24
"""Records of one side that are walked: more hardly fit into what is kept."""


def shows_certificate(opened: Openings, tables: Tables) -> Bools:
    """Return `bool [n]`, whether the server's second record is a certificate message: TLS 1.2 and below.

    A certificate that shares the record of the ServerHello is not found; the common libraries write one each.
    """
    shown = opened.speaks(0, Speech.TLS) & opened.speaks(1, Speech.TLS)
    at = np.flatnonzero(shown)
    if not len(at):
        return shown
    head = opened.head[at, 1].astype(np.int64)
    second = _RECORD + head[:, 3] * 256 + head[:, 4]
    inside = second + _RECORD < np.minimum(opened.length[at, 1], PREFIX_BYTES)
    shown[at[~inside]] = False
    at, second = at[inside], second[inside]
    data, slots = tables.prefixes.data, opened.slots[at]
    shown[at] = (data[slots, 1, second] == 22) & (data[slots, 1, second + _RECORD] == _CERTIFICATE)
    return shown


def has_record_run(opened: Openings, at: Rows, tables: Tables, runs: npt.NDArray[np.int64]) -> Bools:
    """Return `bool [k]`, whether the server of each flow in `at` sent records of the sizes of a row of `runs`, in turn.

    The records are walked in lockstep: each step moves all flows by one record.
    """
    slots, length = opened.slots[at], opened.length[at, 1].astype(np.int64)
    offset = np.zeros(len(at), np.int64)
    matched = np.zeros((len(at), len(runs)), np.int64)
    found = np.zeros(len(at), np.bool_)
    left = np.arange(len(at))
    data = tables.prefixes.data
    for _ in range(_RECORDS_MAX):
        left = left[(offset[left] + _RECORD <= length[left]) & ~found[left]]
        if not len(left):
            break
        head = data[slots[left, None], 1, offset[left, None] + np.arange(_RECORD)].astype(np.int64)
        size = head[:, 3] * 256 + head[:, 4]
        whole = (head[:, 0] >= 20) & (head[:, 0] <= 23) & (head[:, 1] == 3)
        for run, sizes in enumerate(runs):
            step = matched[left, run]
            fits = (size == sizes[step]) & (head[:, 0] == 23)
            matched[left, run] = np.where(fits, step + 1, (size == sizes[0]) & (head[:, 0] == 23))
            done = matched[left, run] == len(sizes)
            found[left[done]] = True
            matched[left[done], run] = 0
        offset[left] = np.where(whole, offset[left] + _RECORD + size, PREFIX_BYTES)
    return found
