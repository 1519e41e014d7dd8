"""What every test may ask for."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# No test may reach the Hub. Set before anything imports huggingface_hub, and inherited by every process.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ.pop("NO_COLOR", None)

from tests.checkpoint import write_checkpoint

# Started in the background of a shell, we would hand an ignored Ctrl-C down to every process.
signal.signal(signal.SIGINT, signal.default_int_handler)


SLOW = ("agent", "cli", "doctor", "fit", "mac", "recording", "session", "soak", "workload")
"""Folders whose tests start processes or take real models through their paces: `make fast` leaves them out."""


SHARED = ("agent", "cli", "e2e", "mac", "session", "tui")
"""Folders whose tests wait for other processes or for a screen, several at once on a machine that others use
too: what fails is tried once more, and told of as `R`."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in SLOW:
            item.add_marker(pytest.mark.slow)
        if folder in SHARED:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint directory that `mlx_lm.load` takes. Tests that harm it copy it first."""
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny-llama")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--soak", action="store_true", help="let tests/soak take its full time: ten minutes and more"
    )


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether there is time for the whole length."""
    return bool(request.config.getoption("--soak"))


FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Takes a line that the summary shows: what a test measured, whether or not it passed."""
    return request.config.stash.setdefault(FIGURES, []).append


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands its lines on with the last it says."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = session.config.stash.get(FIGURES, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """And here they come in."""
    lines = getattr(node, "workeroutput", {}).get("figures", [])
    node.config.stash.setdefault(FIGURES, []).extend(lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(FIGURES, [])
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
