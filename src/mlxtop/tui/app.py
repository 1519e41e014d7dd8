"""The application: opens screens and routes keys to them. Each screen defines what its keys do."""

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from rich.console import RenderableType
from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.events import Key, Print
from textual.screen import Screen

from mlxtop.core.commands import SetControl
from mlxtop.core.files import OutputError, put
from mlxtop.sessions.session import Fleet, Session
from mlxtop.tui import theme
from mlxtop.tui.screens.dashboard import Dashboard
from mlxtop.tui.screens.dialogs import Choice, LeaveDialog
from mlxtop.tui.terminal import TerminalDriver
from mlxtop.tui.textual_compat import KeysFirstApp

if TYPE_CHECKING:
    from mlxtop.tui.screens.fleet import FleetScreen

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OPEN_EVERY = 0.2
"""Seconds between two checks how many members a fleet has."""
Owner = App[None] | Screen[object] | Screen[None]
Ask = Callable[[], tuple[str, Sequence[Choice]] | None]


class MlxtopApp(KeysFirstApp):
    """Shows one session, a fleet of sessions, or the screen `first`. A fleet's only member gets the dashboard.

    `opened` is called once the first frame is on the screen. `ask` returns the question before leaving, or
    `None`; the answer is in `answer`. `signalled` is called for signals in place of the application's handler.
    """

    TITLE = "mlxtop"
    CSS_PATH = Path(__file__).with_name("mlxtop.tcss")
    ENABLE_COMMAND_PALETTE = True
    BINDINGS = [
        Binding("question_mark", "help", "help", show=True, key_display="?", tooltip="Show this help"),
        Binding("t", "next_theme", "Theme", show=False, tooltip="Switch between dark and light"),
        Binding("p", "picture", "Picture", show=False, tooltip="Save a screenshot (SVG)"),
        Binding("ctrl+p", "command_palette", "Palette", show=False, tooltip="Find a command by name", key_display="ctrl+p"),
        Binding("q", "quit", "quit", show=True, tooltip="Quit"),
        # Ctrl-C quits everywhere, also from a text field and a dialog.
        Binding("ctrl+c,ctrl+q", "quit", "Leave", show=False, priority=True, tooltip="Quit, also from a text field", key_display="ctrl+c"),
    ]  # fmt: skip

    def __init__(
        self,
        session: Session | None = None,
        opened: Callable[[], None] | None = None,
        fleet: Fleet | None = None,
        ask: Ask | None = None,
        signalled: Callable[[int], None] | None = None,
        alone: bool = True,
        first: Screen[None] | None = None,
    ) -> None:
        super().__init__(driver_class=TerminalDriver)
        self.register_theme(theme.DARK)
        self.register_theme(theme.LIGHT)
        # Here, before the first styles are made: a change of it makes all of them anew.
        self.theme = theme.DARK.name
        self.fleet = fleet
        self.answer: str | None = None
        self.last_word: str | None = None
        """Why the application ended, in one sentence to print on the terminal; `None` after a normal end."""
        self._session = session
        self._opened = opened
        self._ask = ask
        self._signalled = signalled
        self._first = first
        self._alone = alone
        """Whether a fleet's only member is opened automatically."""
        self._leaving = False

    @property
    def dashboard(self) -> Dashboard:
        """The dashboard on the screen, or under what is open over it."""
        return next(screen for screen in reversed(self.screen_stack) if isinstance(screen, Dashboard))

    @property
    def crashed(self) -> bool:
        """Whether an exception ended the application."""
        return self.return_code == 1 and self.last_word is None

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.defaults(self.current_theme.dark)

    def on_mount(self) -> None:
        self.claim_process()
        if self._session is not None:
            self.push_screen(Dashboard(self._session))
        if self.fleet is not None:
            self._show_fleet(self.fleet)
        if self._first is not None:
            self.push_screen(self._first)
        self.begin_capture_print(self)
        self.call_after_refresh(self._open)

    def claim_process(self) -> None:
        """Takes the signals of the process."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            # A signal that is ignored, as under nohup, stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._take_signal, number)

    def settle(self) -> None:
        """Has the collector leave out what is there by now."""
        if not self.is_headless:
            # These objects live until the end: the collector need not scan them.
            gc.freeze()
        # Which the command line disabled until here.
        gc.enable()

    def _open(self) -> None:
        self.settle()
        if self._opened is not None:
            self._opened()

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        self.last_word = str(message) if message else None
        super().exit(result, return_code)

    def _take_signal(self, number: int) -> None:
        if self._signalled is not None:
            self._signalled(number)
        else:
            self.exit(None, 128 + number)

    def on_print(self, event: Print) -> None:
        """Adds what Python code prints to the transcript. `tui.terminal` catches other output."""
        target = self._session or self.fleet
        for line in event.text.splitlines():
            if line.strip() and target is not None and target.transcript is not None:
                target.transcript.write("log", line)

    # A fleet

    def _show_fleet(self, fleet: Fleet) -> None:
        members = fleet.members()
        if self._alone and len(members) == 1:
            # A recording with one session opens at once, and its list is made when it is asked for.
            self.open_member(members[0].pid)
        else:
            self._show_list(fleet)
        if self._alone:
            self.set_interval(OPEN_EVERY, self._open_alone)

    def _show_list(self, fleet: Fleet) -> None:
        """Shows the fleet's list in place of the dashboard on top, if there is one."""
        from mlxtop.tui.screens.fleet import FleetScreen

        if any(isinstance(screen, FleetScreen) for screen in self.screen_stack):
            self.pop_screen()
        elif isinstance(self.screen, Dashboard):
            self.switch_screen(FleetScreen(fleet))
        else:
            self.push_screen(FleetScreen(fleet))

    def _open_alone(self) -> None:
        """Opens a fleet's only member. Stops when there are two, or a person went back to the list."""
        fleet, screens = self.fleet, self.screen_stack
        # None is left while the app ends.
        if fleet is None or not self._alone or not screens:
            return
        members = fleet.members()
        top = screens[-1]
        if len(members) == 1 and not isinstance(top, Dashboard) and len(screens) == 2:
            self.open_member(members[0].pid)
        elif len(members) > 1:
            self._alone = False
            if isinstance(top, Dashboard):
                self._show_list(fleet)

    def open_member(self, pid: int) -> None:
        """Opens the dashboard of the member `pid`."""
        found = [m for m in (self.fleet.members() if self.fleet is not None else ()) if m.pid == pid]
        if found:
            # After an exec one process id has two sessions: the one that runs is meant.
            member = next((m for m in found if m.ended is None), found[-1])
            member.submit(SetControl(True))
            self.push_screen(self._dashboard(member))
            return
        self.notify(f"Process {pid} has no agent. Run: mlxtop attach {pid}")

    def _dashboard(self, session: Session) -> Dashboard:
        if session.playhead is None:
            return Dashboard(session)
        from mlxtop.tui.screens.replay import Replay

        return Replay(session)

    def on_fleet_screen_opened(self, event: "FleetScreen.Opened") -> None:
        self._alone = False
        self.open_member(event.pid)

    def on_dashboard_left(self, event: Dashboard.Left) -> None:
        """Goes from a dashboard back to the list, if there is one."""
        if self.fleet is not None and isinstance(self.screen, Dashboard):
            self._alone = False
            session = self.screen.session
            self._show_list(self.fleet)
            self.release(session)

    def release(self, session: Session) -> None:
        """Lets another viewer of a fleet's member make requests."""
        if self.fleet is not None and session in self.fleet.members():
            session.submit(SetControl(False))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every key as a command of the palette, with the text of its help."""
        for owner, binding in self.all_keys():
            yield SystemCommand(
                binding.description.capitalize(), binding.tooltip, lambda o=owner, b=binding: self._run(o, b)
            )
        yield SystemCommand("Theme", "Choose a theme from a list", self.action_change_theme)

    def all_keys(self) -> list[tuple[Owner, Binding]]:
        """All keys of the screen and of the application, each with its owner."""
        pairs: list[tuple[Owner, Binding]] = []
        owners = [screen for screen in reversed(self.screen_stack) if not screen.is_modal][:1]
        for owner in (*owners, self):
            pairs += [
                (owner, b)
                for b in owner.BINDINGS
                if isinstance(b, Binding) and owner.check_action(b.action.partition("(")[0], ()) is not False
            ]
        return pairs

    def _run(self, owner: Owner, binding: Binding) -> None:
        self.run_worker(self.run_action(binding.action, owner))

    def action_help(self) -> None:
        from mlxtop.tui.screens.help import Help, Manual

        if not isinstance(self.screen, Help):
            keys = self.all_keys()
            manual = getattr(keys[0][0], "MANUAL", Manual())
            self.push_screen(Help([binding for _, binding in keys], manual))

    def action_next_theme(self) -> None:
        self.theme = theme.LIGHT.name if self.current_theme.dark else theme.DARK.name

    def action_picture(self) -> None:
        folder = Path(platformdirs.user_pictures_dir())
        name = time.strftime("mlxtop-%Y%m%d-%H%M%S.svg")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            put(folder / name, self.export_screenshot())
        except (OSError, OutputError) as error:
            why = (
                str(error)
                if isinstance(error, OutputError)
                else f"could not create {folder}: {error.strerror}."
            )
            self.notify(f"Could not save the screenshot: {why}", severity="error", markup=False)
            return
        self.notify(f"Saved {folder / name}", markup=False)

    async def action_quit(self) -> None:
        if isinstance(self.screen, LeaveDialog):
            # A second quit chooses the default.
            self.screen.dismiss(self.screen.choices[0].name)
            return
        question = self._ask() if self._ask is not None else None
        if question is not None:
            self.push_screen(LeaveDialog(*question), self._answered)
            return
        self._leaving = True
        self.exit()

    def _answered(self, answer: str | None) -> None:
        if answer is not None:
            self.answer = answer
            self._leaving = True
            self.exit()

    async def take_key(self, event: Key) -> bool:
        """Handles a key before the screen does. Returns whether it was handled.

        Over a slow connection several keys arrive at once. Keys after `q` are dropped. The dashboard's keys act
        at once and not through the screen's queue, so that what follows `i` is text.
        """
        if self._leaving:
            return True
        if not getattr(self.screen, "KEYS_AT_ONCE", False) or self.focused is not None:
            return False
        active = self.screen.active_bindings.get(event.key)
        if active is None or not active.enabled:
            return False
        return await self.run_action(active.binding.action, active.node)
