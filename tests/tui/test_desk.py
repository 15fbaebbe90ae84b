"""Where panels stand at every size."""

import pytest
from textual.geometry import Size

from tui.desk import HEIGHT_MIN, WIDTH_MIN, plan

VIEWS = ("triage", "why", "scanners", "heat", "tunnels", "flows", "packets", "health")


@pytest.mark.parametrize("view", VIEWS)
def test_panels_tile_the_desk_at_every_size(view: str) -> None:
    """No cell is empty and none belongs to two panels, from the smallest screen to the largest."""
    for width in range(WIDTH_MIN, 210, 7):
        for height in range(HEIGHT_MIN - 3, 62, 3):
            regions = list(plan(view, None, Size(width, height)).values())

            assert sum(region.area for region in regions) == width * height
            assert all(not a.overlaps(b) for at, a in enumerate(regions) for b in regions[at + 1 :])


@pytest.mark.parametrize(("width", "height"), [(80, 21), (120, 37), (200, 57)])
def test_triage_shows_more_on_a_larger_screen(width: int, height: int) -> None:
    """List and detail always; map, scanners and tunnels beside them from 100 columns."""
    shown = set(plan("triage", None, Size(width, height)))

    assert {"alerts", "detail"} <= shown
    assert ({"heat", "scanners", "tunnels"} <= shown) == (width >= 100)


def test_zoom_gives_one_panel_everything() -> None:
    """A zoomed panel fills the desk."""
    assert plan("triage", "heat", Size(90, 30))["heat"].size == (90, 30)


def test_sixteen_bytes_fit_beside_the_decoded_packet() -> None:
    """At 120 columns the dump has its full line, at 80 half of it."""
    assert plan("packets", None, Size(120, 37))["bytes"].width == 77
    assert plan("packets", None, Size(80, 21))["bytes"].width == 44
