"""Status, tabs, crumbs and footer."""

import pytest

from nettriage.model.health import CaptureHealth
from tests.tui.made import alert, update
from themes.loading import load
from tui.actions import ACTIONS
from tui.bars import crumb_line, footer_line, status_line, tab_line
from tui.lines import line_width, text_of
from tui.session import Session

GLYPHS = load("night").glyphs
TABS = [(name, f"{name} 11") for name in ("triage", "scan", "heat", "tunl", "flow", "pkts", "help")]


def _status(width: int = 120, now: float = 0.0, **more: object) -> str:
    session = Session("eth1")
    session.take(update([alert(1)], **more), 0.0)  # type: ignore[arg-type]
    return text_of(status_line(session, now, width, GLYPHS))


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_bars_fill_the_line_exactly(width: int) -> None:
    """No bar is longer than the screen, none leaves a hole."""
    assert len(_status(width)) == width
    assert (
        line_width(crumb_line(["Triage", "Vertical scan 10.1.7.31"], (("esc back ", "muted"),), width, GLYPHS)) == width
    )
    for context in ("triage", "why", "flows", "packets", "heat"):
        assert line_width(footer_line(context, width, {})) <= width


def test_drops_are_kept_apart_by_cause() -> None:
    """Ring, interface and own shedding each have their number."""
    assert "drops 0.03% (ring 820  nic 3  shed 400)" in _status(
        health=CaptureHealth(received=4_100_000, kernel_drops=820, nic_drops=3, shed=400)
    )


def test_missing_counters_are_never_a_calm_zero() -> None:
    """Where the kernel tells nothing, the status says so."""
    text = _status(health=CaptureHealth(received=10, kernel_drops=None, nic_drops=None))

    assert "drops n/a (ring n/a  nic n/a  shed 0)" in text


def test_narrow_screens_keep_badge_source_drops_and_clock() -> None:
    """What matters least goes first."""
    text = _status(60)

    for words in ("LIVE", "eth1", "drops", "14:02:11Z"):
        assert words in text
    assert "hosts" not in text


def test_flags_say_what_is_wrong_with_the_mirror() -> None:
    """One-way, duplicates, cut packets and merged packets are shown."""
    health = CaptureHealth(
        received=100, kernel_drops=0, one_way_share=0.9, duplicates=50, truncated=1, offload_suspect=1
    )

    assert "1-WAY DUP TRUNC GRO" in _status(200, health=health)


def test_badges_tell_the_states_apart() -> None:
    """No packets, stale and frozen are words, with how long."""
    assert "NO PACKETS" not in _status()
    assert "STALE 7s" in _status(now=7.0)
    session = Session("eth1")
    session.take(update([alert(1)]), 0.0)
    session.freeze(0.0)
    session.take(update([alert(2)], 2), 1.0)

    assert "FROZEN -00:42 · 1 new" in text_of(status_line(session, 42.0, 120, GLYPHS))


def test_replay_shows_how_far_it_is() -> None:
    """A file has a percentage."""
    session = Session("day.pcap")
    news = update([], kind="file")
    news.source.size_bytes, news.source.done_bytes = 200, 126
    session.take(news, 0.0)

    assert "REPLAY 63%" in text_of(status_line(session, 0.0, 120, GLYPHS))


def test_tabs_keep_their_digits() -> None:
    """Every screen's digit is shown even at 80 columns."""
    text = text_of(tab_line([(name, name) for name, _ in TABS], "heat", (("/ kind:scan", "accent"),), 80))

    assert [f"[{digit}]" in text for digit in range(1, 8)] == [True] * 7


def test_the_footer_always_has_help_and_quit() -> None:
    """However narrow, the way to the help and the way out are shown."""
    for context in {name for action in ACTIONS for name in action.shown_in} - {"dialog", "filter"}:
        text = text_of(footer_line(context, 60, {}))

        assert "? Help" in text
        assert "q Quit" in text
