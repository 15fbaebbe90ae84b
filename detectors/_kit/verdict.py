"""From a scan incident to its verdict: score, confidence, what would clear it, and what spoke against harm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors._kit.incidents import Incident
from detectors._kit.reasons import counted, listed
from detectors._kit.results import ANSWERED, FAILED, REFUSED
from nettriage.model.addresses import to_text
from nettriage.model.alert import BenignCheck
from nettriage.model.finding import Address
from nettriage.model.site import Site
from nettriage.model.tables import Role, Tables

_PRIOR_ODDS = 1_000
"""One source in a thousand scans at any moment: what a likelihood ratio must outweigh."""
WATCHED_POINTS = 10.0
"""What it adds to a score that a target is declared to be watched."""
_LOSS_POOR, _ONE_WAY_POOR = 0.05, 0.5


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the acting host beside its contacts."""

    internal: bool
    """Whether source and targets are at home."""
    declared_scanner: bool
    roles: int
    """Bits of `Role`."""
    loss: float
    one_way: float

    @property
    def poor_visibility(self) -> bool:
        """Whether the capture shows too little to trust a silence."""
        return self.loss > _LOSS_POOR or self.one_way > _ONE_WAY_POOR

    @property
    def visibility_note(self) -> str:
        """One sentence on what the capture does not show; empty when it shows enough."""
        if not self.poor_visibility:
            return ""
        return (
            f"the capture loses {self.loss:.0%} and shows {self.one_way:.0%} of the flows in one direction only: "
            "missing answers may be the sensor's fault"
        )


def standing(src: Address, dst: Address, site: Site, tables: Tables) -> Standing:
    """Return what is known of `src`, which acts on `dst`."""
    high, low = (np.array([word], np.uint64) for word in src)
    row = int(tables.hosts.find(high, low)[0])
    return Standing(
        internal=src in site.home and dst in site.home,
        declared_scanner=src in site.scanners,
        roles=int(tables.hosts.roles[row]) if row >= 0 else 0,
        loss=tables.loss_estimate or 0.0,
        one_way=tables.one_way_share or 0.0,
    )


def score(targets: int, found_open: bool, who: Standing) -> float:
    """Return 0 to 100: 20, plus 10 for each power of ten of targets, and what makes it worse or better."""
    points = 20 + 10 * math.log10(max(targets, 1))
    points += 15 * who.internal + 15 * found_open - 25 * who.declared_scanner - 15 * who.poor_visibility
    return min(max(points, 0.0), 100.0)


def confidence(nats: float, silent_share: float) -> float:
    """Return the probability behind a log-likelihood ratio, lower where nearly all evidence is silence."""
    posterior = 1 / (1 + _PRIOR_ODDS * math.exp(-min(nats, 50.0)))
    return min(0.99, posterior) * (0.85 if silent_share > 0.8 else 1.0)


def failed_share(incident: Incident) -> float:
    """Return the share of failures among what the source tried since shortly before the alarm."""
    failed = incident.results.count(*FAILED) + incident.absent
    answered = incident.results.count(*ANSWERED) + incident.answered_before
    return failed / max(failed + answered, 1)


def counterfactual(incident: Incident, floor: int, things: str) -> str:
    """Say how many failures, whichever they are, must have been answers for the walk to stay below its alarm."""
    results = incident.results
    failed, refused = results.count(*FAILED), results.count(*REFUSED)
    if incident.absent:
        return f"would not alert if fewer than {floor} of the {incident.absent + failed:,} {things} sought had failed"
    if incident.clock is None:
        return f"would not alert if the {things} had been used after they answered"
    margin = max(incident.peak - incident.clock.alarm, 0.0)
    needed = math.floor(margin * failed / max(incident.peak, 1e-9)) + 1
    needed = max(min(needed, failed - floor + 1), 1)
    which = "refused" if refused == failed else "silent" if not refused else "failed"
    return f"would not alert if {needed:,} of the {failed:,} {which} {things} had answered"


def benign_checks(incident: Incident, who: Standing, things: str) -> list[BenignCheck]:
    """Return the harmless explanations of a scan that were tried, each with what speaks against it."""
    results = incident.results
    failed, share = results.count(*FAILED) + incident.absent, failed_share(incident)
    declared = "it is declared in the settings, so the score is lowered by 25, but the scan stays shown"
    checks = [
        ("a declared scanner or monitor", declared if who.declared_scanner else "the settings declare no such role"),
        ("one dead service, retried", f"{counted(failed, 'different target')} failed, not one target many times"),
        (
            "peer-to-peer or ordinary use",
            f"{share:.0%} of the {things} tried gave nothing; ordinary use mostly succeeds",
        ),
        (
            "backscatter of packets sent under its address",
            f"its own probes of the {counted(failed, 'failing target')} were seen; backscatter shows answers alone",
        ),
        (
            "many clients behind one address",
            f"they would use what they reach: {counted(results.count(*ANSWERED), 'answer')} stand against "
            f"{counted(failed, 'failure')}",
        ),
        ("answers lost by the capture", _loss_answer(who, results.count(*REFUSED), failed)),
    ]
    if who.roles & (Role.RESOLVER | Role.ROUTER | Role.MAIL):
        checks.append(
            ("a resolver, gateway or mail server at work", "such hosts get answers; this one mostly does not")
        )
    return [
        BenignCheck(hypothesis=hypothesis, rejected_because=because, holds=because is declared and who.declared_scanner)
        for hypothesis, because in checks
    ]


def _loss_answer(who: Standing, refused: int, failed: int) -> str:
    if who.poor_visibility:
        return f"not excluded: {who.visibility_note}; {refused:,} of {failed:,} failures are refusals that were seen"
    return (
        f"loss is {who.loss:.1%}, one-way flows {who.one_way:.0%}, and {refused:,} of {failed:,} were refused in sight"
    )


def watch_check(incident: Incident, site: Site) -> BenignCheck | None:
    """Return what speaks against targets of no special worth; None where none of them is declared to be watched."""
    if not site.watch.texts:
        return None
    cells = incident.results.cells
    watched = cells[site.watch.contains(cells["hi"], cells["lo"])]
    hosts = incident.results.hosts(watched)
    if not hosts:
        return None
    named = listed([to_text(*host) for host in hosts], limit=3)
    because = f"network.watch lists {named}, so the score is raised by {WATCHED_POINTS:g}"
    return BenignCheck(hypothesis="targets of no special worth", rejected_because=because)
