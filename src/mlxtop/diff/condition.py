"""Conditions on a comparison, as `--fail-if` takes them: `peak>+5%`, `decode.floor>+64M`, `peak>12G`."""

import re
from typing import NamedTuple

from mlxtop.core.errors import UsageError
from mlxtop.core.text import one_line, shortened
from mlxtop.core.units import UNLIMITED, parse_size
from mlxtop.diff.comparison import Comparison, Row
from mlxtop.diff.measures import MEASURES, TIMED
from mlxtop.diff.rates import of_one
from mlxtop.diff.run import WHOLE

FORM = re.compile(r"\s*(?:(.+)\.)?([A-Za-z][\w-]*)\s*([<>])\s*([+-]?)\s*(\S.*?)\s*")
NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,15})?", re.ASCII)
EXAMPLES = "peak>+5%, decode.floor>+64M, steps<-3% or peak>12G"


class Condition(NamedTuple):
    """A measure of B beyond a bound: absolute, or compared with A."""

    text: str
    part: str
    measure: str
    above: bool
    against_a: bool
    """Whether the bound is a difference."""
    share: bool
    """Whether it is a share of A: 0.05 is 5 %."""
    bound: float


class Judgement(NamedTuple):
    """Whether a condition holds; `None` where that is not to be told."""

    condition: Condition
    holds: bool | None
    why: str
    """What was found, or why it is not comparable: a clause."""


def parse(text: str) -> Condition:
    """Reads a condition. Raises `UsageError`."""
    match = FORM.fullmatch(text)
    if match is None:
        raise _wrong(text, f"is no condition: write for example {EXAMPLES}")
    part, name, sign, signed, number = match.groups()
    measure = name.lower().replace("_", "-")
    if measure not in MEASURES:
        raise _wrong(text, f"names no measure: there are {', '.join(MEASURES)}")
    share = number.endswith("%")
    if share and not signed:
        raise _wrong(text, "compares with a share of A: write a sign before it, as in peak>+5%")
    bound = _number(text, measure, number, share)
    if bound is None:
        unit = "a size such as 64M" if MEASURES[measure].unit == "size" else "a number"
        raise _wrong(text, f"has no bound: {measure} is compared with {unit}, or with a share such as +5%")
    bound = -bound if signed == "-" else bound
    return Condition(text.strip(), part or WHOLE, measure, sign == ">", bool(signed), share, bound)


def _number(text: str, measure: str, number: str, share: bool) -> float | None:
    if share or MEASURES[measure].unit != "size":
        plain = number.removesuffix("%").strip()
        return float(plain) / (100 if share else 1) if NUMBER.fullmatch(plain) else None
    try:
        size = parse_size(number)
    except UsageError:
        return None
    return float(size) if isinstance(size, int) and size < UNLIMITED else None


def _wrong(text: str, what: str) -> UsageError:
    return UsageError(f"--fail-if '{one_line(shortened(text))}' {what}.")


def judge(condition: Condition, comparison: Comparison) -> Judgement:
    """Whether it holds. Of what is timed the whole interval must be beyond the bound."""
    if not condition.against_a:
        return _judge_b(condition, comparison)
    row = comparison.row(condition.part, condition.measure)
    if row is None or row.found == "not comparable":
        return Judgement(condition, None, _why(condition, comparison, row))
    scale = 1.0
    if condition.share:
        if row.a is None or not row.a.value:
            return Judgement(condition, None, "A is zero: no share of it can be told")
        scale = row.a.value
    if condition.measure in TIMED:
        nearest = row.low if condition.above else row.high
    else:
        nearest = row.difference if row.changed else 0.0
    assert nearest is not None
    return Judgement(condition, _beyond(condition, nearest / scale), _told(row))


def _judge_b(condition: Condition, comparison: Comparison) -> Judgement:
    part = comparison.b.part(condition.part)
    value = None if part is None else part.values.get(condition.measure)
    if value is None:
        row = comparison.row(condition.part, condition.measure)
        return Judgement(condition, None, _why(condition, comparison, row))
    nearest = value.value
    if condition.measure in TIMED:
        nearest = of_one(value.blocks)[0 if condition.above else 1]
        if abs(nearest) == float("inf"):
            return Judgement(condition, None, "B: too few samples for an interval")
    return Judgement(
        condition, _beyond(condition, nearest), f"it is {MEASURES[condition.measure].format(value.value)}"
    )


def _beyond(condition: Condition, value: float) -> bool:
    return value > condition.bound if condition.above else value < condition.bound


def _told(row: Row) -> str:
    measure = MEASURES[row.measure]
    assert row.difference is not None
    share = row.relative(row.difference)
    percent = "" if share is None else f" ({share * 100:+.1f} %)"
    noise = "" if row.changed else ", which is within noise"
    ends = [row.relative(end) for end in (row.low, row.high)] if row.measure in TIMED else []
    interval = " and ".join(f"{end * 100:+.1f} %" for end in ends if end is not None)
    between = f", between {interval}" if interval else ""
    return f"it changed by {measure.format_difference(row.difference)}{percent}{between}{noise}"


def _why(condition: Condition, comparison: Comparison, row: Row | None) -> str:
    if row is not None and row.why:
        return row.why
    names = [part.name for run in (comparison.a, comparison.b) for part in run.parts]
    if condition.part not in names:
        parts = ", ".join(map(one_line, list(dict.fromkeys(names))[:12]))
        return f"neither has a part '{one_line(condition.part)}'; there are {parts}"
    return "neither tells it"
