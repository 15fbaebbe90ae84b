"""What an operator does at the screens, key by key."""

from pathlib import Path

import msgspec
import pytest

from nettriage.model.alert import Alert
from nettriage.model.frames import AskFlows, AskPackets, Failed, Finished, Stop
from nettriage.model.health import CaptureHealth
from nettriage.model.snapshot import Snapshot
from tests.tui.made import alert, update
from tests.tui.running import running


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
async def test_triage_shows_incidents_worst_first_and_explains_the_first(
    tmp_path: Path, width: int, height: int
) -> None:
    """The list and the explanation of its first row are there at every size."""
    async with running(tmp_path, width, height) as run:
        rows = run.text("alerts").splitlines()

        assert "CRIT Relay" in rows[1]
        assert "10.1.4.22 → 10.1.9.5 → 203.0.113" in rows[1]
        assert "passes the bytes" in run.text("detail")
        assert (run.screen.query_one("#heat").display) == (width >= 100)


async def test_the_way_down_and_back(tmp_path: Path) -> None:
    """Enter leads from an incident over its reasons and flows to a packet's bytes; escape leads back."""
    async with running(tmp_path) as run:
        await run.press("j", "enter")
        assert "Vertical scan 10.1.7.31" in run.text("tabs")
        await run.press("enter")
        await run.until(lambda: "10.1.9.5:8080" in run.text("flows"))
        await run.press("j", "enter")
        await run.until(lambda: "DNS ? example.net" in run.text("packets"))
        await run.until(lambda: "Ethernet" in run.text("layers"))
        crumbs, dump = run.text("tabs"), run.text("bytes")
        await run.press("escape", "escape", "escape")
        back = run.text("tabs")

    assert "Triage › Vertical scan 10.1.7.31 › Flows 8 of 11 › Packets" in crumbs
    assert dump.startswith("0000  02 00")
    assert "[1]Triage" in back
    assert [type(each) for each in run.sensor.heard] == [AskFlows, AskPackets, Stop]


async def test_a_field_of_the_tree_marks_its_bytes(tmp_path: Path) -> None:
    """The decoded tree and the dump are linked."""
    async with running(tmp_path) as run:
        await run.press("6")
        await run.until(lambda: "Ethernet" in run.text("layers"))
        await run.press("enter", "j")
        dump = run.screen.query_one("#bytes").render_line(0)
        accent = run.app.palette.style("accent")
        marked = [segment.text for segment in dump if segment.style is not None and segment.style.color == accent.color]

    assert "".join(marked) == " 02 00 0a 01 09 05......"


async def test_without_the_dissector_the_bytes_are_still_there(tmp_path: Path) -> None:
    """A dissector that is too slow is named; the dump does not need it."""
    async with running(tmp_path) as run:
        run.app.dissector = type(run.app.dissector)("false")
        await run.press("6")
        await run.until(lambda: "dissector did not start" in run.text("layers"))

        assert run.text("bytes").startswith("0000  02 00")


async def test_neighbours_stay_in_sight(tmp_path: Path) -> None:
    """Below an incident its neighbours can be flipped through without going back."""
    async with running(tmp_path, 80, 24) as run:
        await run.press("enter", "j")

        assert "Vertical scan" in run.text("detail")
        assert len(run.text("alerts").splitlines()) == 4


async def test_a_filter_narrows_while_it_is_typed(tmp_path: Path) -> None:
    """Valid filters work at once, invalid ones are marked and change nothing, escape restores, enter keeps."""
    async with running(tmp_path) as run:
        await run.press("slash", *"kind:tunnel")
        assert run.screen.session.ranking.ids == ["A-0120", "A-0125"]
        assert "2/11" in run.text("filter-says")
        await run.press("space", *"port:x")
        assert "^ ports are numbers" in run.text("filter-says")
        assert run.screen.alerts.row_count == 2
        await run.press("escape")
        assert run.screen.alerts.row_count == 11
        await run.press("slash", *"sev:crit", "enter")
        assert run.screen.alerts.row_count == 1
        assert "/ sev:crit  1/11" in run.text("tabs")
        await run.press("escape")
        assert run.screen.alerts.row_count == 11


async def test_a_filter_that_hides_everything_says_so(tmp_path: Path) -> None:
    """An empty list explains itself."""
    async with running(tmp_path) as run:
        await run.press("slash", *"nothing", "enter")

        assert "0 of 11 match 'nothing'; esc clears" in run.text("alerts")


async def test_letters_typed_into_the_filter_are_letters(tmp_path: Path) -> None:
    """q, p and e do not quit, freeze or export while a filter is typed."""
    async with running(tmp_path) as run:
        await run.press("slash", "q", "p", "e", "1", "question_mark")

        assert run.screen.session.frozen is None
        assert run.app.is_running
        assert len(run.app.screen_stack) == 1


async def test_a_frozen_view_stands_still_while_capture_goes_on(tmp_path: Path) -> None:
    """Frozen, the list does not change, and the badge counts what is new; resumed, everything is there."""
    async with running(tmp_path) as run:
        await run.press("p")
        frozen = run.text("alerts")
        run.sensor.say(update([alert(7, score=99, severity="critical")], 2))
        await run.until(lambda: run.screen.session.new_behind == 1)
        badge, still = run.text("status"), run.text("alerts")
        run.clock[0] += 5
        await run.press("p")
        await run.until(lambda: run.screen.alerts.row_count == 12)

    assert "FROZEN -00:00 · 1 new" in badge
    assert still == frozen


async def test_the_cursor_stays_with_its_incident(tmp_path: Path) -> None:
    """When rows change places, the cursor goes with the row that it stood on."""
    async with running(tmp_path) as run:
        await run.press("j", "j")
        before = run.screen.alerts.cursor_key
        run.clock[0] += 10
        run.sensor.say(update([alert(7, score=100, severity="critical")], 2))
        await run.until(lambda: run.screen.session.ranking.ids[0] == "A-0007")
        await run.pilot.pause()

        assert run.screen.alerts.cursor_key == before
        assert run.screen.alerts.cursor_row == 3


async def test_untouched_the_worst_is_explained(tmp_path: Path) -> None:
    """Until a key is pressed the cursor stands on the first row, so that the detail explains the worst incident."""
    async with running(tmp_path) as run:
        run.clock[0] += 10
        run.sensor.say(update([alert(7, score=100, severity="critical")], 2))
        await run.until(lambda: run.screen.session.ranking.ids[0] == "A-0007")
        await run.pilot.pause()

        assert run.screen.alerts.cursor_key == "A-0007"
        assert "#A-0007" in str(run.screen.query_one("#detail").border_subtitle)


async def test_rows_do_not_move_just_after_a_key(tmp_path: Path) -> None:
    """What is new waits at the end, counted, until the operator pauses."""
    async with running(tmp_path) as run:
        await run.press("j")
        run.sensor.say(update([alert(7, score=100, severity="critical")], 2))
        await run.until(lambda: run.screen.alerts.row_count == 12)

        assert run.screen.session.ranking.ids[-1] == "A-0007"
        assert "1 new below" in str(run.screen.alerts.border_subtitle)


async def test_follow_keeps_to_the_newest(tmp_path: Path) -> None:
    """Following, the cursor goes to what was raised last; a move ends it."""
    async with running(tmp_path) as run:
        await run.press("f")
        run.sensor.say(update([alert(7, detected_at="2026-03-04T14:02:00.000000Z", score=1, severity="info")], 2))
        await run.until(lambda: run.screen.alerts.cursor_key == "A-0007")
        await run.press("k")
        run.sensor.say(update([alert(8, detected_at="2026-03-04T14:03:00.000000Z")], 3))
        await run.until(lambda: run.screen.alerts.row_count == 13)

        assert run.screen.alerts.cursor_key not in ("A-0007", "A-0008")


@pytest.mark.parametrize(("keys", "kind"), [(("e", "enter"), Alert), (("e", "j", "enter"), Snapshot)])
async def test_export_writes_a_record_and_shows_its_path(
    tmp_path: Path, keys: tuple[str, ...], kind: type[Alert] | type[Snapshot]
) -> None:
    """One incident, or everything, as JSON of its schema, readable by its owner only."""
    async with running(tmp_path) as run:
        await run.press(*keys)
        await run.until(lambda: bool(run.app.exported))
        (path,) = tmp_path.iterdir()
        ending = run.app.ending()

    assert run.app.exported == [str(path)]
    assert str(path) in ending.summary
    assert path.stat().st_mode & 0o777 == 0o600
    assert msgspec.json.decode(path.read_bytes(), type=kind).schema.startswith("nettriage.")


async def test_an_export_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A missing folder is a message, not a crash."""
    async with running(tmp_path / "missing") as run:
        await run.press("e", "enter")
        await run.until(lambda: any("not exported" in note.message for note in run.app._notifications))


async def test_help_opens_and_closes(tmp_path: Path) -> None:
    """The help lists the keys; escape and its own key close it."""
    async with running(tmp_path) as run:
        for closing in ("escape", "question_mark", "q"):
            await run.press("question_mark")
            assert "go deeper" in run.text("box-lines")
            await run.press(closing)
            assert len(run.app.screen_stack) == 1


async def test_every_screen_has_its_digit(tmp_path: Path) -> None:
    """Digits lead to the screens, and one leads back."""
    async with running(tmp_path, 80, 24) as run:
        for digit, panel in zip("234567", ("scanners", "heat", "tunnels", "flows", "packets", "health"), strict=True):
            await run.press(digit)
            assert run.screen.query_one(f"#{panel}").display, panel
        await run.press("1")
        assert run.screen.query_one("#alerts").display
        assert not run.screen.query_one("#health").display


async def test_the_map_says_exactly_what_is_under_the_cursor(tmp_path: Path) -> None:
    """The crosshair names source, bin and numbers; enter goes to the source's incident."""
    async with running(tmp_path) as run:
        await run.press("3", "right")
        subtitle = str(run.screen.query_one("#heat").border_subtitle)
        await run.press("enter")

        assert "10.1.7.31 × 22: 64 contacts · source: 612 hosts, 98% fail, 9 open" in subtitle
        assert "10.1.7.31" in run.text("tabs")


async def test_scanners_without_an_incident_say_so(tmp_path: Path) -> None:
    """A source below the thresholds leads nowhere, and that is told."""
    async with running(tmp_path) as run:
        await run.press("2", "G", "enter")

        assert any("below the thresholds" in note.message for note in run.app._notifications)


async def test_v_turns_scanners_and_map_to_victims_and_back(tmp_path: Path) -> None:
    """The table and the map show the targets that were tried, estimates marked, and the sources again."""
    async with running(tmp_path) as run:
        await run.press("2", "v")
        table = run.text("scanners")
        await run.press("3")
        heat = run.text("heat")
        await run.press("2", "v")

        assert "10.1.9.77" in table
        assert "~570" in table
        assert "10.1.9.77" in heat
        assert "10.1.6.40" not in heat
        assert "10.1.6.40" in run.text("scanners")


async def test_a_victim_leads_to_who_tried_it(tmp_path: Path) -> None:
    """Enter on a target opens the first incident that names it."""
    async with running(tmp_path) as run:
        await run.press("2", "v", "enter")

        assert run.screen.drill.view == "why"
        assert "10.1.9.5" in {party.ip for party in run.screen.alert.objects}


async def test_tab_goes_round_the_panels_and_zoom_shows_one(tmp_path: Path) -> None:
    """Tab moves the focus; z gives the focused panel everything, and takes it back."""
    async with running(tmp_path) as run:
        order = []
        for _ in range(5):
            order.append(run.app.focused.id if run.app.focused else None)
            await run.press("tab")
        await run.press("tab", "z")
        zoomed = {panel.id for panel in run.screen.query_one("#desk").children if panel.display}
        await run.press("escape")
        everything = {panel.id for panel in run.screen.query_one("#desk").children if panel.display}

    assert order == ["alerts", "detail", "heat", "scanners", "tunnels"]
    assert zoomed == {"detail"}
    assert len(everything) == 5


async def test_sorting_turns_the_list(tmp_path: Path) -> None:
    """S and S change the order at once, and the border says which it is."""
    async with running(tmp_path) as run:
        await run.press("S")
        assert run.screen.session.ranking.ids[-1] == "A-0090"
        assert "sort score ↑" in str(run.screen.alerts.border_subtitle)
        await run.press("s")
        assert "sort age ↓" in str(run.screen.alerts.border_subtitle)


async def test_a_terminal_too_small_says_what_it_needs(tmp_path: Path) -> None:
    """Below the least size one line says so; made larger, everything is back."""
    async with running(tmp_path, 59, 20) as run:
        assert run.screen.query_one("#too-small").display
        await run.pilot.resize_terminal(60, 16)
        await run.pilot.pause(0.2)
        assert not run.screen.query_one("#too-small").display
        assert "Relay" in run.text("alerts")


async def test_themes_change_while_it_runs(tmp_path: Path) -> None:
    """T draws everything in the next theme."""
    async with running(tmp_path) as run:
        await run.press("T")
        styles = [segment.style for segment in run.screen.alerts.render_line(1)]

        assert run.app.palette.key != "night"
        assert all(style is None or style.color is None or style.color.is_default for style in styles)


async def test_leaving_a_capture_takes_two_presses(tmp_path: Path) -> None:
    """The first q asks and counts what was not exported; the second stops the sensor and does not call it lost."""
    async with running(tmp_path) as run:
        await run.press("q")
        assert run.app.is_running
        assert any("11 incidents not exported" in note.message for note in run.app._notifications)
        await run.pilot.press("q")

    assert run.app.ending().exit_code == 0
    assert "without a word" not in run.app.ending().summary
    assert any(isinstance(each, Stop) for each in run.sensor.heard)


async def test_a_failure_before_the_first_packet_ends_the_screens(tmp_path: Path) -> None:
    """Exit code and message are the sensor's."""
    async with running(tmp_path, busy=False) as run:
        run.sensor.send(Failed(message="no such interface: eht1", exit_code=4))
        await run.until(lambda: not run.app.is_running)

    assert run.app.ending() == (4, "incidents: none\nno such interface: eht1")


async def test_a_failure_later_keeps_what_was_seen(tmp_path: Path) -> None:
    """The interface goes away: the incidents stay to be read, and the exit code is the sensor's."""
    async with running(tmp_path) as run:
        run.sensor.say(Failed(message="eth1 went away", exit_code=4))
        await run.until(lambda: "FAILED" in run.text("status"))
        assert run.screen.alerts.row_count == 11
        await run.pilot.press("q")

    assert run.app.ending().exit_code == 4
    assert "eth1 went away" in run.app.ending().summary


async def test_a_finished_file_stays_open(tmp_path: Path) -> None:
    """At the end of a file the screens stay, and leaving passes on the exit code."""
    async with running(tmp_path) as run:
        run.sensor.say(Finished(exit_code=5, message="day.pcap: cut at byte 4711"))
        await run.until(lambda: "FINISHED" in run.text("status"))
        await run.pilot.press("q")

    assert run.app.ending().exit_code == 5


async def test_a_sensor_that_dies_is_missed(tmp_path: Path) -> None:
    """The link closes without a word: the badge says so, the data stay."""
    async with running(tmp_path) as run:
        assert run.sensor._writer is not None
        run.sensor._writer.close()
        await run.until(lambda: "SENSOR LOST" in run.text("status"))

        assert run.screen.alerts.row_count == 11


async def test_an_empty_list_shows_that_something_is_watched(tmp_path: Path) -> None:
    """Before the first incident the list proves that packets arrive; without packets it says what to look at."""
    async with running(tmp_path, busy=False) as run:
        await run.until(lambda: "Waiting for eth1" in run.text("alerts"))
        quiet = CaptureHealth(received=4_100_000, kernel_drops=0, nic_drops=0)
        run.sensor.send(update([], health=quiet))
        await run.until(lambda: "No incidents yet" in run.text("alerts"))
        assert "4.1M packets, 1,904 hosts" in run.text("alerts")
        run.clock[0] += 11
        run.sensor.say(update([], 2, health=quiet))
        await run.until(lambda: "NO PACKETS 11s" in run.text("status"))
        await run.until(lambda: "is the mirror session on" in run.text("alerts"))


async def test_only_changed_lines_are_drawn(tmp_path: Path) -> None:
    """An update that changes one incident draws one line of the list, none of the map."""
    async with running(tmp_path) as run:
        drawn: list[tuple[str | None, int]] = []
        for panel in (run.screen.alerts, run.screen.query_one("#heat")):
            original = panel.render_line

            def counted(y: int, panel: object = panel, original: object = original) -> object:
                drawn.append((panel.id, y))  # type: ignore[attr-defined]
                return original(y)  # type: ignore[operator]

            panel.render_line = counted  # type: ignore[method-assign, assignment]
        run.sensor.say(update([alert(142, count=2000)], 2))
        await run.until(lambda: run.screen.session.latest is not None and run.screen.session.latest.seq == 2)
        await run.pilot.pause(0.1)

        assert set(drawn) == {("alerts", 2)}
