"""The language of the filter bar."""

from contextlib import suppress

import pytest

from nettriage.model.alert import Party
from tests.tui.made import alert, relay
from tui.figures import seconds_of
from tui.filter_language import LENGTH_MAX, FilterError, parse

NOW = seconds_of("2026-03-04T14:02:22.000000Z")
SCAN = alert(142, subject=Party(ip="10.1.7.31", name="wks-31"))


@pytest.mark.parametrize(
    "text",
    ["", "masscan", "MASSCAN", "wks-31", "kind:scan", "kind:tunnel,scan", "sev:high", "sev:crit,hi", "sev>=medium",
     "sev<critical", "score>=93", "score<94", "src:10.1.0.0/16", "src:10.1.7.", "src:wks", "dst:10.1.9.5",
     "host:10.1.9.0/24", "port:445", "port:1-100", "port:9,22", "state:new", "age<10m", "age>1s", "!kind:dns",
     "kind:scan src:10.0.0.0/8 !port:53", 'kind:vertical "1,024 ports"',
     "score!=5", "src=10.1.7.31"],
)  # fmt: skip
def test_terms_that_hold(text: str) -> None:
    """Each of these describes the vertical scan."""
    assert parse(text).matches(SCAN, NOW)


@pytest.mark.parametrize(
    "text",
    ["nowhere", "kind:dns", "sev:low", "sev>high", "score>93", "src:10.1.9.5", "src:2001:db8::/32", "dst:10.1.7.31",
     "host:192.0.2.1", "port:53", "port:1000-2000", "state:open", "age>10m", "!kind:scan", "kind:scan port:53",
     '"1,024 hosts"'],
)  # fmt: skip
def test_terms_that_do_not_hold(text: str) -> None:
    """Each of these describes something else."""
    assert not parse(text).matches(SCAN, NOW)


def test_a_path_is_found_by_any_host_on_it() -> None:
    """host: looks at subject, targets and the way; dst: at everything behind the first host."""
    assert parse("host:10.1.4.22").matches(relay(), NOW)
    assert parse("dst:203.0.113.9").matches(relay(), NOW)
    assert not parse("dst:10.1.4.22").matches(relay(), NOW)


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("knd:scan", 0, "did you mean kind"), ("kind:scan port:x", 15, "numbers"), ("port:99999", 5, "65535"),
        ("port:9-2", 5, "65535"), ("sev:h,zzz", 4, "severities are"), ("score>=many", 7, "number"),
        ("age<soon", 4, "number"), ("age<m", 4, "number"), ("src:10.0.0.0/99", 4, "network"),
        ("kind>scan", 5, "no order"), ("a !", 2, "needs a term"), ("src:", 0, "needs a value"), ('x "y', 2, "quote"),
        ("state:odd", 6, "states are"), ("x" * (LENGTH_MAX + 1), LENGTH_MAX, "most"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_marked(text: str, at: int, says: str) -> None:
    """An error names the fault and where it begins."""
    with pytest.raises(FilterError, match=says) as caught:
        parse(text)

    assert caught.value.at == at
    assert caught.value.length >= 1


def test_hostile_filters_are_words_or_errors() -> None:
    """Nothing that can be typed or pasted raises anything but FilterError."""
    for text in ("\x1b[2J", "src:\udc9b", "((((", "!!!!x", "score>=1e999", "port:٣", "age<nan", "[@click=x]", ":" * 50):
        with suppress(FilterError):
            parse(text).matches(SCAN, None)
