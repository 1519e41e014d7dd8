"""The dashboard of a model that runs in this process."""

import sys
from typing import NoReturn

from mlxtop.cli.hard_exit import hard_exit, tell, tell_traces
from mlxtop.cli.model_options import RunOptions
from mlxtop.cli.record import cause, end_recording, record_local, recorder
from mlxtop.cli.screen import tell_last
from mlxtop.core.commands import StopWorkload
from mlxtop.sessions.budget_monitor import BudgetMonitor
from mlxtop.sessions.local import LocalSession
from mlxtop.sessions.session import Session
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.terminal import check, terminal

CLOSE_WITHIN = 0.5
LOOK_EVERY = 0.25
"""Seconds between two checks whether a thread of the run has failed."""


def run_dashboard(run: RunOptions) -> NoReturn:
    """Shows the dashboard until it is closed, then ends the process with the exit code."""
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
        app.set_interval(LOOK_EVERY, leave_the_dead)

    def leave_the_dead() -> None:
        """Closes the dashboard when a thread of the run has failed: no more data will come."""
        if session.failure is not None:
            app.exit()

    with terminal(lambda text: session.transcript.write("log", text), run.took_stdin):
        app = MlxtopApp(session, opened)
        app.run()
    tell_last(app)
    monitor.stop()
    code = app.return_code or 0
    if app.crashed:
        # While the screen is up all output goes to the transcript, the traceback too.
        logged = [line.text for line in session.transcript.since(0) if line.who == "log"]
        print("\n".join(logged), file=sys.stderr)
    if session.failure is not None:
        tell(str(session.failure))
        code = session.failure.exit_code
    session.close(CLOSE_WITHIN)
    tell_traces((session,))
    end_recording(recording, cause(code))
    hard_exit(code)
