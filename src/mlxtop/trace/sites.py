"""Where memory is allocated: an operation, and the line of Python that evaluated it."""

from dataclasses import dataclass
from typing import NamedTuple

from mlxtop.trace import layout

BEFORE = "before the trace"
OTHERS = "more sites than the trace holds"
OUTSIDE = "outside an operation"
IMPLICIT = "implicit (.item(), printing, NumPy)"
UNEVALUATED = "outside an evaluation"
NO_LAYER = "outside a layer"
LAYER = "layer:0 "
"""How the line of a context that names a layer begins: the first one after the phase."""


class Frame(NamedTuple):
    """A frame of Python's stack at `eval`. Foreign text."""

    path: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.function}".rstrip()


@dataclass(frozen=True, slots=True)
class Site:
    """A place that allocates. Its texts are foreign."""

    index: int
    operation: str
    """Empty outside of an operation."""
    phase: str
    stack: tuple[Frame, ...]
    """Python's stack at `eval`, innermost first; empty where no step was under way on the thread."""
    layer: str = ""
    """The layer that was called; empty outside of one, and where layers were not asked for."""

    @property
    def name(self) -> str:
        """The operation, or what it is instead."""
        if self.index == layout.BEFORE:
            return BEFORE
        if self.index == layout.OTHERS:
            return OTHERS
        return self.operation or OUTSIDE

    @property
    def line(self) -> str:
        """`path:line function` of the innermost frame, or what it is instead."""
        if self.stack:
            return str(self.stack[0])
        if self.index in (layout.BEFORE, layout.OTHERS):
            return self.name
        return IMPLICIT if self.operation else UNEVALUATED

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The operation as the innermost frame, then Python's, or what is known instead."""
        operation = Frame("mlx", 0, self.name)
        layer = [Frame("layer", 0, self.layer)] if self.layer else []
        if self.stack or self.line == self.name:
            return operation, *layer, *self.stack
        return operation, *layer, Frame("", 0, self.line)


def parse_site(index: int, operation: str, context: str) -> Site:
    """A site from its texts. The context is its phase, its layer if any, and its frames, a line each."""
    phase, *lines = context.split("\n")
    layer = lines.pop(0).removeprefix(LAYER) if lines and lines[0].startswith(LAYER) else ""
    return Site(index, operation, phase, tuple(_frame(line) for line in lines if line), layer)


def _frame(text: str) -> Frame:
    place, _, function = text.rpartition(" ")
    path, _, line = place.rpartition(":")
    if not path or not line.isascii() or not line.isdigit() or len(line) > 9:
        return Frame(text, 0, "")
    return Frame(path, int(line), function)
