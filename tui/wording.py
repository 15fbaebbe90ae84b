"""How incidents are named on the screens: kinds, paths and marks, in few cells."""

from __future__ import annotations

from ipaddress import ip_network

from nettriage.model.alert import Alert, Party, Severity
from tui import figures
from tui.lines import Line, span

SEVERITY_WORDS: dict[Severity, str] = {
    "critical": "CRIT", "high": "HIGH", "medium": "MED", "low": "LOW", "info": "INFO",
}  # fmt: skip
PATH_TECHNIQUES = frozenset(("T1090", "T1572", "T1095", "T1071"))
"""ATT&CK techniques whose incidents are paths: proxies, tunnels, covert channels."""
_ACRONYMS = frozenset(("smb", "ldap", "adcs", "adws", "dns", "icmp", "ssh", "http", "rdp"))


def severity_mark(alert: Alert, glyphs: dict[str, str]) -> Line:
    """Return glyph and word of the severity: never colour alone."""
    return ((f"{glyphs[alert.severity]} {SEVERITY_WORDS[alert.severity]}", f"severity-{alert.severity}"),)


def kind_words(kind: str) -> str:
    """Return a kind in words: ``dns-tunnel`` as ``DNS tunnel``."""
    words = [word.upper() if word in _ACRONYMS else word for word in kind.split("-")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def kind_cell(alert: Alert) -> str:
    """Return the kind, with the port where there is only one."""
    words = kind_words(alert.kind)
    return f"{words} :{alert.ports[0]}" if alert.port_count == 1 and alert.ports and not alert.via else words


def is_path(alert: Alert) -> bool:
    """Return whether an incident is a way that data takes: a relay, a proxy or a tunnel."""
    if alert.via or alert.legs:
        return True
    return any(attack.technique.partition(".")[0] in PATH_TECHNIQUES for attack in alert.attack)


def endpoint(party: Party) -> str:
    """Return an address, with the port where one is known."""
    return address(party.ip, party.port)


def address(ip: str, port: int | None) -> str:
    """Return ``ip:port``, an IPv6 address in brackets; without a port, the address alone."""
    if port is None:
        return ip
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def path(alert: Alert, arrow: str) -> Line:
    """Return who did it to whom: ``A → B → C`` for a chain, source and targets for the rest."""
    if alert.via:
        return span_join([party.ip for party in alert.via], arrow)
    source = span(alert.subject.ip, "text")
    if not alert.objects and not alert.object_count:
        return (source,)
    return (source, span(f" {arrow} ", "muted"), span(targets(alert), "text"))


def span_join(parts: list[str], arrow: str) -> Line:
    """Return `parts` with arrows between."""
    spans = []
    for at, part in enumerate(parts):
        if at:
            spans.append(span(f" {arrow} ", "muted"))
        spans.append(span(part, "text"))
    return tuple(spans)


def targets(alert: Alert) -> str:
    """Return the other side in few words: one endpoint, or how many hosts and the network that holds them."""
    number = max(alert.object_count, len(alert.objects))
    if number == 1 and alert.objects:
        return endpoint(alert.objects[0])
    hosts = figures.plural(number, "host")
    if len(alert.objects) < number:
        return f"{hosts}, {alert.objects[0].ip} …" if alert.objects else hosts
    network = common_network([party.ip for party in alert.objects])
    return f"{hosts} in {network}" if network else hosts


def common_network(addresses: list[str]) -> str:
    """Return the /24 or /16 (for IPv6 the /64) that holds all addresses; empty where none does."""
    for v4_bits in (24, 16):
        bits = [64 if ":" in text else v4_bits for text in addresses]
        try:
            nets = {str(ip_network(f"{text}/{size}", strict=False)) for text, size in zip(addresses, bits, strict=True)}
        except ValueError:
            return ""
        if len(nets) == 1:
            return nets.pop()
    return ""
