import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.analysis.negative  # noqa: F401 - it adds its programs to MAKERS
from mlxtop.analysis.diagnosis import diagnose
from mlxtop.analysis.verdicts import ORDER, Diagnosis, Verdict
from mlxtop.core.events import (
    CacheCleared,
    Event,
    GenerationFinished,
    LimitChanged,
    PeakReset,
    PhaseChanged,
    StepPeaked,
)
from mlxtop.core.history import History
from mlxtop.core.limits import GIB, LIMIT_NAMES, MIB
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from tests.analysis.by_hand import Run
from tests.analysis.positive import slow_leak
from tests.analysis.traces import MAKERS, PHASES, Trace, replay

SEEDS = 10
"""Of each program, with --soak: every second misses a tenth of its samples. Else one of either, in turns."""
EVERY = 90.0
"""Seconds from look to look; half of it with --soak."""
KINDS = (*ORDER, "steady", "not enough data")
SHORT = {
    "limit overridden": "overridden",
    "over the limit": "over",
    "not evaluated": "unevaluated",
    "active grows": "active",
    "cache hoard": "hoard",
    "not enough data": "not enough",
}


def at_the_end(trace: Trace, **more: Any) -> Diagnosis:
    """What is said when the trace is over."""
    *_, (now, history, timeline, state) = replay(trace, 1e9)
    return diagnose(history, timeline, state, PHASES, now, trace.steps_are, **more)


def made(name: str, seed: int = 0, missing: float = 0.0) -> Trace:
    return MAKERS[name](random.Random(f"{name}{seed}"), missing)


# Every kind of program, looked at all the time


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_no_program_is_told_what_is_not_true(figure: Callable[[str], None], soak: bool) -> None:
    matrix: dict[str, Counter[str]] = {}
    wrong, missed = [], []
    for number, name in enumerate(MAKERS):
        row = matrix[name] = Counter()
        for seed in range(SEEDS) if soak else (number % 2,):
            trace, said = made(name, seed, missing=0.1 * (seed % 2)), set()
            for now, history, timeline, state in replay(trace, EVERY / 2 if soak else EVERY):
                for verdict in diagnose(history, timeline, state, PHASES, now, trace.steps_are).verdicts:
                    row[verdict.kind] += 1
                    said.add(verdict.kind)
                    if not trace.allows(verdict, now):
                        wrong.append((name, seed, round(now), verdict.line()))
            if trace.due < 1e9 and not said & trace.right:
                missed.append((name, seed))
    figure(f"{'verdicts, by kind of program':28}" + "".join(f"{SHORT.get(kind, kind):>13}" for kind in KINDS))
    for name, row in matrix.items():
        figure(f"{name:28}" + "".join(f"{row[kind] or '·':>13}" for kind in KINDS))
    figure(
        f"wrong: {len(wrong)}, missed: {len(missed)}, of {sum(map(Counter.total, matrix.values()))} verdicts"
    )
    assert wrong == []
    assert missed == []


def test_a_mebibyte_a_minute_is_found_within_a_day() -> None:
    found = at_the_end(slow_leak(random.Random(1), hours=8, per_minute=MIB), budget=24 * GIB)
    assert found.kinds == ("active grows",)
    assert found.verdicts[0].numbers["per_minute"] == pytest.approx(MIB, rel=0.1)
    # What is left is measured against what the system charges: 480 MiB of leak, 2 GiB of cache, 400 MiB of host.
    left = (24 - 16 - 2 - (480 + 400) / 1024) * GIB / (MIB / 60)
    assert found.verdicts[0].numbers["until_ceiling"] == pytest.approx(left, rel=0.15)
    assert "until the budget of 24.00 GiB" in found.line()


def test_a_day_of_history_costs_little_more_than_an_hour() -> None:
    assert calls(hours=24) < 2.5 * calls(hours=1)


def calls(hours: float) -> int:
    """How many functions one diagnosis calls, which no other work of the machine changes."""
    *_, (now, history, timeline, state) = replay(
        slow_leak(random.Random(1), hours=hours, per_minute=0, interval=5.0), 1e9
    )
    found: Counter[str] = Counter()
    sys.setprofile(lambda _frame, what, _arg: found.update([what]))
    try:
        diagnosis = diagnose(history, timeline, state, PHASES, now, "tokens")
    finally:
        sys.setprofile(None)
    assert diagnosis.kinds == ("steady",)
    return found["call"] + found["c_call"]


# What is said


def test_a_hoard_says_what_a_clear_returns_and_what_would_cap_it() -> None:
    run = Run()
    for i in range(600):
        run.sample(1000, cache=i)
    found = run.said()
    assert found.kinds == ("cache hoard",)
    verdict = found.verdicts[0]
    assert verdict.numbers["cache"] == 599 * MIB
    assert verdict.numbers["cap"] == 256 * MIB
    assert verdict.numbers["per_minute"] == pytest.approx(60 * MIB, rel=0.05)
    assert (
        verdict.numbers["per_minute_low"]
        <= verdict.numbers["per_minute"]
        <= verdict.numbers["per_minute_high"]
    )
    assert verdict.line() == (
        "cache grows: +495.0 MiB in 8m while active is flat; c frees 599.0 MiB, a cache limit of 256.0 MiB caps it"
    )
    assert "628.1 MB" in verdict.line("decimal")
    assert "--cache-limit 256M" in verdict.advice


@pytest.mark.parametrize(("cache", "cap"), [(36, 20), (400, 100)])
def test_a_cap_leaves_half_of_the_cache_at_most_and_enough_to_work_with(cache: int, cap: int) -> None:
    run = Run()
    for i in range(600):
        run.sample(1000, cache=cache * i / 599)
    (verdict,) = run.said().verdicts
    assert (verdict.kind, verdict.numbers["cap"]) == ("cache hoard", cap * MIB)


def test_buffers_that_grow_are_told_with_the_time_to_their_limit() -> None:
    run = Run()
    run.state.facts = run.state.facts.replace(resource_limit=499_000, backend="Metal")
    for i in range(600):
        run.sample(1000, buffers=2_000 + 10 * i)
    (verdict,) = run.said().verdicts
    assert (verdict.kind, verdict.numbers["buffers"]) == ("buffers grow", 7_990)
    assert verdict.line() == (
        "buffers grow: +600/min for 8m, at least 7,990 now; 14h until the limit of 499,000"
    )
    assert "Resource limit" in verdict.advice


def test_buffers_beside_bytes_that_grow_are_told_where_their_limit_comes_first() -> None:
    for limit, told in ((None, False), (10**9, False), (9_000, True)):
        run = Run()
        run.state.facts = run.state.facts.replace(resource_limit=limit)
        for i in range(600):
            run.sample(1000 + i, buffers=2_000 + 10 * i)
        assert ("buffers grow" in run.said().kinds) == told, limit


def test_a_cache_that_is_full_is_not_said_to_grow() -> None:
    run = Run().limit(300 * MIB, "train.py:3")
    for i in range(900):
        run.sample(1000, cache=min(i, 300))
    assert run.said().line() == (
        "steady: active 1000 MiB, peak 1000 MiB, cache full at its limit of 300.0 MiB, no growth in 10m"
    )


def test_growth_up_to_the_limit_is_not_called_a_hoard() -> None:
    run = Run().limit(610 * MIB, "train.py:3")
    for i in range(600):
        run.sample(1000, cache=i)
    assert "cache hoard" not in run.said().kinds


def test_a_conversation_grows_by_its_kv_cache() -> None:
    found = at_the_end(made("chat"))
    assert found.kinds == ("active grows",)
    assert found.verdicts[0].words["cause"] == "kv"
    assert "(KV cache)" in found.line()
    assert found.verdicts[0].numbers["per_generation"] > 0
    assert "--max-kv-size" in found.verdicts[0].advice


@pytest.mark.parametrize(("share", "cause"), [(0.75, "kv"), (0.25, "other")])
def test_the_kv_cache_is_the_cause_where_it_has_most_of_the_growth(share: float, cause: str) -> None:
    run = Run("tokens")
    for i in range(600):
        run.sample(1000 + i, kv=share * i)
    (verdict,) = run.said().verdicts
    assert (verdict.kind, verdict.words["cause"]) == ("active grows", cause)
    assert ("It is not the KV cache" in verdict.advice) == (cause == "other")


def test_growth_by_generation_is_told_from_the_third_on() -> None:
    run = Run()
    for i in range(600):
        run.sample(1000 + i)
        if i in (300, 400):
            run.event(GenerationFinished(1, 0, 0.0, 0.0, 0.0, "me"))
    assert "per_generation" not in run.said().verdicts[0].numbers
    run.event(GenerationFinished(1, 0, 0.0, 0.0, 0.0, "me"))
    (verdict,) = run.said().verdicts
    assert verdict.numbers["per_generation"] == verdict.numbers["grown"] / 3


def test_a_hoard_tells_what_active_does_beside_it_and_when_the_cache_is_full() -> None:
    for slope, beside in ((0.0, "flat"), (0.5, "growing too"), (-0.5, "falling")):
        run = Run().limit(4096 * MIB, "train.py:3")
        for i in range(600):
            run.sample(1000 + slope * i, cache=i)
        hoard = next(verdict for verdict in run.said().verdicts if verdict.kind == "cache hoard")
        assert hoard.words["active"] == beside
        assert hoard.numbers["until_full"] == pytest.approx(4096 - 599, rel=0.02)


def test_a_budget_is_held_against_what_the_system_charges_and_else_what_mlx_holds() -> None:
    for footprint, used in ((2000, 2000), (None, 1599)):
        run = Run()
        for i in range(600):
            run.sample(1000 + i, footprint=footprint)
        (verdict,) = run.said(budget=4 * GIB).verdicts
        assert verdict.numbers["until_ceiling"] == pytest.approx(4096 - used, rel=0.02)


def test_a_census_long_ago_does_not_name_the_kv_cache() -> None:
    run = Run()
    for i in range(600):
        run.sample(1000 + i)
    verdict = run.said().verdicts[0]
    assert (verdict.kind, verdict.words["cause"]) == ("active grows", "unknown")
    assert "Press w" in verdict.advice


def test_on_a_gpu_with_memory_of_its_own_all_of_the_footprint_is_not_mlxs() -> None:
    for unified, said in ((True, "steady"), (False, "not MLX")):
        run = Run()
        run.state.facts = run.state.facts.replace(unified=unified)
        for i in range(600):
            # The cache and the footprint grow as one, up to a limit nobody reaches.
            run.sample(1000 + i, footprint=1300 + i)
        assert ("not MLX" in run.said().kinds) == (said == "not MLX")


@pytest.mark.parametrize(("unified", "beyond"), [(True, 899), (False, 1899)])
def test_what_is_beyond_mlx_is_the_footprint_without_what_mlx_holds_of_it(unified: bool, beyond: int) -> None:
    run = Run()
    run.state.facts = run.state.facts.replace(unified=unified)
    for i in range(600):
        run.sample(1000, footprint=1300 + i)
    (verdict,) = run.said().verdicts
    assert (verdict.kind, verdict.numbers["beyond"]) == ("not MLX", beyond * MIB)


def test_a_footprint_nobody_knows_is_no_doubt() -> None:
    assert Run().rest(600, footprint=None).said().kinds == ("steady",)


def test_a_budget_that_is_passed_is_said() -> None:
    run = Run()
    for i in range(600):
        run.sample(1000 + i)
    assert run.said(budget=GIB).line().endswith("; it exceeds the budget of 1.00 GiB")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "it exceeds the budget of 1.00 GiB"),
        (90, "1m30s until the budget of 1.00 GiB"),
        (440, "7m until the budget of 1.00 GiB"),
        (11.2 * 3600, "11h until the budget of 1.00 GiB"),
        (20.4 * 86400, "20d until the budget of 1.00 GiB"),
        (31 * 86400, ""),
    ],
)
def test_the_way_to_a_ceiling_is_told_as_roughly_as_it_is_far(seconds: float, said: str) -> None:
    numbers = {"per_minute": 1.0, "span": 600.0, "ceiling": float(GIB), "until_ceiling": seconds}
    verdict = Verdict("active grows", 0.0, numbers, {"cause": "unknown", "ceiling": "budget of"})
    assert verdict.line().partition("; ")[2] == said


def test_json_has_whole_bytes_and_fine_ratios() -> None:
    told = Verdict("spikes", 1.23456, {"times": 2.34567, "peak": 12345.6, "typical": 1.0}).to_json()
    assert (told["since"], told["numbers"]) == (1.235, {"times": 2.346, "peak": 12346, "typical": 1.0})


def test_a_spike_names_its_phase_and_the_knob() -> None:
    found = at_the_end(made("spikes"))
    assert found.kinds == ("spikes",)
    assert found.verdicts[0].words["phase"] == "prefill"
    assert found.line().endswith("; lower it with --prefill-step-size")


def test_a_peak_between_two_samples_counts_and_one_of_long_ago_does_not() -> None:
    run = Run().rest(400)
    run.sample(1000, spike=3000)
    assert run.rest(300).said().kinds == ("spikes",)
    assert run.rest(900).said().kinds == ("steady",)


def test_a_spike_names_the_line_that_made_it() -> None:
    run = Run().rest(400)
    run.sample(1000, spike=3000)
    for step in (
        StepPeaked(3000 * MIB, 1000 * MIB, 7, "run", "vision/tower.py:16"),
        StepPeaked(3000 * MIB, 2900 * MIB, 8, "run", "vision/tower.py:20"),
        StepPeaked(2900 * MIB, 1000 * MIB, 9, "run", "vision/other.py:1"),
        StepPeaked(3000 * MIB, 1000 * MIB, 0, "run", how="between"),
    ):
        run.event(step)
    (verdict,) = run.rest(300).said().verdicts
    assert verdict.line() == "active peaks at 2.93 GiB in vision/tower.py:16, 3.0 times its usual 1000 MiB"
    assert "P lists the highest steps" in verdict.advice


@pytest.mark.parametrize(("peak", "floor"), [(2000, 1000), (3000, 2500)])
def test_a_spike_that_no_step_made_names_none(peak: int, floor: int) -> None:
    run = Run().rest(400)
    run.sample(1000, spike=3000)
    run.event(StepPeaked(peak * MIB, floor * MIB, 7, "run", "vision/tower.py:16"))
    (verdict,) = run.rest(300).said().verdicts
    assert "caller" not in verdict.words
    assert "mlxtop.phase" in verdict.advice


def test_loading_another_model_is_neither_growth_nor_spike() -> None:
    run = Run().rest(500)
    for i in range(100):
        run.sample(1000 + 30 * i)
    said = {kind for _ in range(30) for kind in run.rest(20, 4000).said().kinds}
    assert said <= {"steady", "not enough data"}


def test_what_is_high_often_or_long_or_little_is_no_spike() -> None:
    once = Run().rest(400)
    assert once.rest(10, 3000).rest(200).said().kinds == ("spikes",)
    often = Run()
    for _ in range(25):
        often.rest(20).rest(10, 3000)
    long = Run().rest(400).rest(60, 3000).rest(200)
    little = Run().rest(400, 40).rest(10, 90).rest(200, 40)
    for run in (often.rest(10), long, little):
        assert "spikes" not in run.said().kinds


# Limits


def paced(run: Run, seconds: float, cache: float, busy: float, phase: int = 4) -> None:
    """Steps that take `busy` of the time they took at first."""
    for _ in range(round(seconds)):
        run.time += 1
        run.steps += 100
        cost = getattr(run, "cost", 0) + int(100 * 5_000 * busy)
        run.cost = cost  # type: ignore[attr-defined]
        a, c = 1000 * MIB, int(cache * MIB)
        run.history.add(Sample(run.time, a, c, a, a + c, UNKNOWN, run.steps, run.steps, cost, phase))


@pytest.mark.parametrize(
    ("after", "cache", "limit", "thrashes"),
    [
        (1.5, 20, 20, True),
        (1.02, 20, 20, False),  # it costs nothing
        (1.5, 8, 20, False),  # slower, but the cache is not full
        (1.5, 600, 800, False),  # the limit never binds
    ],
)
def test_a_limit_that_costs_speed(after: float, cache: float, limit: int, thrashes: bool) -> None:
    run = Run("tokens")
    run.limit(32 * GIB, "MLX's default")
    paced(run, 300, cache=600, busy=1.0)
    run.limit(limit * MIB, "keyboard", old=32 * GIB)
    paced(run, 150, cache=cache, busy=after)
    assert ("thrash" in run.said().kinds) == thrashes
    if thrashes:
        assert run.said().line() == (
            "cache limit 32.00 GiB → 20.0 MiB costs speed: 200.0 → 133.3 tokens/s, and the cache is full; raise it with ]"
        )
        run.limit(32 * GIB, "keyboard", old=20 * MIB)
        paced(run, 5, cache=20, busy=after)
        assert "thrash" not in run.said().kinds


@pytest.mark.parametrize(
    ("backend", "after", "thrashes"),
    [
        ("CUDA", 1.5, True),
        ("Metal", 1.5, True),
        ("CUDA", 1.02, False),  # it costs nothing
        ("CPU", 1.5, False),  # there the memory limit does not hold the cache
    ],
)
def test_a_memory_limit_holds_the_cache_where_mlx_reclaims(
    backend: str, after: float, thrashes: bool
) -> None:
    run = Run("tokens")
    run.state.facts = run.state.facts.replace(backend=backend, working_set=48 * GIB)
    run.limit(32 * GIB, "MLX's default").limit(32 * GIB, "MLX's default", knob="memory")
    paced(run, 300, cache=600, busy=1.0)
    # Beside 1000 MiB of active memory.
    run.limit(1020 * MIB, "keyboard", old=32 * GIB, knob="memory")
    paced(run, 150, cache=20, busy=after)
    assert ("thrash" in run.said().kinds) == thrashes
    if thrashes:
        assert run.said().line() == (
            "memory limit 32.00 GiB → 1020 MiB costs speed: 200.0 → 133.3 tokens/s, and the cache is full; raise it with l"
        )


def test_a_cache_limit_above_what_mlx_leaves_the_cache_is_to_blame_for_nothing() -> None:
    run = Run("tokens")
    run.state.facts = run.state.facts.replace(backend="Metal", working_set=1020 * MIB * 100 // 95 + 1)
    run.limit(32 * GIB, "MLX's default").limit(32 * GIB, "MLX's default", knob="memory")
    paced(run, 300, cache=600, busy=1.0)
    run.limit(20 * MIB + 4096, "keyboard", old=32 * GIB)
    paced(run, 150, cache=20, busy=1.5)
    assert "thrash" not in run.said().kinds


def test_a_cache_is_full_where_mlx_reclaims_it() -> None:
    run = Run("tokens")
    run.state.facts = run.state.facts.replace(backend="Metal", working_set=2000 * MIB)
    run.limit(32 * GIB, "MLX's default").limit(32 * GIB, "MLX's default", knob="memory")
    run.rest(400, active=1000, cache=895)
    assert "cache full at its limit of 900.0 MiB" in run.said().line()


def test_several_presses_are_one_change() -> None:
    run = Run("tokens")
    paced(run, 300, cache=600, busy=1.0)
    run.limit(256 * MIB, "keyboard", old=32 * GIB)
    paced(run, 5, cache=256, busy=1.0)
    run.limit(20 * MIB, "keyboard", old=256 * MIB)
    paced(run, 150, cache=20, busy=1.5)
    assert run.said().line().startswith("cache limit 32.00 GiB → 20.0 MiB costs speed")


@pytest.mark.parametrize("other", ["nothing", "small", "loose", "phase", "uneven", "slowing"])
def test_what_is_slower_for_another_reason_is_not_held_against_the_limit(other: str) -> None:
    run = Run("tokens")
    for second in range(300):
        uneven = 1.8 if other == "uneven" and second // 5 % 5 > 2 else 1.0
        slowing = max(second - 180, 0) / 400 if other == "slowing" else 0.0
        paced(run, 1, cache=19 if other == "small" else 600, busy=uneven + slowing)
    run.limit(20 * MIB, "keyboard", old=32 * GIB)
    for second in range(150):
        full = other != "loose" or second // 20 % 3 == 0
        busy = 1.3 + second / 400 if other == "slowing" else 1.5
        paced(run, 1, cache=20 if full else 5, busy=busy, phase=3 if other == "phase" else 4)
    assert ("thrash" in run.said().kinds) == (other == "nothing")


def test_too_little_of_the_speed_is_a_doubt() -> None:
    run = Run("tokens")
    run.rest(300)
    paced(run, 30, cache=600, busy=1.0)
    run.limit(20 * MIB, "keyboard", old=32 * GIB)
    paced(run, 250, cache=20, busy=1.5)
    assert run.said().line().startswith("not enough data: too few speeds are known")


def test_code_that_overrides_a_limit_is_named() -> None:
    run = Run().limit(20 * MIB, "keyboard").rest(300).limit(GIB, "lib/loader.py:31", old=20 * MIB).rest(10)
    found = run.said()
    assert found.line() == "lib/loader.py:31 set the cache limit to 1.00 GiB; you had set 20.0 MiB"
    assert found.verdicts[0].since == 300
    run.rest(90).limit(30 * MIB, "keyboard", old=GIB).rest(90).limit(GIB, "lib/loader.py:31", old=30 * MIB)
    assert run.said().verdicts[0].since == 490, "what it did before the person is over"
    run.limit(20 * MIB, "keyboard", old=GIB)
    assert "limit overridden" not in run.said().kinds


def test_what_mlx_lm_does_all_the_time_overrides_too_while_it_lasts() -> None:
    run = Run().limit(5 * GIB, "flag", knob="wired").limit(9 * GIB, "mlx_lm/generate.py:90", knob="wired")
    run.rest(300)
    assert run.said().kinds == ("limit overridden",)
    run.limit(5 * GIB, "mlx_lm/generate.py:99", knob="wired")
    assert run.said().kinds == ("steady",)


@pytest.mark.parametrize(
    "change",
    [
        [(20, "train.py:3")],  # nobody had set one
        [(20, "keyboard"), (30, "mlxtop"), (40, "train.py:3")],  # it was given back
        [(20, "train.py:3"), (30, "keyboard")],  # the person came later
        [(20, "keyboard"), (20, "train.py:3")],  # the same
        [(20, "MLX's default")],
    ],
)
def test_what_overrides_nothing(change: list[tuple[int, str]]) -> None:
    run = Run()
    for size, who in change:
        run.limit(size * MIB, who)
    assert run.rest(400).said().kinds == ("steady",)


def test_a_command_that_waits_is_not_overridden_yet() -> None:
    run = Run().limit(20 * MIB, "keyboard").limit(GIB, "a.py:1").rest(300)
    run.state.limits["cache"] = run.state.limits["cache"].asked(20 * MIB)
    assert "limit overridden" not in run.said().kinds


# Nothing to say


def test_too_early() -> None:
    assert Run().said().line() == "not enough data: there are no samples yet"
    assert Run().rest(90).said().line() == "not enough data: a verdict needs 2m51s more"


def test_the_time_to_the_first_verdict_counts_down_from_the_first_second() -> None:
    left = [Run().rest(seconds).said().verdicts[0].numbers["more"] for seconds in (1, 7, 25, 59, 61, 90, 260)]
    assert left == [260, 254, 236, 202, 200, 171, 1]
    assert Run().rest(262).said().kinds == ("steady",)


def test_a_program_that_holds_nothing_yet_has_not_begun() -> None:
    run = Run().rest(180, 0)
    for i in range(100):
        run.sample(100 + 5 * i)
    assert run.said().kinds == ("not enough data",)


def test_a_model_that_loads_is_told_with_samples_and_without() -> None:
    loading = Run("tokens").event(PhaseChanged("load"))
    assert loading.said().line() == "not enough data: the model is loading"
    assert loading.rest(20).said().line() == "not enough data: the model is loading"


def test_doubt_is_said_with_its_reason() -> None:
    run = Run()
    for i in range(300):
        run.sample(1000 + i)
    assert run.said().line() == "not enough data: active +220.0 MiB in 3m39s, but it may be warming up"


def test_growth_before_anything_was_done_is_a_doubt() -> None:
    run = Run()
    for i in range(700):
        run.steps = -10
        run.sample(1000 + i)
    assert run.said().line().endswith("but no eval is seen yet; press w for what waits")


@pytest.mark.parametrize(
    ("teeth", "said"),
    [(0, "active grows"), (1, "it rose before and came down again"), (2, "steady")],
)
def test_a_saw_whose_teeth_are_longer_than_the_window_does_not_grow(teeth: int, said: str) -> None:
    run = Run().rest(300)
    for i in range(900 * teeth + 800):
        run.sample(1000 + i % 900)
    assert said in run.said().line()


def test_a_share_of_all_that_is_held_matters_and_less_does_not() -> None:
    for per_second, kind in ((0.5, "steady"), (2.0, "active grows")):
        run = Run()
        for i in range(600):
            run.sample(100 * 1024 + per_second * i, footprint=1000)
        assert run.said().kinds == (kind,)


def test_a_night_of_sleep_is_no_doubt_for_long() -> None:
    run = Run().rest(1200)
    run.time += 8 * 3600
    assert (
        run.rest(600).said().line() == "steady: active 1000 MiB, peak 1000 MiB, cache 0 B, no growth in 10m"
    )


def test_a_clear_begins_the_cache_anew() -> None:
    run = Run()
    for i in range(600):
        run.sample(1000, cache=i)
    run.event(CacheCleared("keyboard", 1))
    assert run.said().line() == "not enough data: cache: it is too early"


def test_what_code_clears_is_its_own_way_to_work() -> None:
    run = Run()
    for i in range(600):
        run.sample(1000, cache=i)
    assert run.event(CacheCleared("train.py:3", 1)).said().kinds == ("cache hoard",)


def test_another_model_begins_everything_anew() -> None:
    told = Run("tokens").rest(900, weights=500).event(PhaseChanged("load")).rest(10)
    told.event(PhaseChanged("decode")).rest(150)
    seen = Run("tokens").rest(900, weights=500).rest(150, 5000, weights=4500)
    for run in (told, seen):
        assert "a verdict needs 5" in run.said().line()


def test_a_moment_of_the_past_can_be_looked_at() -> None:
    run = Run().rest(600)
    for i in range(600):
        run.sample(1000 + i)
    past = diagnose(run.history, run.timeline, run.state, PHASES, 600, "evals")
    assert (past.kinds, past.time) == (("steady",), 600)
    assert run.said().kinds == ("active grows",)


def test_after_the_last_sample_the_last_moment_is_looked_at() -> None:
    run = Run().rest(900)
    said = run.said()
    run.time += 3600
    assert run.said() == said


def test_a_moment_of_which_only_extremes_are_kept_can_be_looked_at_too() -> None:
    run = Run().rest(2850, cache=100).rest(8000, cache=50)
    assert run.history.at(2900) is None
    past = diagnose(run.history, run.timeline, run.state, PHASES, 2900, "evals")
    assert (
        past.line() == "steady: active 1000 MiB, peak 1000 MiB, cache 50.0 MiB to 100.0 MiB, no growth in 43m"
    )


@pytest.mark.parametrize("name", ["hoard", "chat", "not mlx", "spikes", "thrash", "overridden", "loop"])
def test_a_line_fits_the_status_row_and_json(name: str) -> None:
    found = at_the_end(made(name), budget=200 * GIB)
    for verdict in found.verdicts:
        for units in ("binary", "decimal"):
            assert len(verdict.line(units)) <= 112  # type: ignore[arg-type]
            assert "\n" not in verdict.line(units)  # type: ignore[arg-type]
        told = json.loads(json.dumps(verdict.to_json()))
        assert told["line"] == verdict.line()
    assert json.loads(json.dumps(found.to_json()))["verdicts"]


def test_verdicts_come_by_importance() -> None:
    run = Run().limit(20 * MIB, "keyboard").limit(90 * GIB, "a.py:1")
    for i in range(600):
        run.sample(1000 + i, cache=i, footprint=2000 + 4 * i)
    assert run.said().kinds == ("limit overridden", "active grows", "not MLX", "cache hoard")


# Odd input

sizes = st.one_of(st.integers(-1, 2**45), st.just(UNKNOWN), st.just(2**61))
odd_samples = st.lists(
    st.tuples(st.floats(0, 5000), sizes, sizes, sizes, sizes, st.integers(0, 2**40), st.integers(-1, 9)),
    max_size=60,
)
some_size = st.one_of(st.none(), st.integers(0, 2**63))
somebody = st.sampled_from(["keyboard", "flag", "a.py:1", "mlxtop", "mlx_lm/a.py:2", ""])
rates = st.floats(0, 1e10)
odd_events = st.lists(
    st.one_of(
        st.builds(LimitChanged, st.sampled_from(LIMIT_NAMES), some_size, some_size, somebody),
        st.builds(CacheCleared, somebody, some_size),
        st.builds(PhaseChanged, st.sampled_from(["load", "run"])),
        st.builds(GenerationFinished, st.integers(0), st.integers(0), rates, rates, rates, somebody),
        st.builds(PeakReset, somebody, st.integers(0)),
    ),
    max_size=10,
)


@given(
    odd_samples,
    odd_events,
    st.one_of(st.floats(), st.floats(0, 1e5)),
    st.sampled_from(["tokens", "evals", "?"]),
    st.one_of(st.none(), st.integers(-1, 2**60)),
    st.sampled_from([0.5, 10.0, 600.0]),
)
def test_odd_input_has_an_answer(
    rows: list[Any], events: list[Any], now: float, steps_are: str, budget: int | None, window: float
) -> None:
    history, timeline, state = History(), Timeline(), State()
    for at, active, cache, peak, footprint, count, phase in sorted(rows):
        history.add(
            Sample(
                at, active, cache, peak, active + cache, footprint, count, count, count, phase, active, cache
            )
        )
    for n, data in enumerate(events):
        event = Event(n * 300.0, data)
        timeline.add(event)
        state.apply(event)
    found = diagnose(history, timeline, state, [], now, steps_are, budget, window)
    assert found.verdicts
    json.dumps(found.to_json())
    alone = {"steady", "not enough data"} & set(found.kinds)
    assert not alone or len(found.kinds) == 1


def test_a_verdict_without_words_is_told_too() -> None:
    assert Verdict("steady", 0.0).line() == "steady: active —, peak —, cache —, no growth in 0s"
