"""Beats of one slice: the calls that began, and the sides that spoke again inside of long flows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows
from nettriage.model.slices import Slice
from nettriage.model.tables import ORIGINATOR, RESPONDER, Tables

from .beat_rings import Beats
from .fold import Fold

_UDP, _ICMP, _ICMPV6 = 17, 1, 58
_SERVICES_OF_THE_NETWORK = (53, 67, 123, 137, 138, 546, 547, 1900, 5353, 5355)
"""UDP ports of name, time, address and discovery services: regular by design."""


def calls(seen: Slice, fold: Fold) -> Beats | None:
    """Return the flows whose originator first spoke in this slice, at the time at which each began; None where none."""
    resumes, flows = seen.resumes, seen.tables.flows
    if not len(resumes):
        return None
    row = resumes.flow.astype(np.intp)
    began = flows.first_ns[row]
    first = (resumes.side == ORIGINATOR) & (resumes.ts_ns - resumes.idle_ns == began)
    first &= (flows.proto[row] != _UDP) | (resumes.idle_ns == 0)
    row = row[first & _of_interest(seen.tables, row)]
    return _beats(seen.tables, row, flows.first_ns[row], np.zeros(len(row), np.intp), call_keys(seen.tables, row, fold))


def pulses(seen: Slice, fold: Fold, idle_ns: int) -> Beats | None:
    """Return when flows were spoken in again by a side that had been silent for `idle_ns`; None where none was.

    Both sides of a flow are one series: an answer belongs to the beat that it answers. Its caller is who spoke first.
    """
    resumes = seen.resumes
    if not len(resumes):
        return None
    chosen = np.flatnonzero(resumes.idle_ns >= idle_ns)
    row = resumes.flow[chosen].astype(np.intp)
    kept = _of_interest(seen.tables, row) & (
        resumes.idle_ns[chosen] < resumes.ts_ns[chosen] - seen.tables.flows.first_ns[row]
    )
    chosen, row = chosen[kept], row[kept]
    side = resumes.side[chosen].astype(np.intp)
    return _beats(seen.tables, row, resumes.ts_ns[chosen], side, fold.columns(seen.tables.flows.serial[row]))


def call_keys(tables: Tables, row: Rows, fold: Fold) -> U64:
    """Return `u8 [n]`, the series of calls to which each flow belongs: caller, called, protocol and port."""
    flows, hosts = tables.flows, tables.hosts
    ends = hosts.key[flows.host[row]]
    return fold.columns(ends[:, ORIGINATOR], ends[:, RESPONDER], flows.proto[row], flows.port[row, RESPONDER])


def _of_interest(tables: Tables, row: Rows) -> npt.NDArray[np.bool_]:
    flows = tables.flows
    proto, port = flows.proto[row], flows.port[row, RESPONDER]
    wanted = (proto != _ICMP) & (proto != _ICMPV6) & (flows.serial[row] > 0)
    return np.asarray(wanted & ~((proto == _UDP) & np.isin(port, _SERVICES_OF_THE_NETWORK)))


def _beats(tables: Tables, row: Rows, ts_ns: I64, side: Rows, key: U64) -> Beats | None:
    if not len(row):
        return None
    flows, hosts = tables.flows, tables.hosts
    caller, called = flows.host[row, side], flows.host[row, 1 - side]
    words = (hosts.addr_hi[caller], hosts.addr_lo[caller], hosts.addr_hi[called], hosts.addr_lo[called])
    return Beats(
        key=key, ts_ns=ts_ns, caller_key=hosts.key[caller], called_key=hosts.key[called],
        words=np.stack(words, axis=1), proto=flows.proto[row], port=flows.port[row, RESPONDER],
        serial=flows.serial[row],
    )  # fmt: skip
