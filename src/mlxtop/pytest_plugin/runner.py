"""The hooks around the tests that are measured. They are registered where there is one."""

import sys
from collections.abc import Generator, Iterable, Iterator

import pytest

from mlxtop.core.errors import NoBackendError, UsageError
from mlxtop.pytest_plugin import FIXTURE, marks
from mlxtop.pytest_plugin.baseline import Baseline
from mlxtop.pytest_plugin.marks import Marks
from mlxtop.pytest_plugin.measured_test import MeasuredTest, tell
from mlxtop.pytest_plugin.measurement import MlxMemory, Watch, stack

RUNNER = pytest.StashKey["Runner"]()


def register(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Has `items` measured."""
    runner = config.stash[RUNNER] = Runner(items, Baseline.of(config))
    config.pluginmanager.register(runner, "mlxtop-runner")


class Runner:
    """Puts a watch on MLX before the fixtures of a test, and takes it off after them."""

    def __init__(self, items: Iterable[pytest.Item], baseline: Baseline | None) -> None:
        self._items = frozenset(items)
        self._baseline = baseline
        self.test: MeasuredTest | None = None
        """The one that is set up, runs or is torn down."""

    @pytest.hookimpl
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Before any fixture, and after what skips a test."""
        if item not in self._items:
            return
        wanted = _read(item)
        if not wanted.named and sys.modules.get("mlx.core") is None:
            return
        found = _watch(item, wanted.named)
        if found is not None:
            self.test = MeasuredTest(item, wanted, found, self._baseline)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Innermost: a warm-up is captured as the test is, and no other plugin's work is measured."""
        test = self.test
        if test is None:
            return (yield)
        test.begin()
        try:
            test.warm_up()
            with test.run():
                result = yield
            test.run_again_if_grown()
        finally:
            test.end()
        test.judge()
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        """After every fixture."""
        try:
            return (yield)
        finally:
            self._leave()

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        """`pytest.exit` leaves no time to tear a test down."""
        self._leave()

    def _leave(self) -> None:
        if self.test is not None:
            self.test.leave()
            self.test = None


def memory_of(item: pytest.Item) -> Iterator[MlxMemory]:
    """The fixture `mlx_memory` of a test, whether or not it was known beforehand that it asks for it."""
    runner = item.config.stash.get(RUNNER, None)
    if runner is not None and runner.test is not None:
        yield runner.test.memory
        return
    own = _watch(item, FIXTURE)
    if own is None:
        pytest.skip(f"{FIXTURE} cannot be measured: see the warning.")
    try:
        yield MlxMemory(own)
    finally:
        own.remove()


def _read(item: pytest.Item) -> Marks:
    try:
        return marks.read(item)
    except UsageError as error:
        wrong = str(error)
    # Here, so that it is told without what led to it.
    pytest.fail(wrong, pytrace=False)


def _watch(item: pytest.Item, named: str) -> Watch | None:
    """Puts a watch on MLX. Without an MLX that can be read, a test is skipped that asks for it by `named`."""
    try:
        found = Watch(stack)
        found.install()
    except NoBackendError as error:
        if not named:
            return None
        pytest.skip(f"{named} cannot be measured: {error}")
    except Exception as error:
        tell(item, error)
        return None
    return found
