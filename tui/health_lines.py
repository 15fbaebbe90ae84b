"""The health screen: what the capture lost, why, and how full every table is."""

from __future__ import annotations

from nettriage.model.frames import Update
from nettriage.model.health import Gauge
from tui import figures
from tui.graphs import proportion
from tui.lines import Line, line, wrap

Glyphs = dict[str, str]
LABEL = 28
BAR = 24


def health_lines(update: Update, own: dict[str, Gauge], width: int, glyphs: Glyphs) -> list[Line]:
    """Return counters of the capture, then the gauge of every table; `own` are the tables of the screens."""
    health = update.health
    rows: list[Line] = [line(("Capture", "heading"), (f"  since {update.window.first_packet or 'the start'}", "muted"))]
    for name, value, alarming in (
        ("packets analysed", health.received, False),
        ("bytes on the wire", health.bytes, False),
        ("lost in the ring (kernel)", health.kernel_drops, True),
        ("lost in the interface (NIC)", health.nic_drops, True),
        ("shed by nettriage", health.shed, True),
        ("cut by the snap length", health.truncated, True),
        ("delivered twice", health.duplicates, True),
        ("merged by offload (GRO)", health.offload_suspect, True),
        ("leaps of the packet clock", health.clock_jumps, True),
    ):
        rows.append(_counter(name, value, alarming=alarming))
    for reason, number in sorted(health.malformed.items()):
        rows.append(_counter(f"malformed: {reason}", number, alarming=False))
    rows += [_share("flows seen one way", health.one_way_share), _share("loss (estimate)", health.loss_estimate)]
    if health.interface_state:
        rows.append(line((f"  {'interface'.ljust(LABEL)}", "muted"), (f"{health.interface_state:>16}", "text")))
    if health.note:
        rows += wrap(health.note, width, "warn")
    rows += [(), line(("Tables", "heading"), ("  used of the cap; given up for newer rows; refused", "muted"))]
    for name, gauge in sorted({**update.limits, **own}.items()):
        rows.append(_gauge(name, gauge, glyphs))
    return rows


def _counter(name: str, value: int | None, *, alarming: bool) -> Line:
    text = "n/a" if value is None else f"{value:,}"
    role = "muted" if value is None else "warn" if alarming and value else "text"
    return line((f"  {name.ljust(LABEL)}", "muted"), (f"{text:>16}", role))


def _share(name: str, share: float | None) -> Line:
    text = "n/a" if share is None else figures.percent(share)
    return line((f"  {name.ljust(LABEL)}", "muted"), (f"{text:>16}", "warn" if share and share >= 0.01 else "text"))


def _gauge(name: str, gauge: Gauge, glyphs: Glyphs) -> Line:
    share = gauge.used / gauge.cap if gauge.cap else 0.0
    bar = proportion(gauge.used, gauge.cap, BAR, glyphs["bar"])
    role = "warn" if share >= 0.95 or gauge.refused else "series-0"
    lost = f"  given up {figures.count(gauge.evicted)}" if gauge.evicted else ""
    refused = f"  refused {figures.count(gauge.refused)}" if gauge.refused else ""
    return line(
        (f"  {name[:LABEL].ljust(LABEL)} ", "text"), (bar, role), (glyphs["track"] * (BAR - len(bar)), "track"),
        (f" {figures.count(gauge.used):>6} of {figures.count(gauge.cap):<6}", "text"), (lost + refused, "warn"),
    )  # fmt: skip
