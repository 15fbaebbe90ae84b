"""Going deeper: from an incident to its flows, its packets, their bytes; and out again as a file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import msgspec
from textual.worker import Worker

from nettriage.export import export_name, to_json, write_atomic
from nettriage.model.alert import Alert
from tui.dialogs import ExportBox
from tui.dissect import DissectError
from tui.heat_map import HeatMap
from tui.link import LinkError
from tui.main_screen import MainScreen

if TYPE_CHECKING:
    from tui.app import NettriageApp


class DrillingScreen(MainScreen):
    """The screen, with what it asks of the sensor and of the dissector."""

    following = False

    @property
    def nettriage(self) -> NettriageApp:
        """The app, by its own type."""
        return cast("NettriageApp", self.app)

    def say(self, text: str, *, bad: bool = False) -> None:
        """Say something in a corner, as plain text."""
        self.app.notify(text, severity="error" if bad else "information", markup=False, timeout=6)

    def paint(self) -> None:
        """Bring everything up to date, with the cursor on the newest incident where that is wanted."""
        super().paint()
        if self.following and self.session.ranking.ids:
            alerts = self.session.alerts
            self.alerts.move_to(max(self.session.ranking.ids, key=lambda key: alerts[key].detected_at))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Report what broke in the background: the screens go on."""
        self.nettriage.report(event)

    def action_drill_in(self) -> None:
        """Go one level deeper from where the focus is."""
        view, focused = self.drill.view, self.focused.id if self.focused else ""
        if focused == "flows":
            self._open_packets()
        elif focused == "packets":
            self.lines("layers").focus()
        elif focused in ("scanners", "heat"):
            self._open_source()
        elif focused == "tunnels":
            self._open_incident(self.lines("tunnels").cursor_key)
        elif focused in ("layers", "bytes", "health"):
            self.say("there is nothing below this")
        elif self.alert is None:
            self.say("no incident under the cursor")
        elif view == "triage" and focused == "alerts":
            self._go("why")
        else:
            self._open_flows()

    def cursor_moved(self, panel: str) -> None:
        """Bring up to date what depends on the cursor of `panel`."""
        if panel == "alerts":
            self.paint()
            if self.drill.view == "flows":
                self.ask_flows()
        elif panel == "packets":
            self.drill.fields_of, self.drill.fields, self.drill.fields_note = None, [], "decoding…"
            self.run_worker(self._dissect(), exclusive=True, group="dissect", exit_on_error=False)
            self.paint()
        elif panel == "flows" and self.drill.view == "packets":
            self._ask_packets_of_flow()

    def ask_flows(self) -> None:
        """Ask for the flows of the incident under the cursor."""
        alert = self.alert
        if alert is None or self.drill.flows_of == alert.id:
            return
        self.drill.flows_of, self.drill.flows_note = alert.id, "asking the sensor…"
        self.drill.flows, self.drill.flows_total = {}, 0
        self.paint()
        self.run_worker(self._fetch_flows(alert.id), exclusive=True, group="flows", exit_on_error=False)

    def ask_packets(self, flow: int | None) -> None:
        """Ask for the packets kept for the incident under the cursor, or for one of its flows."""
        alert = self.alert
        if alert is None or self.drill.packets_of == (alert.id, flow):
            return
        self.drill.packets_of, self.drill.packets_note = (alert.id, flow), "asking the sensor…"
        self.drill.packets, self.drill.packets_total = {}, 0
        self.paint()
        self.run_worker(self._fetch_packets(alert.id, flow), exclusive=True, group="packets", exit_on_error=False)

    def action_export(self) -> None:
        """Ask what to export, and write it."""
        alert = self.alert
        name = f"{alert.title}  #{alert.id}" if alert else None
        folder = str(self.nettriage.export_dir)
        self.app.push_screen(ExportBox(name, folder, len(self.session.alerts)), self._export)

    def _export(self, choice: str | None) -> None:
        if choice is not None:
            alert = self.alert if choice == "incident" else None
            self.run_worker(self._write(alert), group="export", exit_on_error=False)

    async def _write(self, alert: Alert | None) -> None:
        try:
            record: msgspec.Struct
            if alert is not None:
                record, name = alert, export_name("alert", alert.last_seen, alert.id, "json")
            else:
                record = (await self.nettriage.link.snapshot()).snapshot
                name = export_name("snapshot", record.created, record.id, "json")
            path = await asyncio.to_thread(lambda: write_atomic(self.nettriage.export_dir, name, to_json(record)))
        except (OSError, LinkError) as error:
            self.say(f"not exported: {error}", bad=True)
            return
        self.nettriage.exported.append(str(path))
        self.say(f"exported {path}")
        self.paint_bars()

    def _go(self, view: str) -> None:
        self.drill.deeper(view)  # type: ignore[arg-type]  # only views are given
        self.set_focus(None)
        self.lay()

    def _open_incident(self, key: str | None) -> None:
        if key is None:
            self.say("nothing under the cursor")
            return
        self.alerts.move_to(key)
        self._go("why")

    def _open_source(self) -> None:
        heat = self.query_one("#heat", HeatMap)
        address = heat.cursor_key if self.focused is heat else self.table("scanners").cursor_key
        alerts = self.session.alerts
        part = "target" if self.victims else "source"
        own = [key for key in self.session.ranking.ids if address in _ends(alerts[key], targets=self.victims)]
        if own:
            self._open_incident(own[0])
        else:
            self.say(f"no incident has {address} as its {part}: below the thresholds" if address else f"no {part} here")

    def _open_flows(self) -> None:
        self._go("flows")
        self.ask_flows()

    def _open_packets(self) -> None:
        if not self.drill.flows:
            self.say("no flow under the cursor")
            return
        self._go("packets")
        self._ask_packets_of_flow()

    def _ask_packets_of_flow(self) -> None:
        flow = self.drill.flows.get(self.table("flows").cursor_key or "")
        self.ask_packets(flow.serial or None if flow and flow.packets_kept else None)

    async def _fetch_flows(self, alert_id: str) -> None:
        try:
            answer = await self.nettriage.link.flows(alert_id)
        except LinkError as error:
            self.drill.flows_of, self.drill.flows_note = None, str(error)
        else:
            if self.drill.flows_of == alert_id:
                self.drill.set_flows(answer.rows, answer.total)
        self.paint()

    async def _fetch_packets(self, alert_id: str, flow: int | None) -> None:
        try:
            answer = await self.nettriage.link.packets(alert_id, flow)
        except LinkError as error:
            self.drill.packets_of, self.drill.packets_note = None, str(error)
        else:
            if self.drill.packets_of == (alert_id, flow):
                self.drill.set_packets(answer.rows, answer.total)
        self.paint()

    async def _dissect(self) -> None:
        key = self.table("packets").cursor_key
        row = self.drill.packets.get(key or "")
        if row is None:
            return
        try:
            fields, note = await self.nettriage.dissector.dissect(row.link_type, row.data), ""
        except DissectError as error:
            fields, note = [], str(error)
        if self.table("packets").cursor_key == key:
            self.drill.fields, self.drill.fields_of, self.drill.fields_note = fields, key, note
            self.paint()


def _ends(alert: Alert, *, targets: bool) -> set[str]:
    """Return the addresses of the targets of an incident, or of its subject."""
    return {party.ip for party in alert.objects} if targets else {alert.subject.ip}
