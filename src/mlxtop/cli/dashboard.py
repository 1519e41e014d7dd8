"""The dashboard of a model that runs in this process."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from mlxtop.cli.hard_exit import hard_exit, tell, tell_traces
from mlxtop.cli.model_options import RunOptions
from mlxtop.cli.record import cause, end_recording, record_local, recorder
from mlxtop.cli.screen import tell_end
from mlxtop.core.commands import StopWorkload
from mlxtop.sessions.budget_monitor import BudgetMonitor
from mlxtop.sessions.local import LocalSession
from mlxtop.sessions.session import Session
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.terminal import check, terminal

if TYPE_CHECKING:
    from mlxtop.web.host import Host

CLOSE_WITHIN = 0.5
LOOK_EVERY = 0.25
"""Seconds between two checks whether a thread of the run has failed."""


def run_dashboard(run: RunOptions, web: "Host | None" = None) -> NoReturn:
    """Shows the dashboard until it is closed, then ends the process with the exit code."""
    if web is None:
        check()
    recording = recorder(run.record, run.record_text)
    session = LocalSession(run.options, run.interval)
    if recording is not None:
        record_local(recording, session)

    def stop(_: Session) -> None:
        session.submit(StopWorkload())

    monitor = BudgetMonitor(lambda: (session,), run.ceiling.spec, run.ceiling.actions, stop)

    def opened() -> None:
        session.open()
        monitor.start()

    code = _in_browser(web, session, opened) if web else _in_terminal(session, opened, run.took_stdin)
    monitor.stop()
    if session.failure is not None:
        tell(str(session.failure))
        code = session.failure.exit_code
    session.close(CLOSE_WITHIN)
    tell_traces((session,))
    end_recording(recording, cause(code))
    hard_exit(code)


def _in_terminal(session: LocalSession, opened: Callable[[], None], took_stdin: bool) -> int:
    """Shows the session until it is closed. Returns the exit code."""

    def leave_the_dead() -> None:
        """Closes the dashboard when a thread of the run has failed: no more data will come."""
        if session.failure is not None:
            app.exit()

    def first() -> None:
        opened()
        app.set_interval(LOOK_EVERY, leave_the_dead)

    with terminal(lambda text: session.transcript.write("log", text), took_stdin):
        app = MlxtopApp(session, first)
        app.run()
    # While the screen is up all output goes to the transcript, a traceback too.
    tell_end(app, (line.text for line in session.transcript.since(0) if line.who == "log"))
    return app.return_code or 0


def _in_browser(web: "Host", session: LocalSession, opened: Callable[[], None]) -> int:
    """Shows the session in a browser until a signal comes. Returns the exit code."""
    from mlxtop.web.app import View

    return web.run(lambda: View(session), session.title, opened, over=lambda: session.failure is not None)
