"""TLS among many young flows: which of them show a certificate in the clear, told by columns."""

from __future__ import annotations

import numpy as np

from nettriage.model.tables import PREFIX_BYTES, Tables

from .openings import Bools, Openings, Speech

_RECORD = 5
_CERTIFICATE = 11


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
