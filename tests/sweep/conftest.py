"""What the tests of sweeps share: a place for what the simulated machines came to."""

import pytest

from tests.sweep.machine import NOISES

SCORES: list[str] = []


@pytest.fixture(scope="session")
def scores() -> list[str]:
    """Lines for the summary."""
    return SCORES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SCORES:
        terminalreporter.section("advice on simulated machines: right/cannot tell/wrong")
        terminalreporter.line(f"{'noise':<24}" + "".join(f"{f'{noise * 100:g} %':>14}" for noise in NOISES))
    for line in SCORES:
        terminalreporter.line(line)
