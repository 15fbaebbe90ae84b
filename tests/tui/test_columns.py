"""Which columns a width has room for."""

import pytest

from tui.columns import header, plan
from tui.lines import line_width
from tui.tables import ALERT_COLUMNS, FLOW_COLUMNS, PACKET_COLUMNS, SCANNER_COLUMNS

TABLES = {"alerts": ALERT_COLUMNS, "scanners": SCANNER_COLUMNS, "flows": FLOW_COLUMNS, "packets": PACKET_COLUMNS}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("width", [75, 100, 115, 150, 195])
def test_a_plan_fills_the_width(name: str, width: int) -> None:
    """Shown columns and gaps take exactly the width that there is, unless the one that stretches found no room."""
    columns = TABLES[name]

    planned = plan(columns, width)
    stretches = any(columns[at].stretch for at, _ in planned)
    cells = line_width(header(columns, planned))

    assert cells == width if stretches else cells <= width


@pytest.mark.parametrize("name", TABLES)
def test_what_matters_most_is_never_hidden(name: str) -> None:
    """Columns of priority 1 are shown at any width."""
    columns = TABLES[name]
    always = {at for at, column in enumerate(columns) if column.priority == 1}

    for width in range(10, 200):
        assert always <= {at for at, _ in plan(columns, width)}


def test_wider_never_shows_less() -> None:
    """Growing the window never hides a column."""
    shown = [len(plan(ALERT_COLUMNS, width)) for width in range(40, 200)]

    assert shown == sorted(shown)


def test_the_path_keeps_thirty_cells_before_anything_else_gets_room() -> None:
    """At 80 columns the spark goes before the path shrinks."""
    planned = dict(plan(ALERT_COLUMNS, 75))

    assert planned[3] >= 30
    assert 7 not in planned
