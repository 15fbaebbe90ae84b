"""The plain report: what a finite source showed, for a pipe, a file or a terminal without screens."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator

from nettriage.model.alert import SEVERITIES, Alert, Party
from nettriage.model.health import CaptureHealth
from nettriage.model.snapshot import Summary

WIDTH = 100
_INDENT = " " * 10


def report(alerts: Iterable[Alert], summary: Summary) -> str:
    """Return the incidents, the most severe first, and then what was and was not seen."""
    ranked = sorted(alerts, key=lambda alert: (-SEVERITIES.index(alert.severity), -alert.score, alert.first_seen))
    blocks = ["\n".join(_incident(alert)) for alert in ranked]
    return "\n\n".join([_heading(summary), *(blocks or ["No incidents."]), "\n".join(_ending(ranked, summary))]) + "\n"


def _heading(summary: Summary) -> str:
    window, source = summary.window, summary.source
    span = f", {window.first_packet} to {window.last_packet}" if window.first_packet else ""
    name = "" if source.type == "demo" else f" {source.name}"
    return f"{source.type}{name}: {summary.packets:,} packets, {summary.bytes:,} bytes{span}"


def _incident(alert: Alert) -> Iterator[str]:
    yield f"{alert.severity.upper():<8}  {alert.kind}  {_who(alert)}"
    yield _wrapped(alert.reason)
    if alert.tool:
        yield _wrapped(f"Tool: {alert.tool.name} ({alert.tool.confidence:.0%}, {alert.tool.evidence})")
    found = [f"{item.ip}:{item.port}/{item.protocol}" if item.port else item.ip for item in alert.findings.open]
    if found:
        beyond = alert.findings.open_count - len(found)
        yield _wrapped(f"Learned: {', '.join(found)}" + (f" and {beyond} more" if beyond > 0 else ""))
    if alert.findings.follow_up:
        first = alert.findings.follow_up[0]
        yield _wrapped(f"Afterwards: {first.src} to {_address(first.dst, first.port)} at {first.at}")
    if alert.related:
        kinds = Counter(other.kind for other in alert.related)
        also = ", ".join(kind if number == 1 else f"{number} {kind}" for kind, number in kinds.items())
        yield _wrapped(f"Also: {also} by the same host")
    yield from (_wrapped(f"Next: {step}") for step in alert.next_steps[:1])


def _who(alert: Alert) -> str:
    if alert.via:
        return " -> ".join(map(_place, alert.via))
    others = ", ".join(map(_place, alert.objects[:3]))
    beyond = alert.object_count - min(3, len(alert.objects))
    more = f" and {beyond} more" if beyond > 0 else ""
    return _place(alert.subject) + (f" -> {others}{more}" if others else "")


def _place(party: Party) -> str:
    return _address(party.ip, party.port) + (f" ({party.name})" if party.name else "")


def _address(ip: str, port: int | None) -> str:
    if port is None:
        return ip
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _ending(alerts: list[Alert], summary: Summary) -> Iterator[str]:
    counts = [(severity, sum(alert.severity == severity for alert in alerts)) for severity in reversed(SEVERITIES)]
    said = ", ".join(f"{count} {severity}" for severity, count in counts if count)
    yield f"{len(alerts)} incidents" + (f": {said}" if said else "")
    yield f"{summary.packets:,} packets in {summary.seconds:.2f} s, {summary.packet_rate:,.0f} packets/s"
    yield "Capture: " + ", ".join(_health(summary.capture_health))
    if summary.source.error:
        yield f"Source: {summary.source.error}"


def _health(health: CaptureHealth) -> Iterator[str]:
    for name, count in (("kernel", health.kernel_drops), ("card", health.nic_drops)):
        if count is not None:
            yield f"{count:,} dropped by the {name}"
    yield f"{health.shed:,} shed"
    yield f"{health.truncated:,} truncated"
    yield f"{sum(health.malformed.values()):,} malformed"
    yield f"{health.duplicates:,} duplicates"
    if health.one_way_share is not None:
        yield f"{health.one_way_share:.1%} of TCP flows one-way"
    if health.loss_estimate is not None:
        yield f"{health.loss_estimate:.2%} of the data never seen"
    if health.note:
        yield health.note


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_long_words=False)
