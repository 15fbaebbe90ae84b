"""Fan-outs: name, management and discovery queries to many single hosts, in words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors._kit.enumeration.rules import EnumerationTuning
from detectors._kit.incident_detector import Account
from detectors._kit.incidents import Incident
from detectors._kit.reasons import counted, duration, listed, rate
from detectors._kit.results import ANSWERED
from detectors._kit.verdict import Standing, score
from nettriage.model.addresses import to_text
from nettriage.model.alert import BenignCheck, Observation

SERVICES = {137: "NetBIOS names", 161: "SNMP", 1900: "SSDP", 3702: "WS-Discovery", 5353: "mDNS", 5355: "LLMNR"}
FANNED_OUT: npt.NDArray[np.bool_] = np.zeros(1 << 16, np.bool_)
FANNED_OUT[list(SERVICES)] = True
"""By port, the UDP services that are asked on the link or of known hosts, not of every host of a network."""


def fan_out_account(incident: Incident, who: Standing, tuning: EnumerationTuning) -> Account:
    """Return a fan-out in words and numbers."""
    results, span = incident.results, incident.last_ns - incident.first_ns
    total, answers = int(results.counts.sum()), results.count(*ANSWERED)
    service, src = SERVICES[incident.port], to_text(*incident.src)
    answered = results.hosts(results.with_outcome(*ANSWERED))
    told = f"answered by {listed(to_text(*addr) for addr in answered)}" if answered else "answered by none"
    return Account(
        title=f"Service enumeration: {service} of {counted(total, 'host')}",
        reason=f"{src} asked {counted(total, 'host')} for {service} in {duration(span)} ({rate(total, span)}); {told}.",
        score=score(total, bool(answers), who),
        confidence=0.9 - 0.4 * answers / total,
        objects=list(dict.fromkeys(answered + results.hosts())),
        object_count=total,
        ports=[incident.port],
        port_count=1,
        counterfactual=(
            f"would not alert below {tuning.fan_out_hosts} hosts in {tuning.window_s:g} s, "
            f"or if {tuning.fan_out_answered:.0%} had answered"
        ),
        observations=_observations(total, answers, span, tuning),
        benign_checked=[
            BenignCheck(
                hypothesis="a manager that asks its hosts",
                rejected_because=f"{total - answers:,} of {total:,} did not answer; a manager knows its hosts",
            )
        ],
        next_steps=[
            f"Find out who runs {src}, and whether it manages these hosts.",
            f"Look for sessions of {src} to the hosts that answered.",
        ],
    )


def _observations(total: int, answers: int, span: int, tuning: EnumerationTuning) -> list[Observation]:
    rows = (
        ("hosts asked", float(total), "hosts", float(tuning.fan_out_hosts), tuning.window_s, 0.6),
        ("share answered", round(answers / total, 3), "share", tuning.fan_out_answered, round(span / 1e9, 3), 0.4),
    )
    return [
        Observation(name=name, value=value, unit=unit, threshold=limit, window_s=window_s, weight=weight)
        for name, value, unit, limit, window_s, weight in rows
    ]
