import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.facts import Facts
from mlxtop.core.limits import GIB, LADDER, MIB, Limit, cache_ceiling, rungs, step
from mlxtop.core.units import UNLIMITED

defaults = st.one_of(st.none(), st.integers(0, 2**40))


def walk(limit: Limit, direction) -> list[int]:
    """Every rung on the way, pressing the key until nothing changes."""
    seen = []
    while (value := step(limit, direction)) != limit.wanted:
        seen.append(value)
        limit = limit.asked(value)
    return seen


def test_the_keys_walk_the_whole_ladder_down_and_up() -> None:
    default = 32 * MIB
    limit = Limit(default, default=default)
    assert walk(limit, -1) == [20 * MIB, 2 * MIB, 0]
    assert walk(Limit(0, default=default), 1) == [2 * MIB, 20 * MIB, default, UNLIMITED]


def test_on_a_large_device_the_ladder_has_all_rungs() -> None:
    default = 100 * GIB
    assert walk(Limit(UNLIMITED, default=default), -1) == [default, *reversed(LADDER)]


@given(defaults)
def test_the_default_is_a_rung_and_the_ladder_ends_in_zero_and_unlimited(default: int | None) -> None:
    ladder = rungs(default)
    assert ladder == sorted(set(ladder))
    assert (ladder[0], ladder[-1]) == (0, UNLIMITED)
    assert default is None or default in ladder


@given(defaults, st.integers(0, UNLIMITED))
def test_down_and_up_from_anywhere_reach_the_ends(default: int | None, value: int) -> None:
    limit = Limit(value, default=default)
    down, up = walk(limit, -1), walk(limit, 1)
    assert down == sorted(down, reverse=True)
    assert up == sorted(up)
    assert [value, *down][-1] == 0
    assert [value, *up][-1] == UNLIMITED


def test_a_typed_value_between_two_rungs_goes_to_its_neighbours() -> None:
    limit = Limit(50 * MIB, default=GIB)
    assert (step(limit, -1), step(limit, 1)) == (20 * MIB, 100 * MIB)


def test_a_limit_nobody_knows_yet_steps_from_the_top() -> None:
    assert (step(Limit(), -1), step(Limit(), 1)) == (LADDER[-1], UNLIMITED)


def test_a_second_press_goes_on_from_what_is_pending() -> None:
    limit = Limit(32 * MIB, default=32 * MIB).asked(20 * MIB)
    assert limit.value == 32 * MIB
    assert limit.wanted == 20 * MIB
    assert step(limit, -1) == 2 * MIB


def test_the_answer_to_a_command_ends_its_pending() -> None:
    limit = Limit(5, "MLX's default", default=5).asked(7).changed(7, "keyboard", asked=7)
    assert limit == Limit(7, "keyboard", None, 5)


def test_the_answer_to_an_older_command_leaves_the_newer_pending() -> None:
    limit = Limit(5, default=5).asked(7).asked(9).changed(7, "keyboard", asked=7)
    assert (limit.value, limit.pending) == (7, 9)


def test_somebody_elses_change_leaves_a_command_pending() -> None:
    limit = Limit(5, default=5).asked(7).changed(100, "train.py:12")
    assert (limit.value, limit.source, limit.pending) == (100, "train.py:12", 7)


def test_the_first_value_known_is_the_default_for_good() -> None:
    limit = Limit().changed(5, "MLX's default").changed(9, "flag")
    assert limit.default == 5


@pytest.mark.parametrize(
    ("facts", "memory", "most"),
    [
        (Facts(backend="Metal", working_set=1000), 1500, 650),
        (Facts(backend="Metal", working_set=1000), 700, 400),
        (Facts(backend="Metal", working_set=1000), 200, 0),
        (Facts(backend="Metal", working_set=None), 700, None),
        (Facts(backend="CUDA"), 700, 400),
        (Facts(backend="CUDA"), None, None),
        (Facts(backend="CPU"), 700, None),
        (Facts(), 700, None),
    ],
)
def test_what_mlx_leaves_the_cache_beside_300_bytes_of_active(
    facts: Facts, memory: int | None, most: int | None
) -> None:
    assert cache_ceiling(facts, memory, 300) == most
