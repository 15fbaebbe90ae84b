"""Everything the operator can see at one moment, as one record for handing over."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Sequence
from functools import lru_cache

import netaddr
import numpy as np

import nettriage
from nettriage.engine import clock
from nettriage.engine.record import role_names
from nettriage.engine.run import Run
from nettriage.engine.times import rfc3339
from nettriage.model.addresses import mac_text, to_words
from nettriage.model.alert import SEVERITIES, Alert
from nettriage.model.safetext import SafeStr, safe
from nettriage.model.snapshot import HostInfo, Snapshot, ToolInfo
from nettriage.model.tables import Tables

ALERTS_MAX = 2_000
"""Alerts of a snapshot, the most severe and then the newest first: about 8 MiB of JSON."""
HOSTS_MAX = 2_000
_VENDOR_MAX = 48


def tool_info() -> ToolInfo:
    """Return which program this is."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return ToolInfo(version=nettriage.__version__, python=platform.python_version(), platform=system)


def snapshot(run: Run, config_digest: str, home_net: Sequence[str]) -> Snapshot:
    """Return everything known at this moment; what had to be left out is counted in `truncated`."""
    pipeline = run.pipeline
    alerts = sorted(pipeline.alerts(), key=_worth, reverse=True)
    addresses = _addresses(alerts[:ALERTS_MAX])
    created = rfc3339(clock.wall_ns())
    left_out = {"alerts": len(alerts) - ALERTS_MAX, "hosts": len(addresses) - HOSTS_MAX}
    return Snapshot(
        id="s" + hashlib.sha256(f"{created}|{config_digest}|{run.packets}".encode()).hexdigest()[:12],
        created=created,
        tool=tool_info(),
        source=run.source,
        window=pipeline.window,
        capture_health=run.health(),
        limits=pipeline.limits(),
        config_digest=config_digest,
        home_net=list(home_net),
        alerts=alerts[:ALERTS_MAX],
        hosts=host_infos(addresses[:HOSTS_MAX], pipeline.tables),
        fanout=pipeline.panel(),
        truncated={name: count for name, count in left_out.items() if count > 0},
    )


def host_infos(addresses: Sequence[str], tables: Tables) -> list[HostInfo]:
    """Return what is known of each host; of one that left the table, its address alone."""
    words = [to_words(address) for address in addresses]
    high, low = (np.array([word[part] for word in words], np.uint64) for part in (0, 1))
    rows = tables.hosts.find(high, low).tolist()
    return [_host(address, row, tables) for address, row in zip(addresses, rows, strict=True)]


def _host(address: str, row: int, tables: Tables) -> HostInfo:
    if row < 0:
        return HostInfo(ip=address)
    hosts = tables.hosts
    mac = int(hosts.mac[row])
    return HostInfo(
        ip=address,
        mac=mac_text(mac) if mac else None,
        vendor=vendor(mac >> 24) if mac else None,
        name=hosts.name(row),
        roles=role_names(int(hosts.roles[row])),
        zone="home" if hosts.home[row] else "external",
        first_seen=rfc3339(int(hosts.first_ns[row])),
        last_seen=rfc3339(int(hosts.last_ns[row])),
    )


@lru_cache(maxsize=1_024)
def vendor(oui: int) -> SafeStr | None:
    """Return who the IEEE gave the first 24 bits of a MAC to, None where nobody or where it is made up."""
    if oui & 0x03_0000:
        return None
    try:
        return safe(netaddr.OUI(oui).registration().org, _VENDOR_MAX)
    except (netaddr.NotRegisteredError, OSError):  # the register may be out of reach once privileges are gone
        return None


def _worth(alert: Alert) -> tuple[int, str, str]:
    return SEVERITIES.index(alert.severity), alert.last_seen, alert.id


def _addresses(alerts: Iterable[Alert]) -> list[str]:
    """Return the addresses that alerts name, each once, the subjects first."""
    subjects = [alert.subject.ip for alert in alerts]
    others = [party.ip for alert in alerts for party in (*alert.via, *alert.objects)]
    return list(dict.fromkeys([*subjects, *others]))
