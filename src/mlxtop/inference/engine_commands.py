"""Commands that only the engine accepts. The others are in `core/commands.py`."""

from typing import NamedTuple

from mlxtop.core.commands import Command
from mlxtop.inference.options import Options
from mlxtop.inference.prompts import Prompt


class Generate(NamedTuple):
    """One generation with its own options. Options that do not concern a generation are ignored."""

    prompt: Prompt
    options: Options


class Quit(NamedTuple):
    """Frees everything and ends the engine's thread."""


EngineCommand = Command | Generate | Quit
