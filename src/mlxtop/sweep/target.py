"""The target of a sweep: a model in this process, or a command."""

import shlex
from dataclasses import dataclass
from typing import Any, Final

DEMO: Final = "demo"


@dataclass(frozen=True, slots=True)
class ModelTarget:
    """A model that mlx-lm runs in this process, loaded once."""

    lengths: tuple[int, ...]
    """Prompt lengths in tokens."""
    max_tokens: int
    """Tokens of each generation."""
    model: str | None = None
    """A Hub repository or a local directory; `None` is the demo model."""
    adapter_path: str | None = None
    random_weights: bool = False

    @property
    def name(self) -> str:
        return DEMO if self.model is None else self.model

    def to_json(self) -> dict[str, Any]:
        """Its part of a plan in a file."""
        extra = (
            ["adapter", self.adapter_path]
            if self.adapter_path
            else ["random weights"]
            if self.random_weights
            else []
        )
        return {
            "subject": self.name,
            "lengths": list(self.lengths),
            "max_tokens": self.max_tokens,
            "pattern": "",
            "lower_is_better": False,
            "extra": extra,
        }


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """A command that is started for every cell. It has its own prompts."""

    argv: tuple[str, ...]
    pattern: str | None = None
    """The regular expression that finds its speed in its output; `None` uses its wall time."""
    lower_is_better: bool = False
    """Whether a lower value of `pattern` is better."""

    @property
    def name(self) -> str:
        return shlex.join(self.argv)

    def to_json(self) -> dict[str, Any]:
        """Its part of a plan in a file. `max_tokens` is 0."""
        return {
            "subject": self.name,
            "lengths": [0],
            "max_tokens": 0,
            "pattern": self.pattern or "",
            "lower_is_better": self.lower_is_better,
            "extra": list(self.argv),
        }


Target = ModelTarget | CommandTarget


def from_json(data: dict[str, Any]) -> Target:
    """Returns the target of a plan in a file. Raises `KeyError`, `TypeError` or `ValueError` if invalid."""
    subject, pattern, extra = data["subject"], data["pattern"], data["extra"]
    if not isinstance(extra, list) or not all(isinstance(text, str) for text in (subject, pattern, *extra)):
        raise ValueError("a target's names must be text")
    if type(data["lower_is_better"]) is not bool:
        raise ValueError("lower_is_better must be true or false")
    numbers = (data["max_tokens"], *data["lengths"])
    if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise ValueError("tokens must be counts")
    if data["max_tokens"] == 0:
        return CommandTarget(tuple(extra), pattern or None, data["lower_is_better"])
    return ModelTarget(
        tuple(data["lengths"]),
        data["max_tokens"],
        None if subject == DEMO else subject,
        **_weights(extra),
    )


def _weights(extra: list[str]) -> dict[str, Any]:
    match extra:
        case []:
            return {}
        case ["adapter", path]:
            return {"adapter_path": path}
        case ["random weights"]:
            return {"random_weights": True}
    raise ValueError(f"{extra!r} does not name weights")
