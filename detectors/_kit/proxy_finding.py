"""A proxy's account in words and numbers."""

from __future__ import annotations

from nettriage.model.addresses import to_text
from nettriage.model.alert import Leg, Observation, Tool
from nettriage.model.finding import Address, Endpoint, Finding, FlowRef
from nettriage.model.safetext import safe
from nettriage.model.tables import Tables

from .legs import leg
from .proxy_book import FLOWS_MAX, Server, Session
from .proxy_inside import UNUSUAL
from .proxy_role import Verdict
from .reasons import counted, duration, listed, title

_OBJECTS_MAX = 32


def finding(server: Server, verdict: Verdict, tables: Tables, *, closed: bool = False) -> Finding:
    """Return the present state of a proxy."""
    latest = _latest(server)
    objects = [Endpoint(addr) for addr in server.clients] + [end for end in server.targets.values() if end]
    return Finding(
        key=server.key, subject=Endpoint(server.end.addr, server.end.port or None), score=verdict.score,
        confidence=verdict.confidence, first_ns=server.first_ns, last_ns=server.last_ns, count=server.requests,
        title=_title(server), reason=_reason(server, verdict), objects=objects[:_OBJECTS_MAX],
        object_count=len(objects) + server.overflow, via=_via(server, latest), legs=_legs(latest, tables),
        flows=_flows(server), proto=6, ports=[server.end.port] if server.end.port else [],
        port_count=1 if server.end.port else 0, observations=_observations(server),
        tool=_tool(server), counterfactual=_counterfactual(server, verdict), benign_checked=list(verdict.checks),
        visibility_note="" if server.answered else "the answers of this server were not seen",
        next_steps=_next_steps(server), closed=closed,
    )  # fmt: skip


def _name(server: Server) -> str:
    host = to_text(*server.end.addr)
    if not server.end.port:
        return host
    return f"[{host}]:{server.end.port}" if ":" in host else f"{host}:{server.end.port}"


def _title(server: Server) -> str:
    kinds = sorted(server.protocols)
    what = "/".join(kinds) if len(kinds) < 3 else f"{kinds[-1]} and more"
    where = f"on {_name(server)}" if server.end.port else f"dialled out by {_name(server)}"
    return title(f"{what} proxy {where}")


def _reason(server: Server, verdict: Verdict) -> str:
    served = "answered" if server.answered else "was asked"
    text = (
        f"{_name(server)} {served} as {' and '.join(sorted(server.protocols))} proxy"
        f" {counted(server.requests, 'time')} in {duration(server.last_ns - server.first_ns)}"
        f" for {listed(map(_text, server.clients), limit=3)}"
    )
    if server.targets:
        text += f", to {listed(server.targets, limit=4)}"
    if server.users:
        text += f"; user names: {listed(server.users, limit=3)}"
    if server.inner:
        text += f"; inside: {listed(f'{name} {count:,}' for name, count in server.inner.items())}"
    if server.intercepts:
        text += f"; it opens the TLS of its clients ({_interception(server)})"
    return f"{text}; {verdict.role}."


def _interception(server: Server) -> str:
    if server.forgers:
        return f"certificates of {listed(server.forgers)}"
    return f"{server.opened} of {server.compared} ClientHellos go onward as others"


def _tool(server: Server) -> Tool | None:
    if not server.forgers:
        return None
    name = max(server.forgers, key=lambda forger: server.forgers[forger])
    return Tool(name=name, confidence=0.95, evidence=safe(f"certificate inside issued by the authority of {name}"))


def _text(addr: Address) -> str:
    return to_text(*addr)


def _latest(server: Server) -> Session:
    whole = [session for session in server.sessions if session.onward]
    return whole[-1] if whole else server.sessions[-1]


def _via(server: Server, latest: Session) -> list[Endpoint]:
    via = [Endpoint(latest.client), Endpoint(server.end.addr, server.end.port or None)]
    if latest.onward:
        via.append(latest.onward.ends[1])
    elif latest.talk.address:
        via.append(Endpoint(latest.talk.address, latest.talk.port))
    return via


def _legs(latest: Session, tables: Tables) -> list[Leg]:
    legs = [leg(tables, latest.flow)]
    if latest.onward:
        lag_ms = (latest.onward.first_ns - latest.flow.first_ns) / 1e6
        legs.append(leg(tables, latest.onward, round(lag_ms, 3)))
    return legs


def _flows(server: Server) -> list[FlowRef]:
    refs = []
    for session in server.sessions:
        refs.append(session.flow.ref)
        if session.onward:
            refs.append(session.onward.ref)
    return refs[-FLOWS_MAX:]


def _observations(server: Server) -> list[Observation]:
    window_s = max(round((server.last_ns - server.first_ns) / 1e9, 3), 0.0)
    rows = (
        ("requests served" if server.answered else "requests seen", server.requests, "requests", 1, 0.5),
        ("requests granted", server.granted, "requests", 1, 0.2),
        ("clients", len(server.clients), "hosts", 1, 0.0),
        ("targets", len(server.targets), "targets", 1, 0.0),
        ("targets inside", len(server.inside), "targets", 1, 0.1),
        ("targets on other ports than the web's", len(server.odd), "targets", 1, 0.1),
        ("onward connections seen", server.onward, "connections", 1, 0.1),
        ("sessions with SSH, SMTP, RDP, SMB or a proxy inside", _unusual(server), "sessions", 1, 0.0),
        ("sessions whose TLS it opened", server.opened, "sessions", 1, 0.0),
    )
    return [
        Observation(name=name, value=float(value), unit=unit, threshold=float(limit), window_s=window_s, weight=weight)
        for name, value, unit, limit, weight in rows
    ]


def _unusual(server: Server) -> int:
    return sum(count for name, count in server.inner.items() if name in UNUSUAL)


def _counterfactual(server: Server, verdict: Verdict) -> str:
    if verdict.role.startswith("forward proxy"):
        return "would weigh more if it reached hosts inside, other ports than the web's, or spoke SOCKS"
    return f"would be informational if {to_text(*server.end.addr)} were declared under network.proxies"


def _next_steps(server: Server) -> list[str]:
    host = to_text(*server.end.addr)
    clients = listed(map(_text, server.clients), limit=3)
    return [
        f"Ask who runs a proxy on {host}; if it is official, declare it under network.proxies",
        f"On {host}: find the process that holds {f'port {server.end.port}' if server.end.port else 'the connection'}",
        f"Look at what {clients} did through it: the targets stand in the reason, the onward flows in the legs",
    ]
