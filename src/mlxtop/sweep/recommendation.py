"""The recommendation: the cheapest choice whose loss of speed is shown to be within the tolerance."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, isfinite, log1p
from typing import Literal, NamedTuple

import numpy as np

from mlxtop.core.units import format_size, format_span
from mlxtop.sweep.interval import Array, Flags, losses

FEWEST_ROUNDS = 5
"""The least rounds for a recommendation, and before a sweep stops by itself."""
MOST_MORE = 1000
"""The largest number of missing rounds that is reported."""
Verdict = Literal["take", "same", "unknown"]


class Judgement(NamedTuple):
    """The result for each choice, over all prompt lengths. Losses are differences of logarithms."""

    fine: Flags
    """Whether the loss is shown to be within the tolerance."""
    worse: Flags
    """Whether the loss is shown to exceed the tolerance at any prompt length."""
    equal: Flags
    """Whether no difference between choices is significant; one for each sweep."""
    most: Array
    """The upper bound of the loss."""
    least: Array
    """The lower bound of the loss."""
    half: Array
    """Half the width of the widest interval among the choices that are not worse; one for each sweep."""
    rounds: Array
    """The least number of valid rounds; one for each sweep."""


def judge(logs: Array, tolerance: float) -> Judgement:
    """Judges `logs[…, length, round, choice]`: logarithms of speeds, nan for repeats that do not count."""
    found = losses(logs, families=logs.shape[-3])
    bound = -log1p(-tolerance)
    rounds = found.rounds.min(axis=(-2, -1))
    enough = rounds >= FEWEST_ROUNDS
    most, least = found.most.max(axis=-2), found.least.max(axis=-2)
    worse = (least > bound) & enough[..., None]
    half = np.where(worse[..., None, :], -inf, found.half).max(axis=(-2, -1))
    return Judgement(
        fine=(most < bound) & enough[..., None],
        worse=worse,
        equal=(least <= 0).all(axis=-1),
        most=most,
        least=least,
        half=half,
        rounds=rounds,
    )


def narrow(judgement: Judgement, tolerance: float) -> Flags:
    """Returns whether the intervals are narrow enough: half the tolerance.

    Equal choices are then nearly always shown to be within the tolerance. The criterion does not use the
    result itself: a sweep that stops as soon as the result looks good would stop by chance.
    """
    enough = judgement.rounds >= FEWEST_ROUNDS
    done: Flags = enough & (judgement.half <= -log1p(-tolerance) / 2)
    return done


@dataclass(frozen=True, slots=True)
class Choice:
    """One combination of values."""

    label: str
    total: float
    """The peak total in bytes, at the prompt length where it is highest; nan if unknown."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The recommendation, as a verdict and as one sentence."""

    verdict: Verdict
    sentence: str
    arm: int | None = None
    more: int | None = None
    """The estimated rounds that are still needed."""


@dataclass(frozen=True, slots=True)
class Question:
    """The choices from the cheapest on, and the words of the answer."""

    choices: Sequence[Choice]
    tolerance: float
    what: str = "cache limit"
    """The name of the parameters."""
    speed: str = "tokens/s"
    against: int | None = None
    """The choice with which savings are compared; by default the one with the highest total."""
    caveat: str = ""
    """What was not measured, as a clause."""
    round_seconds: float = 0.0
    """The mean duration of a round."""


def recommend(question: Question, logs: Array) -> Recommendation:
    """Returns the recommendation for `logs[length, round, choice]`, choices in the question's order."""
    judgement = judge(logs, question.tolerance)
    fine = [i for i, flag in enumerate(judgement.fine) if flag]
    if not fine:
        return _unknown(question, judgement)
    arm = fine[0]
    open_ = [i for i in range(arm) if not judgement.worse[i]]
    gain = _gain(question, arm)
    most = float(judgement.most[arm])
    loses = f"at most {percent(most)} below the best {question.speed}" if most > 0 else "none is faster"
    choice = question.choices[arm]
    if len(fine) == len(question.choices) and judgement.equal:
        widest = percent(max(0.0, float(judgement.most.max())))
        text = (
            f"No measurable difference on this machine: every {question.what} is within {widest} "
            f"of the best in {question.speed}, so {choice.label} is enough{gain}"
        )
        return Recommendation("same", _end(text, question), arm)
    text = f"Use {choice.label}: {loses}{gain}"
    if open_:
        more = _more(question, judgement)
        names = _names(question, open_)
        text += f"; {names} cannot be judged yet{_needed(question, more)}"
        return Recommendation("take", _end(text, question), arm, more)
    if arm:
        nearest = max(range(arm), key=lambda i: -float(judgement.least[i]))
        text += (
            f"; {question.choices[nearest].label} is at least "
            f"{percent(float(judgement.least[nearest]))} below the best"
        )
    return Recommendation("take", _end(text, question), arm)


def in_rounds(count: int, kind: str = "") -> str:
    """Formats `1 round`, `2 more rounds`."""
    return f"{count:,} {kind}round{'' if count == 1 else 's'}"


def too_few(most: int) -> str | None:
    """Returns a warning if `most` rounds are too few for a recommendation; else `None`."""
    if most >= FEWEST_ROUNDS:
        return None
    return f"--repeats {most} is too few for a recommendation: use {FEWEST_ROUNDS} or more."


def percent(logarithm: float) -> str:
    """Formats a loss, given as a difference of logarithms."""
    share = (1 - exp(-logarithm)) * 100 if logarithm < 20 else 100.0
    return f"{share:.1f} %" if share < 10 else f"{share:.0f} %"


def _unknown(question: Question, judgement: Judgement) -> Recommendation:
    short = FEWEST_ROUNDS - int(judgement.rounds) if isfinite(judgement.rounds) else FEWEST_ROUNDS
    if short > 0:
        done = int(judgement.rounds)
        text = f"Cannot tell yet: {done} of {FEWEST_ROUNDS} undisturbed rounds are done."
        return Recommendation("unknown", text, more=short)
    more = _more(question, judgement)
    wide = percent(float(judgement.half))
    text = f"Cannot tell: {question.speed} is known only to ±{wide}, not enough for a tolerance of "
    text += f"{question.tolerance * 100:g} %"
    worse = [i for i, flag in enumerate(judgement.worse) if flag]
    if worse:
        least = min(float(judgement.least[i]) for i in worse)
        are = "is" if len(worse) == 1 else "are"
        text += f", but {_names(question, worse)} {are} at least {percent(least)} below the best"
    return Recommendation("unknown", f"{text}{_needed(question, more)}.", more=more)


def _more(question: Question, judgement: Judgement) -> int | None:
    """Returns how many more rounds would make the intervals narrow enough, at the present spread."""
    goal, half, rounds = -log1p(-question.tolerance) / 2, float(judgement.half), float(judgement.rounds)
    if not isfinite(half):
        return None
    missing = ceil(rounds * (half / goal) ** 2 - rounds)
    # The intervals are narrow enough but the loss is close to the tolerance: double the rounds.
    return min(max(missing, ceil(rounds)), MOST_MORE + 1)


def _needed(question: Question, more: int | None) -> str:
    if more is None:
        return ""
    if more > MOST_MORE:
        return f"; more than {MOST_MORE:,} more rounds are needed"
    minutes = f" ({format_span(more * question.round_seconds)})" if question.round_seconds else ""
    return f"; about {in_rounds(more, 'more ')}{minutes} may be enough"


def _gain(question: Question, arm: int) -> str:
    """Returns the peak and the saving as a clause; empty if the memory is unknown."""
    totals = [choice.total for choice in question.choices]
    mine = totals[arm]
    known = [i for i, total in enumerate(totals) if isfinite(total)]
    if not isfinite(mine) or not known:
        return ""
    against = question.against
    if against is None or not isfinite(totals[against]):
        against = max(known, key=lambda i: totals[i])
    saved, label = totals[against] - mine, question.choices[against].label
    peak = f", with a peak of {format_size(round(mine))}"
    if against == arm:
        return peak
    if saved < 0.01 * totals[against]:
        return f"{peak}, no less than {label}"
    return f"{peak}, {format_size(round(saved))} less than {label}"


def _names(question: Question, arms: Sequence[int]) -> str:
    labels = [question.choices[i].label for i in arms]
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"


def _end(text: str, question: Question) -> str:
    return f"{text}{question.caveat}."
