"""What the operator ordered once and for all: whose scans call for nothing."""

from __future__ import annotations

from dataclasses import dataclass

from nettriage.model.alert import BenignCheck, Status
from nettriage.model.detector import Card
from nettriage.model.finding import Finding
from nettriage.model.site import Site

DISCOVERY = frozenset({"T1046", "T1018", "T1595"})
"""ATT&CK techniques of scanning and discovery."""
SUPPRESSED_SCORE_MAX = 19.0
"""The highest score of severity info."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Score, status and harmless explanations of a finding, after the orders."""

    score: float
    status: Status
    benign_checked: list[BenignCheck]


def judged(card: Card, finding: Finding, site: Site) -> Judged:
    """Return what the orders leave of a finding: a scan of an ignored scanner is suppressed, never dropped."""
    score = min(max(float(finding.score), 0.0), 100.0)
    status: Status = "resolved" if finding.closed else "new"
    is_scan = any(attack.technique in DISCOVERY for attack in card.attack)
    if not is_scan or finding.subject.addr not in site.ignore_scanners:
        return Judged(score, status, finding.benign_checked)
    order = BenignCheck(
        hypothesis="a scanner to be ignored",
        rejected_because=f"it is listed in network.ignore_scanners: the score of {score:.0f} is kept at info",
        holds=True,
    )
    return Judged(min(score, SUPPRESSED_SCORE_MAX), "suppressed", [order, *finding.benign_checked])
