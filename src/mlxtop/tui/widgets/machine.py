"""The machine in one row, at every size: room, pressure and swap first, then what there is room for."""

from collections.abc import Iterator

from textual.strip import Strip

from mlxtop.core.system import room
from mlxtop.core.text import one_line
from mlxtop.tui.canvas import Canvas, Part
from mlxtop.tui.frame import Frame

NARROW = 76
"""Below so many columns the names are short, and only the first three numbers are there."""
Field = tuple[str, str, int, str]
"""Name, value, the value's width (negative: it begins at the left), colour."""


class Machine(Canvas):
    """What is left of the working set, the GPU's memory, the container or the machine's memory; pressure;
    swap; and where there is room how busy and how hot the GPU is, wired memory or the time that tasks waited
    for memory, and compressed memory."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        narrow, parts, room_left = width < NARROW, list[Part](), width
        for name, value, size, colour in _fields(frame, narrow):
            label = f"{'' if narrow or not parts else ' '} {name}{' ' if name else ''}"
            # Each at its place, whatever it says: what does not fit as a whole is not there.
            if len(label) + abs(size) <= room_left:
                text = f"{value:>{size}}" if size > 0 else f"{value:<{-size}.{-size}}"
                parts += [(label, self.style("dim")), (text, self.style(colour))]
                room_left -= len(label) + abs(size)
        return [self.row(parts, width)]


def _fields(frame: Frame, narrow: bool) -> Iterator[Field]:
    sample, machine = frame.sample, frame.machine
    held, cache = (sample.total, sample.cache) if sample is not None else (None, 0)
    bound = room(frame.state.facts, machine, held, cache)
    level = f"pressure-{bound.level}" if bound.level not in (None, "normal") else "text"
    pressure = (
        ("—", "dim") if machine.pressure is None else (machine.pressure, f"pressure-{machine.pressure}")
    )
    swap = (frame.size(machine.swap_used), 9, "text" if machine.swap_used else "dim")
    if narrow:
        yield "left", frame.size(bound.left), 9, level
        yield "", pressure[0], -8, pressure[1]
        yield "swap", *swap
        return
    yield f"{bound.what:<11}", f"{frame.size(bound.left):>9} left of {frame.size(bound.size):>9}", 27, level
    yield "pressure", pressure[0], -8, pressure[1]
    yield "swap", *swap
    yield "GPU", _percent(machine.gpu), 4, "text"
    hot = machine.thermal not in (None, "nominal")
    yield "thermal", one_line(machine.thermal or "—"), -8, "pressure-warning" if hot else "dim"
    if machine.stalled is None:
        yield "wired", frame.size(machine.wired), 9, "text" if machine.wired else "dim"
    else:
        yield "stalled", _percent(machine.stalled), 4, "text" if machine.stalled else "dim"
    yield "compressed", frame.size(machine.compressed), 9, "text" if machine.compressed else "dim"


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{share:.0%}"
