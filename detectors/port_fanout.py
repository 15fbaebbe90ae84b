"""Port fan-out: how many different destination ports each source touches, for the map and as a first hint.

*What it measures*
    Distinct destination ports of first contacts by source in a sliding window of five minutes, initiator
    only: the first analytic of ATT&CK T1046 without its false alarms by servers that answer. It is
    informational: it says who is wide, not who is bad, and feeds the map and the list of scanners.

*Blind spots*
    One port on many hosts is wide in hosts but not in ports (see horizontal-scan). A contact counts once, so
    a source that repeats itself fades from the window. Counts above 16 a step are estimates, 13 %
    off, and are called so.

*Common benign causes*
    Every busy host: browsers, mail servers, domain controllers, monitors. That is why the score stays at
    the bottom.

*What to do next*
    Compare the source with its usual width. Look at the share of failures: a wide source that mostly fails is
    a scanner, and has an incident of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.fanout import FanoutTable, Touched
from detectors._kit.legs import rfc3339
from detectors._kit.reasons import counted, title
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, BenignCheck, Findings, Observation
from nettriage.model.columns import I64, Mixer, Rows
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.panel import FanoutRow, Panel, Shape, VictimRow
from nettriage.model.safetext import SafeStr
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Role, Tables
from nettriage.model.tuning import Tuning, knob

SOURCES = 4_096
VICTIMS = 1_024
INCIDENTS = 512
FINDINGS_A_TICK = 64
PANEL_ROWS = 64
_CANDIDATES = 256
_GROWTH = 1.5
"""An incident is told again when its ports have grown by this factor."""
_WIDE = 8
"""Ports or hosts from which on a source is called wide in them."""
_SCORE = 10.0
"""Informational: below every severity that calls for action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFanoutTuning(Tuning):
    """Thresholds of the port fan-out."""

    ports: int = knob(5, "ports", lo=1, hi=1_000, why="T1046 Analytic 1: more than five destination ports of a source")
    window_s: float = knob(300.0, "s", lo=12.0, hi=3_600.0, why="T1046 Analytic 1 counts in five minutes")


def _wide() -> Frames:
    scene = forge.Scene()
    for port in (21, 22, 25, 80, 135, 139, 443, 445, 3389):
        scene.session("10.0.0.5", "10.0.1.9", port)
    return scene.frames()


def _server() -> Frames:
    scene = forge.Scene()
    for client in range(1, 41):
        scene.session(f"10.0.0.{client}", "10.0.1.9", 443)
    return scene.frames()


class PortFanout(Detector):
    """Sources by the destination ports that they touch."""

    card: ClassVar[Card] = Card(
        kind="port-fanout",
        title="Wide port fan-out",
        attack=(Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),),
        rules=(),
        references=("MITRE ATT&CK T1046, Analytic 1", "Flajolet, Fusy, Gandouet, Meunier: HyperLogLog, 2007"),
        counts="contacts",
    )
    tuning_type: ClassVar[type[Tuning]] = PortFanoutTuning
    tuning: PortFanoutTuning
    reads: ClassVar[frozenset[str]] = frozenset({"contacts"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example("a client that uses nine ports", _wide, fires=True, subject="10.0.0.5"),
        Example("a server that answers forty clients", _server, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 48 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make an empty table."""
        super().__init__(tuning, site)
        self._fanout = FanoutTable(Mixer(site.mixer_secret), sources=SOURCES, window_s=self.tuning.window_s)
        self._victims = FanoutTable(
            Mixer(site.mixer_secret), sources=VICTIMS, window_s=self.tuning.window_s, of_targets=True
        )
        self._told: dict[int, Finding] = {}
        """Open incidents by key, at most `INCIDENTS`."""
        self._untold = 0

    def push(self, seen: Slice) -> None:
        """Count the contacts of the slice."""
        self._fanout.add(seen.contacts)
        self._victims.add(seen.contacts)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:  # noqa: ARG002 - needs no tables
        """Return sources that became wide, wider, or narrow again."""
        rows, ports = self._fanout.wide(self._fanout.take_dirty(), now_ns, self.tuning.ports)
        findings = self._narrowed(now_ns)
        grown = self._grown(rows, ports, FINDINGS_A_TICK - len(findings))
        if len(grown):
            touched = self._fanout.touched(grown, now_ns)
            findings += [self._tell(touched, at) for at in range(len(grown))]
        return findings

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of sources and incidents."""
        incidents = Gauge(cap=INCIDENTS, used=len(self._told), refused=self._untold)
        return {"sources": self._fanout.gauge, "victims": self._victims.gauge, "incidents": incidents}

    def state_bytes(self) -> int:
        """Return the memory of the table and of what was told."""
        return self._fanout.nbytes + self._victims.nbytes + len(self._told) * 4_096

    def panel(self, now_ns: int, tables: Tables) -> Panel:
        """Return the widest sources of the window, and the targets at which most contacts failed."""
        victims = self._victims.touched(self._victims.most_failed(now_ns, PANEL_ROWS), now_ns)
        touched = self._fanout.touched(self._fanout.widest(now_ns, _CANDIDATES), now_ns)
        order = np.lexsort((touched.low, -touched.hosts, -touched.ports))[:PANEL_ROWS]
        window_s, step_s = self.tuning.window_s, self._fanout.step_ns / 1e9
        return Panel(
            window_s=window_s,
            step_s=step_s,
            rows=[_panel_row(touched, at, window_s, tables) for at in order.tolist()],
            bin_sources=self._fanout.bin_sources(now_ns),
            victims=[_victim_row(victims, at, tables) for at in range(len(victims.row))],
        )

    def _grown(self, rows: Rows, ports: I64, limit: int) -> Rows:
        """Return at most `limit` of the wide rows, those with an incident that grew or that still has room."""
        grown: list[int] = []
        room = INCIDENTS - len(self._told)
        for row, now in zip(rows.tolist(), ports.tolist(), strict=True):
            if len(grown) == limit:
                break
            told = self._told.get(self._fanout.key(row))
            if told is None and not room:
                self._untold += 1
            elif told is None or now >= _GROWTH * told.port_count:
                room -= told is None
                grown.append(row)
        return np.array(grown, np.intp)

    def _tell(self, touched: Touched, at: int) -> Finding:
        key = self._fanout.key(int(touched.row[at]))
        self._told[key] = self._finding(key, touched, at)
        return self._told[key]

    def _narrowed(self, now_ns: int) -> list[Finding]:
        """Close the incidents of sources without a new contact for a window."""
        window_ns = int(self.tuning.window_s * 1e9)
        quiet = [key for key, told in self._told.items() if now_ns - told.last_ns > window_ns]
        return [replace(self._told.pop(key), closed=True) for key in quiet[:FINDINGS_A_TICK]]

    def _finding(self, key: int, touched: Touched, at: int) -> Finding:
        ports, hosts, count = (int(column[at]) for column in (touched.ports, touched.hosts, touched.cells.sum(axis=1)))
        failed, settled = int(touched.failed[at]), int(touched.settled[at])
        tried = _about(counted(ports, "destination port"), estimated=touched.ports_about[at])
        on_hosts = _about(counted(hosts, "host"), estimated=touched.hosts_about[at])
        src, limit = to_text(int(touched.high[at]), int(touched.low[at])), self.tuning.ports
        return Finding(
            key=key,
            subject=Endpoint((int(touched.high[at]), int(touched.low[at]))),
            score=_SCORE,
            confidence=0.5,
            first_ns=int(touched.first_ns[at]),
            last_ns=int(touched.last_ns[at]),
            count=count,
            title=title(f"Port fan-out: {tried.replace('destination ', '')} on {on_hosts}"),
            reason=(
                f"{src} opened contacts to {tried} on {on_hosts} within "
                f"{self.tuning.window_s:g} s; {failed:,} of {settled:,} settled contacts failed."
            ),
            object_count=hosts,
            port_count=ports,
            counterfactual=f"would not be listed at {limit} ports or fewer",
            observations=[
                Observation(
                    name=_about("distinct destination ports", estimated=touched.ports_about[at]),
                    value=float(ports), unit="ports", threshold=float(limit),
                    window_s=self.tuning.window_s, weight=1.0,
                )
            ],
            findings=Findings(open_count=int(touched.opened[at])),
            benign_checked=[
                BenignCheck(
                    hypothesis="a server that answers many clients",
                    rejected_because="only contacts that the source opened are counted",
                )
            ],
            next_steps=[f"Compare with what {src} usually does; see its scan incidents, if there are any."],
        )  # fmt: skip


def _panel_row(touched: Touched, at: int, window_s: float, tables: Tables) -> FanoutRow:
    name, role = _known(touched, at, tables)
    hosts, ports = int(touched.hosts[at]), int(touched.ports[at])
    return FanoutRow(
        ip=to_text(int(touched.high[at]), int(touched.low[at])),
        hosts=hosts,
        ports=ports,
        cells=touched.cells[at].tolist(),
        rate_per_min=round(float(touched.spark[at].sum()) * 60 / window_s, 2),
        failed=int(touched.failed[at]),
        settled=int(touched.settled[at]),
        open=int(touched.opened[at]),
        first_seen=rfc3339(int(touched.first_ns[at])),
        spark=touched.spark[at].tolist(),
        name=name,
        role=role,
        hosts_about=bool(touched.hosts_about[at]),
        ports_about=bool(touched.ports_about[at]),
        shape=_shape(hosts, ports),
    )


def _victim_row(touched: Touched, at: int, tables: Tables) -> VictimRow:
    name, role = _known(touched, at, tables)
    return VictimRow(
        ip=to_text(int(touched.high[at]), int(touched.low[at])),
        sources=int(touched.hosts[at]),
        ports=int(touched.ports[at]),
        cells=touched.cells[at].tolist(),
        failed=int(touched.failed[at]),
        settled=int(touched.settled[at]),
        open=int(touched.opened[at]),
        first_seen=rfc3339(int(touched.first_ns[at])),
        spark=touched.spark[at].tolist(),
        name=name,
        role=role,
        sources_about=bool(touched.hosts_about[at]),
        ports_about=bool(touched.ports_about[at]),
    )


def _about(words: str, *, estimated: np.bool_) -> str:
    return f"about {words}" if estimated else words


def _shape(hosts: int, ports: int) -> Shape:
    if hosts >= _WIDE:
        return "block" if ports >= _WIDE else "sweep"
    return "vertical" if ports >= _WIDE else "narrow"


def _known(touched: Touched, at: int, tables: Tables) -> tuple[SafeStr | None, str | None]:
    """Return name and roles of a host, as far as the host table knows them."""
    row = int(tables.hosts.find(touched.high[at : at + 1], touched.low[at : at + 1])[0])
    if row < 0:
        return None, None
    roles = Role(int(tables.hosts.roles[row]))
    return tables.hosts.name(row), ",".join((role.name or "").lower().replace("_", "-") for role in roles) or None
