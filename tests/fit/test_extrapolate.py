"""Runs whose every number is known, so that what is made of them can be checked."""

import pytest

from mlxtop.fit.extrapolate import UNREST, extrapolated, measured
from mlxtop.fit.measure import MeasuredRun, Peak, Step

WEIGHTS, STEP = 1_000_000, 512
KV, WORK = 100, 400
"""Bytes a token takes in the KV caches, and in what a full step works on."""


def run(done: int, kv: int = KV, window: int | None = None, **options: object) -> MeasuredRun:
    """A prefill that came to `done` tokens; the KV cache stops growing at `window`."""

    def at(tokens: int) -> Step:
        cached = kv * min(tokens, window or tokens) + (KV * tokens if window else 0)
        active = WEIGHTS + cached + WORK * tokens
        return Step(tokens, Peak(active, active + 5000, active + 90_000), cached, tokens / 100)

    steps = [at(tokens) for tokens in range(STEP, done + 1, STEP)]
    return MeasuredRun(
        8192, done, steps, decode=Peak(WEIGHTS, WEIGHTS, WEIGHTS), stopped="time",
        windows=frozenset([window] if window else []), **options,  # type: ignore[arg-type]
    )  # fmt: skip


def test_what_was_run_whole_is_its_highest_and_has_no_margin() -> None:
    whole = run(2048)
    whole.decode = Peak(9_000_000, 9_500_000, None)
    need = measured(whole)
    assert (need.active.value, need.total.value) == (9_000_000, 9_500_000)
    assert need.footprint is not None
    assert need.footprint.value == whole.steps[-1].peak.footprint
    assert {need.active.margin, need.total.margin, need.origin} == {0, None}


def test_a_line_leads_on_to_a_longer_context() -> None:
    need = extrapolated(run(2048), 8192, STEP, WEIGHTS)
    assert need is not None
    expected = WEIGHTS + (KV + WORK) * 8192
    assert abs(need.active.value - expected) <= 0.002 * expected
    assert need.kv.value == KV * 8192
    assert (need.origin, need.at_most) == (2048, False)


def test_no_line_is_surer_than_two_runs_of_one_context_agree() -> None:
    need = extrapolated(run(2048), 8192, STEP, WEIGHTS)
    assert need is not None
    assert need.active.margin >= UNREST * (need.active.value - WEIGHTS)


def test_a_short_last_step_works_on_less_than_a_full_one() -> None:
    need = extrapolated(run(2048), 7 * STEP + 10, STEP, WEIGHTS)
    assert need is not None
    assert need.active.value == WEIGHTS + (KV + WORK) * 7 * STEP


def test_beyond_a_window_its_cache_counts_no_more() -> None:
    windowed = run(4096, kv=10 * KV, window=1024)
    need = extrapolated(windowed, 8192, STEP, WEIGHTS)
    assert need is not None
    expected = WEIGHTS + 10 * KV * 1024 + (KV + WORK) * 8192
    assert abs(need.active.value - expected) <= 0.002 * expected
    assert not need.at_most


def test_a_window_that_was_not_filled_only_bounds_the_answer() -> None:
    windowed = run(2048, kv=10 * KV, window=2048)
    need = extrapolated(windowed, 8192, STEP, WEIGHTS)
    assert need is not None
    assert need.at_most
    assert need.active.value > WEIGHTS + 10 * KV * 2048 + (KV + WORK) * 8192


def test_a_window_longer_than_the_context_bends_nothing() -> None:
    need = extrapolated(run(2048, kv=0, window=10_000), 8192, STEP, WEIGHTS)
    assert need is not None
    assert not need.at_most


def test_two_steps_are_no_line() -> None:
    assert extrapolated(run(2 * STEP), 8192, STEP, WEIGHTS) is None


def test_decoding_can_be_the_highest() -> None:
    half = run(2048)
    half.decode = Peak(50_000_000, 50_000_000, 50_000_000)
    need = extrapolated(half, 8192, STEP, WEIGHTS)
    assert need is not None
    assert need.active.value == 50_000_000 + KV * (8192 - 2048)


def test_an_unknown_footprint_stays_unknown() -> None:
    half = run(2048)
    half.steps = [s._replace(peak=s.peak._replace(footprint=None)) for s in half.steps]
    need = extrapolated(half, 8192, STEP, WEIGHTS)
    assert need is not None
    assert need.footprint is None


def test_steps_shorter_than_a_growth_of_the_caches_count_by_its_highest() -> None:
    """The caches are copied when they grow, every 256 tokens: that peak is the one that counts."""
    steps = []
    for tokens in range(64, 2049, 64):
        rounds = -(-tokens // 256)
        active = WEIGHTS + KV * 256 * rounds + (100_000 if tokens % 256 == 64 else 0)
        steps.append(Step(tokens, Peak(active, active, active), KV * 256 * rounds, 0.0))
    need = extrapolated(MeasuredRun(4096, 2048, steps, stopped="time"), 4096, 64, WEIGHTS)
    assert need is not None
    assert need.active.value == pytest.approx(WEIGHTS + KV * 4096 + 100_000, rel=0.002)
