"""The lines at the rim of the screen: status, tabs or crumbs, and the footer of keys."""

from __future__ import annotations

from textual.strip import Strip
from textual.widget import Widget

from nettriage.model.frames import Update
from tui import figures
from tui.actions import footer
from tui.lines import Line, Span, fit, line_width, span, width_of
from tui.painting import palette_of, to_strip
from tui.session import Session, short_name

_BADGES = {
    "waiting": ("badge-calm", "WAITING"), "live": ("badge-ok", "LIVE"), "replay": ("badge-busy", "REPLAY"),
    "finished": ("badge-calm", "FINISHED"), "stale": ("badge-warn", "STALE"),
    "no packets": ("badge-warn", "NO PACKETS"), "sensor lost": ("badge-bad", "SENSOR LOST"),
    "failed": ("badge-bad", "FAILED"),
}  # fmt: skip
_GRO_SHARE, _DUP_SHARE, _ONE_WAY_SHARE = 0.0, 0.01, 0.5


LAST_IN_FOOTER = ("help", "quit_twice")
"""Actions that keep their place in a footer that is too narrow for all."""


class Bar(Widget):
    """One line that is repainted when it changes."""

    DEFAULT_CSS = "Bar { height: 1; width: 100%; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._line: Line = ()
        self._under = "bar" if id == "footer" else ""

    def show(self, spans: Line) -> None:
        """Show that line."""
        if spans != self._line:
            self._line = spans
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw the line."""
        return to_strip(self._line if y == 0 else (), self.size.width, palette_of(self), self._under)


def status_line(session: Session, now: float, width: int, glyphs: dict[str, str]) -> Line:
    """Return badge, source, rate, drops by cause, flags, tables and clock; what matters least goes first."""
    update = session.update
    left: list[Line] = [(_badge(session, now, glyphs), span(f" {short_name(session)}", "strong"))]
    if update is None:
        return fit(left[0], width)
    parts: list[tuple[int, Line]] = [
        (2, ((figures.bits_rate(update.bits_per_s), "text"),)),
        (2, ((figures.packet_rate(update.packets_per_s), "text"),)),
        (1, _drops(update, wide=width >= 100)),
        (1, _flags(update)),
        (3, (("flows ", "muted"), (figures.count(update.flows), "text"))),
        (3, (("hosts ", "muted"), (figures.count(update.hosts), "text"))),
    ]
    if update.source.type == "live":
        parts.append((4, (("lag ", "muted"), (f"{update.lag_s:.1f}s", "warn" if update.lag_s >= 2 else "text"))))
    clock: Line = ((f"  {figures.clock(update.now)} ", "muted"),)
    chosen = _that_fit(parts, width - line_width(left[0]) - line_width(clock))
    body = [part for spans in chosen for part in (("  ", "text"), *spans)]
    used = line_width(left[0]) + line_width(tuple(body)) + line_width(clock)
    return (*left[0], *body, (" " * max(width - used, 0), "text"), *clock)


def _that_fit(parts: list[tuple[int, Line]], room: int) -> list[Line]:
    shown = [at for at, (_, spans) in enumerate(parts) if spans]
    while shown and sum(line_width(parts[at][1]) + 2 for at in shown) > room:
        shown.remove(max(shown, key=lambda at: (parts[at][0], at)))
    return [parts[at][1] for at in shown]


def _badge(session: Session, now: float, glyphs: dict[str, str]) -> Span:
    if session.frozen:
        behind = f" · {session.new_behind} new" if session.new_behind else ""
        return (f" FROZEN -{figures.stopwatch(now - session.frozen.at)}{behind} ", "badge-warn")
    mode = session.mode(now)
    role, word = _BADGES[mode]
    if mode == "replay" and session.latest and (share := _progress(session.latest)) is not None:
        word += f" {share:.0f}%"
    elif mode == "no packets":
        word += f" {session.silence_s(now):.0f}s"
    elif mode == "stale":
        word += f" {session.update_age_s(now):.0f}s"
    return (f" {glyphs['live']} {word} ", role)


def _progress(update: Update) -> float | None:
    source = update.source
    if not source.size_bytes or not source.done_bytes:
        return None
    return min(100.0 * source.done_bytes / source.size_bytes, 100.0)


def _drops(update: Update, *, wide: bool) -> Line:
    """Return the drops, each cause apart; never a calm zero where a counter is missing."""
    health = update.health
    known = [drops for drops in (health.kernel_drops, health.nic_drops, health.shed) if drops is not None]
    live = update.source.type == "live"
    if not live and not health.shed and health.kernel_drops is None:
        return (("drops ", "muted"), ("none in a file", "muted")) if wide else ()
    lost = sum(known)
    share = lost / max(health.received + lost, 1)
    role = "bad" if share >= 0.01 else "warn" if lost else "text"
    head: Line = (("drops ", "muted"), (figures.percent(share) if health.kernel_drops is not None else "n/a", role))
    if not wide:
        return head
    causes = (("ring", health.kernel_drops), ("nic", health.nic_drops), ("shed", health.shed))
    text = "  ".join(f"{name} {'n/a' if value is None else figures.count(value)}" for name, value in causes)
    return (*head, (f" ({text})", "warn" if lost else "muted"))


def _flags(update: Update) -> Line:
    health = update.health
    packets = max(health.received, 1)
    flags = [
        word for word, on in (
            ("1-WAY", (health.one_way_share or 0.0) >= _ONE_WAY_SHARE),
            ("DUP", health.duplicates / packets > _DUP_SHARE),
            ("TRUNC", health.truncated > 0),
            ("GRO", health.offload_suspect > 0),
            ("DOWN", health.interface_state in ("down", "gone")),
        ) if on
    ]  # fmt: skip
    return ((" ".join(flags), "warn"),) if flags else ()


def tab_line(names: list[tuple[str, str]], active: str, right: Line, width: int) -> Line:
    """Return the tabs, `(view, text)` each, with `right` flush right where it fits."""
    spans: list[Span] = [(" ", "text")]
    for at, (view, text) in enumerate(names):
        spans += [span(f"[{at + 1}]{text}", "heading" if view == active else "muted"), (" ", "text")]
    room = width - sum(width_of(text) for text, _ in spans)
    if line_width(right) + 1 > room:
        right = fit(right, room - 1) if room >= 10 else ()
    return (*spans, (" " * max(room - line_width(right) - 1, 0), "text"), *right)


def crumb_line(crumbs: list[str], right: Line, width: int, glyphs: dict[str, str]) -> Line:
    """Return where the operator is, from the top down, with `right` flush right where it fits."""
    spans: list[Span] = [(" ", "text")]
    for at, crumb in enumerate(crumbs):
        last = at == len(crumbs) - 1
        spans += [span(crumb, "heading" if last else "text")]
        spans += [] if last else [(f" {glyphs['crumb']} ", "muted")]
    room = width - line_width(tuple(spans))
    if line_width(right) + 1 > room:
        right = ()
    return fit((*spans, (" " * max(room - line_width(right) - 1, 0), "text"), *right), width)


def footer_line(context: str, width: int, relabel: dict[str, str]) -> Line:
    """Return the keys of `context`, whole ones only; `relabel` has the labels that depend on the state."""
    keys = [
        (action.key_text.split()[0], relabel.get(action.id, action.label), action.id in LAST_IN_FOOTER)
        for action in footer(context)
    ]
    reserved = sum(_key_cells(key, label) for key, label, last in keys if last)
    spans: list[Span] = []
    used = 0
    for key, label, last in keys:
        cells = _key_cells(key, label)
        if last or used + cells + reserved <= width:
            spans += [("  " if spans else " ", "text"), (key, "accent"), (f" {label}", "text")]
            used += cells
    return tuple(spans)


def _key_cells(key: str, label: str) -> int:
    return width_of(key) + len(label) + 3
