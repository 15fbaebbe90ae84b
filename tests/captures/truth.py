"""What the truth files beside the shared captures promise, in terms of alert kinds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("SHARED_CAPTURES", Path(__file__).parents[3] / "shared" / "captures"))
"""Folder of the captures with truth files; it does not come with a clone."""

KINDS: tuple[tuple[str, frozenset[str]], ...] = (
    ("scan.vertical.ack", frozenset({"stealth-scan"})),
    ("scan.vertical.window", frozenset({"stealth-scan"})),
    ("scan.vertical.fin", frozenset({"stealth-scan"})),
    ("scan.vertical.null", frozenset({"stealth-scan"})),
    ("scan.vertical.xmas", frozenset({"stealth-scan"})),
    ("scan.vertical.maimon", frozenset({"stealth-scan"})),
    ("scan.vertical", frozenset({"vertical-scan"})),
    ("scan.decoy", frozenset({"coordinated-scan"})),
    ("scan.filtered", frozenset({"vertical-scan"})),
    ("scan.fixed_srcport", frozenset({"vertical-scan"})),
    ("scan.horizontal", frozenset({"horizontal-scan"})),
    ("scan.block", frozenset({"block-scan"})),
    ("scan.ports326", frozenset({"service-list-scan"})),
    ("scan.postgres", frozenset({"database-scan"})),
    ("scan.ping", frozenset({"host-sweep"})),
    ("proxy.", frozenset({"internal-proxy"})),
    ("relay.", frozenset({"relay"})),
    ("tunnel.dns", frozenset({"dns-tunnel"})),
    ("tunnel.icmp", frozenset({"icmp-tunnel"})),
    ("tunnel.chisel", frozenset({"tunnel-tool"})),
    ("tunnel.wireguard", frozenset({"encapsulation"})),
    ("tunnel.wireguard", frozenset({"encapsulation"})),
    ("relay.beacon", frozenset({"beacon", "relay"})),
)
"""Kinds that answer a category of the truth files, by prefix; a category without kinds needs one not built yet."""
SERVED_BY_VIA = ("proxy.", "relay.", "tunnel.chisel")
"""Categories whose subject is the host in the middle."""
LOUD = frozenset({"medium", "high", "critical"})


@dataclass(frozen=True)
class Promise:
    """One event that must be seen."""

    capture: str
    what: str
    kinds: frozenset[str]
    subjects: frozenset[str]
    via: tuple[str, ...]


def captures() -> list[Path]:
    """Return the captures that have a truth file with events."""
    return [path for path in sorted(SHARED.glob("*.pcap")) if "events" in _truth(path)]


def promises(path: Path) -> list[Promise]:
    """Return what must be seen in a capture by the kinds that exist."""
    found = []
    for event in _truth(path)["events"]:
        kinds = _kinds(event)
        if event.get("detect", "none") != "must" or not kinds:
            continue
        middle = event["category"].startswith(SERVED_BY_VIA)
        subjects = event["via"][:1] if middle else event["src"]
        found.append(Promise(path.stem, event["what"], kinds, frozenset(subjects), tuple(event["via"])))
    return found


def involved(path: Path) -> frozenset[str]:
    """Return every host that a malicious event of the capture names: only they may be loud."""
    hosts: set[str] = set()
    for event in _truth(path)["events"]:
        if event["malicious"]:
            hosts.update(event["src"], event["via"], event["dst"])
    return frozenset(hosts)


@cache
def records(path: Path) -> tuple[dict[str, Any], ...]:
    """Return what `nettriage CAPTURE --headless --final` prints, summary last."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "nettriage", str(path), "--headless", "--final"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return tuple(map(json.loads, done.stdout.splitlines()))


@cache
def _truth(path: Path) -> dict[str, Any]:
    file = path.with_suffix(".json")
    truth: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return truth


def _kinds(event: dict[str, Any]) -> frozenset[str]:
    category = event.get("category", "")
    return next((kinds for prefix, kinds in KINDS if category.startswith(prefix)), frozenset())
