"""Standard streams that are no terminal: the dashboard finds the terminal, and leaves the streams alone."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Spawn
from tests.e2e.screen import MLXTOP, environment

pytestmark = pytest.mark.e2e


def test_the_prompt_comes_from_a_pipe(spawn: Spawn, tmp_path: Path) -> None:
    script = 'echo "hello from a pipe" | "$0" --prompt - --max-tokens 8'
    screen = spawn(command=["sh", "-c", script, MLXTOP], cwd=tmp_path)
    screen.wait_for("▸ hello from a pipe")
    screen.value(r"last: 8 tokens")
    # The pipe is used up, the keyboard works.
    screen.press("-")
    screen.wait_for("1s a column")
    screen.resize(100, 30)
    screen.wait_for(lambda text: text.split("\n")[0].startswith(" mlxtop"))
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []


@pytest.mark.parametrize(
    "redirection",
    # The first two are parts of the others.
    [
        pytest.param("2>log", marks=pytest.mark.soak),
        pytest.param(">log", marks=pytest.mark.soak),
        ">log 2>&1",
        "2>log </dev/null",
    ],
)
def test_streams_that_lead_elsewhere(spawn: Spawn, tmp_path: Path, redirection: str) -> None:
    script = f'"$0" --workload chat {redirection}'
    screen = spawn(command=["sh", "-c", script, MLXTOP], cwd=tmp_path)
    screen.wait_for("● idle")
    screen.press("-")
    screen.wait_for("1s a column")
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []
    assert "\x1b" not in (tmp_path / "log").read_text()


def test_without_any_terminal() -> None:
    done = subprocess.run(
        [MLXTOP],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment({}),
        start_new_session=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.strip() == "mlxtop: No terminal to draw on: start mlxtop in one."
