"""Limits of a run against each other: from samples and events, whatever the pace at which one looks."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.analysis.limit_comparison import MOST_LIMITS, MOST_WORK, Comparison
from mlxtop.analysis.work import Highs, Use
from mlxtop.core.events import Event, EventData, GenerationFinished, LimitChanged
from mlxtop.core.history import History
from mlxtop.core.limits import MIB
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.timeline import Timeline


@dataclass
class Made:
    """A run that is made up: `generate` and `work` let its time pass."""

    steps_are: str = "tokens"
    interval: float = 0.1
    history: History = field(default_factory=History)
    timeline: Timeline = field(default_factory=Timeline)
    phases: list[str] = field(default_factory=lambda: ["idle", "prefill", "decode", "train", "eval"])
    time: float = 0.0
    ticks: int = 0
    steps: int = 0
    decode: int = 0
    limit: int = 32 * MIB

    def set_limit(self, limit: int) -> None:
        old, self.limit = self.limit, limit
        self.record_event(LimitChanged("cache", old, limit, "keyboard"))

    def record_event(self, data: EventData) -> None:
        self.timeline.add(Event(self.time, data))

    def pass_time(
        self, seconds: float, phase: str = "idle", speed: float = 0.0, active: int = 10 * MIB, cache: int = 0
    ) -> None:
        for _ in range(round(seconds / self.interval)):
            self.ticks += 1
            self.time = self.ticks * self.interval
            if speed:
                self.steps += round(speed * self.interval)
                self.decode += round(round(speed * self.interval) / speed * 1e6)
            at = self.phases.index(phase)
            sample = Sample(
                self.time, active, cache, 0, active + cache, UNKNOWN, self.steps, self.steps, self.decode, at
            )
            self.history.add(sample)

    def generate(
        self, speed: float = 100.0, length: int = 64, cache: int = MIB, tokens: int = 101, **data: int
    ) -> None:
        self.pass_time(0.5, "prefill", cache=cache)
        self.pass_time((tokens - 1) / speed, "decode", speed, cache=cache)
        # A first token a moment later than the prompt's begin: a sample lies on that very moment.
        self.record_event(GenerationFinished(tokens, length, 0.45, speed, 100.0, "length", **data))
        self.pass_time(0.2)


def started(**fields: object) -> Made:
    run = Made(**fields)  # type: ignore[arg-type]  # the tests name Made's own fields
    run.record_event(LimitChanged("cache", run.limit, run.limit, "MLX's default"))
    return run


def looked(run: Made, comparison: Comparison | None = None) -> list[Use]:
    comparison = comparison or Comparison(run)
    uses: list[Use] = []
    for _ in range(2 + MOST_LIMITS * MOST_WORK // 16):
        again = comparison.update(run.time)
        if again == uses:
            break
        uses = again
    return uses


def test_nothing_yet():
    assert Comparison(Made()).update(1.0) == []


def test_two_limits_side_by_side():
    run = started()
    for speed in (100.0, 101.0, 99.0):
        run.generate(speed, cache=20 * MIB)
    then = run.time
    run.set_limit(0)
    run.pass_time(1.5)
    for speed in (80.0, 81.0, 79.0):
        run.generate(speed, cache=0)
    first, second = looked(run)
    assert (first.limit, first.present, first.pieces, first.speed) == (32 * MIB, False, 3, 100.0)
    assert first.seconds == pytest.approx(then)
    assert first.against is None
    assert first.highs == Highs(20 * MIB, 30 * MIB)
    assert (second.limit, second.present, second.speed) == (0, True, 80.0)
    assert second.seconds == pytest.approx(run.time - then)
    assert second.highs == Highs(0, 10 * MIB)
    assert second.against.speed.found == "differs"
    assert second.against.speed.change == pytest.approx(-0.2, abs=0.001)
    assert (second.against.cache, second.against.total) == (-20 * MIB, -20 * MIB)


def test_too_few_generations_say_nothing():
    run = started()
    for _ in range(3):
        run.generate(100.0)
    run.set_limit(0)
    run.generate(50.0)
    run.generate(50.0)
    _, second = looked(run)
    assert second.against.speed[:2] == ("few", 2)
    assert second.against.total is None


def test_other_prompt_lengths_are_not_compared():
    run = started()
    for length in (64, 65, 70):
        run.generate(100.0, length)
    run.set_limit(0)
    for length in (640, 650, 700):
        run.generate(50.0, length)
    _, second = looked(run)
    assert second.against.speed.found == "unlike"
    assert second.against.total is None


def test_prompts_that_are_about_as_long_are_alike():
    run = started()
    for length in (64, 65, 70):
        run.generate(100.0, length)
    run.set_limit(0)
    for length in (66, 60, 71):
        run.generate(50.0, length)
    assert looked(run)[1].against.speed[:2] == ("differs", 3)


def test_what_a_conversation_remembers_counts_as_prompt():
    run = started()
    for turn in range(3):
        run.generate(100.0, 64, context=turn * 500)
    run.set_limit(0)
    for turn in range(3, 6):
        run.generate(50.0, 64, context=turn * 500)
    assert looked(run)[1].against.speed.found == "unlike"


def test_memory_is_compared_over_work_that_is_alike():
    run = started()
    for _ in range(3):
        run.generate(100.0, 64, cache=4 * MIB)
    run.generate(100.0, 4096, cache=30 * MIB)
    run.set_limit(20 * MIB)
    for _ in range(3):
        run.generate(100.0, 64, cache=6 * MIB)
    first, second = looked(run)
    assert first.highs.cache == 30 * MIB
    assert second.against.cache == 2 * MIB


def test_a_generation_in_which_the_limit_changed_belongs_to_nobody():
    run = started()
    run.generate()
    run.pass_time(0.5, "prefill")
    run.set_limit(0)
    run.generate()
    uses = looked(run)
    assert [use.pieces for use in uses] == [1, 1]
    run.pass_time(0.3, "prefill")
    run.set_limit(MIB)
    run.pass_time(0.3, "decode", 100.0)
    run.record_event(GenerationFinished(40, 64, 0.3, 130.0, 1.0, "stop"))
    assert [use.pieces for use in looked(run)] == [1, 1, 0]


def test_short_answers_have_no_speed():
    run = started()
    run.generate(tokens=9)
    run.record_event(GenerationFinished(40, 64, 0.1, 0.0, 0.0, "stop"))
    assert looked(run)[0].pieces == 0


def test_what_the_cache_gives_back_right_after_a_change_is_not_the_new_limits():
    run = started()
    run.pass_time(3, "decode", 100.0, cache=20 * MIB)
    run.set_limit(0)
    assert looked(run)[-1].limit == 0, "it counts from its own moment"
    run.pass_time(0.8, "decode", 100.0, cache=20 * MIB)
    run.pass_time(3, "decode", 100.0, cache=0)
    assert [use.highs.cache for use in looked(run)] == [20 * MIB, 0]


def test_a_block_with_little_work_in_it_has_no_speed():
    run = started(steps_are="evals")
    for _ in range(4):
        run.pass_time(0.5, "train", 50.0)
        run.pass_time(4.5, "train")
    assert looked(run)[0].pieces == 0


def test_limits_that_were_passed_through_are_not_shown():
    run = started()
    run.pass_time(3)
    for limit in (20 * MIB, 2 * MIB, 0):
        run.set_limit(limit)
        run.pass_time(0.3)
    assert [use.limit for use in looked(run)] == [32 * MIB, 0]


def test_coming_back_to_a_limit_adds_to_it():
    run = started()
    for limit in (32 * MIB, 0, 32 * MIB):
        run.set_limit(limit)
        run.generate()
        run.pass_time(2)
    first, second = looked(run)
    assert (first.pieces, second.pieces) == (2, 1)
    assert first.present
    assert not second.present


def test_the_first_is_the_first_under_which_something_was_done():
    run = started()
    run.pass_time(3)
    run.set_limit(20 * MIB)
    run.generate()
    first, second = looked(run)
    assert (first.limit, second.limit) == (20 * MIB, 32 * MIB)
    assert first.against is None
    assert second.against.speed.found == "few"


def test_without_work_there_is_no_first():
    run = started()
    run.pass_time(3)
    run.set_limit(20 * MIB)
    run.pass_time(3)
    assert [(use.pieces, use.against) for use in looked(run)] == [(0, None), (0, None)]


def test_the_first_stays_the_first_when_an_earlier_limit_gets_work():
    """As live, so replayed: MLX's default held for a moment before the program's code set its own."""
    run = started()
    run.pass_time(0.1)
    run.set_limit(48 * MIB)
    live = Comparison(run)
    for limit in (48 * MIB, 32 * MIB):
        run.set_limit(limit)
        for _ in range(4):
            run.generate()
            assert live.update(run.time)[0].limit == 48 * MIB
    assert [use.limit for use in looked(run)] == [48 * MIB, 32 * MIB]
    assert looked(run) == looked(run, live)


def test_what_is_told_late_is_taken_in_where_it_belongs():
    """After an attach: the limit as it stands is told first, then what happened before; samples trickle in."""
    whole, told = started(steps_are="evals"), Made(steps_are="evals")
    whole.pass_time(20, "train", 50.0, cache=8 * MIB)
    whole.set_limit(0)
    whole.pass_time(20, "train", 40.0)
    comparison = Comparison(told)
    first, second = whole.timeline.between(LimitChanged, -1, 99)
    told.timeline.add(Event(whole.time, second.data))
    assert comparison.update(whole.time) == []
    samples = [
        sample for tick in range(1, whole.ticks + 1) if (sample := whole.history.at(tick * 0.1 + 1e-6))
    ]
    for i, sample in enumerate(samples):
        told.history.add(sample)
        if i == 250:
            told.timeline.add(first)
            told.timeline.add(second)
        uses = comparison.update(whole.time)
        assert all(use.seconds >= 0 for use in uses)
    told.time = whole.time
    assert looked(told, comparison) == looked(whole)
    assert uses[0].pieces >= 3


def test_rest_and_load_are_not_held_against_a_limit():
    run = started()
    run.pass_time(5, "idle", cache=30 * MIB)
    run.generate(cache=2 * MIB)
    assert looked(run)[0].highs.cache == 2 * MIB


def test_a_program_is_compared_in_blocks_of_one_phase():
    run = started(steps_are="evals")
    for _ in range(4):
        run.pass_time(20, "train", 50.0, cache=8 * MIB)
        run.pass_time(10, "eval", 200.0, cache=MIB)
    run.set_limit(0)
    for _ in range(4):
        run.pass_time(20, "train", 40.0)
        run.pass_time(10)  # nothing is done: that is no work
    first, second = looked(run)
    assert first.pieces > second.pieces >= 8
    assert second.against.speed.found == "differs"
    assert second.against.speed.change == pytest.approx(-0.2, abs=0.01)
    assert second.against.cache == -8 * MIB


def test_a_cache_limit_that_mlx_lm_sets_counts_too():
    run = started()
    run.pass_time(2)
    run.record_event(LimitChanged("cache", 32 * MIB, 0, "mlx_lm/server.py:1"))
    run.record_event(LimitChanged("wired", 0, MIB, "mlx_lm/generate.py:1"))
    run.pass_time(2)
    assert [use.limit for use in looked(run)] == [32 * MIB, 0]


@given(st.integers(0, 2**31), st.sampled_from(["tokens", "evals"]))
def test_whoever_looks_often_sees_what_one_sees_who_looks_once(seed, steps_are):
    rng, run = random.Random(seed), started(steps_are=steps_are)
    often = Comparison(run)
    for _ in range(rng.randrange(1, 8)):
        run.set_limit(rng.choice([0, MIB, 20 * MIB]))
        for _ in range(rng.randrange(4)):
            if steps_are == "tokens":
                run.generate(rng.uniform(50, 150), rng.choice([64, 640]), rng.randrange(20) * MIB)
            else:
                run.pass_time(rng.uniform(1, 9), "train", rng.choice([50.0, 100.0]), cache=3 * MIB)
            often.update(run.time)
    once, seen = looked(run), looked(run, often)
    assert [use._replace(highs=Highs(), seconds=0) for use in seen] == [
        use._replace(highs=Highs(), seconds=0) for use in once
    ]
    for a, b in zip(seen, once, strict=True):
        assert a.seconds == pytest.approx(b.seconds)
        # When one looks decides which columns hold both rest and work, not what the work held.
        least = [use for use in (a, b) if use.pieces]
        assert len({use.highs for use in least}) <= 1 or steps_are == "evals"


def test_going_back_in_time_forgets_what_came_after():
    run = started()
    run.generate()
    then, before = run.time, looked(run)
    run.pass_time(1)
    run.set_limit(0)
    run.generate()
    comparison = Comparison(run)
    assert len(comparison.update(run.time)) == 2
    assert comparison.update(then) == before


def test_a_long_run_stays_bounded():
    run = started(interval=1.0, history=History(1.0))
    comparison = Comparison(run)
    for n in range(3000):
        run.set_limit((n % 100) * MIB)
        run.pass_time(2)
        run.record_event(GenerationFinished(40, 2**n % 9973, 0.1, 60.0, 1.0, "stop"))  # fmt: skip
        comparison.update(run.time)
    uses = comparison.update(run.time)
    assert len(uses) <= MOST_LIMITS
    assert uses[0].limit == 0, "the first under which there was work stays"
    assert all(use.pieces <= MOST_WORK for use in uses)
    assert uses[-1].present or uses[0].present
