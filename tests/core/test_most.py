"""The most that a run took, in one sentence."""

import pytest

from mlxtop.core.events import CacheCleared, Event, PeakReset
from mlxtop.core.most import Most
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.state import State

MIB = 2**20


@pytest.mark.parametrize(
    ("kind", "unified", "said"),
    [
        ("RSS", True, "most MLX held 320.0 MiB; most the system charged 340.0 MiB, as top shows (RES)"),
        (
            "phys_footprint",
            True,
            "most MLX held 320.0 MiB; most the system charged 340.0 MiB, as in Activity Monitor",
        ),
        (
            "RSS",
            False,
            "most MLX held 320.0 MiB, which nvidia-smi shows with CUDA's own; most the system charged 340.0 MiB, "
            "as top shows (RES)",
        ),
        ("footprint", True, "most MLX held 320.0 MiB; most the system charged 340.0 MiB"),
    ],
)
def test_it_goes_with_what_other_tools_show(kind: str, unified: bool, said: str) -> None:
    most = Most(160 * MIB, 320 * MIB, 340 * MIB)
    assert most.describe(kind, unified) == f"peak 160.0 MiB of arrays; {said}"
    assert "167.8 MB of arrays; most MLX held 335.5 MB" in most.describe(kind, True, "decimal")


def test_what_nobody_knows_is_left_out() -> None:
    assert Most(0, MIB).describe("RSS", True) == "peak 0 B of arrays; most MLX held 1.0 MiB"


def test_each_may_be_of_another_moment() -> None:
    state = State()
    state.apply_sample(Sample(1.0, 160, 10, 160, 170, UNKNOWN))
    state.apply_sample(Sample(2.0, 20, 300, 160, 320, 500))
    state.apply_sample(Sample(3.0, 20, 0, 160, 20, 340))
    assert state.most == Most(160, 320, 500)


def test_mlx_held_what_its_arrays_took_between_two_samples() -> None:
    state = State()
    state.apply_sample(Sample(1.0, 20, 10, 900, 30))
    state.apply(Event(2.0, PeakReset("keyboard", 900)))
    assert state.most == Most(900, 900, UNKNOWN)


def test_mlx_held_its_cache_until_it_was_cleared_between_two_samples() -> None:
    state = State()
    state.apply_sample(Sample(1.0, 20, 10, 160, 30))
    state.apply(Event(1.1, CacheCleared("mlx_lm/generate.py:451", 140, total=300)))
    state.apply(Event(1.2, CacheCleared("mlx_lm/generate.py:451")))
    state.apply_sample(Sample(2.0, 20, 0, 160, 20))
    assert state.most.total == 300
