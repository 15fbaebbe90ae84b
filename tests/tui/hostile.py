"""Names as an attacker would choose them: escapes for the terminal, markup for the toolkit, tricks for the eye."""

from __future__ import annotations

from nettriage.model.alert import Alert, OpenService, Party, Pivots, Tool
from nettriage.model.frames import FlowRow, PacketRow
from nettriage.model.safetext import SafeStr
from tests.tui.made import alert, flow_rows, packet_rows

CORPUS = (
    "\x1b]52;c;cm0gLXJmIH4=\x07", "\x1b]2;owned\x1b\\", "\x1b[2J\x1b[1;1H", "\x1bc", "\x9b31mred", "\x9d0;title\x9c",
    "\x1b[?1049l", "\x1bP$q\x1b\\", "nul\x00nul", "back\x08\x08\x08", "bell\x07", "tab\there", "cr\rlf\n", "del\x7f",
    "\u202egnp.exe", "zero\u200bwidth", "\ufeffbom", "line\u2028separator",
    "a[/nope]b", '[x="y]', "[@click=app.quit]click[/]", "[bold red]x", "[b", "trail\\",
    "[@click=app.simulate_key('q')]q",
    "{0.__class__}", "%s%n", "日本語テスト" * 12, "é\u0301\u0301\u0301", "x" * 5000,
)  # fmt: skip
"""Facts of terminal injection: each got through, crashed, or acted in some widget of the toolkit."""


def hostile_alerts() -> list[Alert]:
    """Return one incident for each name, with the name in every text field, as a broken sensor would send it."""
    return [_hostile(number, SafeStr(name)) for number, name in enumerate(CORPUS)]


def _hostile(number: int, name: SafeStr) -> Alert:
    made = alert(
        number, "dns-tunnel", "high", 90, reason=name, counterfactual=name, next_steps=[name],
        subject=Party(ip="10.1.7.31", name=name, role=name, mac=name), objects=[Party(ip=name, name=name)],
        tool=Tool(name=name, confidence=1, evidence=name), pivots=Pivots(bpf=name, wireshark=name),
        community_ids=[name], rules=[name], protocol=name,
    )  # fmt: skip
    made.title, made.kind = name, name
    made.findings.open = [OpenService(ip=name, port=80, protocol="tcp", banner=name)]
    made.observations[0].name = made.observations[0].unit = name
    made.visibility.note = made.first_seen = name
    made.benign_checked[0].hypothesis = name
    return made


def hostile_flows() -> list[FlowRow]:
    """Return flows that are called so."""
    row = flow_rows()[0]
    return [
        FlowRow(**{**_fields(row), "serial": at + 1, "name": name, "state": name, "src": name, "packets_kept": 1})
        for at, name in enumerate(CORPUS)
    ]


def hostile_packets() -> list[PacketRow]:
    """Return packets that are called so, and whose bytes say it too."""
    row = packet_rows()[0]
    return [
        PacketRow(
            **{**_fields(row), "number": at + 1, "info": name, "protocol": name, "src": name, "flow": 1,
               "data": row.data[:12] + name.encode("utf-8", "surrogateescape")}
        )
        for at, name in enumerate(CORPUS)
    ]  # fmt: skip


def _fields(row: FlowRow | PacketRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__struct_fields__}
