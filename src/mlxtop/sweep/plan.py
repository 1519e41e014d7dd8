"""What a sweep measures: knobs, their values, prompt lengths, and in which order. Plain data."""

import json
import random
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Final, Literal, NamedTuple, get_args

from mlxtop.core.errors import UsageError
from mlxtop.core.parsing import whole
from mlxtop.core.text import shortened
from mlxtop.core.units import DEFAULT, UNLIMITED, Size, format_size, parse_size

Name = Literal["cache-limit", "kv-bits", "max-kv-size", "prefill-step-size"]
NAMES: tuple[Name, ...] = get_args(Name)
KV_BITS: Final = (2, 3, 4, 6, 8)
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
    """One knob and the values it is set to: bytes for a limit, else a count; `DEFAULT` leaves it alone."""

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

    subject: str
    """The model, or the command in words."""
    parameters: tuple[SweepParameter, ...]
    lengths: tuple[int, ...] = (0,)
    """Prompt tokens; a single 0 where the prompt is not ours."""
    max_tokens: int = 0
    rounds: int = 10
    """The most rounds that are run; in each, every cell comes once."""
    tolerance: float = 0.02
    """The loss of speed, as a share of the best, that a person does not mind."""
    seed: int = 0
    metric: str = "tps"
    """What is compared: a name of `sweep.reading.METRICS`."""
    pattern: str = ""
    """Where a program's output is searched for the metric."""
    lower_is_better: bool = False
    extra: tuple[str, ...] = ()
    """Options of the model that hold for every cell, or the command, word by word."""

    @property
    def arms(self) -> list[tuple[Size, ...]]:
        """Every combination of values, one for each knob."""
        return list(product(*(knob.values for knob in self.parameters)))

    @property
    def cells(self) -> list[Cell]:
        return [Cell(arm, length) for length in range(len(self.lengths)) for arm in range(len(self.arms))]

    def label(self, arm: int) -> str:
        """What tells a combination from the others."""
        pairs = zip(self.parameters, self.arms[arm], strict=True)
        return " · ".join(knob.label(value) for knob, value in pairs)

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
        data = asdict(self)
        # The file's word from its first version on.
        del data["parameters"]
        data["knobs"] = [{"name": knob.name, "values": list(knob.values)} for knob in self.parameters]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Plan":
        """Raises `KeyError`, `TypeError` or `ValueError` for what is no plan."""
        given = {name: value for name, value in data.items() if name != "knobs"}
        parameters = tuple(
            SweepParameter(_name(k["name"]), tuple(map(_value, k["values"]))) for k in data["knobs"]
        )
        more = {**given, "parameters": parameters, "lengths": tuple(map(_count, data["lengths"]))}
        plan = cls(**{**more, "extra": tuple(map(str, data["extra"]))})
        for number in (plan.max_tokens, plan.rounds):
            _count(number)
        if type(plan.seed) is not int:
            raise ValueError("a seed must be a whole number")
        texts = (plan.subject, plan.metric, plan.pattern)
        if not all(isinstance(text, str) for text in texts) or type(plan.lower_is_better) is not bool:
            raise ValueError("a plan's names must be text")
        if type(plan.tolerance) is not float or not 0 < plan.tolerance <= 1:
            raise ValueError("a tolerance must be a share")
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
    raise ValueError(f"{text!r} is no knob")


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
    name, sign, values = text.partition("=")
    if not sign or name not in NAMES:
        raise UsageError(f"'{shortened(text)}' is no knob: write NAME=V,V,… with one of {', '.join(NAMES)}.")
    knob = SweepParameter(_name(name), tuple(_parse_value(name, word.strip()) for word in values.split(",")))
    if len(set(knob.values)) < len(knob.values):
        raise UsageError(f"'{shortened(text)}' names a value twice: a comparison with itself tells nothing.")
    return knob


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


def check_parameters(knobs: tuple[SweepParameter, ...]) -> None:
    """Raises `UsageError` for knobs that cannot be swept together."""
    names = [knob.name for knob in knobs]
    if len(names) > 2 or len(set(names)) < len(names):
        raise UsageError("A sweep turns one knob or two different ones: leave out a --knob.")
    if {"kv-bits", "max-kv-size"} == set(names):
        raise UsageError(
            "kv-bits and max-kv-size exclude each other: mlx-lm cannot quantize a rotating KV cache."
        )
    arms = 1
    for knob in knobs:
        arms *= len(knob.values)
    if arms < 2:
        raise UsageError("A sweep compares: name two values or more.")
    if arms > MOST_ARMS:
        raise UsageError(f"{arms} combinations are too many to tell apart: {MOST_ARMS} at most.")
