"""The plan of a sweep: the target, the values of the parameters, and the order of the measurements."""

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
"""The most combinations. More would take too long, and their intervals would overlap."""


DIFFERENCES: Final = {
    "knobs": "parameters",
    "subject": "model or command",
    "lengths": "prompt lengths",
    "max_tokens": "tokens a generation",
    "pattern": "metric",
    "lower_is_better": "direction of the metric",
    "extra": "weights",
}
"""A plan's fields by the names used in messages."""


class SweepParameter(NamedTuple):
    """A parameter and its values: bytes for a limit, else a count; `DEFAULT` does not set it."""

    name: Name
    values: tuple[Size, ...]

    def label(self, value: Size) -> str:
        """Formats a value."""
        if value == DEFAULT:
            return DEFAULT
        return format_size(int(value)) if self.name == "cache-limit" else f"{value}"


class Cell(NamedTuple):
    """A cell of the plan: the indices of a combination of values and of a prompt length."""

    arm: int
    length: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that determines the measurements. Runs of equal plans can be combined."""

    target: Target
    parameters: tuple[SweepParameter, ...]
    rounds: int = 10
    """The most rounds. In a round every cell is measured once."""
    tolerance: float = 0.02
    """The acceptable loss of speed, as a share of the best speed."""
    seed: int = 0

    @property
    def lengths(self) -> tuple[int | None, ...]:
        """Prompt lengths in tokens; a single `None` if the command has its own prompt."""
        return self.target.lengths if isinstance(self.target, ModelTarget) else (None,)

    @property
    def metric(self) -> str:
        """The metric that is compared: a key of `measurement.METRICS`."""
        if isinstance(self.target, CommandTarget):
            return "value" if self.target.pattern else "seconds"
        return "prefill" if self.names == ("prefill-step-size",) else "tps"

    @property
    def names(self) -> tuple[Name, ...]:
        """The parameters' names."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def title(self) -> str:
        """The parameters' names as a column heading."""
        return " · ".join(self.names)

    @property
    def arms(self) -> list[tuple[Size, ...]]:
        """Every combination of values, one for each parameter."""
        return list(product(*(parameter.values for parameter in self.parameters)))

    @property
    def cells(self) -> list[Cell]:
        return [Cell(arm, length) for length in range(len(self.lengths)) for arm in range(len(self.arms))]

    def label(self, arm: int) -> str:
        """Formats a combination of values."""
        pairs = zip(self.parameters, self.arms[arm], strict=True)
        return " · ".join(parameter.label(value) for parameter, value in pairs)

    def round(self, number: int) -> list[list[Cell]]:
        """Returns the cells of one round in blocks, one block for each prompt length.

        Cells that are compared are measured close together, so a machine that slows down affects all of them.
        Within these blocks the order is random, and the same for the same seed.
        """
        chance = random.Random(f"{self.seed}/{number}")
        blocks = [[c for c in self.cells if c.length == length] for length in range(len(self.lengths))]
        for block in blocks:
            chance.shuffle(block)
        chance.shuffle(blocks)
        return blocks

    def to_json(self) -> dict[str, Any]:
        """Returns the plan in the file's format, which calls parameters `knobs`, as mlxtop 0.1 did."""
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
        """Returns a plan from JSON. Raises `KeyError`, `TypeError` or `ValueError` if it is not one."""
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
            raise ValueError("the metric or the fields do not match the plan")
        return plan

    def differs(self, other: "Plan") -> str | None:
        """Returns the difference that prevents combining the two, in words; `None` if there is none.

        Rounds and tolerance may differ.
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
    raise ValueError(f"{text!r} is not a parameter")


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= UNLIMITED:
        raise ValueError(f"{value!r} is not a count")
    return value


def _value(value: Any) -> Size:
    if value == DEFAULT:
        return DEFAULT
    if type(value) is not int or not 0 <= value <= UNLIMITED:
        raise ValueError(f"{value!r} is not a value")
    return value


def parse_parameter(text: str) -> SweepParameter:
    """Parses `cache-limit=0,20M,default` or `kv-bits=4,8,default`. Raises `UsageError`."""
    name, sign, words = text.partition("=")
    if not sign or name not in NAMES:
        raise UsageError(
            f"'{shortened(text)}' is not a parameter: write NAME=V,V,… with one of {', '.join(NAMES)}."
        )
    values = tuple(_parse_value(name, word.strip()) for word in words.split(","))
    if len(set(values)) < len(values):
        raise UsageError(f"'{shortened(text)}' has a value twice: remove one of them.")
    return SweepParameter(_name(name), values)


def _parse_value(name: str, text: str) -> Size:
    if name == "cache-limit" or text == DEFAULT:
        return parse_size(text)
    value = whole(text) or 0
    if name == "kv-bits" and value not in KV_BITS:
        raise UsageError(
            f"'{shortened(text)}' is not a value of kv-bits: use {', '.join(map(str, KV_BITS))} or default."
        )
    if not 0 < value < 2**31:
        raise UsageError(f"'{shortened(text)}' is not a value of {name}: use a count from 1, or default.")
    return value


def check_parameters(parameters: tuple[SweepParameter, ...]) -> None:
    """Raises `UsageError` for parameters that cannot be swept together."""
    names = {parameter.name for parameter in parameters}
    if len(parameters) > 2 or len(names) < len(parameters):
        raise UsageError("A sweep has one --parameter or two different ones: remove the others.")
    check_kv_cache("max-kv-size" in names, "kv-bits" in names)
    arms = prod(len(parameter.values) for parameter in parameters)
    if arms < 2:
        raise UsageError("A sweep compares values: give two or more.")
    if arms > MOST_ARMS:
        raise UsageError(f"The sweep has {arms} combinations: use {MOST_ARMS} at most.")
