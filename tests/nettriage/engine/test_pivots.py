"""Tests of the filters that an alert hands over."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pcapy
import pytest

from nettriage.engine.pivots import HOSTS_MAX, pivots
from nettriage.model.addresses import to_words
from nettriage.model.batch import ARP
from nettriage.model.finding import Endpoint, Finding


def host(text: str) -> Endpoint:
    """Return the endpoint of an address."""
    return Endpoint(to_words(text))


SCAN = Finding(
    key=1, subject=host("10.0.0.5"), score=50, confidence=1, first_ns=0, last_ns=0, count=1, title="", reason="",
    objects=[host("10.0.0.9")], proto=6, ports=[22, 80],
)  # fmt: skip
FINDINGS = {
    "scan": SCAN,
    "many objects": replace(SCAN, objects=[host(f"10.0.1.{n}") for n in range(HOSTS_MAX + 1)]),
    "many ports": replace(SCAN, ports=list(range(64)), port_count=900),
    "tagged": replace(SCAN, vlan=[7]),
    "v6 sweep": replace(SCAN, subject=host("fe80::1"), objects=[host("ff02::1")], proto=58, ports=[]),
    "arp sweep": replace(SCAN, proto=ARP, ports=[]),
    "chain": replace(SCAN, via=[host("10.0.0.1"), host("10.0.0.5"), host("10.0.0.7")], objects=[]),
    "no subject": replace(SCAN, subject=Endpoint((0, 0)), objects=[host("10.0.0.9"), host("10.0.0.8")]),
    "nobody": replace(SCAN, subject=Endpoint((0, 0)), objects=[]),
    "nothing": replace(SCAN, subject=Endpoint((0, 0)), objects=[], proto=0, ports=[]),
    "self": replace(SCAN, objects=[host("10.0.0.5")]),
}


def test_a_scan_is_asked_for_by_hosts_protocol_and_ports() -> None:
    """Both filters name the pair of hosts, the protocol and the ports."""
    made = pivots(SCAN)

    assert made.bpf == "host 10.0.0.5 and host 10.0.0.9 and tcp and (port 22 or port 80)"
    assert made.wireshark == "ip.addr == 10.0.0.5 && ip.addr == 10.0.0.9 && (tcp.port == 22 || tcp.port == 80)"


def test_more_hosts_than_a_filter_holds_leave_the_subject_alone() -> None:
    """A filter is a superset of the incident, never a wrong subset."""
    assert pivots(FINDINGS["many objects"]).bpf == "host 10.0.0.5 and tcp and (port 22 or port 80)"


def test_a_chain_is_asked_for_leg_by_leg() -> None:
    """Each pair of neighbours in a chain is one alternative."""
    made = pivots(FINDINGS["chain"]).bpf

    assert "((host 10.0.0.1 and host 10.0.0.5) or (host 10.0.0.5 and host 10.0.0.7))" in made


@pytest.mark.parametrize("name", FINDINGS)
def test_every_bpf_expression_compiles(name: str) -> None:
    """Libpcap takes every expression for Ethernet."""
    pcapy.compile(pcapy.DLT_EN10MB, 65_535, pivots(FINDINGS[name]).bpf, 1, 0xFFFFFFFF)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_every_display_filter_compiles() -> None:
    """Wireshark takes every display filter."""
    filters = [pivots(finding).wireshark for finding in FINDINGS.values()]
    text = " || ".join(f"({item})" for item in filters if item)
    done = subprocess.run(["tshark", "-r", "/dev/null", "-Y", text], capture_output=True, text=True, check=False)

    assert "isn't a valid display filter" not in done.stderr
    assert "was unexpected" not in done.stderr
