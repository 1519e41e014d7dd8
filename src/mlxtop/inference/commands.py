"""What else may be asked of the thread that owns MLX: see `core/commands.py` for the rest."""

from typing import NamedTuple

from mlxtop.core.commands import Command
from mlxtop.inference.options import Options
from mlxtop.inference.prompts import Prompt


class Generate(NamedTuple):
    """One generation under options of its own: of these, those that concern a generation count."""

    prompt: Prompt
    options: Options


class Quit(NamedTuple):
    """Tears everything down and ends the thread."""


EngineCommand = Command | Generate | Quit
