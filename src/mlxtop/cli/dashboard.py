"""The dashboard over a model that runs in this process."""

import sys
from typing import NoReturn

from mlxtop.cli.leave import leave
from mlxtop.cli.params import Run
from mlxtop.session.local import LocalSession
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.terminal import terminal

CLOSE_WITHIN = 0.5


def run_dashboard(run: Run) -> NoReturn:
    """Shows the dashboard until it is left, and ends the process with its exit code."""
    session = LocalSession(run.options, run.interval)
    with terminal(lambda text: session.transcript.write("log", text), run.took_stdin):
        app = MlxtopApp(session, session.open)
        app.run()
    code = app.return_code or 0
    if app.crashed:
        # What the screen's own failure printed went where all output goes while it is up.
        logged = [line.text for line in session.transcript.since(0) if line.who == "log"]
        print("\n".join(logged), file=sys.stderr)
    if session.failure is not None:
        print(f"mlxtop: {session.failure}", file=sys.stderr)
        code = session.failure.exit_code
    session.close(CLOSE_WITHIN)
    leave(code)
