"""What every test may ask for."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# No test may reach the Hub. Set before anything imports huggingface_hub, and inherited by every process.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
# For every program that imports mlx-lm: `.ci/transformers_scan.py` says why.
os.environ["TRANSFORMERS_SCAN"] = "1"
os.environ.pop("NO_COLOR", None)

from tests.checkpoint import write_checkpoint
from tests.peaks import remove_step_peaks
from tests.report.browser import Browser

# Started in the background of a shell, or by nohup, we would hand an ignored signal down to every process.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


settings.register_profile(
    # The same few examples each time: what fails here fails for a change. A loaded machine is slow, not wrong.
    "test",
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "soak",
    max_examples=1_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("soak" if config.getoption("--soak") else "test")
    # Thousands of tests are collected, and nothing of them is garbage.
    gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    for item in items:
        if "processes" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("soak") and not config.getoption("--soak"):
            item.add_marker(pytest.mark.skip("with --soak only"))
    # The longest first: at the end nobody waits for them.
    items.sort(key=lambda item: item.path.parent.name != "soak")


def pytest_collection_finish() -> None:
    # What is there now stays: the collector need not look at it again and again.
    gc.freeze()
    gc.enable()


@pytest.fixture
def mlx_unwrapped() -> Iterator[None]:
    """Afterwards this process has MLX's own functions again: what counts peaks here would stay for ever."""
    yield
    remove_step_peaks()


@pytest.fixture(scope="session")
def processes() -> None:
    """Asked for by what starts a process or a pseudo-terminal: its tests are `slow`, and no part of `make fast`."""


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Path:
    """A checkpoint directory that `mlx_lm.load` takes. Tests that harm it copy it first."""
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny-llama")


@pytest.fixture(scope="module")
def opened(processes: None) -> Iterator[Browser]:
    """A headless Chromium: see `tests.report.browser.program` for where there is none."""
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(opened: Browser) -> Browser:
    """That, of an ordinary size, with nothing complained of yet."""
    opened.complaints.clear()
    opened.requests.clear()
    opened.look()
    return opened


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--soak", action="store_true", help="long runs in full, and many examples of everything generated"
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
    again = [report.nodeid for report in terminalreporter.stats.get("rerun", [])]
    terminalreporter.section(f"rerun: {len(again)}")
    for name in again:
        terminalreporter.write_line(name)
    lines = config.stash.get(FIGURES, [])
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
