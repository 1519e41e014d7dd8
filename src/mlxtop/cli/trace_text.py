"""A trace as tables."""

from mlxtop.core.text import one_line
from mlxtop.core.units import format_size
from mlxtop.trace.composition import Part, by_operation
from mlxtop.trace.reader import TraceFile


def table(trace: TraceFile) -> str:
    """What was alive at the peak, by operation."""
    from mlxtop.tui.tables import aligned

    peak = trace.peak()
    lines = [f"Peak {format_size(trace.header.peak)}, {format_size(trace.header.active)} active now."]
    if peak is not None:
        lines += ["", *aligned([_row(part) for part in by_operation(peak, trace.sites())], left=(2,))]
    return "\n".join(lines)


def _row(part: Part) -> tuple[str, ...]:
    return format_size(part.bytes), f"{part.buffers:,}", one_line(part.name)
