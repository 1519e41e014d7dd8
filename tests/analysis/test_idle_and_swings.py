"""What is said of a cache that nothing uses, of arrays that nobody evaluates, of swings, and of limits exceeded."""

from collections.abc import Callable

import pytest

from mlxtop.analysis.verdicts import Verdict
from mlxtop.core.census import PARTS, Census, Holding
from mlxtop.core.events import COLLECTOR, CensusTaken, GarbageCollected, StepPeaked, SystemRead
from mlxtop.core.limits import GIB, MIB
from mlxtop.core.machine import System
from mlxtop.core.units import format_span
from tests.analysis.by_hand import Run


def only(run: Run, kind: str) -> Verdict:
    (verdict,) = run.said().verdicts
    assert verdict.kind == kind, verdict.line()
    return verdict


def rest(run: Run, seconds: float, active: float, cache: float) -> Run:
    """Nothing is evaluated."""
    for _ in range(round(seconds / run.step)):
        run.steps -= 10
        run.sample(active, cache)
    return run


def census(active: float, explained: float, *waiting: str) -> CensusTaken:
    """Sizes in MiB, and who holds what is not computed."""
    parts = {**dict.fromkeys(PARTS, 0), "other": int(explained * MIB)}
    holdings = tuple(Holding("other", 4, (), "float32", name, computed=False) for name in waiting)
    return CensusTaken(Census(int(active * MIB), parts, holdings=holdings, lazy_count=len(waiting)))


# A cache that nothing uses


def test_an_idle_cache_is_told_with_what_returns_it_long_before_a_trend_is_known() -> None:
    run = rest(Run().rest(20, 500), 130, 0, 500)
    verdict = only(run, "idle cache")
    since, idle = verdict.since, format_span(round(verdict.numbers["idle"], 1))
    assert since == pytest.approx(20, abs=3)
    assert verdict.line() == (
        f"idle cache: 500.0 MiB of MLX's 500.0 MiB, unused for {idle}; c returns it, a cache limit of 100.0 MiB caps it"
    )
    assert "mx.clear_cache()" in verdict.advice
    assert "--cache-limit 100M" in verdict.advice


def test_an_idle_cache_is_as_old_as_its_last_use_for_hours() -> None:
    run = rest(Run().rest(300, 500), 5 * 3600, 100, 400)
    verdict = only(run, "idle cache")
    assert verdict.numbers["idle"] == pytest.approx(5 * 3600, rel=0.02)


@pytest.mark.parametrize(
    ("active", "cache", "told"),
    [
        (100, 10, False),  # little
        (0, 10, True),  # little, but all
        (4000, 700, False),  # little beside what is in use
        (4000, 1500, True),
        (0, 30, True),
    ],
)
def test_a_cache_is_worth_a_word_by_its_size_and_by_its_share(
    active: float, cache: float, told: bool
) -> None:
    run = rest(Run().rest(20, active, cache=cache), 400, active, cache)
    assert run.said().kinds == (("idle cache",) if told else ("steady",))


def use_array(run: Run) -> None:
    run.sample(600, 400)


def count_step(run: Run) -> None:
    run.sample(500, 500)


def clear(run: Run) -> None:
    rest(run, 1, 500, 100)


@pytest.mark.parametrize("use", [use_array, count_step, clear])
def test_a_cache_that_was_used_is_not_idle(use: Callable[[Run], None]) -> None:
    run = rest(Run().rest(20, 500, cache=500), 400, 500, 500)
    use(run)
    assert "idle cache" not in rest(run, 60, 500, 500).said().kinds
    assert "idle cache" in rest(run, 70, 500, 500).said().kinds


# Arrays that nobody evaluates


def test_growth_that_no_array_explains_names_the_variable_that_waits() -> None:
    run = Run()
    for i in range(600):
        run.sample(100 + i)
    assert only(run, "active grows")
    run.event(census(699, 100, "list of 1", "accumulated in train.py", "loss in train.py"))
    verdict = only(run, "not evaluated")
    assert verdict.line() == (
        "not evaluated: active +60.1 MiB/min for 8m; accumulated or loss or 1 more may hold 599.0 MiB"
    )
    assert "mx.eval" in verdict.advice
    assert verdict.advice.endswith("Not computed: accumulated in train.py; loss in train.py; list of 1.")


def test_growth_that_is_known_to_be_in_a_graph_names_who_has_the_graph() -> None:
    run = Run()
    for i in range(600):
        run.sample(100 + i)
    held = Holding("other", 590 * MIB, (64,), "float32", "total in train.py", arrays=590, graphs=1)
    waits = [
        Holding("other", 4, (), "float32", f"{name} in train.py", computed=False)
        for name in ("mask", "total")
    ]
    parts = {**dict.fromkeys(PARTS, 0), "other": 690 * MIB}
    run.event(CensusTaken(Census(699 * MIB, parts, holdings=(held, *waits), in_graphs=590 * MIB)))
    assert only(run, "not evaluated").line() == (
        "not evaluated: active +60.1 MiB/min for 8m; total may hold 599.0 MiB"
    )


def test_a_graph_that_one_step_was_about_to_evaluate_is_no_growth() -> None:
    run = Run()
    for i in range(600):
        run.sample(100 + i)
        if i == 400:
            run.event(census(500, 100, "logits in generate.py"))
    assert only(run.event(census(699, 690, "logits in generate.py")), "active grows")


@pytest.mark.parametrize(
    "found",
    [
        census(699, 690, "mask in serve.py"),  # the arrays explain it
        census(699, 100),  # nothing waits
        census(150, 130, "mask in serve.py"),  # it was taken when hardly anything had grown
        CensusTaken(Census(699 * MIB, lazy_known=False)),
    ],
    ids=["explained", "all computed", "too early", "an MLX that cannot tell"],
)
def test_a_variable_is_named_for_a_reason_only(found: CensusTaken) -> None:
    run = Run()
    for i in range(600):
        run.sample(100 + i)
    assert only(run.event(found), "active grows")


def test_memory_outside_mlx_that_grows_without_an_eval_may_be_a_graph() -> None:
    run = Run()
    for i in range(1500):
        run.steps = -10
        run.sample(100, footprint=500 + i)
    assert (
        only(run, "not MLX")
        .line()
        .startswith("memory outside MLX grows: +60.0 MiB/min for 9m; no eval is seen")
    )
    run.event(census(100, 100, "x in loop.py"))
    assert only(run, "not evaluated").line() == (
        "not evaluated: memory outside MLX +60.0 MiB/min for 9m; x may hold it"
    )


def test_a_graph_that_was_found_is_told_at_once_and_not_taken_for_a_model_that_loads() -> None:
    run = Run()
    for i in range(500):
        run.steps = -10
        run.sample(100, footprint=500 + i)
    assert run.said().line().endswith("but no eval is seen yet; press w for what waits")
    assert only(run.event(census(100, 100, "x in loop.py")), "not evaluated")


# Swings


def saw(run: Run, teeth: int, period: int = 60, low: float = 100, high: float = 1000) -> Run:
    for _ in range(teeth):
        for second in range(period):
            run.sample(low + (high - low) * second / period)
        run.event(GarbageCollected("keyboard", 100, 0))
    return run


@pytest.mark.parametrize("more", [0, 31, 55])
def test_a_sawtooth_is_told_as_its_trough_range_and_period_whatever_the_moment(more: int) -> None:
    run = saw(Run(), 15)
    for second in range(more):
        run.sample(100 + 15 * second)
    verdict = only(run, "swings")
    assert verdict.numbers["period"] == pytest.approx(60, rel=0.05)
    assert verdict.line().startswith("swings: active from its trough of 100.0 MiB to 985.0 MiB, every ")
    assert verdict.words["cause"] == "unknown"


def test_a_sawtooth_longer_than_the_window_is_found_in_a_longer_one() -> None:
    verdict = only(saw(Run(), 9, period=1200), "swings")
    assert verdict.numbers["period"] == pytest.approx(1200, rel=0.05)
    assert verdict.line().endswith("every 20m")


def test_a_period_that_was_seen_twice_is_told_as_roughly_as_it_is_known() -> None:
    assert only(saw(Run(), 4, period=110), "swings").line().endswith(", about every 1m50s")


def test_swings_at_odd_times_are_counted() -> None:
    run = Run()
    for period in (20, 90, 30, 120, 25, 70, 200, 30, 60, 100):
        saw(run, 1, period)
    verdict = only(run, "swings")
    assert "period" not in verdict.numbers
    assert verdict.line().endswith(" times in 10m")


def test_what_pythons_collector_frees_is_gcs() -> None:
    run = Run()
    for _ in range(15):
        saw(run, 1)
        run.event(GarbageCollected(COLLECTOR, 2000, 800 * MIB))
    verdict = only(run, "swings")
    assert verdict.line().endswith("; gc frees it")
    assert "gc.collect()" in verdict.advice


@pytest.mark.parametrize(("shift", "freed"), [(30, 800), (0, 20)])
def test_a_collection_at_another_time_or_of_little_is_not_the_cause(shift: int, freed: int) -> None:
    run = Run()
    for _ in range(15):
        saw(run, 1)
        for second in range(shift):
            run.sample(100 + second)
        run.event(GarbageCollected(COLLECTOR, 2000, freed * MIB))
    assert only(run, "swings").words["cause"] == "unknown"


def test_what_only_garbage_holds_is_gcs_too() -> None:
    run = saw(Run(), 15)
    for second in range(50):
        run.sample(100 + 15 * second)
    parts = {**dict.fromkeys(PARTS, 0), "garbage": 600 * MIB}
    run.event(CensusTaken(Census(835 * MIB, parts)))
    assert only(run, "swings").words["cause"] == "gc"


def test_a_saw_of_metrics_names_the_variable() -> None:
    run = saw(Run(), 15)
    for second in range(50):
        run.sample(100 + 15 * second)
    run.event(census(835, 110, "accumulated in train.py"))
    verdict = only(run, "swings")
    assert verdict.line().endswith("; accumulated may hold it")
    assert "mx.eval" in verdict.advice


def test_a_peak_that_lasts_is_a_peak() -> None:
    run = Run()
    for _ in range(12):
        run.rest(25, 30).rest(35, 1000)
    run.event(StepPeaked(1000 * MIB, 30 * MIB, 7, "run", "train.py:9"))
    verdict = only(run.rest(10, 30), "spikes")
    assert verdict.numbers["lasts"] == pytest.approx(35, abs=4)
    assert verdict.numbers["period"] == pytest.approx(60, abs=2)
    assert verdict.line().startswith("active peaks at 1000 MiB for 3")
    assert verdict.line().endswith(" in train.py:9, 33.3 times its usual 30.0 MiB")


def test_two_sizes_of_work_are_no_peak() -> None:
    run = Run()
    for _ in range(12):
        run.rest(25, 500).rest(35, 1000)
    assert only(run, "swings")


def test_what_is_high_nearly_always_is_no_peak() -> None:
    run = Run()
    for _ in range(12):
        run.rest(10, 30).rest(50, 1000)
    assert only(run, "swings")


def test_steady_names_range_and_peak() -> None:
    run = Run().rest(300)
    run.rest(60, 1400).rest(300, cache=20)
    assert run.said().line() == (
        "steady: active 1000 MiB to 1.37 GiB, peak 1.37 GiB, cache 0 B to 20.0 MiB, no growth in 10m"
    )


# Limits exceeded


def test_active_above_the_memory_limit_is_told_with_how_long() -> None:
    run = Run().limit(1200 * MIB, "train.py:9", old=GIB, knob="memory").rest(400)
    verdict = only(run.rest(60, 1500).rest(100), "over the limit")
    assert verdict.numbers["above"] == pytest.approx(60, abs=5)
    assert verdict.line().startswith(
        "over the limit: active reached 1.46 GiB, the memory limit is 1.17 GiB, above it for 1m"
    )


def test_active_is_above_the_memory_limit_from_the_first_second() -> None:
    run = Run().limit(1200 * MIB, "flag", old=GIB, knob="memory").rest(5, 1500)
    assert only(run, "over the limit").line() == (
        "over the limit: active reached 1.46 GiB, the memory limit is 1.17 GiB"
    )


def test_what_was_before_the_limit_is_not_above_it() -> None:
    run = Run().rest(400, 1500).rest(50)
    run.limit(1200 * MIB, "keyboard", old=64 * GIB, knob="memory")
    assert run.rest(200).said().kinds == ("steady",)


@pytest.mark.parametrize(
    ("limit", "told"), [(40, False), (48, False), (60, True)], ids=["below", "all there is", "above"]
)
def test_a_wired_limit_above_what_the_system_keeps(limit: int, told: bool) -> None:
    run = Run()
    run.state.facts = run.state.facts.replace(working_set=48 * GIB)
    run.limit(limit * GIB, "train.py:3", old=0, knob="wired").rest(400)
    assert run.said().kinds == (("over the limit",) if told else ("steady",))
    if told:
        assert run.said().line() == (
            "over the limit: the wired limit is 60.00 GiB, and the system keeps at most 48.00 GiB resident"
        )
        run.state.facts = run.state.facts.replace(no_wiring="CUDA")
        assert run.said().kinds == ("steady",)


def test_a_wired_limit_is_held_against_the_systems_own_if_somebody_set_that() -> None:
    run = Run()
    run.state.facts = run.state.facts.replace(working_set=48 * GIB)
    run.event(SystemRead(System(wired_limit=60 * GIB)))
    assert run.limit(56 * GIB, "train.py:3", old=0, knob="wired").rest(400).said().kinds == ("steady",)


def short(ours: float, others: float, pressure: str = "critical", swap: bool = True) -> Run:
    """A machine with 1 GiB left: how much of it, and of swap, is taken in ten minutes, in MiB a second."""
    run = Run()
    for second in range(700):
        run.sample(1000 + ours * second)
        if second % 10 == 0:
            taken = (ours + others) * second
            level = "normal" if taken < 1024 else pressure
            swapped = max(0, int((taken - 1024) * MIB)) if swap else 0
            left = max(1, int((1024 - taken) * MIB))
            run.event(SystemRead(System(pressure=level, swap_used=swapped, available=left)))
    return run


def test_swap_and_pressure_that_rise_with_the_program() -> None:
    found = short(ours=4, others=0)
    verdict = found.said().verdicts[0]
    assert verdict.kind == "over the limit"
    assert verdict.line().startswith("over the limit: memory pressure is critical, swap +")
    assert "this program grew by" in verdict.line()
    assert verdict.numbers["grown"] > 0.9 * verdict.numbers["swapped"]
    assert "over the limit" in short(ours=4, others=1, swap=False).said().kinds


@pytest.mark.parametrize(
    "run",
    [
        lambda: short(ours=1, others=6),  # somebody else
        lambda: short(ours=4, others=0, pressure="normal"),  # no pressure
        lambda: short(ours=0, others=4),
        lambda: Run().rest(400),  # nobody reads the machine
    ],
    ids=["others", "calm", "not us", "unknown"],
)
def test_a_machine_that_is_short_for_another_reason(run: Callable[[], Run]) -> None:
    assert "over the limit" not in run().said().kinds


@pytest.mark.parametrize("units", ["binary", "decimal"])
def test_the_longest_lines_fit_the_status_row(units: str) -> None:
    sizes = dict.fromkeys(
        ("cache", "total", "cap", "most", "limit", "unexplained", "trough", "high", "peak", "typical", "per_minute",
         "grown", "allowed", "swapped", "active_low", "cache_low"), 999.9 * MIB,
    )  # fmt: skip
    spans = dict.fromkeys(("idle", "span", "period", "lasts", "above"), 100.0)
    numbers = {
        **sizes,
        **spans,
        "active_high": 12.34 * GIB,
        "cache_high": 12.34 * GIB,
        "times": 33.3,
        "falls": 12,
    }
    holder = {"holder": "a_variable_with_a_name_that_goes_on", "others": "12"}
    for kind, words in (
        ("idle cache", {}),
        ("not evaluated", {"gauge": "active", **holder}),
        ("over the limit", {"limit": "memory"}),
        ("over the limit", {"limit": "wired"}),
        ("over the limit", {"limit": "machine", "pressure": "critical"}),
        ("swings", {"cause": "not evaluated", "period": "rough", **holder}),
        ("spikes", {"caller": "a_folder_with_a_name/a_program_with_a_name.py:1234"}),
        ("steady", {}),
    ):
        line = Verdict(kind, 0.0, numbers, words).line(units)  # type: ignore[arg-type]
        assert len(line) <= 112, (len(line), line)
