"""The plan of a sweep: a target, the values of its parameters, and in which order. Plain data."""

import json
import random
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Final, Literal, NamedTuple, get_args

from mlxtop.core.errors import UsageError
from mlxtop.core.parsing import whole
from mlxtop.core.text import shortened
from mlxtop.core.units import DEFAULT, UNLIMITED, Size, format_size, parse_size
from mlxtop.inference.options import KV_BITS, check_kv_cache
from mlxtop.sweep import target
from mlxtop.sweep.target import CommandTarget, ModelTarget, Target

Name = Literal["cache-limit", "kv-bits", "max-kv-size", "prefill-step-size"]
NAMES: tuple[Name, ...] = get_args(Name)
MOST_ARMS: Final = 64
"""More combinations than that nobody waits for, nor could the intervals tell them apart."""


DIFFERENCES: Final = {
    "subject": "model or command",
    "lengths": "prompt lengths",
    "max_tokens": "tokens a generation",
    "pattern": "metric",
    "lower_is_better": "direction of the metric",
    "extra": "weights",
}
"""What a person calls a field of a plan."""


class SweepParameter(NamedTuple):
    """A parameter and its values: bytes for a limit, else a count; `DEFAULT` leaves it alone."""

    name: Name
    values: tuple[Size, ...]

    def label(self, value: Size) -> str:
        """A value as a person reads it."""
        if value == DEFAULT:
            return DEFAULT
        return format_size(int(value)) if self.name == "cache-limit" else f"{value}"


class Cell(NamedTuple):
    """One measurement of the plan, by number: which combination of values, which prompt length."""

    arm: int
    length: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides what is measured. Two runs of equal plans may be put together."""

    target: Target
    parameters: tuple[SweepParameter, ...]
    rounds: int = 10
    """The most rounds that are run; in each, every cell comes once."""
    tolerance: float = 0.02
    """The loss of speed, as a share of the best, that a person does not mind."""
    seed: int = 0

    @property
    def lengths(self) -> tuple[int | None, ...]:
        """Prompt tokens; a single `None` where the prompt is the command's own."""
        return self.target.lengths if isinstance(self.target, ModelTarget) else (None,)

    @property
    def metric(self) -> str:
        """What is compared: a name of `measurement.METRICS`."""
        if isinstance(self.target, CommandTarget):
            return "value" if self.target.pattern else "seconds"
        return "prefill" if self.names == ("prefill-step-size",) else "tps"

    @property
    def names(self) -> tuple[Name, ...]:
        """The parameters' names."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def title(self) -> str:
        """The parameters in words, as they head a column."""
        return " · ".join(self.names)

    @property
    def arms(self) -> list[tuple[Size, ...]]:
        """Every combination of values, one for each parameter."""
        return list(product(*(parameter.values for parameter in self.parameters)))

    @property
    def cells(self) -> list[Cell]:
        return [Cell(arm, length) for length in range(len(self.lengths)) for arm in range(len(self.arms))]

    def label(self, arm: int) -> str:
        """What tells a combination from the others."""
        pairs = zip(self.parameters, self.arms[arm], strict=True)
        return " · ".join(parameter.label(value) for parameter, value in pairs)

    def round(self, number: int) -> list[list[Cell]]:
        """The cells of one round in blocks, one a prompt length.

        Cells that are compared with each other stand close in time, so that a machine that slows down slows
        them alike; within that everything is in random order, the same for the same seed.
        """
        chance = random.Random(f"{self.seed}/{number}")
        blocks = [[c for c in self.cells if c.length == length] for length in range(len(self.lengths))]
        for block in blocks:
            chance.shuffle(block)
        chance.shuffle(blocks)
        return blocks

    def to_json(self) -> dict[str, Any]:
        """The plan as a file has it, in that file's first words: parameters are its knobs."""
        return {
            **self.target.to_json(),
            "rounds": self.rounds,
            "tolerance": self.tolerance,
            "seed": self.seed,
            "knobs": [{"name": p.name, "values": list(p.values)} for p in self.parameters],
            "metric": self.metric,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Plan":
        """Raises `KeyError`, `TypeError` or `ValueError` for what is no plan."""
        parameters = tuple(
            SweepParameter(_name(k["name"]), tuple(map(_value, k["values"]))) for k in data["knobs"]
        )
        plan = cls(
            target.from_json(data), parameters, _count(data["rounds"]), data["tolerance"], data["seed"]
        )
        if type(plan.seed) is not int:
            raise ValueError("a seed must be a whole number")
        if type(plan.tolerance) is not float or not 0 < plan.tolerance <= 1:
            raise ValueError("a tolerance must be a share")
        if data["metric"] != plan.metric or set(data) != set(plan.to_json()):
            raise ValueError("a plan has its own metric, and no more fields")
        return plan

    def differs(self, other: "Plan") -> str | None:
        """In which the readings of the two cannot be put together, in words; `None` if they can.

        More rounds and another tolerance measure nothing else.
        """
        mine, others = self.to_json(), other.to_json()
        for name in mine:
            if name not in ("rounds", "tolerance") and json.dumps(mine[name]) != json.dumps(others[name]):
                return DIFFERENCES.get(name, name)
        return None


def _name(text: str) -> Name:
    for name in NAMES:
        if name == text:
            return name
    raise ValueError(f"{text!r} is no parameter")


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= UNLIMITED:
        raise ValueError(f"{value!r} is no count")
    return value


def _value(value: Any) -> Size:
    if value == DEFAULT:
        return DEFAULT
    if type(value) is not int or not 0 <= value <= UNLIMITED:
        raise ValueError(f"{value!r} is no value")
    return value


def parse_parameter(text: str) -> SweepParameter:
    """`cache-limit=0,20M,default`, `kv-bits=4,8,default`. Raises `UsageError`."""
    name, sign, words = text.partition("=")
    if not sign or name not in NAMES:
        raise UsageError(f"'{shortened(text)}' is no knob: write NAME=V,V,… with one of {', '.join(NAMES)}.")
    values = tuple(_parse_value(name, word.strip()) for word in words.split(","))
    if len(set(values)) < len(values):
        raise UsageError(f"'{shortened(text)}' names a value twice: a comparison with itself tells nothing.")
    return SweepParameter(_name(name), values)


def _parse_value(name: str, text: str) -> Size:
    if name == "cache-limit" or text == DEFAULT:
        return parse_size(text)
    value = whole(text) or 0
    if name == "kv-bits" and value not in KV_BITS:
        raise UsageError(
            f"'{shortened(text)}' is not for kv-bits: take {', '.join(map(str, KV_BITS))} or default."
        )
    if not 0 < value < 2**31:
        raise UsageError(f"'{shortened(text)}' is not for {name}: take a count from 1, or default.")
    return value


def check_parameters(parameters: tuple[SweepParameter, ...]) -> None:
    """Raises `UsageError` for parameters that cannot be swept together."""
    names = {parameter.name for parameter in parameters}
    if len(parameters) > 2 or len(names) < len(parameters):
        raise UsageError("A sweep turns one knob or two different ones: leave out a --knob.")
    check_kv_cache("max-kv-size" in names, "kv-bits" in names)
    arms = prod(len(parameter.values) for parameter in parameters)
    if arms < 2:
        raise UsageError("A sweep compares: name two values or more.")
    if arms > MOST_ARMS:
        raise UsageError(f"{arms} combinations are too many to tell apart: {MOST_ARMS} at most.")
