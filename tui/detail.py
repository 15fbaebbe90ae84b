"""The lines that explain one incident: why it fired, what it found, what else was tried, what to do."""

from __future__ import annotations

from collections.abc import Iterator

from nettriage.model.alert import Alert, Findings, Observation, Party
from tui import figures
from tui.graphs import bullet, spark
from tui.lines import Line, Span, fit, flow, line, line_width, span, width_of, wrap
from tui.paths import leg_lines
from tui.wording import address, kind_words, path, severity_mark

Glyphs = dict[str, str]
LABEL = 11
"""Cells of the label column."""
NAME_MAX = 24
BAR_MAX = 40
OPEN_SHOWN = 24


def detail_lines(alert: Alert, width: int, glyphs: Glyphs) -> list[Line]:
    """Return everything known of an incident in lines of at most `width` cells; long texts wrap."""
    width = max(width, 20)
    parts = (
        _headline(alert, width, glyphs), _reason(alert, width), _why(alert, width, glyphs),
        _timeline(alert, width, glyphs), _found(alert, width), _after(alert, width), _tool(alert, width),
        leg_lines(alert, width, glyphs), _host(alert, width), _benign(alert, width), _visibility(alert, width),
        _next(alert, width), _filters(alert, width), _record(alert, width),
    )  # fmt: skip
    return [row if line_width(row) <= width else fit(row, width) for part in parts for row in part]


def _headline(alert: Alert, width: int, glyphs: Glyphs) -> Iterator[Line]:
    kind = span(f" {kind_words(alert.kind)}  ", "strong")
    yield fit((*severity_mark(alert, glyphs), kind, *path(alert, glyphs["arrow"])), width)
    facts = [
        f"score {alert.score:.0f}", f"sure {figures.percent(alert.confidence)}",
        f"first {figures.clock(alert.first_seen)}", f"last {figures.clock(alert.last_seen)}",
        "over" if alert.activity == "close" else "going on", alert.status.replace("_", " "),
        *(f"{attack.technique} {attack.name}" for attack in alert.attack),
    ]  # fmt: skip
    yield from flow(facts, width, "muted")


def _reason(alert: Alert, width: int) -> list[Line]:
    return wrap(alert.reason, width, "text")


def _why(alert: Alert, width: int, glyphs: Glyphs) -> Iterator[Line]:
    if not alert.observations:
        return
    windows = {observation.window_s for observation in alert.observations}
    one = f", window {_window(windows.pop())}" if len(windows) == 1 else ""
    yield line(("Why it fired", "heading"), (f"  observed against threshold{one}", "muted"))
    names = [_observed_name(observation) for observation in alert.observations]
    cells = min(max(map(width_of, names)), max(NAME_MAX, width // 3), width * 2 // 5)
    for observation, name in zip(alert.observations, names, strict=True):
        yield _observation(observation, name, cells, width, glyphs)
    if alert.counterfactual:
        yield from _field("Not if", alert.counterfactual, width, "muted")


def _observed_name(observation: Observation) -> str:
    name = observation.name.replace("_", " ").replace("-", " ")
    unit = "" if not observation.unit or observation.unit in name else f" {observation.unit}"
    return f"{name}{unit}"


def _observation(observation: Observation, name: str, cells: int, width: int, glyphs: Glyphs) -> Line:
    """Return name, value, bar with the threshold marked, threshold, and how many times it was crossed."""
    value, threshold = observation.value, observation.threshold
    ratio = value / threshold if threshold else 0.0
    crossed = observation.weight > 0 and ratio >= 1
    times = f"{ratio:.1f}×" if 0 < ratio < 1000 else ">999×" if ratio else "context"
    limit = figures.count(threshold) if threshold else ""
    tail = f" {limit:>6} {times:>7}"
    room = min(width - 2 - cells - 8 - width_of(tail), BAR_MAX)
    graph = bullet(value, threshold, room, glyphs, "bad" if crossed else "series-0")
    return (
        ("  ", "text"), *fit((span(name),), cells), (f"{figures.count(value):>7} ", "strong"), *graph,
        (tail, "text" if crossed else "muted"),
    )  # fmt: skip


def _window(seconds: float) -> str:
    return figures.duration(seconds) if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _timeline(alert: Alert, width: int, glyphs: Glyphs) -> Iterator[Line]:
    counts = alert.timeline.counts
    if not counts:
        return
    peak = f"  peak {figures.count(max(counts))} in {_window(alert.timeline.step_s)}"
    room = min(width - LABEL - 10 - width_of(peak), 60)
    if room < 4:
        return
    bars = spark(counts, min(room, len(counts)), glyphs["spark"])
    yield line(
        ("Timeline".ljust(LABEL), "heading"), (f"{figures.clock(alert.timeline.t0)} ", "muted"),
        (bars, "series-0"), (peak, "muted"),
    )  # fmt: skip


def _found(alert: Alert, width: int) -> Iterator[Line]:
    found = alert.findings
    number = max(found.open_count, len(found.open))
    if not (number or found.closed or found.blocked or found.silent):
        return
    single = len({service.ip for service in found.open}) <= 1
    services = []
    for service in found.open[:OPEN_SHOWN]:
        text = str(service.port) if single else address(service.ip, service.port)
        services.append(text + ("!" if service.new else ""))
    more = f" +{number - len(services)}" if number > len(services) else ""
    yield from _field("It found", f"open {figures.count(number)}: {' '.join(services)}{more}".rstrip(), width, "ok")
    rest = f"closed {figures.count(found.closed)}  blocked {figures.count(found.blocked)}"
    yield from _field("", f"{rest}  silent {figures.count(found.silent)}", width)
    for service in found.open[:4]:
        if service.banner:
            yield from _field("", f"{address(service.ip, service.port)} says {service.banner}", width, "muted")
    if any(service.new for service in found.open[:OPEN_SHOWN]):
        yield from _field("", "! = nobody used this service before", width, "muted")
    if words := manner(found):
        yield from _field("Manner", words, width, "muted")


def manner(found: Findings) -> str:
    """Return how a scan went about it: order, pace, coverage and retries, as far as they are known."""
    parts = []
    if found.order:
        parts.append(f"{found.order} order")
    if found.pace_per_s is not None:
        slow = found.pace_per_s < 1
        parts.append(f"{found.pace_per_s * 60:.3g}/min" if slow else f"{figures.count(found.pace_per_s)}/s")
    if found.coverage:
        share = figures.percent(found.coverage.share)
        parts.append(f"{figures.count(found.coverage.touched)} addresses of {found.coverage.prefix} ({share})")
    return ", ".join([*parts, *([found.retries] if found.retries else [])])


def _after(alert: Alert, width: int) -> Iterator[Line]:
    for at, session in enumerate(alert.findings.follow_up[:6]):
        words = f"{session.src} opened {address(session.dst, session.port)} at {figures.clock(session.at)}"
        yield from _field("Afterwards" if not at else "", words, width, "bad")


def _tool(alert: Alert, width: int) -> Iterator[Line]:
    if alert.tool:
        words = f"{alert.tool.name}, sure {figures.percent(alert.tool.confidence)}: {alert.tool.evidence}"
        yield from _field("Tool", words, width)


def _host(alert: Alert, width: int) -> Iterator[Line]:
    yield from _field("Host", _party(alert.subject), width)
    for at, party in enumerate(alert.objects[:4]):
        yield from _field("Targets" if not at else "", _party(party), width, "muted")
    if (left := max(alert.object_count, len(alert.objects)) - 4) > 0:
        yield from _field("", f"and {figures.count(left)} more", width, "muted")


def _party(party: Party) -> str:
    facts = (address(party.ip, party.port), party.name, party.role, party.mac, party.zone)
    return "  ".join(fact for fact in facts if fact)


def _benign(alert: Alert, width: int) -> Iterator[Line]:
    for at, check in enumerate(alert.benign_checked):
        words = f"{check.hypothesis}? {'Yes' if check.holds else 'No'}: {check.rejected_because}"
        yield from _field("Harmless?" if not at else "", words, width, "muted")


def _visibility(alert: Alert, width: int) -> Iterator[Line]:
    seen = alert.visibility
    shares = (("loss", seen.loss), ("one way", seen.one_way), ("duplicates", seen.duplicates))
    words = "  ".join(f"{name} {'n/a' if share is None else figures.percent(share)}" for name, share in shares)
    worst = max((share for _, share in shares if share is not None), default=0.0)
    yield from _field("Seen with", words, width, "warn" if worst >= 0.01 else "muted")
    if seen.note:
        yield from _field("", seen.note, width, "warn")


def _next(alert: Alert, width: int) -> Iterator[Line]:
    for at, step in enumerate(alert.next_steps):
        yield from _field("Next steps" if not at else "", f"{at + 1} {step}", width)


def _filters(alert: Alert, width: int) -> Iterator[Line]:
    if alert.pivots.wireshark:
        yield from _field("Wireshark", alert.pivots.wireshark, width)
    if alert.pivots.bpf:
        yield from _field("tcpdump", alert.pivots.bpf, width)
    for at, community_id in enumerate(alert.community_ids[:3]):
        yield from _field("Community" if not at else "", community_id, width, "muted")


def _record(alert: Alert, width: int) -> Iterator[Line]:
    kept = f"{figures.plural(alert.evidence.packets, 'packet')} kept"
    vlans = f"  VLAN {', '.join(map(str, alert.vlan))}" if alert.vlan else ""
    yield from _field("Evidence", f"{kept}{vlans}  {alert.evidence.file or ''}", width, "muted")
    if alert.related:
        others = ", ".join(f"{kind_words(other.kind)} ({other.id})" for other in alert.related)
        yield from _field("Also", f"{alert.subject.ip}: {others}", width)
    if alert.rules:
        yield from _field("Rules", " ".join(alert.rules), width, "muted")


def _field(label: str, text: str, width: int, role: str = "text") -> list[Line]:
    head: Span = (label.ljust(LABEL), "heading" if label else "text")
    rows = wrap(text, width - LABEL, role)
    blank: Span = (" " * LABEL, "text")
    return [(head if not at else blank, *row) for at, row in enumerate(rows)]
