"""Pictures of the screens, as SVG, made without a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tui.app import NettriageApp
from tui.session import Session

PAUSE_S = 0.05


async def save_screenshot(
    app: NettriageApp, path: Path, *, width: int = 120, height: int = 40, ready: Callable[[Session], bool],
    keys: tuple[str, ...] = (), patience_s: float = 60.0,
) -> None:  # fmt: skip
    """Run `app` without a terminal until `ready` says that its session has what is wanted, and write the picture.

    `keys` are pressed before it is taken. Raises TimeoutError where the session is not ready in time.
    """
    async with app.run_test(size=(width, height)) as pilot:
        for _ in range(round(patience_s / PAUSE_S)):
            if ready(app.session):
                break
            await pilot.pause(PAUSE_S)
        else:
            raise TimeoutError(f"nothing to take a picture of after {patience_s:.0f} s")
        await pilot.press(*keys)
        await pilot.pause(PAUSE_S)
        path.write_text(app.export_screenshot(title="nettriage"), encoding="utf-8")
