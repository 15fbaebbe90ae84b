"""Regular calls that a host passes on: who calls it, whom it calls in step, and how that is to be taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nettriage.model.addresses import to_text
from nettriage.model.finding import Address
from nettriage.model.site import Site

from .beat_echo import Echo
from .proxy_role import FORWARD_PROXY_PORTS

CHILDREN_MAX = 64
MANY_CHILDREN = 3
_RELAYED_SCORE, _MAIL_SCORE, _PROXY_SCORE, _TIER_SCORE, _DECLARED_SCORE = 60.0, 30.0, 34.0, 36.0, 12.0
_MAIL_PORTS = frozenset({25, 465, 587})
_SAME_VOLUME = (0.5, 2.0)
"""Ratio of the bytes of a call onward to those of the call that caused it, when it is passed on and not worked upon."""


@dataclass(frozen=True, slots=True)
class Series:
    """One regular series, in numbers."""

    caller: Address
    called: Address
    port: int
    proto: int
    serial: int
    period_s: float
    jitter_s: float
    score: float
    time: float
    size: float
    beats: int
    first_ns: int
    last_ns: int
    median_bytes: float
    """Payload bytes of the caller in a typical call; -1 where not known."""


@dataclass(slots=True)
class Relayed:
    """Calls of one host to another that echo the calls of its children."""

    key: int
    relay: Address
    target: Address
    target_port: int
    proto: int
    serial: int
    """The latest flow onward."""
    median_bytes: float
    in_flow: bool
    """Whether the beats lie in one long flow."""
    children: dict[Address, tuple[Series, Echo]] = field(default_factory=dict)
    overflow: int = 0

    def enter(self, series: Series, echo: Echo) -> None:
        """Take in the present state of a child."""
        if series.caller in self.children or len(self.children) < CHILDREN_MAX:
            self.children[series.caller] = (series, echo)
        else:
            self.overflow += 1

    @property
    def latest(self) -> tuple[Series, Echo]:
        """The child that called last."""
        return max(self.children.values(), key=lambda item: item[0].last_ns)


def judge(relayed: Relayed, site: Site) -> tuple[float, str]:
    """Return the score of relayed beats, and what decided in words; the first excuse that holds decides."""
    for holds, score, words in _excuses(relayed, site):
        if holds:
            return score, words
    score = _RELAYED_SCORE + 8 * (len(relayed.children) >= MANY_CHILDREN)
    return score, f"{to_text(*relayed.relay)} is no declared proxy, and the target is external"


def _excuses(relayed: Relayed, site: Site) -> Iterator[tuple[bool, float, str]]:
    series, _ = relayed.latest
    relay = to_text(*relayed.relay)
    for name, hosts in (
        ("proxies", site.proxies), ("load_balancers", site.load_balancers), ("bastions", site.bastions)
    ):  # fmt: skip
        yield relayed.relay in hosts, _DECLARED_SCORE, f"{relay} is declared under network.{name}"
    allowed = site.allow.between(relayed.relay, relayed.target) or site.allow.between(series.caller, relayed.relay)
    yield bool(allowed), _DECLARED_SCORE, f"{allowed} is declared under network.allow"
    mail = {series.port, relayed.target_port} <= _MAIL_PORTS
    yield mail, _MAIL_SCORE, "mail comes in and goes on: a mail relay at work looks the same"
    proxy = f"port {series.port} is one of a forward proxy: its clients' updates look the same"
    yield series.port in FORWARD_PROXY_PORTS, _PROXY_SCORE, proxy
    other = "the calls onward are of another size: an application at work looks the same"
    yield not _same_volume(relayed, series), _TIER_SCORE, other


def _same_volume(relayed: Relayed, series: Series) -> bool:
    if min(relayed.median_bytes, series.median_bytes) <= 0:
        return True
    return _SAME_VOLUME[0] <= relayed.median_bytes / series.median_bytes <= _SAME_VOLUME[1]
