"""The recommendation, on simulated machines whose truth is known, and in words."""

import re

import numpy as np
import pytest

from mlxtop.sweep.recommendation import Choice, Question, Recommendation, judge, recommend
from tests.sweep.machine import BOUND, NOISES, TRUTHS, WEATHERS, Weather, score, still, sweeps

MIB = 2**20
QUIET = Weather("still", still)


@pytest.fixture(scope="module")
def count(soak: bool) -> int:
    """Of how many sweeps shares are asked."""
    return 1_000 if soak else 200


@pytest.mark.slow
@pytest.mark.parametrize("weather", WEATHERS, ids=lambda w: w.name)
@pytest.mark.parametrize("truth", TRUTHS)
def test_right_or_cannot_tell(truth: str, weather: Weather, count: int, scores: list[str]) -> None:
    found = [score(sweeps(TRUTHS[truth], noise, weather, count, seed=7), TRUTHS[truth]) for noise in NOISES]
    scores.append(f"{f'{truth}, {weather.name}':<24}{''.join(map(str, found))}")
    for one, noise in zip(found, NOISES, strict=True):
        assert one.all == count
        assert one.right + one.unknown >= 0.99 * count, noise


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
def test_at_the_tolerance_itself_wrong_no_more_often_than_the_level(
    noise: float, count: int, scores: list[str]
) -> None:
    """The hardest truth: every limit but one loses a hair more than the tolerance."""
    truth = [0.0201] * 6 + [0.0]
    found = score(sweeps(truth, noise, QUIET, count, seed=8), truth)
    scores.append(f"{f'at the tolerance {noise * 100:g} %':<24}{found}")
    assert found.wrong <= 0.05 * count


def test_a_quiet_machine_is_told_the_truth(count: int) -> None:
    """Not to be wrong is easy for who never speaks."""
    for truth in ("no effect", "step", "dip"):
        found = score(sweeps(TRUTHS[truth], 0.003, QUIET, count, seed=9), TRUTHS[truth])
        assert found.right >= 0.95 * count, truth
        assert found.rounds < 6


def test_more_noise_takes_more_rounds() -> None:
    rounds = [
        score(sweeps([0] * 7, noise, QUIET, 200, seed=3), [0] * 7).rounds for noise in (0.002, 0.006, 0.02)
    ]
    assert rounds == sorted(rounds)
    assert rounds[0] < rounds[-1] == 10


# In words


def ask(
    truth: list[float], totals: list[float] | None = None, noise: float = 0.002, **more: object
) -> Recommendation:
    logs = sweeps(truth, noise, QUIET, 1, seed=1)[0]
    labels = ["0 B", "2 MiB", "20 MiB", "default"][-len(truth) :]
    sizes = totals or [100.0 * MIB, 110.0 * MIB, 150.0 * MIB, 400.0 * MIB][-len(truth) :]
    choices = [Choice(label, size) for label, size in zip(labels, sizes, strict=True)]
    return recommend(Question(choices, 0.02, against=len(truth) - 1, **more), logs)  # type: ignore[arg-type]


def test_no_difference_names_the_smallest_and_what_it_saves() -> None:
    said = ask([0, 0, 0, 0])
    assert (said.verdict, said.arm, said.more) == ("same", 0, None)
    assert re.fullmatch(
        r"No measurable difference on this machine: every cache limit is within 0\.\d % of the best in tokens/s, "
        r"so 0 B is enough, with a peak of 100\.0 MiB, 300\.0 MiB less than default\.",
        said.sentence,
    )


def test_a_step_names_the_first_on_top_and_what_the_one_below_loses() -> None:
    said = ask([0.3, 0.2, 0, 0])
    assert (said.verdict, said.arm) == ("take", 2)
    assert re.fullmatch(
        r"Use 20 MiB: at most \d\.\d % below the best tokens/s, with a peak of 150\.0 MiB, 250\.0 MiB less "
        r"than default; 2 MiB is at least (20|1\d) % below the best\.",
        said.sentence,
    )


def test_one_that_is_open_is_not_denied() -> None:
    """At the tolerance itself nothing can be said about a limit, but about the others."""
    said = ask([0.3, 0.0199, 0, 0])
    assert (said.verdict, said.arm) == ("take", 2)
    assert re.search(r"; 2 MiB cannot be judged yet; about \d+ more rounds may be enough\.$", said.sentence)
    assert said.more is not None
    assert said.more > 0


def test_noise_is_no_recommendation() -> None:
    said = ask([0, 0, 0, 0], noise=0.1, round_seconds=60.0)
    assert (said.verdict, said.arm) == ("unknown", None)
    assert re.fullmatch(
        r"Cannot tell: tokens/s is known only to ±\d+ %, not enough for a tolerance of 2 %; "
        r"about \d+ more rounds \(\w+\) may be enough\.|.*more than 1,000 more rounds are needed\.",
        said.sentence,
    )


def test_what_certainly_loses_is_said_even_when_the_rest_is_open() -> None:
    said = ask([0.6, 0, 0, 0], noise=0.05)
    assert said.verdict == "unknown"
    assert re.search(r", but 0 B is at least [45]\d % below the best", said.sentence)


def test_too_few_rounds_say_nothing() -> None:
    logs = sweeps([0.5, 0, 0], 0.001, QUIET, 1, seed=1)[0][:, :3]
    said = recommend(Question([Choice(n, 1.0) for n in "abc"], 0.02), logs)
    assert said.sentence == "Cannot tell yet: 3 of 5 undisturbed rounds are done."
    assert said.more == 2


def test_nothing_saved_is_said() -> None:
    assert (
        ", with a peak of 100.0 MiB, no less than default." in ask([0, 0, 0, 0], [100.0 * MIB] * 4).sentence
    )


def test_unknown_memory_is_not_spoken_of() -> None:
    assert ask([0, 0, 0, 0], [float("nan")] * 4).sentence.endswith("so 0 B is enough.")


def test_a_limit_must_hold_for_every_length() -> None:
    """At one length the small limit costs nothing, at the other a lot."""
    logs = sweeps([0, 0, 0], 0.002, QUIET, 1, seed=4)[0]
    logs[1, :, 0] -= 0.3
    found = judge(logs, 0.02)
    assert found.fine.tolist() == [False, True, True]
    assert found.worse.tolist() == [True, False, False]


def test_what_slows_a_whole_round_slows_no_choice() -> None:
    logs = sweeps([0, 0, 0], 0.002, QUIET, 1, seed=5)[0]
    slow = np.array([0, -1.0, 0, -0.5, 0, 0, -2.0, 0, 0, 0])
    one, other = judge(logs, 0.02), judge(logs + slow[None, :, None], 0.02)
    assert np.allclose(one.most, other.most)
    assert one.fine.all()


def test_a_choice_that_was_never_measured_is_unknown_and_hides_no_other() -> None:
    logs = sweeps([0, 0, 0], 0.002, QUIET, 1, seed=6)[0]
    logs[:, :, 2] = np.nan
    found = judge(logs, 0.02)
    assert not found.fine.any()
    assert not found.worse.any()


def test_the_bound_is_the_tolerance() -> None:
    assert np.isclose(np.exp(-BOUND), 0.98)
