"""Tests of what is worth a line of output."""

from __future__ import annotations

from copy import deepcopy

import pytest

from nettriage.engine.novelty import Novelty, rung
from nettriage.model.alert import Alert, Findings, Party, Pivots, Timeline


def alert(**fields: object) -> Alert:
    """Return a record with some fields set."""
    made = Alert(
        id="a1", kind="k", title="", severity="medium", score=50, confidence=1, first_seen="", last_seen="",
        detected_at="", subject=Party(ip="10.0.0.1"), reason="", timeline=Timeline(t0="", step_s=1, counts=[]),
        pivots=Pivots(bpf="", wireshark=""),
    )  # fmt: skip
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("count", "rungs"), [(0, 0), (1, 1), (2, 1), (3, 2), (9, 2), (10, 3), (29, 3), (30, 4), (1000, 7)]
)
def test_rungs_grow_by_about_three(count: int, rungs: int) -> None:
    """Rungs stand at 1, 3, 10, 30, 100 and so on."""
    assert rung(count) == rungs


@pytest.mark.parametrize(
    ("fields", "news"),
    [
        ({"count": 9}, True),
        ({"count": 2}, False),
        ({"severity": "high"}, True),
        ({"severity": "low"}, False),
        ({"object_count": 3}, True),
        ({"findings": Findings(open_count=1)}, True),
        ({"status": "resolved"}, True),
        ({"last_seen": "later", "reason": "other words"}, False),
    ],
)
def test_only_material_changes_are_news(fields: dict[str, object], news: bool) -> None:
    """A new rung, a higher severity, a find or the end is said; a mere repetition is not."""
    novelty = Novelty()
    assert novelty.is_news(alert())

    changed = alert(**fields)

    assert novelty.is_news(changed) is news
    assert novelty.is_news(deepcopy(changed)) is False
