"""What the settings say of a host on a path: its role, or that the path is allowed."""

from __future__ import annotations

from itertools import pairwise

from nettriage.model.finding import Address
from nettriage.model.site import Site


def declared_role(site: Site, host: Address) -> str:
    """Return the role that the settings give a host that passes on for others, empty where none."""
    roles = (
        ("load balancer", site.load_balancers), ("proxy", site.proxies), ("bastion", site.bastions),
        ("scanner", site.scanners),
    )  # fmt: skip
    return next((name for name, hosts in roles if host in hosts), "")


def allowed_path(site: Site, path: list[Address]) -> str:
    """Return which pairs of network.allow cover a path: its two ends, or each of its hops; empty where none do."""
    whole = site.allow.between(path[0], path[-1])
    if whole:
        return f"pair {whole}"
    hops = [site.allow.between(one, other) for one, other in pairwise(path)]
    return f"pairs {' and '.join(dict.fromkeys(hops))}" if all(hops) else ""
