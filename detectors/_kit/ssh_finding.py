"""What is worth saying of an SSH connection, from its handshake and the sizes of its packets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nettriage.model.addresses import to_text
from nettriage.model.alert import BenignCheck, Observation
from nettriage.model.safetext import safe
from nettriage.model.site import Site
from nettriage.model.tables import RESPONDER

from .cases import Sighting
from .legs import NotedFlow
from .placing import placed_score
from .ssh import Hello
from .ssh_use import SshUse

_USUAL_PORTS = frozenset({22})
_MANY_CHANNELS = 10
_REVERSE_SCORE, _REMOTE_SCORE, _LOCAL_SCORE, _NESTED_SCORE, _PORT_SCORE = 82.0, 68.0, 48.0, 34.0, 26.0
_LIBRARIES = ("Go", "paramiko", "libssh", "AsyncSSH", "dropbear", "russh", "chisel")
"""Software that programs and implants speak SSH with."""


@dataclass(frozen=True, slots=True)
class Talk:
    """What originator and responder said in the clear, as far as known."""

    originator: Hello | None
    responder: Hello | None

    @property
    def inverted(self) -> bool:
        """Whether the host that was called acts as the SSH client."""
        called, caller = self.responder, self.originator
        return bool(called and caller and called.is_client is True and caller.is_client is not True)

    @property
    def library(self) -> str:
        """Software of a library, where a side named one."""
        for hello in (self.originator, self.responder):
            if hello and hello.software.startswith(_LIBRARIES):
                return hello.software
        return ""


def sightings(
    flow: NotedFlow, talk: Talk, use: SshUse | None, opened_min: int, site: Site
) -> Iterator[Sighting]:  # fmt: skip
    """Yield everything worth saying; each is a case of its own."""
    if talk.inverted:
        yield _reverse(flow, talk, site)
    elif use is not None:
        local, remote = use.opened
        if remote >= opened_min:
            yield _forwarding(flow, talk, use, site, remote=True)
        if local >= opened_min:
            yield _forwarding(flow, talk, use, site, remote=False)
        if use.nested:
            yield _nested(flow, talk, use, site)
    if use is not None and (flow.ends[RESPONDER].port or 0) not in _USUAL_PORTS:
        yield _odd_port(flow, talk, use, site)


def _hosts(flow: NotedFlow) -> tuple[str, str]:
    return to_text(*flow.ends[0].addr), to_text(*flow.ends[1].addr)


def _software(talk: Talk) -> str:
    return f" ({talk.library})" if talk.library else ""


def _reverse(flow: NotedFlow, talk: Talk, site: Site) -> Sighting:
    host, called = _hosts(flow)
    assert talk.originator is not None
    assert talk.responder is not None
    words = f"{talk.responder.software} of the called host acts as client, {talk.originator.software} as server"
    return Sighting(
        flow=flow, acting_side=0, name="reverse login", title=f"reverse SSH from {host}", tool="reverse SSH",
        evidence=safe(words), confidence=0.97, score=placed_score(_REVERSE_SCORE, flow, site),
        reason=f"{host} called {called} and then served it an SSH login: {words}",
        via=(flow.host(1), flow.ends[0]),
        observations=(_observed("key exchange begun by the called host", 1.0, "messages", 1.0, 1.0),),
        checks=(
            BenignCheck(
                hypothesis="an ordinary login", rejected_because="the caller would begin the key exchange (RFC 4253 8)"
            ),
        ),
        counterfactual="would not alert if the caller had begun the key exchange",
    )  # fmt: skip


def _forwarding(flow: NotedFlow, talk: Talk, use: SshUse, site: Site, *, remote: bool) -> Sighting:
    host, server = _hosts(flow)
    opened = use.opened[int(remote)]
    what = "remote forwarding (ssh -R)" if remote else "forwarding (ssh -L or -D)"
    base = (_REMOTE_SCORE if remote else _LOCAL_SCORE) + 4 * (opened >= _MANY_CHANNELS) + 2 * use.nested
    opener = server if remote else host
    via = (flow.host(1), flow.host(0)) if remote else (flow.host(0), flow.ends[1])
    nested = ", SSH inside SSH among them" if use.nested else ""
    return Sighting(
        flow=flow, acting_side=0, name=what, title=f"{what} at {host}",
        reason=f"{host} keeps an SSH session{_software(talk)} with {server} in which {opener} opened {opened}"
        f" channels to other hosts{nested}, otherwise {use.words}",
        confidence=min(0.6 + 0.04 * opened, 0.93), score=placed_score(base, flow, site), via=via,
        observations=(_observed("channels opened and confirmed", float(opened), "channels", 3.0, 0.8), *_sizes(use)),
        checks=(
            BenignCheck(hypothesis="a person at a shell", rejected_because="keystrokes do not come in this size"),
            BenignCheck(
                hypothesis="a file copy", rejected_because=f"{opened} packets of {use.unit} bytes or more end channels"
            ),
        ),
        counterfactual=f"would not alert with fewer than 3 opened channels, here {opened}",
    )  # fmt: skip


def _nested(flow: NotedFlow, talk: Talk, use: SshUse, site: Site) -> Sighting:
    host, server = _hosts(flow)
    return Sighting(
        flow=flow, acting_side=0, name="SSH inside SSH", title=f"SSH inside SSH from {host}",
        reason=f"{host} types through {server}{_software(talk)} into a further SSH session: keystrokes are about"
        f" 40 bytes longer than the {use.unit} of a single one",
        confidence=0.8, score=placed_score(_NESTED_SCORE, flow, site), via=(flow.host(0), flow.ends[1]),
        observations=_sizes(use), counterfactual="would not alert with keystrokes of ordinary size",
    )  # fmt: skip


def _odd_port(flow: NotedFlow, talk: Talk, use: SshUse, site: Site) -> Sighting:
    host, server = _hosts(flow)
    port = flow.ends[RESPONDER].port
    return Sighting(
        flow=flow, acting_side=0, name="odd port", title=f"SSH on port {port} of {server}",
        reason=f"{host} speaks SSH{_software(talk)} on port {port} of {server}: {use.words}",
        confidence=0.95, score=placed_score(_PORT_SCORE, flow, site), via=(flow.host(0), flow.ends[1]),
        observations=_sizes(use), counterfactual="would not alert on port 22",
    )  # fmt: skip


def _sizes(use: SshUse) -> tuple[Observation, ...]:
    return (
        _observed("packets measured", float(sum(use.packets)), "packets", 24.0, 0.1),
        _observed("shortest frequent packet", float(use.unit), "bytes", 36.0, 0.0),
        _observed("full segments downwards", round(use.bulk[1], 3), "share", 0.5, 0.0),
        _observed("full segments upwards", round(use.bulk[0], 3), "share", 0.5, 0.0),
    )


def _observed(name: str, value: float, unit: str, limit: float, weight: float) -> Observation:
    return Observation(name=name, value=value, unit=unit, threshold=limit, window_s=0.0, weight=weight)
