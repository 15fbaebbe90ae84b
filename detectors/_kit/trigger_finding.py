"""A tunnel that opens connections, in words and numbers."""

from __future__ import annotations

from nettriage.model.addresses import to_text
from nettriage.model.alert import Leg, Observation
from nettriage.model.finding import Endpoint, Finding, FlowRef
from nettriage.model.tables import RESPONDER, Tables

from .legs import leg
from .reasons import counted, duration, listed, title
from .relay_role import Role
from .trigger_book import TriggerAccount

_OBJECTS_MAX, _FLOWS_MAX, _LEGS_MAX = 32, 20, 8


def finding(account: TriggerAccount, role: Role, tables: Tables, *, closed: bool) -> Finding:
    """Return the present state of an account."""
    targets = [Endpoint(addr, port) for addr, port in account.targets]
    objects = [Endpoint(account.peer.addr), *targets]
    last = account.opened[-1].ends[RESPONDER]
    ports = sorted({end.port or 0 for end in targets})
    return Finding(
        key=account.key, subject=account.end, score=role.score, confidence=_confidence(account),
        first_ns=account.first_ns, last_ns=account.last_ns, count=account.count, title=_title(account),
        reason=_reason(account, role, tables), objects=objects[:_OBJECTS_MAX],
        object_count=len(objects) + account.overflow, via=[account.peer, account.end, last],
        legs=_legs(account, tables), flows=_flows(account), proto=6, ports=ports[:64], port_count=len(ports),
        observations=_observations(account, tables), benign_checked=list(role.checks),
        counterfactual=_counterfactual(account), next_steps=_next_steps(account), closed=closed,
    )  # fmt: skip


def _confidence(account: TriggerAccount) -> float:
    return 0.9 if account.log10_chance < -12 else 0.75


def _text(end: Endpoint) -> str:
    host = to_text(*end.addr)
    return host if end.port is None else f"[{host}]:{end.port}" if ":" in host else f"{host}:{end.port}"


def _title(account: TriggerAccount) -> str:
    return title(f"{to_text(*account.end.addr)} opens connections for {to_text(*account.peer.addr)}")


def _reason(account: TriggerAccount, role: Role, tables: Tables) -> str:
    into, out = account.carried(tables)
    up, down = account.passed(tables)
    peer = to_text(*account.peer.addr)
    served = account.side == RESPONDER
    where = f"on {_text(account.end)}" if served else f"on the flow that it opened to {_text(account.peer)}"
    names = (_text(Endpoint(addr, port)) for addr, port in account.targets)
    total = len(account.targets) + account.overflow
    return (
        f"{counted(account.count, 'connection')} of {to_text(*account.end.addr)} in"
        f" {duration(account.last_ns - account.first_ns)} followed data of {peer} {where} within {account.lag_ms:g} ms"
        f" (by chance at most once in 10^{-account.log10_chance:.0f}), to {listed(names, total=total, limit=4)};"
        f" {into:,} bytes came in and {up:,} went on, {down:,} came back and {out:,} went out; {role.name}."
    )


def _legs(account: TriggerAccount, tables: Tables) -> list[Leg]:
    carriers = list(account.carriers.values())[-2:]
    opened = list(account.opened)[-(_LEGS_MAX - len(carriers)) :]
    return [leg(tables, flow) for flow in carriers] + [leg(tables, flow, account.lag_ms) for flow in opened]


def _flows(account: TriggerAccount) -> list[FlowRef]:
    carriers = [flow.ref for flow in account.carriers.values()]
    return [flow.ref for flow in account.opened][-(_FLOWS_MAX - len(carriers)) :] + carriers


def _observations(account: TriggerAccount, tables: Tables) -> list[Observation]:
    window_s = round((account.last_ns - account.first_ns) / 1e9, 3)
    (into, out), (up, down) = account.carried(tables), account.passed(tables)
    rows = (
        ("connections that followed data", float(account.count), "connections", 4.0, 0.3),
        ("connections of the host meanwhile", float(max(account.tries, account.count)), "connections", 0.0, 0.0),
        ("log10 of the odds of chance", account.log10_chance, "decades", -6.0, 0.4),
        ("lag of the connections", account.lag_ms, "ms", 20.0, 0.1),
        ("bytes into the host on the tunnel", float(into), "bytes", 0.0, 0.1),
        ("bytes on to the targets", float(up), "bytes", 0.0, 0.1),
        ("bytes back from the targets", float(down), "bytes", 0.0, 0.1),
        ("bytes out of the host on the tunnel", float(out), "bytes", 0.0, 0.1),
        ("targets within 60 s", float(account.most_targets), "targets", 10.0, 0.2),
    )
    return [
        Observation(name=name, value=value, unit=unit, threshold=limit, window_s=window_s, weight=weight)
        for name, value, unit, limit, weight in rows
    ]


def _counterfactual(account: TriggerAccount) -> str:
    host = to_text(*account.end.addr)
    declared = f"informational if {host} were a declared bastion or proxy"
    return f"would not alert if {host} had connected at other times; {declared}"


def _next_steps(account: TriggerAccount) -> list[str]:
    host, peer = to_text(*account.end.addr), to_text(*account.peer.addr)
    holds = f"serves port {account.end.port}" if account.end.port else f"dialled {_text(account.peer)}"
    return [
        f"On {host}: find the process that {holds} (sshd with forwarding, chisel, ligolo agent, web shell ...)",
        f"Ask who on {peer} works through {host}, and look at what was reached in the flow view",
        f"If {host} forwards by design, declare it under network.bastions or network.proxies",
    ]
