"""The dashboard over a model that runs in this process."""

import os
import sys

from mlxtop.cli.params import Run
from mlxtop.session.local import LocalSession
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.terminal import terminal

CLOSE_WITHIN = 0.6


def run_dashboard(run: Run) -> int:
    """Shows the dashboard until it is left; returns the exit code."""
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
    if not session.close(CLOSE_WITHIN):
        # MLX is in the middle of a step that nothing can end; leaving now harms nobody.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
