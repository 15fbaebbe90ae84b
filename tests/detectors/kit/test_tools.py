"""Scanners told by the bytes of their probes, through the detectors that name them."""

import struct

import pytest

from detectors._kit import forge
from detectors._kit.tools.nmap import connect_order
from tests.detectors.driver import detector, run_frames

SOURCE = "10.0.0.5"
WINDOWS = bytes.fromhex("020405b40103030801010402")


def number(address):
    """Return an IPv4 address as a number."""
    return struct.unpack(">I", bytes(map(int, address.split("."))))[0]


def syn(dst, dport, *, sport=40_000, ttl=64, ident=7, df=False, **header):
    """Return a SYN whose IP header is set too."""
    segment = forge.tcp(SOURCE, sport, dst, dport, forge.SYN, **header)[34:]
    return forge.ip(SOURCE, dst, 6, segment, ttl=ttl, ident=ident, df=df)


def nmap(dst, at):
    """Return a probe of nmap -sS; every fourth is a retry."""
    mask = 0x00010001 if at % 4 == 3 else 0
    return syn(dst, 445, seq=0x9458E037 ^ mask, window=1024, options=forge.MSS_OPTION, ttl=40 + at, ident=at * 77)


def masscan(dst, at):
    """Return a probe of masscan."""
    seq = 0x1234567 * (at + 1) & 0xFFFFFFFF
    return syn(dst, 445, seq=seq, window=1024, ttl=255, ident=(number(dst) ^ 445 ^ seq) & 0xFFFF)


def naabu(dst, at):
    """Return a probe of naabu."""
    return syn(dst, 445, seq=5000 + at, window=1024, ttl=255, ident=at * 31, options=forge.MSS_OPTION)


def unicornscan(dst, at):
    """Return a probe of unicornscan."""
    seq = 0xABCD1234 ^ number(dst) ^ ((445 << 16) + 445)
    return syn(dst, 445, seq=seq, window=4096, options=forge.MSS_OPTION, ident=at)


PROBES = {
    "nmap (raw TCP)": nmap,
    "masscan": masscan,
    "naabu": naabu,
    "unicornscan": unicornscan,
    "ZMap (before 4.1)": lambda dst, at: syn(dst, 445, seq=at * 99, window=65_535, ttl=255, ident=54_321),
    "ZMap (4.1 or later)": lambda dst, at: syn(dst, 445, seq=at * 99, window=65_535, ident=at * 9, options=WINDOWS),
    "hping3": lambda dst, at: syn(dst, 445, seq=at * 99, ack=at + 5, window=512, ident=at * 9),
    "scapy": lambda dst, _: syn(dst, 445, seq=0, window=8192, ident=1),
    "Mirai-like": lambda dst, at: syn(dst, 445, seq=number(dst), window=at * 1000 + 1, ident=at * 9),
    "Angry IP Scanner": lambda dst, at: syn(dst, 445, seq=at * 99, window=32, ident=at * 9, options=WINDOWS, df=True),
}


def swept(probe, hosts=12):
    """Return the sweep of silent hosts by a tool, after a session that was answered."""
    scene = forge.Scene().session(SOURCE, "10.0.9.9", 80)
    for at in range(hosts):
        scene.put(probe(f"10.0.1.{at + 1}", at))
    return scene.frames()


@pytest.mark.parametrize("tool", PROBES)
def test_scanner_of_ports_is_named(tool):
    """Each tool is told from all others by its header."""
    (finding,) = run_frames(swept(PROBES[tool]), detector("horizontal-scan")).findings

    assert finding.tool is not None
    assert finding.tool.name == tool
    assert "12 of 12 odd probes" in finding.tool.evidence


def test_operating_system_is_no_tool():
    """The same sweep with the SYN of Linux has no tool, and ten points less."""
    linux = bytes.fromhex("020405b40402080a0001020300000000") + bytes.fromhex("01030307")
    plain = swept(lambda dst, at: syn(dst, 445, seq=at * 99, options=linux, df=True, ident=at))
    (bare,) = run_frames(plain, detector("horizontal-scan")).findings
    (named,) = run_frames(swept(masscan), detector("horizontal-scan")).findings

    assert bare.tool is None
    assert named.score == pytest.approx(bare.score + 10)


def test_name_alone_raises_nothing():
    """Six probes of masscan are below the threshold of a scan, whatever their bytes say."""
    assert run_frames(swept(masscan, 6), detector("horizontal-scan")).findings == []


def test_chance_agreements_do_not_name_a_tool():
    """Three probes in twelve that fit are fewer than half: no name."""
    mixed = swept(lambda dst, at: (masscan if at < 3 else PROBES["hping3"])(dst, at))
    (finding,) = run_frames(mixed, detector("horizontal-scan")).findings

    assert finding.tool.name == "hping3"


def test_changing_sequence_numbers_are_not_nmap():
    """Nmap keeps its sequence number; the same header with random ones is another program."""
    frames = swept(lambda dst, at: syn(dst, 445, seq=at * 7919, window=1024, options=forge.MSS_OPTION, ident=at))
    (finding,) = run_frames(frames, detector("horizontal-scan")).findings

    assert finding.tool is None


def test_resets_of_the_kernel_betray_a_raw_socket():
    """A program that sends with TTL 255 while its kernel resets with 64 is a raw-socket scanner."""
    scene = forge.Scene()
    for at in range(16):
        target, sport = f"10.0.1.{at + 1}", 41_000 + at
        scene.put(syn(target, 445, sport=sport, ttl=255, window=9999, seq=at * 99, options=forge.MSS_OPTION))
        if at % 4 == 0:
            scene.put(forge.tcp(target, 445, SOURCE, sport, forge.SYN | forge.ACK, seq=1, ack=at * 99 + 1))
            scene.put(forge.tcp(SOURCE, sport, target, 445, forge.RST, seq=at * 99 + 1, window=0))
    (finding,) = run_frames(scene.frames(), detector("horizontal-scan")).findings

    assert finding.tool.name == "raw-socket scanner"
    assert "TTL 255" in finding.tool.evidence


def echo(dst, ident, payload, seq=1, ttl=64):
    """Return an echo request."""
    return forge.icmp_echo(SOURCE, dst, ident, seq, payload, ttl=ttl)


def netdiscover(dst, _):
    """Return an ARP request with a broadcast target MAC."""
    frame = forge.arp(SOURCE, dst)
    return frame[:32] + b"\xff" * 6 + frame[38:]


@pytest.mark.parametrize(
    ("tool", "probe"),
    [
        ("nmap (ping)", lambda dst, at: echo(dst, at, b"", ttl=41)),
        ("masscan (ping)", lambda dst, at: echo(dst, at, bytes(range(8, 56)))),
        ("fscan", lambda dst, _: echo(dst, 0x3130, bytes(32))),
        ("Angry IP Scanner", lambda dst, _: echo(dst, 9, bytes(32), ttl=255)),
        ("netdiscover", netdiscover),
        (None, lambda dst, _: echo(dst, 9, bytes(range(16, 72)))),
    ],
)
def test_sweeper_is_named(tool, probe):
    """Echo payloads and ARP bodies tell sweepers apart; the ping of an operating system has no name."""
    (finding,) = run_frames(swept(probe, 30), detector("host-sweep")).findings

    assert (finding.tool and finding.tool.name) == tool


def test_arp_scan_is_told_by_its_pace():
    """Requests 2 ms apart are arp-scan, requests back to back are nmap."""
    for step_ns, tool in ((2 * forge.MS, "arp-scan"), (20_000, "nmap (ARP ping)"), (50 * forge.MS, None)):
        scene = forge.Scene(step_ns=step_ns)
        scene.put(*(forge.arp(SOURCE, f"10.0.0.{host}") for host in range(20, 80)))
        (finding,) = run_frames(scene.frames(), detector("host-sweep")).findings

        assert (finding.tool and finding.tool.name) == tool


def test_popular_ports_first_are_nmap():
    """Nmap puts its popular ports before all others, also where the kernel connects for it."""
    popular, others = [80, 23, 443, 21, 22, 25, 3389, 110, 445, 139], list(range(5000, 5008))

    assert connect_order(popular + others).name == "nmap (port order)"
    assert connect_order(sorted(popular + others)).evidence
    assert connect_order(others + popular) is None
    assert connect_order(popular) is None
