"""A difference of speed is told when the spread allows it, and only then."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.analysis.effect import compare

SPEEDS = st.lists(st.floats(1, 1e4), min_size=3, max_size=20)


def test_one_kind_of_work_is_a_two_sample_t_test():
    before, after = [100.0, 102.0, 98.0, 101.0, 99.0], [80.0, 81.0, 79.0, 80.5, 79.5]
    found = compare([(0, v) for v in before], [(0, v) for v in after])
    assert found.found == "differs"
    assert found.pieces == 5
    assert found.change == pytest.approx(-0.20, abs=0.001)
    # By hand: pooled deviation of the logarithms 0.0126, times sqrt(2/5), times t(8) = 3.355, times 0.8.
    assert found.high - found.low == pytest.approx(2 * 0.0215, rel=0.05)
    assert found.low < found.change < found.high < 0


def test_kinds_of_work_are_kept_apart():
    """Under the second limit more of the slow kind is done: that alone is no difference."""
    fast, slow = [200.0, 201.0, 199.0, 200.5], [50.0, 50.2, 49.8, 50.1]
    before = [(0, v) for v in fast] + [(1, v) for v in slow[:1]]
    after = [(0, v) for v in fast[:1]] + [(1, v) for v in slow]
    assert compare(before, after).found == "same"


def test_one_of_each_of_many_kinds_is_enough():
    kinds = [300.0, 250.0, 200.0, 150.0, 100.0, 50.0]
    before = list(enumerate(kinds))
    after = [(kind, v * 0.8 * (1.01 if kind % 2 else 0.99)) for kind, v in before]
    found = compare(before, after)
    assert found.found == "differs"
    assert found.change == pytest.approx(-0.2, abs=0.005)


def test_what_is_not_enough():
    few = [(0, 100.0), (0, 101.0)]
    many = [(0, 50.0 + i) for i in range(9)]
    assert compare(few, many)[:2] == ("few", 2)
    assert compare([], many).found == "few"
    assert compare([(1, v) for _, v in many], many).found == "unlike"
    # Three kinds with one piece each side: nothing is left to know the spread by.
    three = [(0, 100.0), (1, 200.0), (2, 300.0)]
    assert compare(three, three).found == "few"


@given(SPEEDS)
def test_the_same_work_never_differs(speeds):
    pieces = [(0, v) for v in speeds]
    assert compare(pieces, pieces).found in ("few", "same")


@given(SPEEDS, SPEEDS)
def test_the_other_way_round_the_answer_is_the_same(one, other):
    a, b = [(0, v) for v in one], [(0, v) for v in other]
    there, back = compare(a, b), compare(b, a)
    assert there.found == back.found
    if there.found in ("same", "differs"):
        assert (1 + there.change) * (1 + back.change) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.2])
def test_without_an_effect_none_is_told(noise):
    """1,000 runs, each looked at after every generation from the third on: the bar has to stand that."""
    rng = random.Random(7)
    wrong = looks = 0
    for _ in range(1000):
        before = [(kind, rng.lognormvariate(5 - kind / 9, noise)) for kind in range(8)]
        after: list[tuple[int, float]] = []
        told = []
        for kind in range(8):
            after.append((kind, rng.lognormvariate(5 - kind / 9, noise)))
            told.append(compare(before, after).found == "differs")
        looks += len(told)
        wrong += sum(told)
    assert wrong / looks < 0.015


@pytest.mark.parametrize(("effect", "noise"), [(-0.1, 0.02), (-0.3, 0.08), (0.5, 0.15)])
def test_an_effect_beyond_the_noise_is_told_with_its_size(effect, noise):
    rng = random.Random(8)
    found = covered = 0
    for _ in range(300):
        before = [(k, rng.lognormvariate(5 - k / 9, noise)) for k in range(8) for _ in range(2)]
        after = [(k, (1 + effect) * rng.lognormvariate(5 - k / 9, noise)) for k in range(8) for _ in range(2)]
        told = compare(before, after)
        found += told.found == "differs" and (told.change > 0) == (effect > 0)
        covered += told.low <= effect <= told.high
    assert found >= 297
    assert covered >= 291
