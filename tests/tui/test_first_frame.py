"""What the dashboard's first frame waits for, and what it does not."""

import pytest

from tests.process import python

pytestmark = pytest.mark.usefixtures("processes")

LATER = {
    "huggingface_hub",
    "jinja2",
    "mlx",
    "mlx_lm",
    "numpy",
    "plotext",
    "psutil",
    "pyarrow",
    "tokenizers",
    "transformers",
    "mlxtop.attach",
    "mlxtop.diff",
    "mlxtop.fit",
    "mlxtop.recording",
    "mlxtop.report",
    "mlxtop.sweep",
    "mlxtop.trace",
    "mlxtop.tui.screens.census",
    "mlxtop.tui.screens.compare",
    "mlxtop.tui.screens.fleet",
    "mlxtop.tui.screens.graph",
    "mlxtop.tui.screens.help",
    "mlxtop.tui.screens.peaks",
    "mlxtop.tui.screens.sweep",
    "mlxtop.tui.trace_reader",
}
"""Modules that it can do without: each comes with the key or the command that needs it."""
FIRST_FRAME = """
import gc, json, sys
import mlxtop.__main__, mlxtop.cli.main, mlxtop.cli.dashboard
from mlxtop.inference.options import Options
from mlxtop.sessions.local import LocalSession
from mlxtop.tui.app import MlxtopApp

def opened():
    told.update(modules=sorted(sys.modules), collects=gc.isenabled())
    app.exit()

told = {}
app = MlxtopApp(LocalSession(Options(), 0.1), opened)
gc.disable()
app.run(headless=True)
gc.disable()
try:
    mlxtop.cli.main.cli.main(["replay", "nope"], standalone_mode=False)
except Exception as error:
    told.update(command=gc.isenabled())
print(json.dumps(told))
"""


def test_the_first_frame_waits_for_no_module_that_it_does_not_show() -> None:
    told = python(FIRST_FRAME)
    assert "mlxtop.tui.screens.dashboard" in told["modules"]
    assert not LATER & set(told["modules"])
    # The command line puts the collector off until here, or until a command begins.
    assert told["collects"]
    assert told["command"]
