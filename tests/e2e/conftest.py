"""What the end-to-end tests share: a terminal to run in, and a place for what they measured."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.place import Place
from tests.e2e.screen import Screen

Spawn = Callable[..., Screen]
Measured = Callable[[str, float], None]

_FOUND: dict[str, list[float]] = {}


@pytest.fixture
def spawn(processes: None) -> Iterator[Spawn]:
    """`Screen(...)`, ended with the test."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(Screen(*arguments, **options))


@pytest.fixture
def place(processes: None) -> Iterator[Place]:
    """Where programs under watch live; whatever was started there is ended with the test."""
    place = Place()
    try:
        yield place
    finally:
        place.end()


@pytest.fixture(scope="session")
def measured() -> Measured:
    """Keeps `measured(name, seconds)` for the summary: times are told, hardly ever judged."""
    return lambda name, seconds: _FOUND.setdefault(name, []).append(seconds)


@pytest.fixture(scope="session")
def long_prompt(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A file with a prompt of so many bytes, which are as many tokens to the demo model."""
    folder = tmp_path_factory.mktemp("prompts")

    def write(size: int) -> Path:
        path = folder / f"{size}.txt"
        path.write_text(("a long prompt about memory, " * size)[:size], encoding="utf-8")
        return path

    return write


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _FOUND:
        terminalreporter.section("measured in a real terminal")
    for name, times in sorted(_FOUND.items()):
        times = sorted(times)
        middle = times[len(times) // 2]
        terminalreporter.line(
            f"{name:<48} {middle * 1000:7.0f} ms   {times[0] * 1000:.0f}–{times[-1] * 1000:.0f}, n={len(times)}"
        )
