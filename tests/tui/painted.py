"""Waiting for a screen: for what was asked of it to be done, never for a time."""

from textual.pilot import Pilot

from mlxtop.tui.app import MlxtopApp


async def idle(pilot: Pilot[None]) -> None:
    """Waits until all messages are handled and nothing moves any more."""
    await pilot.pause()
    await pilot.wait_for_animation()
    await pilot.pause()


async def painted(pilot: Pilot[None]) -> None:
    """Waits until the screen shows what is true now."""
    await idle(pilot)
    app = pilot.app
    (app.dashboard if isinstance(app, MlxtopApp) else app.shown).tick()  # type: ignore[attr-defined]
    await idle(pilot)
