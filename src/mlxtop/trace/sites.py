"""Where memory is allocated: an operation, and the line of Python that evaluated it."""

from dataclasses import dataclass
from typing import NamedTuple

from mlxtop.trace import layout

BEFORE = "before the trace"
OTHERS = "more sites than the trace holds"
OUTSIDE = "outside an operation"
IMPLICIT = "implicit (.item(), printing, NumPy)"
UNEVALUATED = "outside an evaluation"


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
        if self.stack or self.line == self.name:
            return operation, *self.stack
        return operation, Frame("", 0, self.line)


def parse_site(index: int, operation: str, context: str) -> Site:
    """A site from its texts. The context's first line is the phase; a frame a line follows."""
    phase, *lines = context.split("\n")
    return Site(index, operation, phase, tuple(_frame(line) for line in lines if line))


def _frame(text: str) -> Frame:
    place, _, function = text.rpartition(" ")
    path, _, line = place.rpartition(":")
    if not path or not line.isascii() or not line.isdigit() or len(line) > 9:
        return Frame(text, 0, "")
    return Frame(path, int(line), function)
