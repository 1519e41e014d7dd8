"""The end of a run: the table of what was measured, and what has become of the baseline."""

from __future__ import annotations

from typing import Any

import pytest

from mlxtop.core.errors import MlxtopError, UsageError
from mlxtop.core.text import one_line
from mlxtop.core.units import format_delta, format_size, format_span
from mlxtop.pytest_plugin.baseline import WORKER_INPUT, Baseline
from mlxtop.pytest_plugin.figures import Figures

NAMED = 5
"""So many tests are named in a sentence."""


def configure(config: pytest.Config) -> None:
    """Has this process tell of the run. Workers of xdist tell their controller."""
    try:
        baseline = Baseline.of(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(baseline, config.option.mlx_report), "mlxtop-summary")


class Summary:
    """Collects the figures from the reports of tests."""

    def __init__(self, baseline: Baseline | None, table: bool) -> None:
        self._baseline, self._table = baseline, table
        self._found: dict[str, tuple[Figures, str]] = {}
        self._lines: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A worker of xdist, which may be on another machine, has the baseline from here."""
        if self._baseline is not None:
            node.workerinput[WORKER_INPUT] = self._baseline.to_json()

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and (figures := Figures.read(report)):
            self._found[report.nodeid] = figures, "xfailed" if hasattr(report, "wasxfail") else report.outcome

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Writes the baseline. A file that cannot be written fails the run."""
        if self._baseline is None:
            return
        try:
            self._lines = list(self._compare(self._baseline))
        except MlxtopError as error:
            self._lines = [str(error)]
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def _compare(self, baseline: Baseline) -> list[str]:
        passed = {test: figures for test, (figures, outcome) in self._found.items() if outcome == "passed"}
        name = one_line(baseline.path.name)
        if baseline.update:
            changed = baseline.renew(passed)
            if changed:
                baseline.write()
            return [f"{name}: {len(changed)} of {len(passed)} measured tests were written{_names(changed)}."]
        told = []
        if missing := baseline.missing(passed):
            which = f"{_tests(len(missing))} on this device and MLX{_names(missing)}"
            told.append(f"{name} has nothing for {which}: add them with --mlx-baseline-update.")
        if better := baseline.better(passed):
            need = "needs" if len(better) == 1 else "need"
            changes = [
                f"{test} {format_size(before)} → {format_size(now)}" for test, (before, now) in better.items()
            ]
            told.append(
                f"{_tests(len(better))} {need} less than {name} says{_names(changes)}: keep it with "
                "--mlx-baseline-update."
            )
        return told or [
            f"{name}: {len(passed)} of {len(self._found)} measured tests need no more than it says."
        ]

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        table = self._rows() if self._table else []
        if not table and not self._lines:
            return
        terminalreporter.write_sep("=", "memory of MLX")
        for line in [*table, *self._lines]:
            terminalreporter.write_line(line)

    def _rows(self) -> list[str]:
        from mlxtop.tui.tables import aligned

        if not self._found:
            return ["No test was measured: mark one with mlx_peak or mlx_leaks, or give --mlx-all."]
        highest = sorted(self._found.items(), key=lambda one: -one[1][0].peak)
        head = ("peak", "growth", "cache", "time", "test", "")
        return aligned([head, *(_row(test, *found) for test, found in highest)], left=(4, 5))


def _row(test: str, figures: Figures, outcome: str) -> tuple[str, ...]:
    return (
        format_size(figures.peak),
        format_delta(figures.growth),
        format_size(figures.cache),
        format_span(figures.seconds),
        one_line(test),
        "" if outcome == "passed" else outcome,
    )


def _tests(count: int) -> str:
    return "1 test" if count == 1 else f"{count:,} tests"


def _names(tests: list[str]) -> str:
    shown = [one_line(test) for test in tests[:NAMED]]
    if not shown:
        return ""
    more = [f"{len(tests) - NAMED:,} more"] if len(tests) > NAMED else []
    return f" ({', '.join([*shown, *more])})"
