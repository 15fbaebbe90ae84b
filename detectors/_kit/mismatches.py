"""What well-known ports expect, and which foreign protocols on them are worth saying."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import Rows

from .openings import Bools, Openings, Speech

_TLS = "TLS"
_EXPECTS: dict[int, str] = {
    443: _TLS, 993: _TLS, 995: _TLS, 465: _TLS, 636: _TLS, 853: _TLS, 8443: _TLS, 22: "SSH", 53: "DNS", 80: "HTTP",
    25: "SMTP", 21: "FTP", 23: "Telnet", 88: "Kerberos", 110: "POP3", 135: "RPC", 139: "NetBIOS", 143: "IMAP",
    389: "LDAP", 445: "SMB", 1433: "SQL Server", 3306: "MySQL", 3389: "RDP", 5432: "PostgreSQL",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A foreign protocol on a known port."""

    spoken: str
    expected: str
    score: float


@dataclass(frozen=True, slots=True)
class _Rule:
    """Both sides show one of these bits, the port is (or is not) one of those."""

    spoken: str
    client: int
    server: int
    ports: Bools
    """`bool [65536]`, by port."""
    score: float
    own: int = 0
    """The port that the protocol owns."""


def _table(ports: Iterable[int]) -> Bools:
    table = np.zeros(65_536, np.bool_)
    table[list(ports)] = True
    return table


_IS_EXPECTED = _table(_EXPECTS)
_IS_LOGIN = _table((22, 23, 53, 135, 139, 445))
"""Ports on which TLS, HTTP or text of the web has no business, not even after an upgrade."""
_IS_TLS = _table(port for port, name in _EXPECTS.items() if name == _TLS)
_RULES = (
    _Rule("SSH", Speech.SSH, Speech.SSH, _IS_EXPECTED, 58.0, own=22),
    _Rule("SOCKS", Speech.SOCKS, Speech.SOCKS, _IS_EXPECTED, 62.0),
    _Rule("OpenVPN", Speech.OPENVPN, Speech.OPENVPN, _IS_EXPECTED, 46.0),
    _Rule("TLS", Speech.TLS, Speech.TLS, _IS_LOGIN, 48.0),
    _Rule("HTTP", Speech.HTTP_REQUEST, Speech.HTTP_ANSWER, _IS_LOGIN, 44.0),
    _Rule("RDP", Speech.TPKT, Speech.TPKT, _IS_TLS, 46.0),
    _Rule("SMB", Speech.SMB, Speech.SMB, _IS_TLS, 50.0),
    _Rule("plain text", Speech.TEXT, Speech.TEXT, _IS_TLS, 46.0),
)
"""In this order: the first that holds is said."""
_KNOWN_TEXT = int(Speech.SSH | Speech.HTTP_REQUEST | Speech.HTTP_ANSWER)


def mismatches(opened: Openings, ports: npt.NDArray[np.uint16]) -> list[tuple[int, Mismatch]]:
    """Return (index into `opened`, mismatch) of the flows that speak what their port does not expect.

    `ports` is `u2 [n]`, the responders' ports. Plain HTTP and TLS are foreign on few ports only.
    """
    known = np.union1d(np.flatnonzero(_IS_LOGIN[ports]), opened.odd[_IS_EXPECTED[ports[opened.odd]]])
    known = known[(opened.speech[known] != 0).all(axis=1)]
    if not len(known):
        return []
    client, server = opened.speech[known, 0], opened.speech[known, 1]
    found: list[tuple[int, Mismatch]] = []
    left = np.ones(len(known), np.bool_)
    for rule in _RULES:
        holds = left & _holds(rule, opened, known, client, server, ports[known])
        left &= ~holds
        for at in np.flatnonzero(holds).tolist():
            port = int(ports[known[at]])
            found.append((int(known[at]), Mismatch(rule.spoken, _EXPECTS[port], _score(rule, port))))
    return sorted(found, key=lambda item: item[0])


def _holds(
    rule: _Rule, opened: Openings, known: Rows, client: npt.NDArray[np.uint16], server: npt.NDArray[np.uint16],
    ports: npt.NDArray[np.uint16],
) -> Bools:  # fmt: skip
    holds = ((client & np.uint16(rule.client)) != 0) & ((server & np.uint16(rule.server)) != 0)
    holds &= rule.ports[ports] & (ports != rule.own)
    if not holds.any():
        return np.asarray(holds)
    if rule.client == Speech.SOCKS:
        holds &= _answers_socks(opened, known)
    if rule.client == Speech.TEXT:
        holds &= ((client | server) & np.uint16(_KNOWN_TEXT)) == 0
    return np.asarray(holds)


def _answers_socks(opened: Openings, known: Rows) -> Bools:
    """Whether one side offers methods and the other picks one of them, or none (RFC 1928 3)."""
    holds = np.zeros(len(known), np.bool_)
    for asking in (0, 1):
        ask, answer = opened.head[known, asking], opened.head[known, 1 - asking]
        count = ask[:, 1].astype(np.intp)
        offered = np.arange(ask.shape[1] - 2) < count[:, None]
        picked = ((ask[:, 2:] == answer[:, 1:2]) & offered).any(axis=1) | (answer[:, 1] == 0xFF)
        holds |= (ask[:, 0] == 5) & (answer[:, 0] == 5) & (count > 0) & (count < 10) & picked
    return holds


def _score(rule: _Rule, port: int) -> float:
    return rule.score + 4 * (port == 443) - 8 * (rule.spoken == "TLS" and port == 23)
