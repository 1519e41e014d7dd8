"""Runs a suite of tests within a test."""

import gc
from importlib import import_module
from pathlib import Path

import pytest

# An inner run forgets what it imported, and MLX can be imported only once: so it is here before.
IMPORTED = [
    import_module(name)
    for name in (
        "mlx.core", "mlx.nn", "mlx.optimizers", "mlxtop.mlx.census.survey", "mlxtop.pytest_plugin.failure",
        "mlxtop.pytest_plugin.runner", "mlxtop.pytest_plugin.summary",
    )
]  # fmt: skip
SUITES = Path(__file__).with_name("suites")
OTHERS = "cacheprovider", "hypothesispytest", "memray", "syrupy", "textual-snapshot", "timeout", "xdist"
"""Plugins that an inner run does without; textual-snapshot takes the outer run's folder with it."""
OPTIONS = (
    *(f"-pno:{name}" for name in OTHERS),
    "-W",
    "error",
    "-o",
    "asyncio_mode=strict",
    "--strict-markers",
)


class Inner:
    """A suite, copied to a folder of its own."""

    def __init__(self, pytester: pytest.Pytester, *suites: str) -> None:
        self._pytester = pytester
        for suite in suites:
            pytester.makepyfile(**{f"test_{suite}": (SUITES / f"{suite}.py").read_text()})

    def run(self, *options: str) -> "Run":
        """Runs it in this process."""
        # What this process has from other tests is nothing to the inner run, and a census would look at it all.
        gc.collect()
        gc.freeze()
        return Run(self._pytester.runpytest_inprocess(*OPTIONS, *options))


class Run:
    """What has become of it."""

    def __init__(self, result: pytest.RunResult) -> None:
        self.result = result
        # A run that was refused has no records.
        records = getattr(result.reprec, "getreports", lambda _: [])
        self.reports = {
            report.nodeid.rpartition("::")[2]: report
            for report in records("pytest_runtest_logreport")
            if report.when == "call" or report.outcome != "passed"
        }
        self.ends = {name: _end(report) for name, report in self.reports.items()}

    def told(self, test: str) -> str:
        """What it said when it failed."""
        return self.reports[test].longreprtext

    @property
    def summary(self) -> list[str]:
        """The lines under *memory of MLX*."""
        lines = self.result.outlines
        first = next((i + 1 for i, line in enumerate(lines) if "= memory of MLX =" in line), len(lines))
        rest = lines[first:]
        last = next((i for i, line in enumerate(rest) if line.startswith("=")), len(rest))
        return rest[:last]


def _end(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xfailed"
    return "error" if report.failed and report.when != "call" else report.outcome
