"""Run by `test_limits`: each test's name begins with what becomes of it."""

import asyncio
import unittest

import mlx.core as mx
import pytest

from mlxtop.pytest_plugin.measurement import MlxMemory

MIB = 2**20
KEPT: list[mx.array] = []
TRIES: list[str] = []


class Store:
    def __init__(self) -> None:
        self.kept: list[mx.array] = []
        self.last: mx.array | None = None


STORE = Store()


def megabytes(count: int) -> mx.array:
    made = mx.zeros((count, MIB // 4))
    mx.eval(made)
    return made


def whole(*sizes: int) -> tuple[int, ...]:
    """In MiB: beside an array there may be a scalar that it is made from."""
    return tuple(size // MIB for size in sizes)


@pytest.fixture
def given() -> mx.array:
    """What is there before the body counts for nobody."""
    return megabytes(12)


@pytest.mark.mlx_peak("10MiB")
def test_passes_below(given: mx.array) -> None:
    megabytes(9)


@pytest.mark.mlx_peak("10MiB")
def test_fails_above(given: mx.array) -> None:
    first = megabytes(3)
    megabytes(8)
    del first


@pytest.mark.mlx_peak(10 * MIB, absolute=True)
def test_fails_absolute(given: mx.array) -> None:
    pass


@pytest.mark.mlx_peak("10MiB")
def test_fails_without_an_eval() -> None:
    mx.ones((11, MIB // 4)).sum().item()


@pytest.mark.mlx_peak("10MiB")
@pytest.mark.parametrize("size", [pytest.param(9, id="passes"), pytest.param(11, id="fails")])
def test_parametrized(size: int) -> None:
    megabytes(size)


@pytest.mark.mlx_peak("1MiB")
class TestOfAClass:
    def test_fails_by_its_class(self) -> None:
        megabytes(2)

    @pytest.mark.mlx_peak("3MiB")
    def test_passes_by_its_own(self) -> None:
        megabytes(2)


@pytest.mark.mlx_peak("1MiB")
def test_passes_and_sees_its_own_peak(given: mx.array) -> None:
    assert mx.get_peak_memory() >= 12 * MIB
    mx.reset_peak_memory()
    assert mx.get_peak_memory() < 12 * MIB


@pytest.mark.mlx_peak("1MiB")
def test_fails_though_it_resets_the_peak() -> None:
    megabytes(2)
    mx.reset_peak_memory()


@pytest.mark.mlx_leaks("1MiB")
def test_fails_by_a_leak() -> None:
    STORE.kept.append(megabytes(8))


@pytest.mark.mlx_leaks("1MiB")
def test_passes_with_a_cache_of_one() -> None:
    STORE.last = megabytes(8)


@pytest.mark.mlx_leaks("1MiB", warmup=0)
def test_passes_with_what_is_made_once() -> None:
    if len(KEPT) < 1:
        KEPT.append(megabytes(8))


@pytest.mark.mlx_leaks("1MiB")
def test_passes_with_garbage() -> None:
    ring: list[object] = [megabytes(8)]
    ring.append(ring)


@pytest.mark.asyncio
@pytest.mark.mlx_leaks("1MiB")
async def test_fails_in_a_coroutine() -> None:
    await asyncio.sleep(0)
    KEPT.append(megabytes(2))


@pytest.mark.anyio
@pytest.mark.mlx_leaks("1MiB", warmup=2)
async def test_passes_under_anyio() -> None:
    await asyncio.sleep(0)
    TRIES.append("anyio")
    megabytes(2)


def test_passes_where_the_others_ran() -> None:
    assert TRIES.count("anyio") == 3


@pytest.mark.mlx_leaks("1MiB")
class TestCase(unittest.TestCase):
    def setUp(self) -> None:
        self.made = megabytes(2)

    def test_passes_in_a_test_case(self) -> None:
        assert self.made.nbytes == 2 * MIB

    def test_fails_in_a_test_case(self) -> None:
        KEPT.append(self.made)

    def test_fails_itself(self) -> None:
        self.fail("of its own")

    def test_skips_itself(self) -> None:
        self.skipTest("of its own")


@pytest.mark.mlx_leaks("1MiB")
def test_fails_the_second_time() -> None:
    TRIES.append("once")
    assert TRIES.count("once") == 1


@pytest.mark.mlx_peak("1MiB")
def test_skips() -> None:
    pytest.skip("of its own")


@pytest.mark.mlx_peak("1MiB")
@pytest.mark.xfail(strict=True)
def test_xfails() -> None:
    megabytes(2)


@pytest.mark.mlx_peak("lots")
def test_errors_with_a_size_that_is_none() -> None:
    pass


@pytest.mark.mlx_leaks(limit=1, warm=2)
def test_errors_with_a_wrong_word() -> None:
    pass


def test_passes_with_the_fixture(mlx_memory: MlxMemory) -> None:
    megabytes(4)
    with mlx_memory.measure():
        pass  # it waits until MLX's threads have given back what is temporary
    assert mlx_memory.growth == 0
    assert mlx_memory.active == mlx_memory.start
    assert whole(mlx_memory.peak, mlx_memory.cache) == (4, 4)
    with mlx_memory.measure() as outer:
        kept = megabytes(2)
        with mlx_memory.limit("2MiB") as inner:
            megabytes(1)
        assert whole(outer.growth) == (2,)
    assert whole(inner.peak, inner.growth) == (1, 0)
    assert whole(outer.peak, outer.growth, mlx_memory.peak) == (3, 2, 4)
    assert outer.peak_absolute == outer.start + outer.peak
    assert 0 < inner.seconds < outer.seconds
    del kept


def test_fails_by_the_fixture(mlx_memory: MlxMemory) -> None:
    with mlx_memory.limit("1MiB"):
        megabytes(2)


def test_passes_with_the_fixture_late(request: pytest.FixtureRequest) -> None:
    memory = request.getfixturevalue("mlx_memory")
    megabytes(2)
    assert whole(memory.peak) == (2,)


def test_passes_without_a_mark() -> None:
    """The hooks of the tests before are off."""
    assert not hasattr(mx.eval, "__wrapped__")
    assert not hasattr(mx.get_peak_memory, "__wrapped__")
