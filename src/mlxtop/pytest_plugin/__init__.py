"""The pytest plugin: marks and a fixture for MLX's memory, a baseline, and a table at the end.

pytest loads this module in every project that has mlxtop beside it. So it imports nothing, and where no test
asks for a measurement it looks through the collected tests once, and that is all.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlxtop.pytest_plugin.measurement import MlxMemory

PEAK, LEAKS, FIXTURE = "mlx_peak", "mlx_leaks", "mlx_memory"
_MARKS = (
    f"{PEAK}(limit, absolute=False): fail the test when MLX's active memory rises by more than limit (such as"
    " '1.5GiB') over its start, or above limit with absolute=True.",
    f"{LEAKS}(limit, warmup=1): run the test's body warmup times and then again; fail it when MLX's active"
    " memory grows by more than limit each time from then on.",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mlxtop", "memory of MLX (mlxtop)")
    group.addoption(
        "--mlx-report",
        action="store_true",
        help="Show a table at the end: peak, growth, cache and time of each measured test.",
    )
    group.addoption(
        "--mlx-all",
        action="store_true",
        help="Measure every test that begins with MLX imported, not only those with a mark or mlx_memory.",
    )
    group.addoption(
        "--mlx-baseline",
        metavar="FILE",
        help="Compare each measured test with FILE (JSON); one that needs more than there fails.",
    )
    group.addoption(
        "--mlx-tolerance",
        metavar="PERCENT",
        default="5%",
        help="How much more than in the baseline is allowed (default: 5%%).",
    )
    group.addoption(
        "--mlx-baseline-update",
        action="store_true",
        help="Write to FILE what is missing there and what has changed by more than the tolerance.",
    )


def pytest_configure(config: pytest.Config) -> None:
    for line in _MARKS:
        config.addinivalue_line("markers", line)
    option = config.option
    if option.mlx_report or option.mlx_baseline or option.mlx_baseline_update:
        from mlxtop.pytest_plugin import summary

        summary.configure(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    every = session.config.option.mlx_all
    asked = session.items if every else [item for item in session.items if _asks(item)]
    if asked:
        from mlxtop.pytest_plugin import runner

        runner.register(session.config, asked)


def _asks(item: pytest.Item) -> bool:
    keywords = item.keywords
    return PEAK in keywords or LEAKS in keywords or FIXTURE in getattr(item, "fixturenames", ())


@pytest.fixture
def mlx_memory(request: pytest.FixtureRequest) -> Iterator[MlxMemory]:
    """MLX's memory in a test (bytes): `active`, `cache`, `peak`, `growth`; `limit`, `measure` for blocks."""
    from mlxtop.pytest_plugin import runner

    yield from runner.memory_of(request.node)
