"""The filter bar's language: words and ``field:value`` terms, all of which must hold.

A word matches anywhere in the text of an incident. ``kind:`` ``sev:`` ``src:`` ``dst:`` ``host:`` ``port:``
``state:`` take values with commas between; addresses may be networks, ports may be ranges. ``sev>=medium``,
``score>=80`` and ``age<10m`` compare. ``!`` before a term turns it round; quotes keep spaces together.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from nettriage.model.alert import SEVERITIES, Alert, Party
from nettriage.model.errors import nearest
from tui.figures import seconds_of

LENGTH_MAX = 256
"""Characters of a filter; more is refused."""

Test = Callable[[Alert, float | None], bool]
_TERM = re.compile(r"(?P<field>[A-Za-z]+)(?P<op>>=|<=|!=|[:=<>])(?P<value>.*)", re.DOTALL)
_TOKEN = re.compile(r'(?:"[^"]*"|[^\s"])+')
_ORDERS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq, ":": operator.eq,
}  # fmt: skip
_AGE_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_STATES = {"new": "new", "open": "in_progress", "suppressed": "suppressed", "resolved": "resolved"}


class FilterError(ValueError):
    """The filter cannot be read: `at` and `length` mark the wrong part of the text."""

    def __init__(self, message: str, at: int, length: int) -> None:
        """Say what is wrong, and where."""
        super().__init__(message)
        self.at = at
        self.length = max(length, 1)


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was read; without text it matches everything."""

    text: str = ""
    _tests: tuple[Test, ...] = field(default=(), repr=False)

    def matches(self, alert: Alert, now: float | None) -> bool:
        """Return whether every term holds; `now` is the packet clock, seconds since the epoch."""
        return all(test(alert, now) for test in self._tests)


def parse(text: str) -> Filter:
    """Return the filter that `text` describes; raises FilterError at the first wrong term."""
    if len(text) > LENGTH_MAX:
        raise FilterError(f"a filter has at most {LENGTH_MAX} characters", LENGTH_MAX, len(text) - LENGTH_MAX)
    if text.count('"') % 2:
        raise FilterError("a quote is not closed", text.rindex('"'), 1)
    return Filter(text.strip(), tuple(_term(match.group(), match.start()) for match in _TOKEN.finditer(text)))


def _term(token: str, at: int) -> Test:
    if token.startswith("!"):
        if len(token) == 1:
            raise FilterError("! needs a term after it", at, 1)
        inner = _term(token[1:], at + 1)
        return lambda alert, now: not inner(alert, now)
    match = _TERM.fullmatch(token)
    if match is None or token.startswith('"'):
        return _word(token.replace('"', "").casefold())
    name, op, value = match["field"].lower(), match["op"], match["value"].replace('"', "")
    if op == "!=":
        return _term(f"!{name}={value}", at)
    if name not in _FIELDS:
        raise FilterError(f"no field {name!r}{nearest(name, _FIELDS)}", at, len(name))
    if not value:
        raise FilterError(f"{name} needs a value", at, len(token))
    try:
        return _FIELDS[name](op, value)
    except ValueError as error:
        start = match.start("value")
        raise FilterError(str(error), at + start, len(token) - start) from error


def _word(word: str) -> Test:
    return lambda alert, _now: word in _haystack(alert)


def _haystack(alert: Alert) -> str:
    parts = [alert.id, alert.kind, alert.title, alert.reason, alert.severity, alert.protocol]
    for party in _parties(alert):
        parts += (party.ip, party.name or "", party.role or "")
    parts += (attack.technique for attack in alert.attack)
    if alert.tool:
        parts.append(alert.tool.name)
    return "\n".join(parts).casefold()


def _parties(alert: Alert) -> Iterator[Party]:
    yield alert.subject
    yield from alert.objects
    yield from alert.via


def _equality(op: str, name: str) -> None:
    if op not in (":", "="):
        raise ValueError(f"{name} has no order: write {name}:value")


def _kind(op: str, value: str) -> Test:
    _equality(op, "kind")
    wanted = [item.casefold() for item in value.split(",")]
    return lambda alert, _now: any(item in alert.kind for item in wanted)


def _severity(op: str, value: str) -> Test:
    ranks = []
    for item in value.split(","):
        found = [rank for rank, name in enumerate(SEVERITIES) if name.startswith(item.lower()) and item]
        if len(found) != 1:
            raise ValueError(f"severities are {', '.join(SEVERITIES)}")
        ranks += found
    if op in (":", "="):
        return lambda alert, _now: SEVERITIES.index(alert.severity) in ranks
    if len(ranks) > 1:
        raise ValueError("an order takes one severity")
    order = _ORDERS[op]
    return lambda alert, _now: order(SEVERITIES.index(alert.severity), ranks[0])


def _hosts(name: str, of: Callable[[Alert], Iterator[Party]]) -> Callable[[str, str], Test]:
    def build(op: str, value: str) -> Test:
        _equality(op, name)
        tests = [_host_test(item) for item in value.split(",") if item]
        return lambda alert, _now: any(test(party) for test in tests for party in of(alert))

    return build


def _host_test(value: str) -> Callable[[Party], bool]:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        if "/" in value:
            raise ValueError(f"{value!r} is not a network") from None
        needle = value.casefold()
        return lambda party: party.ip.startswith(needle) or needle in (party.name or "").casefold()
    return lambda party: _inside(party.ip, network)


@lru_cache(maxsize=16_384)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _inside(text: str, network: IPv4Network | IPv6Network) -> bool:
    address = _address(text)
    return address is not None and address.version == network.version and address in network


def _port(op: str, value: str) -> Test:
    _equality(op, "port")
    ranges = [_port_range(item) for item in value.split(",")]

    def test(alert: Alert, _now: float | None) -> bool:
        used = [*alert.ports, *(party.port for party in _parties(alert) if party.port is not None)]
        return any(low <= port <= high for port in used for low, high in ranges)

    return test


def _port_range(item: str) -> tuple[int, int]:
    low, dash, high = item.partition("-")
    if not low.isdecimal() or (dash and not high.isdecimal()):
        raise ValueError("ports are numbers, or ranges such as 1-1024")
    bounds = int(low), int(high or low)
    if not 0 <= bounds[0] <= bounds[1] <= 65_535:
        raise ValueError("ports go from 0 to 65535")
    return bounds


def _score(op: str, value: str) -> Test:
    try:
        limit = float(value)
    except ValueError:
        raise ValueError("score is a number of 0 to 100") from None
    order = _ORDERS[op]
    return lambda alert, _now: order(alert.score, limit)


def _age(op: str, value: str) -> Test:
    unit = _AGE_UNITS.get(value[-1].lower())
    number = value[:-1] if unit else value
    try:
        limit = float(number) * (unit or 1)
    except ValueError:
        raise ValueError("age is a number with s, m, h or d") from None
    order = _ORDERS[op]

    def test(alert: Alert, now: float | None) -> bool:
        seen = seconds_of(alert.last_seen)
        return now is not None and seen is not None and order(now - seen, limit)

    return test


def _state(op: str, value: str) -> Test:
    _equality(op, "state")
    wanted = set()
    for item in value.split(","):
        if item not in _STATES and item not in _STATES.values():
            raise ValueError(f"states are {', '.join(_STATES)}")
        wanted.add(_STATES.get(item, item))
    return lambda alert, _now: alert.status in wanted


_FIELDS: dict[str, Callable[[str, str], Test]] = {
    "kind": _kind,
    "sev": _severity,
    "src": _hosts("src", lambda alert: iter((alert.subject,))),
    "dst": _hosts("dst", lambda alert: iter((*alert.objects, *alert.via[1:]))),
    "host": _hosts("host", _parties),
    "port": _port,
    "score": _score,
    "age": _age,
    "state": _state,
}
FIELDS = tuple(_FIELDS)
