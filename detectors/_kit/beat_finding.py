"""Regular calls in words and numbers: those of one host, and those that a relay passes on."""

from __future__ import annotations

import numpy as np

from nettriage.model.addresses import to_text
from nettriage.model.alert import BenignCheck, Leg, Observation
from nettriage.model.finding import Endpoint, Finding, FlowRef
from nettriage.model.tables import Tables

from .beat_echo import Echo
from .beat_relay import Relayed, Series
from .legs import NotedFlow, leg, note
from .reasons import counted, duration, listed, protocol_name, title

_OBJECTS_MAX = 32
_KNOWN_PERIODS = ((25.0, "chisel's"), (30.0, "yamux's (frp, ligolo-ng, revsocks) and rathole's"), (45.0, "gsocket's"))
"""Keep-alive periods of tunnelling tools, in seconds."""
_PERIOD_TOLERANCE = 0.02


def lone_finding(series: Series, key: int, score: float, role: str, *, in_flow: bool, limit: float) -> Finding:
    """Return the present state of calls that nobody passes on."""
    caller, called = to_text(*series.caller), to_text(*series.called)
    how = "spoke again in one flow to" if in_flow else "called"
    hint = _tool_hint(series.period_s) if in_flow else ""
    return Finding(
        key=key, subject=Endpoint(series.caller), score=score, confidence=0.5 * series.score + 0.2,
        first_ns=series.first_ns, last_ns=series.last_ns, count=series.beats,
        title=title(f"Regular calls {caller} → {called}:{series.port}"),
        reason=(
            f"{caller} {how} {called}:{series.port}/{protocol_name(series.proto)} every {_rhythm_words(series)},"
            f" {counted(series.beats, 'time')} in {duration(series.last_ns - series.first_ns)}{hint}; {role}."
        ),
        objects=[Endpoint(series.called, series.port)], object_count=1, proto=series.proto, ports=[series.port],
        port_count=1, observations=_regularity(series, limit),
        counterfactual="would weigh more if a host inside passed it on, or if the calls came through a tunnel",
        benign_checked=[
            BenignCheck(hypothesis="updates, telemetry, keep-alives", rejected_because="not excluded: it stays low")
        ],
        next_steps=[
            f"On {caller}: find the process that calls {called} every {series.period_s:.3g} s",
            f"Look up who owns {called}, and which other hosts call it",
        ],
    )  # fmt: skip


def relayed_finding(relayed: Relayed, verdict: tuple[float, str], tables: Tables, limit: float) -> Finding:
    """Return the present state of calls that a host passes on."""
    series, echo = relayed.latest
    score, role = verdict
    relay, target = to_text(*relayed.relay), to_text(*relayed.target)
    children = [child for child, _ in relayed.children.values()]
    callers = listed((to_text(*child.caller) for child in children), limit=4)
    legs, flows = _legs(tables, (series.serial, relayed.serial), echo)
    objects = [Endpoint(child.caller) for child in children] + [Endpoint(relayed.target, relayed.target_port)]
    return Finding(
        key=relayed.key, subject=Endpoint(relayed.relay, series.port), score=score, confidence=0.85,
        first_ns=min(child.first_ns for child in children), last_ns=max(child.last_ns for child in children),
        count=sum(child.beats for child in children), title=title(f"Beacons through {relay} → {target}"),
        reason=_relayed_reason(relayed, series, echo, role), objects=objects[:_OBJECTS_MAX],
        object_count=len(objects) + relayed.overflow,
        via=[Endpoint(series.caller), Endpoint(relayed.relay, series.port), objects[-1]],
        legs=legs, flows=flows, proto=relayed.proto, ports=[series.port, relayed.target_port], port_count=2,
        observations=_regularity(series, limit) + _echo_rows(echo),
        counterfactual="would stay low if the calls onward did not follow the calls in, or stayed inside",
        benign_checked=[
            BenignCheck(
                hypothesis="two clocks that happen to agree",
                rejected_because=f"the lag varies {echo.steadiness:.0%} as much as the intervals do",
            ),
            BenignCheck(hypothesis="a proxy or balancer by design", rejected_because=role),
        ],
        next_steps=[
            f"On {relay}: find the process that holds port {series.port} and calls {target}:{relayed.target_port}",
            f"On {callers}: find what calls {relay}:{series.port}",
            f"If {relay} passes this on by design, declare it under network.proxies or network.load_balancers",
        ],
    )  # fmt: skip


def _relayed_reason(relayed: Relayed, series: Series, echo: Echo, role: str) -> str:
    callers = listed((to_text(*caller) for caller in relayed.children), limit=5)
    verb = "speaks again in one flow to" if relayed.in_flow else "calls"
    if len(relayed.children) > 1:
        verb = verb.replace("speaks", "speak").replace("calls", "call")
    return (
        f"{callers} {verb} {to_text(*relayed.relay)}:{series.port} every {_rhythm_words(series)}, and"
        f" {echo.lag_ms:.3g} ms later it goes on to {to_text(*relayed.target)}:{relayed.target_port}:"
        f" {echo.hits} of {echo.beats} beats; {role}."
    )


def _rhythm_words(series: Series) -> str:
    return f"{series.period_s:.3g} s (± {series.jitter_s:.2g} s)"


def _tool_hint(period_s: float) -> str:
    names = [name for period, name in _KNOWN_PERIODS if abs(period_s - period) <= _PERIOD_TOLERANCE * period]
    return f" (the period is {names[0]})" if names else ""


def _regularity(series: Series, limit: float) -> list[Observation]:
    window_s = max(round((series.last_ns - series.first_ns) / 1e9, 3), 0.0)
    rows = [("regularity", series.score, "score", limit, 0.5), ("time score", series.time, "score", limit, 0.2)]
    if series.size >= 0:
        rows.append(("size score", series.size, "score", limit, 0.1))
    rows += [("period", series.period_s, "s", 0.0, 0.0), ("jitter", series.jitter_s, "s", 0.0, 0.0)]
    return [
        Observation(name=name, value=round(value, 3), unit=unit, threshold=edge, window_s=window_s, weight=weight)
        for name, value, unit, edge, weight in rows
    ]


def _echo_rows(echo: Echo) -> list[Observation]:
    rows = (
        ("beats that went on", float(echo.hits), "beats", 6.0, 0.5),
        ("lag", echo.lag_ms, "ms", 1_000.0, 0.0),
        ("spread of the lag over spread of the intervals", round(echo.steadiness, 4), "ratio", 0.15, 0.3),
        ("chance of unrelated calls", round(echo.log_p, 1), "log10", -6.0, 0.2),
    )
    return [
        Observation(name=name, value=value, unit=unit, threshold=limit, window_s=0.0, weight=weight)
        for name, value, unit, limit, weight in rows
    ]


def _legs(tables: Tables, serials: tuple[int, int], echo: Echo) -> tuple[list[Leg], list[FlowRef]]:
    """Return the latest call in and the latest call onward, as far as they still stand in the table."""
    noted = [
        (_find(tables, serial), lag_ms) for serial, lag_ms in zip(serials, (None, round(echo.lag_ms, 3)), strict=True)
    ]
    known = [(flow, lag_ms) for flow, lag_ms in noted if flow]
    return [leg(tables, flow, lag_ms) for flow, lag_ms in known], [flow.ref for flow, _ in known]


def _find(tables: Tables, serial: int) -> NotedFlow | None:
    rows = np.flatnonzero(tables.flows.serial == serial)
    return note(tables, int(rows[0])) if len(rows) else None
