"""Proxy handshakes among many young flows: a screen over columns, then a parser for the few that pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import Rows
from nettriage.model.tables import Tables

from . import http_proxy, socks
from .prefix_watch import heads
from .proxy_inside import interceptor, spoken, tells_client
from .proxy_talk import ABSOLUTE_URI, ProxyTalk

_SCREEN_WIDTH = 16
_METHODS = (b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"PROPFIND ")
_ABSOLUTE_STARTS = tuple(
    np.frombuffer(method + scheme, np.uint8) for method in _METHODS for scheme in (b"http:", b"https:")
)
_CONNECT_START = np.frombuffer(b"CONNECT ", np.uint8)
_PROXY_V1, _PROXY_V2 = np.frombuffer(b"PROXY TCP", np.uint8), np.frombuffer(b"\r\n\r\n\0\r\nQUIT\n", np.uint8)


def suspects(tables: Tables, slots: Rows, side: int) -> npt.NDArray[np.bool_]:
    """Return `bool [n]`, whether `side` of each slot may have begun as the client of a proxy."""
    head = heads(tables, slots, side, _SCREEN_WIDTH)
    first, second = head[:, 0], head[:, 1]
    found = (first == 5) & (second > 0) & (second < 32)
    found |= (first == 4) & ((second == 1) | (second == 2))
    found |= _starts(head, _CONNECT_START)
    absolute = np.flatnonzero(_absolute_like(head))
    if len(absolute):
        found[absolute] |= np.logical_or.reduce([_starts(head[absolute], start) for start in _ABSOLUTE_STARTS])
    return np.asarray(found)


def recognised(tables: Tables, flow: int, side: int) -> ProxyTalk | None:
    """Return what `side` of a flow asked of the other as its proxy, or None where it did not."""
    client, server = tables.prefixes.payload(flow, side), tables.prefixes.payload(flow, 1 - side)
    talk = socks.parse(client, server) or http_proxy.parse(client, server)
    if talk is None or not talk.granted or talk.protocol == ABSOLUTE_URI:
        return talk
    inner, answer = client[talk.client_bytes :], server[talk.server_bytes :]
    return replace(talk, inner=spoken(inner, answer), forger=interceptor(answer))


def balancers(tables: Tables, rows: Rows, slots: Rows) -> list[int]:
    """Return the keys of hosts that opened a flow with the PROXY protocol."""
    first = tables.prefixes.data[slots, 0, 0]
    like = np.flatnonzero((first == _PROXY_V1[0]) | (first == _PROXY_V2[0]))
    rows, head = rows[like], heads(tables, slots[like], 0, _SCREEN_WIDTH)
    marked = rows[_starts(head, _PROXY_V1) | _starts(head, _PROXY_V2)]
    sure = [row for row in marked.tolist() if tells_client(tables.prefixes.payload(row, 0))]
    return [int(tables.hosts.key[tables.flows.host[row, 0]]) for row in sure]


def _absolute_like(head: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Whether an ``h`` follows a space where a method may end: true of hardly any ordinary request."""
    return np.asarray(((head[:, 3:9] == 0x20) & (head[:, 4:10] == 0x68)).any(axis=1))


def _starts(head: npt.NDArray[np.uint8], start: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return np.asarray((head[:, : len(start)] == start).all(axis=1))
