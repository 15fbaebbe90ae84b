"""What the operator declared about the network: home networks and the hosts with a known role."""

from __future__ import annotations

from dataclasses import dataclass, field

from nettriage.model.addresses import AddressPairs, AddressSet

HOME_NET_DEFAULT = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")
"""RFC 1918, RFC 3927, RFC 4193 and RFC 4291 link-local."""


@dataclass(frozen=True, slots=True)
class Site:
    """Declared networks and roles; read-only for everybody."""

    home: AddressSet = field(default_factory=lambda: AddressSet(HOME_NET_DEFAULT))
    scanners: AddressSet = field(default_factory=lambda: AddressSet(()))
    """Vulnerability scanners and monitors: their scans are shown, lowered."""
    ignore_scanners: AddressSet = field(default_factory=lambda: AddressSet(()))
    """Hosts that scan by order: their scans are shown and counted, and call for nothing."""
    watch: AddressSet = field(default_factory=lambda: AddressSet(()))
    """Hosts of special worth: who scans them weighs more."""
    proxies: AddressSet = field(default_factory=lambda: AddressSet(()))
    """Hosts that may serve a proxy."""
    bastions: AddressSet = field(default_factory=lambda: AddressSet(()))
    """Hosts through which administrators work."""
    load_balancers: AddressSet = field(default_factory=lambda: AddressSet(()))
    """Hosts that relay by design."""
    gateways: AddressSet = field(default_factory=lambda: AddressSet(()))
    """Hosts at which VPNs and tunnels may end."""
    allow: AddressPairs = field(default_factory=lambda: AddressPairs(()))
    """Pairs of networks between which relays, proxies and tunnels are known and harmless."""
    tunnel_domains: frozenset[str] = frozenset()
    """Registered domains whose long names are known and harmless, in lower case."""
    mixer_secret: int = 0
    """Secret of the keyed hashes of this run."""
