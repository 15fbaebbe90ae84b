"""Which young flows nobody claims, and how often one service was met with such a flow."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from nettriage.model.finding import Endpoint
from nettriage.model.health import Gauge
from nettriage.model.tables import RESPONDER, Opened, Tables

from .legs import NotedFlow
from .openings import Bools, Openings
from .randomness import LENGTH_MIN

_EXEMPT_PORTS = np.array(
    [22, 53, 88, 389, 636, 445, 464, 3268, 3269, 3389, 5222, 5223, 10_050, 10_051, 30_303], np.uint16
)
"""Ports whose protocols may begin with keys or compressed records: Kerberos, LDAP, mobile push, Zabbix, Ethereum."""
_SERVICES_MAX, _SERIALS_MAX = 512, 64
_BYTES_PER_SERVICE = 400 + _SERIALS_MAX * 100


def unclaimed(opened: Openings, tables: Tables) -> Bools:
    """Return `bool [n]`, whether neither side speaks anything known, the start was seen, and both said enough."""
    free = (opened.speech == 0).all(axis=1) & (opened.length >= LENGTH_MIN).all(axis=1)
    at = np.flatnonzero(free)
    if not len(at):
        return np.asarray(free)
    rows = opened.rows[at]
    flows = tables.flows
    free[at] = (
        (flows.opened[rows] <= Opened.SYN_ACK)
        & (flows.first_speaker[rows] == 0)
        & ~np.isin(flows.port[rows, RESPONDER], _EXEMPT_PORTS)
    )
    return np.asarray(free)


class OpaqueServers:
    """Flows counted by service, each once; the service met longest ago gives way."""

    def __init__(self) -> None:
        """Know no service."""
        self._services: OrderedDict[Endpoint, OrderedDict[int, None]] = OrderedDict()
        self._totals: dict[Endpoint, int] = {}
        self._evicted = 0

    @property
    def gauge(self) -> Gauge:
        """How many services are known."""
        return Gauge(cap=_SERVICES_MAX, used=len(self._services), evicted=self._evicted)

    @property
    def nbytes(self) -> int:
        """Memory of the services, in bytes."""
        return len(self._services) * _BYTES_PER_SERVICE

    def count(self, flow: NotedFlow) -> int:
        """Count a flow with its service; return how many flows the service had."""
        end = flow.ends[RESPONDER]
        serials = self._services.setdefault(end, OrderedDict())
        self._services.move_to_end(end)
        if flow.serial not in serials:
            serials[flow.serial] = None
            self._totals[end] = self._totals.get(end, 0) + 1
        if len(serials) > _SERIALS_MAX:
            serials.popitem(last=False)
        if len(self._services) > _SERVICES_MAX:
            gone, _ = self._services.popitem(last=False)
            del self._totals[gone]
            self._evicted += 1
        return self._totals[end]
