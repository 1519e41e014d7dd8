"""What others may ask of the thread that owns MLX."""

from dataclasses import dataclass

from mlxtop.core.limits import LimitName
from mlxtop.core.units import Size
from mlxtop.inference.options import Options
from mlxtop.inference.prompts import Prompt


@dataclass(frozen=True, slots=True)
class SetLimit:
    knob: LimitName
    value: Size
    who: str


@dataclass(frozen=True, slots=True)
class ClearCache:
    who: str


@dataclass(frozen=True, slots=True)
class ResetPeak:
    who: str


@dataclass(frozen=True, slots=True)
class SubmitPrompt:
    """A prompt that a person typed: it is next, and whatever runs now ends."""

    text: str


@dataclass(frozen=True, slots=True)
class Generate:
    """One generation under options of its own: of these, those that concern a generation count."""

    prompt: Prompt
    options: Options


@dataclass(frozen=True, slots=True)
class Collect:
    """Runs Python's garbage collector."""

    who: str


class TakeCensus:
    """Counts the live arrays."""


class StartWorkload: ...


class StopWorkload: ...


class ForgetConversation:
    """Ends the conversation: the next prompt begins with an empty KV cache."""


class Quit: ...


Command = (
    SetLimit
    | ClearCache
    | ResetPeak
    | Collect
    | TakeCensus
    | SubmitPrompt
    | Generate
    | StartWorkload
    | StopWorkload
    | ForgetConversation
    | Quit
)
