"""A trace in a real terminal: from the start, by a key, and where it is in the end."""

from pathlib import Path

import pytest

from mlxtop.mlx.trace import native
from mlxtop.trace.reader import TraceFile
from tests.e2e.place import Place, python

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(native.load() is None, reason="built without its part in C"),
]

PROGRAM = """\
import sys, time
import mlx.core as mx
weights = mx.random.normal((1024, 1024)); mx.eval(weights)
print("it is up", flush=True)
end = time.monotonic() + 600
while time.monotonic() < end:
    mx.eval(weights @ weights[:, :64]); time.sleep(0.01)
"""


def closed(path: Path) -> bool:
    with TraceFile(path) as trace:
        return trace.header.closed


def test_a_trace_is_on_the_screen_and_told_at_the_end(place: Place) -> None:
    file = place.folder / "t.mlxtrace"
    screen = place.screen("run", f"--trace={file}", "--", *python((place.script(PROGRAM),)))
    screen.wait_for("it is up")
    screen.wait_for("◉ trace")
    screen.wait_for("at the peak")
    screen.value(r"operation \w")
    screen.value(r"line +\S*program\.py:\d <module>")
    screen.press("A")
    screen.wait_for(lambda text: "◉ trace" not in text)
    assert closed(file)
    # By a key it is a file of its own.
    screen.press("A")
    screen.wait_for("◉ trace")
    folder = place.folder / "state/mlxtop/traces"
    (own,) = folder.iterdir()
    screen.press("q")
    screen.wait_for("Stop the program")
    screen.press("enter")
    screen.exit()
    assert screen.left() == []
    assert f"See it with: mlxtop trace show {own}" in bytes(screen.raw).decode()
    assert closed(own)
