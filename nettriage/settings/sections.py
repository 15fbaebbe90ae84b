"""The fixed tables of the settings, each key declared once with its shape, default and reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from nettriage.model.alert import SEVERITIES, Severity
from nettriage.model.site import HOME_NET_DEFAULT
from nettriage.settings.shapes import Domains, NetworkPairs, Networks, Number, Shape, Switch, Text

T = TypeVar("T", bool, int, str, Severity, tuple[str, ...])


def setting(default: T, shape: Shape, *, why: str) -> T:
    """Declare a key of a section: its default, its shape, and what it is good for."""
    return field(default=default, metadata={"shape": shape, "why": why})


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What is ours, and who may do what otherwise looks hostile."""

    home_net: tuple[str, ...] = setting(
        HOME_NET_DEFAULT, Networks(), why="networks that are ours: they decide what is internal and what is external"
    )
    scanners: tuple[str, ...] = setting(
        (), Networks(), why="vulnerability scanners and monitors: their scans are shown with a lowered severity"
    )
    ignore_scanners: tuple[str, ...] = setting(
        (), Networks(), why="hosts that scan by order: their scans are suppressed to info, still shown and counted"
    )
    watch: tuple[str, ...] = setting(
        (), Networks(), why="hosts of special worth: a scan that touches one of them scores 10 points more"
    )
    proxies: tuple[str, ...] = setting((), Networks(), why="hosts that may serve a proxy")
    bastions: tuple[str, ...] = setting((), Networks(), why="hosts through which administrators work")
    load_balancers: tuple[str, ...] = setting((), Networks(), why="hosts that relay by design")
    gateways: tuple[str, ...] = setting((), Networks(), why="hosts at which VPNs and tunnels may end")
    allow: tuple[str, ...] = setting(
        (),
        NetworkPairs(),
        why="pairs of networks between which relays, proxies and tunnels are known: they are shown, lowered",
    )
    tunnel_domains: tuple[str, ...] = setting(
        (), Domains(), why="registered domains whose long query names are known and harmless"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """How packets are taken from a live interface."""

    ring_mib: int = setting(
        128, Number("MiB", 1, 4096), why="kernel ring: how long the sensor may be busy before packets are dropped"
    )
    snaplen: int = setting(
        2048,
        Number("bytes", 64, 262_144),
        why="bytes kept of each packet: payload prefixes need a whole Ethernet frame",
    )
    promiscuous: bool = setting(
        True, Switch(), why="also take packets that are not addressed to the interface: a mirror port must"
    )
    filter: str = setting("", Text(), why="filter in pcap-filter(7) syntax, empty for every packet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """How the terminal screens look."""

    theme: str = setting("night", Text(), why="colours and glyphs: the name of a theme")


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What is written, and where."""

    min_severity: Severity = setting(
        "info",
        Text(SEVERITIES),
        why="lowest severity that a run without screens prints and logs; everything is still analysed",
    )
    alert_log: str = setting(
        "",
        Text(),
        why="file to which a run without screens appends every alert record as a line of JSON; empty for none",
    )
    export_dir: str = setting(
        "",
        Text(),
        why="folder for exported alerts, snapshots and packets; empty for the folder nettriage was started in",
    )


SECTIONS: dict[str, type[Network | Capture | Screen | Output]] = {
    "network": Network,
    "capture": Capture,
    "screen": Screen,
    "output": Output,
}
