"""Checks a model's size before its weights are computed, and refuses one that exceeds the memory.

mlx-lm builds a model as Python objects with lazy arrays of known shapes. A config with impossible numbers is
refused before that, because each layer takes 100 KB and a millisecond even without weights.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlxtop.core.errors import MlxtopError
from mlxtop.core.text import one_line, shortened
from mlxtop.core.units import format_size
from mlxtop.mlx import device

POSITIVE = ("num_hidden_layers", "hidden_size", "vocab_size")
"""Fields that a config may omit, but that must be positive."""
LONGEST = 2**31 - 1
"""The largest dimension of an MLX array."""
MOST_LAYERS, MOST_EXPERTS = 1_000, 10_000
MOST_PARTS = 200_000
"""Layers times experts."""
_LAYERS = re.compile(r"(?:num|n)_(?:\w+_)?(?:layers?|blocks?)", re.ASCII)
_EXPERTS = re.compile(r"(?:num|n)_(?:\w+_)?experts?", re.ASCII)
_DEEPEST = 8


class SizeError(MlxtopError):
    """A model's sizes are impossible or exceed the memory."""


def check_config(config: Mapping[str, Any], file: Path) -> None:
    """Raises `SizeError` for a config with impossible numbers."""
    text = config.get("text_config")
    about = text if isinstance(text, dict) else config
    for name in POSITIVE:
        value = about.get(name)
        if value is not None and (type(value) is not int or not 0 < value <= LONGEST):
            shown = one_line(shortened(repr(value)))
            raise SizeError(f"{file}: {name} is {shown}, and must be a whole number from 1 to {LONGEST:,}.")
    layers = _highest(config, _LAYERS, MOST_LAYERS, file)
    experts = _highest(config, _EXPERTS, MOST_EXPERTS, file)
    if layers * experts > MOST_PARTS:
        raise SizeError(
            f"{file} has {layers:,} layers of {experts:,} experts: no model of mlx-lm has that many."
        )


def _highest(config: Mapping[str, Any], names: re.Pattern[str], most: int, file: Path) -> int:
    """Returns the highest count in fields that match `names`. Raises `SizeError` for an impossible one."""
    highest = 1
    for part in _parts(config):
        for name, value in part.items():
            if type(value) not in (int, float) or not names.fullmatch(name):
                continue
            if not 0 <= value <= most:
                raise SizeError(f"{file}: {name} is {value:,}, and must be from 0 to {most:,}.")
            highest = max(highest, int(value))
    return highest


def _parts(config: Mapping[str, Any], depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Yields a config and all configs nested in it."""
    yield config
    for value in config.values():
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from _parts(value, depth + 1)


def check_weights(name: str, weights: int, budget: int | None, made: bool) -> None:
    """Raises `SizeError` if `weights` bytes exceed `budget` or this machine's memory.

    `made`: they are random weights, which need free memory. A checkpoint's may displace other data.
    """
    facts = device.facts(packages=False)
    most, what = device.ceiling(facts if made else facts.replace(working_set=None))
    text = f"The weights of {name} are {format_size(weights)}, more than"
    if budget is not None and weights > budget:
        raise SizeError(
            f"{text} the budget of {format_size(budget)}: use fewer bits, a smaller model or a larger budget."
        )
    if weights > most:
        raise SizeError(f"{text} {what}, {format_size(most)}: use fewer bits or a larger machine.")
    free = device.room(facts)
    if made and weights > free:
        raise SizeError(
            f"{text} the {format_size(free)} of memory that are free now: free more memory first."
        )
