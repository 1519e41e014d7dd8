"""The machine in one row: memory left, pressure and swap first, then what fits."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from textual.strip import Strip

from mlxtop.core.machine import System
from mlxtop.core.room import Room, room
from mlxtop.core.text import one_line
from mlxtop.tui.frame import Frame
from mlxtop.tui.panel import Panel

NARROW = 76
"""Below so many columns the names are short and only three numbers are shown."""
Named = tuple[str, str]
"""Text, and the name of its colour."""


class _Field(NamedTuple):
    """A value with a fixed width. A word is aligned left, a size right."""

    name: str
    value: str
    width: int
    colour: str
    word: bool = False


class Machine(Panel[Frame]):
    """The memory left of the working set, the GPU, the container or the machine; pressure; swap; and on wide
    screens GPU use, thermal pressure, wired memory or the time of stalled tasks, and compressed memory."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        sample = frame.sample
        held, cache = (sample.total, sample.cache) if sample is not None else (None, 0)
        bound = room(frame.state.facts, frame.machine, held, cache)
        return [painted(self, row(bound, frame.machine, frame.size, width), width)]


def painted(panel: Panel[Any], fields: Iterable[Named], width: int) -> Strip:
    """The row in the theme's colours. Without colours the worst pressure is bold instead."""
    plain = {"pressure-normal": "text", "pressure-warning": "title", "pressure-critical": "title"}
    looks = plain if panel.app.no_color else {}
    return panel.row([(text, panel.style(looks.get(colour, colour))) for text, colour in fields], width)


def row(bound: Room, machine: System, size: Callable[[int | None], str], width: int) -> list[Named]:
    """The fields that fit into `width` columns, each as a text and a colour."""
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
    # macOS has wired memory, Linux has stalled tasks.
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
