import pytest

from mlxtop.core.budget import Budget
from mlxtop.fit.extrapolate import Estimate, MemoryEstimate
from mlxtop.fit.verdict import judge

BUDGET = Budget(1000, "from --budget")


def need(
    active: int, total: int, footprint: int | None, margin: int = 0, at_most: bool = False
) -> MemoryEstimate:
    figure = None if footprint is None else Estimate(footprint, margin)
    return MemoryEstimate(
        Estimate(active, margin), Estimate(total, margin), figure, Estimate(0), None, at_most
    )


@pytest.mark.parametrize(
    ("footprint", "margin", "word"),
    [
        (900, 0, "fits"),
        (900, 50, "fits"),
        (900, 80, "tight"),
        (960, 0, "tight"),
        (1000, 0, "tight"),
        (1001, 0, "does not fit"),
        (980, 50, "cannot tell"),
        (1020, 50, "cannot tell"),
        (1051, 50, "does not fit"),
    ],
)
def test_the_error_counts_against_the_budget(footprint: int, margin: int, word: str) -> None:
    verdict = judge(need(500, 600, footprint, margin), BUDGET)
    assert (verdict.word, verdict.headroom) == (word, 1000 - footprint)


def test_what_was_not_run_cannot_be_told() -> None:
    assert judge(None, BUDGET).word == "cannot tell"


@pytest.mark.parametrize(("footprint", "word"), [(900, "fits"), (1200, "cannot tell")])
def test_a_bound_can_show_that_it_fits_and_never_that_it_does_not(footprint: int, word: str) -> None:
    assert judge(need(500, 600, footprint, at_most=True), BUDGET).word == word


def test_a_device_of_its_own_memory_holds_what_mlx_holds() -> None:
    on_device = judge(need(500, 600, 5000), BUDGET._replace(against="device"))
    assert (on_device.word, on_device.headroom) == ("fits", 400)
    assert judge(need(500, 600, None), BUDGET).headroom == 400


def test_where_only_the_cache_is_in_the_way_a_limit_is_named() -> None:
    # 100 bytes are not MLX's, 700 are live: 150 are left of 95 %.
    assert judge(need(700, 1100, 1200), BUDGET).cache_limit == 150
    assert judge(need(990, 1100, 1200), BUDGET).cache_limit is None
