"""The peers: what reads the same file on this machine, each in a process of its own, measured in CPU seconds."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_SCAPY = "import sys; from scapy.all import PcapReader\nfor packet in PcapReader(sys.argv[1]): pass"
_DPKT = (
    "import sys, dpkt\n"
    "for stamp, frame in dpkt.pcap.Reader(open(sys.argv[1], 'rb')): dpkt.ethernet.Ethernet(frame)"
)  # fmt: skip
_NFSTREAM = "import sys; from nfstream import NFStreamer\nfor flow in NFStreamer(source=sys.argv[1], n_meters=1): pass"


@dataclass(frozen=True)
class Peer:
    """A program to stand beside."""

    name: str
    command: list[str]
    share: int = 1
    """It is given a capture of the same kind with 1/`share` of the packets, and its time is multiplied."""


def installed() -> list[Peer]:
    """Return the peers that this machine has."""
    peers = []
    for module, code, share in (("scapy", _SCAPY, 50), ("dpkt", _DPKT, 5), ("nfstream", _NFSTREAM, 1)):
        if find_spec(module):
            peers.append(Peer(module, [sys.executable, "-c", code, "{capture}"], share))
    if shutil.which("suricata"):
        peers.append(Peer("suricata", ["suricata", "-r", "{capture}", "-l", "{folder}", "-k", "none",
                                       "--runmode", "single", "-S", os.devnull]))  # fmt: skip
    if shutil.which("tshark"):
        peers.append(Peer("tshark", ["tshark", "-n", "-r", "{capture}", "-q", "-z", "conv,tcp"], 20))
    return peers


def cpu_seconds(peer: Peer, captures: dict[int, Path], nothing: Path) -> float:
    """Return the CPU seconds that `peer` needs for the whole capture; `captures` holds the file of each share.

    What it needs for `nothing`, a capture without packets, is its start and does not count.
    Raises CalledProcessError when the peer fails.
    """
    return (_spent(peer, captures[peer.share]) - _spent(peer, nothing)) * peer.share


def _spent(peer: Peer, capture: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [part.format(capture=capture, folder=folder) for part in peer.command]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
