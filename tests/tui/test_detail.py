"""The lines that explain an incident."""

import pytest

from nettriage.model.alert import SEVERITIES, Visibility
from tests.tui.hostile import hostile_alerts
from tests.tui.made import alert, busy_alerts, relay
from themes.loading import load
from tui.detail import detail_lines
from tui.lines import line_width, text_of
from tui.paths import leg_lines, tunnel_lines
from tui.tables import alert_cells

GLYPHS = load("night").glyphs


def _text(width: int = 78, **more: object) -> str:
    return "\n".join(map(text_of, detail_lines(alert(142, **more), width, GLYPHS)))


@pytest.mark.parametrize("width", [20, 38, 58, 76, 116])
def test_no_line_is_longer_than_the_panel(width: int) -> None:
    """Long texts wrap; nothing is cut off at the side, whatever the incident says."""
    for made in [*busy_alerts(), *hostile_alerts()]:
        assert max(map(line_width, detail_lines(made, width, GLYPHS))) <= width


def test_everything_known_is_said() -> None:
    """Reasons, findings, what was tried, what to do, filters and evidence all have their lines."""
    text = _text()

    for words in (
        "tried 1,024 ports", "distinct ports", "100   10.2×", "would not alert if", "open 4: 22 80 445 8080!",
        "closed 812", "opened 10.1.9.5:445", "masscan", "approved scanner? No:", "loss 0.02%",
        "is 10.1.7.31 an approved", "tcp.flags.syn == 1", "tcp-syn", "1:wCb3OG7yAFWelaUydu0D+125CLM=",
        "12 packets kept", "PT-CR-327", "T1046",
    ):  # fmt: skip
        assert words in text.replace("\n           ", " "), words


def test_filters_wrap_and_stay_whole() -> None:
    """A filter in a narrow panel can still be read to its end."""
    made = alert(142)
    text = "".join(text_of(row)[11:].strip() for row in detail_lines(made, 40, GLYPHS))

    assert made.pivots.wireshark.replace(" ", "") in text.replace(" ", "")


def test_unknown_visibility_is_not_called_good() -> None:
    """A missing counter reads n/a, a measured loss is a warning."""
    assert "loss n/a one way n/a" in _text(visibility=Visibility())
    rows = detail_lines(alert(1, visibility=Visibility(loss=0.2)), 78, GLYPHS)

    assert any("loss 20%" in text and role == "warn" for row in rows for text, role in row)


def test_severity_is_a_word_and_a_mark() -> None:
    """Colour is never the only carrier of severity."""
    words = {name: alert_cells(alert(1, severity=name), None, GLYPHS)[1][0][0] for name in SEVERITIES}

    assert len(set(words.values())) == len(SEVERITIES)
    assert all(mark.split()[1].isalpha() for mark in words.values())


def test_a_relay_shows_its_way_and_twin_legs() -> None:
    """The relaying host stands in brackets; bars of the same bytes have the same length."""
    way, first, second = leg_lines(relay(), 110, GLYPHS)

    assert "10.1.4.22 ─ssh:22→ [10.1.9.5] ─tcp:4444→ 203.0.113.9" in text_of(way)
    assert text_of(first).count("█") == text_of(second).count("█") > 5
    assert "ratio 0.99  lag 12 ms" in text_of(second)


def test_a_reverse_leg_has_its_own_arrow() -> None:
    """A leg that was opened from behind is drawn as such."""
    made = relay()
    made.legs[1].src, made.legs[1].dst = "203.0.113.9", "10.1.9.5"

    assert "⇢ 203.0.113.9" in text_of(leg_lines(made, 110, GLYPHS)[0])


@pytest.mark.parametrize("width", [38, 56, 78, 116])
def test_tunnels_list_only_paths(width: int) -> None:
    """Scans are no tunnels; every line belongs to the incident whose key stands beside it, and fits."""
    lines, keys = tunnel_lines(busy_alerts(), width, GLYPHS, None)

    assert list(dict.fromkeys(keys)) == ["A-0090", "A-0120", "A-0125", "A-0101"]
    assert len(lines) == len(keys)
    assert max(map(line_width, lines)) <= width


def test_a_way_too_long_for_the_panel_is_shortened_to_its_ports() -> None:
    """Where protocol names do not fit, ports stay on the arrows, and the last host is not cut."""
    lines, _ = tunnel_lines([relay()], 52, GLYPHS, None)

    assert text_of(lines[1]).strip() == "10.1.4.22 ─22→ [10.1.9.5] ─4444→ 203.0.113.9"


def test_context_without_a_limit_is_no_reason() -> None:
    """An observation without a threshold is shown as context, and nothing is divided by it."""
    made = alert(1)
    made.observations[0].threshold = 0

    assert any("context" in text_of(row) for row in detail_lines(made, 58, GLYPHS))
