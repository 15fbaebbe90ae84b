"""The kinds of question that a host sweep asks, and how a sweep is told."""

from __future__ import annotations

from dataclasses import dataclass

from detectors._kit.incidents import Incident
from detectors._kit.reasons import counted
from detectors._kit.results import FAILED
from detectors._kit.scancontacts import SCTP
from detectors._kit.verdict import Standing
from nettriage.model.alert import BenignCheck
from nettriage.model.batch import ARP

ICMP, ICMPV6 = 1, 58
ECHO, ECHO_V6, SOLICITATION = 8 << 8, 128 << 8, 135 << 8


@dataclass(frozen=True, slots=True)
class Question:
    """One kind of question, in words."""

    name: str
    verb: str
    neighbour: bool


_QUESTIONS = {
    (ICMP, ECHO): Question("ping sweep", "pinged", neighbour=False),
    (ICMPV6, ECHO_V6): Question("ICMPv6 ping sweep", "pinged", neighbour=False),
    (ICMPV6, SOLICITATION): Question("neighbour sweep", "solicited", neighbour=True),
    (ARP, 0): Question("ARP sweep", "asked by ARP for", neighbour=True),
}
RARE_QUESTION = Question("ICMP timestamp or mask sweep", "sent ICMP queries to", neighbour=False)
SCTP_QUESTION = Question("SCTP sweep", "sent SCTP INIT to", neighbour=False)


def question_of(incident: Incident) -> Question:
    """Return what an incident's source asked."""
    if incident.proto == SCTP:
        return SCTP_QUESTION
    return _QUESTIONS.get((incident.proto, incident.port), RARE_QUESTION)


def benign_checks(incident: Incident, who: Standing) -> list[BenignCheck]:
    """Return the harmless explanations of a sweep that were tried, each with what speaks against it."""
    results = incident.results
    silent, total = results.count(*FAILED), int(results.counts.sum())
    declared = (
        "it is declared: the score is lowered by 25" if who.declared_scanner else "the settings declare no such role"
    )
    rows = [
        ("a declared scanner or monitor", declared),
        (
            "a monitor that checks its hosts",
            f"{counted(silent, 'host')} of {total:,} did not answer; a monitor knows its hosts",
        ),
    ]
    if question_of(incident).neighbour:
        rows.append(
            (
                "a router that serves a scan by others",
                "nobody else sought these hosts, and its MAC address carries no others",
            )
        )
    return [BenignCheck(hypothesis=hypothesis, rejected_because=because) for hypothesis, because in rows]


def next_steps(src: str, question: Question) -> list[str]:
    """Return what to do about a sweep by `src`."""
    steps = [
        f"Find out who or what runs on {src}, and what reached it shortly before.",
        f"Look for scans by {src}: a sweep comes first.",
    ]
    if question.neighbour:
        steps.append(f"Compare the MAC address of {src} with the inventory of the segment.")
    return steps
