"""``make bench``: throughput of the whole and of each stage, with ratios to the peers on the same file in one run."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.peers import cpu_seconds, installed
from benchmarks.traffic import MAKERS, capture


def main() -> None:
    """Measure and print; ``--json FILE`` keeps the figures."""
    arguments = _arguments()
    figures: dict[str, object] = {}
    for name in arguments.captures:
        figures[name] = measure(name, arguments.packets, arguments.runs)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def measure(name: str, packets: int, runs: int) -> dict[str, object]:
    """Return the figures of one capture and print them as a table."""
    path = capture(name, packets)
    ours = [_in_child("whole", path) for _ in range(runs)]
    seconds = median(run["seconds"] for run in ours)
    print(f"\n{name}: {ours[0]['packets']:,.0f} packets, {path.stat().st_size / 1e6:,.0f} MB, median of {runs} runs")
    print(f"  nettriage, whole, one core   {ours[0]['packets'] / seconds:>12,.0f} packets/s {seconds:>8.2f} CPU s "
          f"{max(run['rss_mib'] for run in ours):>6.0f} MiB")  # fmt: skip
    others = _peers(path, name, packets, seconds) if name == "mixed" else {}
    stages = _in_child("stages", path)
    print(f"  {'stage':<36}{'ns a packet':>12}{'packets/s':>16}")
    for stage, spent in stages.items():
        print(f"    {stage:<34}{spent:>12,.0f}{1e9 / max(spent, 1e-3):>16,.0f}")
    return {"packets": ours[0]["packets"], "seconds": seconds, "peers": others, "stages_ns": stages}


def _peers(path: Path, name: str, packets: int, ours: float) -> dict[str, float]:
    ratios = {}
    for peer in installed():
        shares = {1: path, peer.share: capture(name, packets // peer.share)}
        try:
            theirs = cpu_seconds(peer, shares, capture("empty", 0))
        except subprocess.CalledProcessError as error:
            print(f"  {peer.name}: failed with exit code {error.returncode}")
            continue
        ratios[peer.name] = theirs / ours
        print(f"  {peer.name:<28} {theirs:>31.2f} CPU s   {theirs / ours:>8.1f} times ours")
    return ratios


def _in_child(what: str, path: Path) -> dict[str, float]:
    """Run one measurement in a fresh process, so that caches and memory of one do not help another."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", what, str(path)], check=True, capture_output=True, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("captures", nargs="*", default=["mixed", "flood"], help=f"of {', '.join(MAKERS)}")
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
