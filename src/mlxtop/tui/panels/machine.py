"""The machine in one row, at every size: room, pressure and swap first, then what there is room for."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from textual.strip import Strip

from mlxtop.core.machine import Room, System, room
from mlxtop.core.text import one_line
from mlxtop.tui.frame import Frame
from mlxtop.tui.panel import Panel

NARROW = 76
"""Below so many columns the names are short, and only the first three numbers are there."""
Named = tuple[str, str]
"""Text, and the name of its colour."""


class _Field(NamedTuple):
    """A number at its place, which has the same width always. A word begins at its left, a size ends at its
    right."""

    name: str
    value: str
    width: int
    colour: str
    word: bool = False


class Machine(Panel[Frame]):
    """What is left of the working set, the GPU's memory, the container or the machine's memory; pressure;
    swap; and where there is room how busy and how hot the GPU is, wired memory or the time that tasks waited
    for memory, and compressed memory."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        sample = frame.sample
        held, cache = (sample.total, sample.cache) if sample is not None else (None, 0)
        bound = room(frame.state.facts, frame.machine, held, cache)
        return [painted(self, row(bound, frame.machine, frame.size, width), width)]


def painted(panel: Panel[Any], told: Iterable[Named], width: int) -> Strip:
    """The row in the theme's colours; without their hue what is worst would be the darkest."""
    plain = {"pressure-normal": "text", "pressure-warning": "title", "pressure-critical": "title"}
    looks = plain if panel.app.no_color else {}
    return panel.row([(text, panel.style(looks.get(colour, colour))) for text, colour in told], width)


def row(bound: Room, machine: System, size: Callable[[int | None], str], width: int) -> list[Named]:
    """The fields that fit into `width` columns as a whole, each at its place."""
    parts: list[Named] = []
    fields = _narrow if width < NARROW else _wide
    for field in fields(bound, machine, size):
        if len(field.name) + field.width <= width:
            side = "<" if field.word else ">"
            parts += [(field.name, "dim"), (f"{field.value:{side}{field.width}.{field.width}}", field.colour)]
            width -= len(field.name) + field.width
    return parts


def _narrow(bound: Room, machine: System, size: Callable[[int | None], str]) -> Iterator[_Field]:
    yield _Field(" left ", size(bound.left), 9, _ink(bound.level))
    yield _Field(
        " ", machine.pressure or "—", 8, f"pressure-{machine.pressure}" if machine.pressure else "dim", True
    )
    yield _Field(" swap ", size(machine.swap_used), 9, "text" if machine.swap_used else "dim")


def _wide(bound: Room, machine: System, size: Callable[[int | None], str]) -> Iterator[_Field]:
    yield _Field(f" {bound.what:<11} ", size(bound.left), 9, _ink(bound.level))
    yield _Field(" left of ", size(bound.size), 9, "dim")
    _, pressure, swap = _narrow(bound, machine, size)
    yield pressure._replace(name="  pressure ")
    yield swap._replace(name="  swap ")
    yield _share("GPU", machine.gpu)
    hot = machine.thermal not in (None, "nominal")
    yield _Field(
        "  thermal ", one_line(machine.thermal or "—"), 8, "pressure-warning" if hot else "dim", True
    )
    # macOS has the one, Linux the other.
    if machine.stalled is None:
        yield _bytes("wired", machine.wired, size)
    else:
        yield _share("stalled", machine.stalled)
    yield _bytes("compressed", machine.compressed, size)


def _ink(level: str | None) -> str:
    return "text" if level in (None, "normal") else f"pressure-{level}"


def _share(name: str, share: float | None) -> _Field:
    return _Field(f"  {name} ", "—" if share is None else f"{share:.0%}", 4, "text" if share else "dim")


def _bytes(name: str, value: int | None, size: Callable[[int | None], str]) -> _Field:
    return _Field(f"  {name} ", size(value), 9, "text" if value else "dim")
