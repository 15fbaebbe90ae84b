"""Relays and tunnels as lines: the way data takes, and each leg with its bytes under the one before."""

from __future__ import annotations

from collections.abc import Iterable

from nettriage.model.alert import Alert, Leg
from tui import figures
from tui.graphs import proportion, spark
from tui.lines import Line, Span, fit, justify, line, line_width, span, width_of
from tui.wording import address, is_path, kind_words, path, severity_mark

Glyphs = dict[str, str]
LEGS_SHOWN = 8
BAR_MIN, BAR_MAX = 6, 32
TIMELINE_CELLS = 24


def tunnel_lines(
    alerts: Iterable[Alert], width: int, glyphs: Glyphs, now: float | None
) -> tuple[list[Line], list[str]]:  # fmt: skip
    """Return the lines of all paths among `alerts`, and beside each line the id that it belongs to."""
    lines: list[Line] = []
    keys: list[str] = []
    for alert in alerts:
        if is_path(alert):
            own = [*_summary(alert, width, glyphs, now), *_legs(alert, width, glyphs, indent=4)]
            lines += own
            keys += [alert.id] * len(own)
    return lines, keys


def leg_lines(alert: Alert, width: int, glyphs: Glyphs) -> list[Line]:
    """Return the way that data takes, and one line for each leg below it."""
    if not alert.legs:
        return []
    way = fit((span("Path".ljust(11), "heading"), *_way(alert, glyphs)), width)
    return [way, *_legs(alert, width, glyphs, indent=2)]


def _summary(alert: Alert, width: int, glyphs: Glyphs, now: float | None) -> list[Line]:
    """Return severity, kind, way, score and age in one line, or in two where the way needs its own."""
    seen = figures.seconds_of(alert.last_seen)
    age = "" if now is None or seen is None else figures.duration(now - seen)
    head: Line = (*severity_mark(alert, glyphs), span(f" {kind_words(alert.kind)}  ", "strong"))
    way = _way(alert, glyphs)
    right: Line = (("  ", "text"), (f"{alert.score:.0f}", "warn"), (f" {age:>4}", "muted"))
    room = width - line_width(right) - line_width(head) - line_width(way)
    if room > TIMELINE_CELLS + 2 and not alert.legs:
        right = (("  ", "text"), (spark(alert.timeline.counts, TIMELINE_CELLS, glyphs["spark"]), "series-0"), *right)
    if room >= 0:
        return [justify((*head, *way), right, width)]
    if line_width(way) + 2 > width:
        way = _way(alert, glyphs, short=True)
    return [justify(head, right, width), fit((("  ", "text"), *way), width)]


def _way(alert: Alert, glyphs: Glyphs, *, short: bool = False) -> Line:
    """Return the way, with the relaying hosts in brackets, and protocol and port of each leg on its arrow.

    A short one has the ports alone.
    """
    stops = [party.ip for party in alert.via]
    if not stops:
        return path(alert, glyphs["arrow"])
    spans: list[Span] = [span(stops[0])]
    for at, stop in enumerate(stops[1:]):
        leg = alert.legs[at] if at < len(alert.legs) else None
        label = "" if leg is None else f"{leg.dport}" if short else f"{leg.protocol}:{leg.dport}"
        arrow = glyphs["arrow"] if leg is None or leg.src == stops[at] else glyphs["reverse"]
        last = at == len(stops) - 2
        spans.append(span(f" {glyphs['leg']}{label}{arrow} ", "muted"))
        spans.append(span(stop if last else f"[{stop}]", "text" if last else "strong"))
    return tuple(spans)


def _legs(alert: Alert, width: int, glyphs: Glyphs, *, indent: int) -> list[Line]:
    """Return one line for each leg, with bars of its bytes on one scale: twins show at once."""
    shown = alert.legs[:LEGS_SHOWN]
    if not shown:
        return []
    largest = max(_octets(leg) for leg in shown)
    labels = [f"{' ' * indent}leg{at + 1} " for at in range(len(shown))]
    ends = [f"{address(leg.src, leg.sport)} {glyphs['arrow']} {address(leg.dst, leg.dport)} " for leg in shown]
    proofs = [_proof(leg, before) for leg, before in zip(shown, (None, *shown), strict=False)]
    octets = [_both_ways(leg, glyphs) for leg in shown]
    room = width - max(map(width_of, labels)) - max(map(width_of, proofs)) - max(map(width_of, octets))
    named = max(map(width_of, ends)) if room - max(map(width_of, ends)) >= BAR_MIN else 0
    bar_cells = min(max(room - named, BAR_MIN), BAR_MAX)
    rows: list[Line] = []
    for at, leg in enumerate(shown):
        bar = proportion(_octets(leg), largest, bar_cells, glyphs["bar"])
        name = fit((span(ends[at]),), named)
        rows.append(fit((
            (labels[at], "muted"), *name, (bar.ljust(bar_cells), f"series-{at % 8}"), (octets[at], "text"),
            (proofs[at], "muted"),
        ), width))  # fmt: skip
    if len(alert.legs) > LEGS_SHOWN:
        rows.append(line((f"{' ' * indent}+{len(alert.legs) - LEGS_SHOWN} more legs", "muted")))
    return rows


def _both_ways(leg: Leg, glyphs: Glyphs) -> str:
    return f" {glyphs['up']}{figures.size(leg.bytes_up):>5} {glyphs['down']}{figures.size(leg.bytes_down):>5}"


def _octets(leg: Leg) -> int:
    return leg.bytes_up + leg.bytes_down


def _proof(leg: Leg, before: Leg | None) -> str:
    """Say what ties a leg to the one before: how alike the bytes are, and how far it lags."""
    if before is None:
        return ""
    fewer, more = sorted((_octets(leg), _octets(before)))
    alike = f"  ratio {fewer / more:.2f}" if fewer else ""
    return alike + (f"  lag {leg.lag_ms:.0f} ms" if leg.lag_ms is not None else "")
