"""The application: it composes screens and routes keys; what a key does lives with the screen it is for."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import platformdirs
from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.events import Event, Key, Print
from textual.screen import Screen

from mlxtop.session.protocol import Session
from mlxtop.tui import theme
from mlxtop.tui.screens.dashboard import Dashboard


class MlxtopApp(App[None]):
    """Shows `session`. `opened` is called once the first frame is on the screen."""

    TITLE = "mlxtop"
    CSS_PATH = "mlxtop.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS = [
        Binding("question_mark", "help", "help", show=True, key_display="?", tooltip="This help"),
        Binding("t", "next_theme", "Theme", show=False, tooltip="Dark or light"),
        Binding("p", "picture", "Picture", show=False, tooltip="Save a screenshot (SVG)"),
        Binding("ctrl+p", "command_palette", "Palette", show=False, tooltip="All commands by name", key_display="ctrl+p"),
        Binding("q", "quit", "quit", show=True, tooltip="Quit"),
        # Ctrl-C is Ctrl-C everywhere, in a line of text and over a dialog too.
        Binding("ctrl+c,ctrl+q", "quit", "Leave", show=False, priority=True, tooltip="Quit, from anywhere", key_display="ctrl+c"),
    ]  # fmt: skip

    def __init__(self, session: Session, opened: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.session = session
        self.dashboard = Dashboard(session)
        self._opened = opened
        self._leaving = False

    @property
    def crashed(self) -> bool:
        """Whether an exception ended the application."""
        return self.return_code == 1

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.defaults(self.current_theme.dark)

    def on_mount(self) -> None:
        self.register_theme(theme.DARK)
        self.register_theme(theme.LIGHT)
        self.theme = theme.DARK.name
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.exit, None, 128 + number)
        self.push_screen(self.dashboard)
        self.begin_capture_print(self)
        self.call_after_refresh(self._open)

    def _open(self) -> None:
        if self._opened is not None:
            self._opened()

    def on_print(self, event: Print) -> None:
        """What Python code prints while the screen is up; `tui.terminal` catches the rest."""
        for line in event.text.splitlines():
            if line.strip():
                self.session.transcript.write("log", line)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every key as a command, under the words of its help."""
        for owner, binding in self.all_keys():
            yield SystemCommand(
                binding.description.capitalize(), binding.tooltip, lambda o=owner, b=binding: self._run(o, b)
            )
        yield SystemCommand("Theme", "Choose among all themes", self.action_change_theme)

    def all_keys(self) -> list[tuple[App[None] | Dashboard, Binding]]:
        """All keys of the dashboard and the application, with whom they belong to."""
        pairs: list[tuple[App[None] | Dashboard, Binding]] = []
        for owner in (self.dashboard, self):
            pairs += [(owner, b) for b in owner.BINDINGS if isinstance(b, Binding)]
        return pairs

    def _run(self, owner: "App[None] | Dashboard", binding: Binding) -> None:
        self.run_worker(self.run_action(binding.action, owner))

    def action_help(self) -> None:
        from mlxtop.tui.screens.help import Help

        if not isinstance(self.screen, Help):
            self.push_screen(Help([binding for _, binding in self.all_keys()]))

    def action_next_theme(self) -> None:
        self.theme = theme.LIGHT.name if self.current_theme.dark else theme.DARK.name

    def action_picture(self) -> None:
        folder = Path(platformdirs.user_pictures_dir())
        name = time.strftime("mlxtop-%Y%m%d-%H%M%S.svg")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = self.save_screenshot(name, str(folder))
        except OSError as error:
            self.notify(
                f"The picture could not be saved in {folder}: {error.strerror}.",
                severity="error",
                markup=False,
            )
            return
        self.notify(f"Saved {path}", markup=False)

    async def action_quit(self) -> None:
        self._leaving = True
        self.exit()

    async def on_event(self, event: Event) -> None:
        if not isinstance(event, Key) or not await self._take_key(event):
            await super().on_event(event)

    async def _take_key(self, event: Key) -> bool:
        """Whether the key is dealt with.

        Over a slow line keys come in a bunch. After `q` the rest is nobody's; and the dashboard's keys act
        here and now, not when the screen's own queue comes to them, so that what follows `i` is text.
        """
        if self._leaving:
            return True
        if self.screen is not self.dashboard or self.focused is not None:
            return False
        active = self.dashboard.active_bindings.get(event.key)
        if active is None or not active.enabled:
            return False
        return await self.run_action(active.binding.action, active.node)
