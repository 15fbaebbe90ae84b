"""The connection that a proxy opens for its client: found by time, port and address."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nettriage.model.columns import Rows
from nettriage.model.tables import ORIGINATOR, RESPONDER, Tables

from .legs import host_address, note, opened_by
from .proxy_book import Session

_SLACK_NS = 50_000_000
"""A mirror may deliver the onward SYN a little before the request that caused it."""


def attach_onward(sessions: list[Session], taken: set[int], within_ns: int, tables: Tables) -> list[Session]:
    """Give each session the first untaken flow that its proxy opened to the wanted port; return those that got one."""
    hosts = np.array([session.flow.host_keys[1 - session.client_side] for session in sessions], np.uint64)
    rows = np.flatnonzero(np.isin(tables.hosts.key, hosts))
    opened = opened_by(tables, rows, min(session.flow.first_ns for session in sessions) - _SLACK_NS)
    found = []
    for session in sessions:
        fitting = _fitting(session, opened, within_ns, tables)
        row = next((row for row in fitting if int(tables.flows.serial[row]) not in taken), -1)
        if row >= 0:
            session.onward = note(tables, row)
            taken.add(session.onward.serial)
            found.append(session)
    return found


def _fitting(session: Session, opened: Rows, within_ns: int, tables: Tables) -> Iterable[int]:
    flows, hosts = tables.flows, tables.hosts
    proxy = np.uint64(session.flow.host_keys[1 - session.client_side])
    fits = hosts.key[flows.host[opened, ORIGINATOR]] == proxy
    fits &= flows.port[opened, RESPONDER] == session.talk.port
    fits &= flows.first_ns[opened] >= session.flow.first_ns - _SLACK_NS
    fits &= flows.first_ns[opened] <= session.since_ns + within_ns
    fits &= flows.serial[opened] != session.flow.serial
    wanted = session.talk.address
    for row in opened[fits]:
        if wanted is None or host_address(hosts, int(flows.host[row, RESPONDER])) == wanted:
            yield int(row)
