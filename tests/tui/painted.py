"""Waiting for a screen: for what was asked of it to be done, never for a time."""

import time
from collections.abc import Callable

from textual.pilot import Pilot

from mlxtop.tui.app import MlxtopApp

PATIENCE = 30.0
"""Seconds within which anything comes, on a loaded machine too."""


async def idle(pilot: Pilot[None]) -> None:
    """Waits until all messages are handled and nothing moves any more."""
    await pilot.pause()
    await pilot.wait_for_animation()
    await pilot.pause()


async def painted(pilot: Pilot[None]) -> None:
    """Waits until the screen shows what is true now, and looks the same when it is painted again."""
    before: object = None
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        await idle(pilot)
        app = pilot.app
        (app.dashboard if isinstance(app, MlxtopApp) else app.shown).tick()  # type: ignore[attr-defined]
        await pilot.pause()
        picture = app.screen._compositor.render_strips()
        if picture == before:
            return
        before = picture
    raise AssertionError("the screen never stands still")


async def until(pilot: Pilot[None], what: Callable[[], object]) -> None:
    """Waits for what a timer of the screen brings."""
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        await idle(pilot)
