"""Filters to go on with: an incident as a BPF expression and as a Wireshark display filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from nettriage.engine.protocols import ICMP, ICMP6, PORTED, SCTP, TCP, UDP
from nettriage.model.addresses import to_text
from nettriage.model.alert import Pivots
from nettriage.model.batch import ARP
from nettriage.model.finding import Address, Endpoint, Finding

HOSTS_MAX = 12
"""Objects named one by one; with more, the filter asks for the subject alone: a superset, never a wrong subset."""
PORTS_MAX = 16

_BPF_PROTO = {ICMP: "icmp", TCP: "tcp", UDP: "udp", ICMP6: "icmp6", SCTP: "sctp", ARP: "arp"}
_WIRESHARK_PROTO = {ICMP: "icmp", TCP: "tcp", UDP: "udp", ICMP6: "icmpv6", SCTP: "sctp", ARP: "arp"}


def pivots(finding: Finding) -> Pivots:
    """Return both filters for the packets of a finding."""
    pairs = _pairs(finding)
    bpf = _all([_alternatives(pairs, lambda name: f"host {name}", "and", "or"), *_bpf_l4(finding)], "and")
    if finding.vlan:
        bpf = f"({bpf}) or (vlan and ({bpf}))" if bpf else "vlan"
    wireshark = _alternatives(pairs, lambda name: _ws_host(name, finding), "&&", "||")
    return Pivots(bpf=bpf, wireshark=_all([wireshark, *_wireshark_l4(finding)], "&&"))


def _alternatives(pairs: list[tuple[str, str]], host: Callable[[str], str], both: str, either: str) -> str:
    """Return the pairs as alternatives, each in brackets: in BPF `and` and `or` bind alike."""
    join = _any if len(pairs) > 1 else _all
    return _any([join([host(name) for name in pair if name], both) for pair in pairs], either)


def _pairs(finding: Finding) -> list[tuple[str, str]]:
    """Return the pairs of hosts that talked: the legs of a chain, or the subject with each object."""
    if len(finding.via) > 1:
        names = [_text(hop.addr) for hop in finding.via]
        return list(dict.fromkeys(pairwise(names)))[:HOSTS_MAX]
    subject = _known([finding.subject])
    objects = _known(finding.objects)
    if not subject:
        return [(name, "") for name in objects[:HOSTS_MAX]]
    if not objects or max(len(objects), finding.object_count) > HOSTS_MAX:
        return [(subject[0], "")]
    return [(subject[0], name) for name in objects if name != subject[0]] or [(subject[0], "")]


def _known(ends: Sequence[Endpoint]) -> list[str]:
    return list(dict.fromkeys(_text(end.addr) for end in ends if end.addr != (0, 0)))


def _text(address: Address) -> str:
    return to_text(*address)


def _ports(finding: Finding) -> list[int]:
    if finding.proto not in PORTED or max(len(finding.ports), finding.port_count) > PORTS_MAX:
        return []
    return finding.ports


def _bpf_l4(finding: Finding) -> list[str]:
    return [_BPF_PROTO.get(finding.proto, ""), _any([f"port {port}" for port in _ports(finding)], "or")]


def _wireshark_l4(finding: Finding) -> list[str]:
    name = _WIRESHARK_PROTO.get(finding.proto, "")
    ports = [f"{name}.port == {port}" for port in _ports(finding)]
    return [_any(ports, "||") if ports else name]


def _ws_host(name: str, finding: Finding) -> str:
    if finding.proto == ARP:
        return f"(arp.src.proto_ipv4 == {name} || arp.dst.proto_ipv4 == {name})"
    return f"{'ipv6' if ':' in name else 'ip'}.addr == {name}"


def _joined(parts: Sequence[str], word: str, wrap: Callable[[str], str]) -> str:
    present = [part for part in parts if part]
    return wrap(f" {word} ".join(present)) if len(present) > 1 else "".join(present)


def _any(parts: Sequence[str], word: str) -> str:
    return _joined(parts, word, lambda text: f"({text})")


def _all(parts: Sequence[str], word: str) -> str:
    return _joined(parts, word, str)
