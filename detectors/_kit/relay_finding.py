"""A relay in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass

from nettriage.model.addresses import to_text
from nettriage.model.alert import Leg, Observation
from nettriage.model.finding import Endpoint, Finding, FlowRef
from nettriage.model.tables import Tables

from .echo_table import HITS_MIN, Likeness
from .lag_watch import LagWatch
from .legs import NotedFlow, leg, volumes
from .reasons import counted, duration, listed, title
from .relay_book import RelayAccount
from .relay_role import Role
from .twin_check import Pair, Proof

_OBJECTS_MAX, _FLOWS_MAX = 32, 20
_CONFIDENCE = {
    Proof.TOKEN: 0.97,
    Proof.BYTES: 0.96,
    Proof.CONTENT: 0.85,
    Proof.VOLUME: 0.75,
    Proof.ECHO: 0.8,
    Proof.SESSIONS: 0.7,
}
_LIKENESS = {
    Likeness.TRANSPARENT: "alike in volume",
    Likeness.REFRAMED: "alike in volume but for encryption or framing",
    Likeness.OTHER: "unlike in volume",
}
_WORDS = {
    Proof.TOKEN: "the same handshake random on both legs",
    Proof.BYTES: "the same bytes on both legs, both ways",
    Proof.CONTENT: "the same unusual content on both legs",
    Proof.VOLUME: "the same number of bytes on both legs, both ways",
    Proof.ECHO: "the same rhythm on both legs, both ways",
    Proof.SESSIONS: "sessions in and out that begin and end together, alike in volume",
}


@dataclass(frozen=True, slots=True)
class Hops:
    """The chain that the record shows: its legs in order, and the relay of each hop."""

    pairs: tuple[Pair, ...]

    @property
    def legs(self) -> list[NotedFlow]:
        """The flows from the first client to the last target, each once."""
        legs = [self.pairs[0].inner]
        for pair in self.pairs:
            if pair.inner.serial != legs[-1].serial:
                legs.append(pair.inner)
            legs.append(pair.outer)
        return legs

    @property
    def via(self) -> list[Endpoint]:
        """A, B, C ... in order."""
        first = self.pairs[0]
        hosts = [Endpoint(first.inner.ends[1 - first.inner_side].addr)]
        for pair in self.pairs:
            relay = Endpoint(pair.inner.ends[pair.inner_side].addr, pair.front_port or None)
            if hosts[-1].addr != relay.addr:
                hosts.append(relay)
            if pair.hidden:
                hosts.append(Endpoint(pair.outer.ends[pair.outer_side].addr))
        last = self.pairs[-1]
        target = last.outer.ends[1 - last.outer_side]
        hosts.append(target if last.outer_side == 0 else Endpoint(target.addr))
        return hosts


def finding(
    relay: RelayAccount,
    role: Role,
    hops: Hops,
    lags: LagWatch,
    tables: Tables,
    *,
    joined: bool = False,
    closed: bool = False,
) -> Finding:
    """Return the present state of a relay; `joined` says that it became part of a longer chain."""
    best = min(relay.proofs, key=list(Proof).index)
    objects = [end for end in hops.via if end.addr != relay.end.addr]
    objects += [Endpoint(addr) for addr in relay.clients] + [Endpoint(addr, port) for addr, port in relay.backends]
    unique = list({(end.addr, end.port): end for end in objects}.values())
    front = relay.end.port or None
    return Finding(
        key=relay.key, subject=Endpoint(relay.end.addr, front), score=role.score, confidence=_CONFIDENCE[best],
        first_ns=relay.first_ns, last_ns=relay.last_ns, count=relay.count, title=_title(hops),
        reason=_reason(relay, role, hops, best, tables, joined), objects=unique[:_OBJECTS_MAX],
        object_count=len(unique) + relay.overflow, via=hops.via, legs=_legs(hops, lags, tables), flows=_flows(relay),
        proto=6, ports=[front] if front else [], port_count=1 if front else 0,
        observations=_observations(relay, hops, lags, tables), benign_checked=list(role.checks),
        counterfactual=_counterfactual(relay, best), next_steps=_next_steps(relay, hops), closed=closed,
    )  # fmt: skip


def _name(end: Endpoint) -> str:
    host = to_text(*end.addr)
    return host if end.port is None else f"[{host}]:{end.port}" if ":" in host else f"{host}:{end.port}"


def _title(hops: Hops) -> str:
    return title("Relay " + " → ".join(to_text(*end.addr) for end in hops.via))


def _reason(relay: RelayAccount, role: Role, hops: Hops, best: Proof, tables: Tables, joined: bool) -> str:
    up, down = volumes(tables, hops.legs[0])
    path = " → ".join(_name(end) for end in hops.via)
    who = "chain" if len(hops.pairs) > 1 else "relay"
    text = (
        f"{path}: {who} with {_WORDS[best]}"
        f" ({counted(relay.count, 'pair')} of flows in {duration(relay.last_ns - relay.first_ns)},"
        f" latest {up:,} bytes up and {down:,} down)"
    )
    if len(relay.clients) > 1 or len(relay.backends) > 1:
        text += f"; {counted(len(relay.clients), 'client')}, {counted(len(relay.backends), 'backend')}"
        text += f" ({listed((_name(Endpoint(addr, port or None)) for addr, port in relay.backends), limit=3)})"
    if relay.echo and best is Proof.ECHO:
        echo = relay.echo
        text += (
            f"; {echo.hits} of {echo.tries} times the other leg followed within {echo.window_ms:g} ms after silence of"
            f" {echo.idle_s:g} s (by chance at most once in 10^{-echo.log10_chance:.0f}), {_LIKENESS[echo.likeness]}"
        )
    if relay.proxied:
        text += f"; asked for by {relay.proxied}"
    return f"{text}; now part of a longer chain." if joined else f"{text}; {role.name}."


def _legs(hops: Hops, lags: LagWatch, tables: Tables) -> list[Leg]:
    lag = {pair.outer.serial: lag_ms(pair, lags) for pair in hops.pairs}
    return [leg(tables, flow, lag.get(flow.serial)) for flow in hops.legs]


def lag_ms(pair: Pair, lags: LagWatch) -> float:
    """Return the measured median lag of the outer leg, else how much later it began."""
    measured = lags.lag_ms(pair)
    return round((pair.outer.first_ns - pair.inner.first_ns) / 1e6, 3) if measured is None else measured


def _flows(relay: RelayAccount) -> list[FlowRef]:
    refs = [flow.ref for pair in relay.pairs for flow in (pair.inner, pair.outer)]
    return refs[-_FLOWS_MAX:]


def _observations(relay: RelayAccount, hops: Hops, lags: LagWatch, tables: Tables) -> list[Observation]:
    window_s = round(max(relay.last_ns - relay.first_ns, 0) / 1e9, 3)
    inner, outer = (volumes(tables, flow) for flow in (hops.pairs[-1].inner, hops.pairs[-1].outer))
    rows = [
        ("flow pairs proved", float(relay.count), "pairs", 1.0, 0.4),
        ("bytes compared and equal", float(relay.equal_bytes), "bytes", 0.0, 0.3),
        ("inner leg, both ways", float(sum(inner)), "bytes", 0.0, 0.1),
        ("outer leg, both ways", float(sum(outer)), "bytes", 0.0, 0.1),
        ("lag of the outer leg", lag_ms(hops.pairs[-1], lags), "ms", 2_000.0, 0.1),
        ("clients", float(len(relay.clients)), "hosts", 1.0, 0.0),
        ("backends", float(len(relay.backends)), "hosts", 1.0, 0.0),
    ]
    if relay.echo:
        echo = relay.echo
        rows += [
            ("resumes that the other leg followed", float(echo.hits), "resumes", float(HITS_MIN), 0.3),
            ("log10 of the odds of chance", echo.log10_chance, "decades", -6.0, 0.4),
        ]
    return [
        Observation(name=name, value=value, unit=unit, threshold=limit, window_s=window_s, weight=weight)
        for name, value, unit, limit, weight in rows
    ]


def _counterfactual(relay: RelayAccount, best: Proof) -> str:
    host = to_text(*relay.end.addr)
    if best is Proof.TOKEN:
        return f"would not alert if the handshake randoms differed; informational if {host} were a declared proxy"
    if best in (Proof.ECHO, Proof.SESSIONS):
        return (
            f"would not alert if the legs paused or ended apart; informational if {host} were declared in the settings"
        )
    return f"would not alert if the legs differed in one byte; informational if {host} were declared in the settings"


def _next_steps(relay: RelayAccount, hops: Hops) -> list[str]:
    host = to_text(*relay.end.addr)
    holds = f"listens on port {relay.end.port}" if relay.end.port else "holds both connections"
    client, target = to_text(*hops.via[0].addr), _name(hops.via[-1])
    return [
        f"On {host}: find the process that {holds} (socat, rinetd, netsh portproxy, ssh ...)",
        f"Ask who let {client} reach {target} through {host}; compare both legs in the flow view",
        f"If {host} relays by design, declare it under network.load_balancers or network.proxies",
    ]
