"""The application of one tab of a browser."""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from rich.console import Console
from textual.binding import Binding
from textual.events import Key
from textual.screen import Screen

from mlxtop.sessions.session import Fleet, Session
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.screens.dashboard import CHANGING, Dashboard
from mlxtop.web.driver import BrowserDriver
from mlxtop.web.read_only import ReadOnlyFleet, read_only

REFUSED = "This view is read-only: to change something from the browser, start mlxtop with --web-control."
CHANGES = frozenset(
    key
    for binding in Dashboard.BINDINGS
    if isinstance(binding, Binding) and binding.action.partition("(")[0] in CHANGING
    for key in binding.key.split(",")
)
"""The dashboard's keys that change something. A read-only session hides them."""


@dataclass(frozen=True, slots=True)
class View:
    """What a tab shows: one session, a fleet, or the screen `first`. See `MlxtopApp`."""

    session: Session | None = None
    fleet: Fleet | None = None
    first: Screen[None] | None = None
    alone: bool = True
    own: bool = False
    """Whether all of it is this tab's own, as of a recording: then there is nothing to protect."""
    close: Callable[[], None] = lambda: None
    """Called when the tab has ended."""


class BrowserApp(MlxtopApp):
    """Shows a view in one tab. It shares its process with the programs' sessions and with other tabs, and
    leaves what belongs to all of them alone: signals, the garbage collector, standard output.

    Without `control` its sessions carry out no command.
    """

    def __init__(self, view: View, control: bool) -> None:
        self._read_only = not (control or view.own)
        view = self._protected(view) if self._read_only else view
        super().__init__(view.session, fleet=view.fleet, alone=view.alone, first=view.first)
        self.driver_class = BrowserDriver
        # What the host's terminal can show says nothing about a browser.
        self.console = Console(
            file=self.console.file,
            color_system="truecolor",
            force_terminal=True,
            highlight=False,
            emoji=False,
            legacy_windows=False,
            safe_box=False,
        )
        # Textual redirects both to each application while it runs. Tabs would put them back in a wrong order.
        self._capture_stdout, self._capture_stderr = cast(Any, sys.stdout), cast(Any, sys.stderr)
        self.pending: list[str] = []
        """What is drawn and not sent yet."""
        self.drawn = asyncio.Event()
        self.offered: Callable[[str, bytes], None] = lambda name, content: None
        """Offers a file to the browser, by its name and content."""
        self.shown_elsewhere: Callable[[Session], bool] = lambda session: False
        """Whether another tab shows a session."""

    def _protected(self, view: View) -> View:
        session, fleet = view.session, view.fleet
        return replace(
            view,
            session=None if session is None else read_only(session, self._refuse),
            fleet=None if fleet is None else ReadOnlyFleet(fleet, self._refuse),
        )

    def _refuse(self) -> None:
        self.clear_notifications()
        self.notify(REFUSED, severity="warning", markup=False)

    @property
    def driver(self) -> BrowserDriver | None:
        """What the tab is drawn by, once it is drawn."""
        return self._driver if isinstance(self._driver, BrowserDriver) else None

    def draw(self, data: str) -> None:
        """Has `data` sent to the browser."""
        self.pending.append(data)
        self.drawn.set()

    def claim_process(self) -> None:
        pass

    def settle(self) -> None:
        pass

    async def take_key(self, event: Key) -> bool:
        hidden = isinstance(self.screen, Dashboard) and event.key in CHANGES and self.focused is None
        if self._read_only and hidden:
            self._refuse()
            return True
        return await super().take_key(event)

    def action_picture(self) -> None:
        """Offers a screenshot to the browser, which saves it where the person is."""
        self.offered(time.strftime("mlxtop-%Y%m%d-%H%M%S.svg"), self.export_screenshot().encode())

    def release(self, session: Session) -> None:
        if not self.shown_elsewhere(session):
            super().release(session)

    def shows(self, session: Session) -> bool:
        return any(one.session is session for one in self.screen_stack if isinstance(one, Dashboard))

    def leave(self) -> None:
        """Releases the session that the tab showed when it was closed."""
        for screen in self.screen_stack:
            if isinstance(screen, Dashboard):
                self.release(screen.session)
