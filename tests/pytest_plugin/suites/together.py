"""Run by `test_other_plugins`, in several processes, with memray and repeats."""

import mlx.core as mx
import pytest

MIB = 2**20
TRIES: list[int] = []


def megabytes(count: int) -> None:
    mx.eval(mx.zeros((count, MIB // 4)))


@pytest.mark.mlx_peak("100MiB")
def test_needs_more() -> None:
    megabytes(44)


@pytest.mark.mlx_peak("100MiB")
def test_needs_less() -> None:
    megabytes(5)


@pytest.mark.mlx_leaks("1MiB")
@pytest.mark.mlx_peak("100MiB")
@pytest.mark.limit_memory("10MB")
def test_is_new() -> None:
    megabytes(3)


@pytest.mark.mlx_peak("10MiB")
@pytest.mark.limit_memory("10MB")
def test_needs_it_the_first_time_only() -> None:
    TRIES.append(1)
    megabytes(12 if len(TRIES) == 1 else 2)


@pytest.mark.mlx_peak("100MiB")
@pytest.mark.limit_memory("10MB")
def test_fails_by_memray() -> None:
    kept = [bytearray(MIB) for _ in range(20)]
    megabytes(1)
    del kept


def test_is_not_measured() -> None:
    megabytes(1)
