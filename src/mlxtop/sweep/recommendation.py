"""The recommendation: the smallest limit that is shown to lose next to nothing, or that none can be told."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, isfinite, log1p
from typing import Literal, NamedTuple

import numpy as np

from mlxtop.core.units import format_size, format_span
from mlxtop.sweep.interval import Array, Flags, losses

FEWEST_ROUNDS = 5
"""Below these nothing is said, and no sweep stops by itself."""
MOST_MORE = 1000
"""More missing rounds than that are not worth a number."""
Verdict = Literal["take", "same", "unknown"]


class Judgement(NamedTuple):
    """What is known of each choice, in all prompt lengths together. Losses are logarithms."""

    fine: Flags
    """Shown to lose less than the tolerance."""
    worse: Flags
    """Shown to lose more, in one of the lengths."""
    equal: Flags
    """Whether no choice is shown to differ from any other at all; one for each sweep."""
    most: Array
    least: Array
    half: Array
    """The widest interval's half among the choices that are not worse; one for each sweep."""
    rounds: Array


def judge(logs: Array, tolerance: float) -> Judgement:
    """`logs[…, length, round, choice]`: logarithms of speeds, nan where nothing counts."""
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
    """Whether the intervals are as narrow as the question needs, whatever they say.

    Half the tolerance: choices that are truly equal are then nearly always shown to be within it. To stop
    for what the numbers say, instead of for how well they are known, would let chance choose the moment.
    """
    enough = judgement.rounds >= FEWEST_ROUNDS
    done: Flags = enough & (judgement.half <= -log1p(-tolerance) / 2)
    return done


@dataclass(frozen=True, slots=True)
class Choice:
    """One combination of values as the advice sees it."""

    label: str
    total: float
    """Peak total in bytes, at the prompt length where it matters most; nan if unknown."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the numbers allow to say, as a verdict and in one sentence."""

    verdict: Verdict
    sentence: str
    arm: int | None = None
    more: int | None = None
    """Rounds that might tell what cannot be told yet."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the choices from the cheapest on, and the words to answer in."""

    choices: Sequence[Choice]
    tolerance: float
    what: str = "cache limit"
    """What is chosen, in the singular."""
    speed: str = "tokens/s"
    against: int | None = None
    """The choice that savings are told against; the one with the highest total if none."""
    caveat: str = ""
    """What was not looked at, as a clause."""
    round_seconds: float = 0.0


def recommend(question: Question, logs: Array) -> Recommendation:
    """The advice on `logs[length, round, choice]`, choices in the question's order: cheapest first."""
    judgement = judge(logs, question.tolerance)
    fine = [i for i, flag in enumerate(judgement.fine) if flag]
    if not fine:
        return _unknown(question, judgement)
    arm = fine[0]
    open_ = [i for i in range(arm) if not judgement.worse[i]]
    gain = _gain(question, arm)
    most = float(judgement.most[arm])
    loses = f"it loses at most {percent(most)} of the best {question.speed}" if most > 0 else "none is faster"
    choice = question.choices[arm]
    if len(fine) == len(question.choices) and judgement.equal:
        widest = percent(max(0.0, float(judgement.most.max())))
        text = (
            f"No measurable difference on this machine: every {question.what} is within {widest} "
            f"of the best in {question.speed}, so {choice.label} will do{gain}"
        )
        return Recommendation("same", _end(text, question), arm)
    text = f"Take {choice.label}: {loses}{gain}"
    if open_:
        more = _more(question, judgement)
        names = _names(question, open_)
        text += f"; whether {names} would do cannot be told{_might(question, more)}"
        return Recommendation("take", _end(text, question), arm, more)
    if arm:
        nearest = max(range(arm), key=lambda i: -float(judgement.least[i]))
        text += (
            f"; {question.choices[nearest].label} loses at least {percent(float(judgement.least[nearest]))}"
        )
    return Recommendation("take", _end(text, question), arm)


def in_rounds(count: int, kind: str = "") -> str:
    """`1 round`, `2 more rounds`."""
    return f"{count:,} {kind}round{'' if count == 1 else 's'}"


def too_few(most: int) -> str | None:
    """What is to be said of a sweep that runs `most` rounds, when those can carry no recommendation."""
    if most >= FEWEST_ROUNDS:
        return None
    return f"--repeats {most} is too few for a recommendation: that takes {FEWEST_ROUNDS} undisturbed rounds."


def percent(logarithm: float) -> str:
    """A loss as a person reads it."""
    share = (1 - exp(-logarithm)) * 100 if logarithm < 20 else 100.0
    return f"{share:.1f} %" if share < 10 else f"{share:.0f} %"


def _unknown(question: Question, judgement: Judgement) -> Recommendation:
    short = FEWEST_ROUNDS - int(judgement.rounds) if isfinite(judgement.rounds) else FEWEST_ROUNDS
    if short > 0:
        done = in_rounds(int(judgement.rounds), "undisturbed ")
        text = f"Cannot tell yet: {done} of the {FEWEST_ROUNDS} it takes."
        return Recommendation("unknown", text, more=short)
    more = _more(question, judgement)
    wide = percent(float(judgement.half))
    text = f"Cannot tell: {question.speed} here is known to ±{wide}, too little for a tolerance of "
    text += f"{question.tolerance * 100:g} %"
    worse = [i for i, flag in enumerate(judgement.worse) if flag]
    if worse:
        least = min(float(judgement.least[i]) for i in worse)
        lose = "loses" if len(worse) == 1 else "lose"
        text += f", but {_names(question, worse, 'and')} {lose} at least {percent(least)}"
    return Recommendation("unknown", f"{text}{_might(question, more)}.", more=more)


def _more(question: Question, judgement: Judgement) -> int | None:
    """Rounds that would make the intervals narrow enough, if the spread stays what it is."""
    goal, half, rounds = -log1p(-question.tolerance) / 2, float(judgement.half), float(judgement.rounds)
    if not isfinite(half):
        return None
    missing = ceil(rounds * (half / goal) ** 2 - rounds)
    # As narrow as asked for, and still between two answers: the truth is close to the tolerance.
    return min(max(missing, ceil(rounds)), MOST_MORE + 1)


def _might(question: Question, more: int | None) -> str:
    if more is None:
        return ""
    if more > MOST_MORE:
        return f"; more than {MOST_MORE:,} rounds more would be needed"
    minutes = f" ({format_span(more * question.round_seconds)})" if question.round_seconds else ""
    return f"; about {in_rounds(more, 'more ')}{minutes} might"


def _gain(question: Question, arm: int) -> str:
    """What is saved, as a clause; empty where memory is not known."""
    totals = [choice.total for choice in question.choices]
    mine = totals[arm]
    known = [i for i, total in enumerate(totals) if isfinite(total)]
    if not isfinite(mine) or not known:
        return ""
    against = question.against
    if against is None or not isfinite(totals[against]):
        against = max(known, key=lambda i: totals[i])
    saved, label = totals[against] - mine, question.choices[against].label
    held = f"it holds {format_size(round(mine))} at most"
    if against == arm:
        return f", and {held}"
    if saved < 0.01 * totals[against]:
        return f", and {held}, which saves nothing against {label}"
    return f", and {held}, {format_size(round(saved))} less than {label}"


def _names(question: Question, arms: Sequence[int], word: str = "or") -> str:
    labels = [question.choices[i].label for i in arms]
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} {word} {labels[-1]}"


def _end(text: str, question: Question) -> str:
    return f"{text}{question.caveat}."
