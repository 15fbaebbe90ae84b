"""Words for a stealth scan: what its probes were, what answered them, and what else they could have been."""

from __future__ import annotations

import numpy as np

from detectors._kit.counted import declared_check
from detectors._kit.incidents import Incident
from detectors._kit.odd_probes import AMBIGUOUS, TECHNIQUE_NAMES, Technique
from detectors._kit.verdict import Standing
from nettriage.model.alert import BenignCheck
from nettriage.model.columns import I64
from nettriage.model.slices import Outcome


def odd_count(used: I64) -> int:
    """Return how many probes were of techniques that nothing else looks like."""
    return int(used.sum() - used[list(AMBIGUOUS)].sum())


def technique_names(used: I64) -> list[str]:
    """Return the names of the techniques used, the most frequent first."""
    return [TECHNIQUE_NAMES[at] for at in np.argsort(-used, kind="stable").tolist() if used[at]]


def counts_by_technique(used: I64) -> str:
    """Return each technique used with its number of probes: ``FIN 200, NULL 100``."""
    order = np.argsort(-used, kind="stable").tolist()
    return ", ".join(f"{TECHNIQUE_NAMES[at]} {int(used[at]):,}" for at in order if used[at])


def answers(incident: Incident, used: I64) -> str:
    """Return what answered the probes: a bare ACK is reset by open and closed ports alike, so it tells of filters."""
    results = incident.results
    unknown = results.count(Outcome.ATTEMPT)
    reached = max(0, unknown - int(used[Technique.TINY_FRAGMENT]))
    parts = (
        (results.count(Outcome.CLOSED), "closed"),
        (results.count(Outcome.SILENT), "without an answer (open or filtered)"),
        (reached, "unfiltered (open or closed)"),
        (unknown - reached, "of unknown state"),
    )
    return ", ".join(f"{number:,} {what}" for number, what in parts if number) or "nothing known of answers"


def benign_checks(used: I64, who: Standing) -> list[BenignCheck]:
    """Return the harmless explanations, each with what speaks against it."""
    odd = odd_count(used)
    leftovers = (
        f"{odd:,} probes have flags or fragments that no session has"
        if odd
        else "the flows began with these packets, never carried data, and have the ports of a scan"
    )
    return [
        declared_check(who),
        BenignCheck(hypothesis="leftovers of sessions from before the capture", rejected_because=leftovers),
        BenignCheck(
            hypothesis="damaged packets",
            rejected_because="headers are sound, and the targets differ while the flags stay the same",
        ),
    ]


def next_steps(src: str, used: I64, ports: str) -> list[str]:
    """Return what to do about the source."""
    steps = [f"Find out what runs on {src}: such packets need raw sockets, hence administrator rights."]
    if used[Technique.ACK]:
        steps.append("ACK probes map filters: compare what was reached with the rules of the filters on the way.")
    if used[Technique.TINY_FRAGMENT]:
        steps.append("Check that the filters on the way drop tiny fragments (RFC 3128).")
    return [*steps, f"Look for sessions from {src} to ports {ports} that follow."]
