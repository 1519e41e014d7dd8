"""What `mlxtop trace show` tells, as text and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlxtop.core.errors import UsageError
from mlxtop.core.units import format_size
from mlxtop.trace import sites as names
from mlxtop.trace.churn import Churn, churn
from mlxtop.trace.composition import Composition, Part, by_layer, by_line, by_operation
from mlxtop.trace.header import Header
from mlxtop.trace.moments import Moments
from mlxtop.trace.sites import Site
from mlxtop.trace.sizes import SizeClass, by_size
from mlxtop.trace.unfreed import Unfreed, unfreed


@dataclass(frozen=True, slots=True)
class Shown:
    """What was alive at one moment."""

    composition: Composition
    seconds: float
    """Since the beginning of the trace."""
    below_peak: int | None
    """How many bytes more the peak had, where the peak was asked for: a small rise is not always kept."""
    operations: list[Part]
    lines: list[Part]
    layers: list[Part]
    """Empty where the trace names none."""
    sizes: list[SizeClass] | None
    """None where the moment is older than the ring."""

    @property
    def missed(self) -> bool:
        """Whether the peak was asked for, and this is one well below it."""
        return (self.below_peak or 0) > self.composition.total / 1000

    def to_json(self) -> dict[str, Any]:
        found = self.composition
        return {
            "seconds": self.seconds,
            "step": found.step or None,
            "bytes": found.total,
            "buffers": found.count,
            "exact": found.exact,
            "operations": [part._asdict() for part in self.operations],
            "lines": [part._asdict() for part in self.lines],
            "layers": [part._asdict() for part in self.layers],
            "sizes": None if self.sizes is None else [one._asdict() for one in self.sizes],
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """A trace in figures."""

    header: Header
    seconds: float
    """Its length."""
    allocated_bytes: int
    """What was freed since is in it."""
    allocations: int
    frees: int
    buffers: int
    """Alive at the end, but for those from before the trace, which nobody counted."""
    events: int
    """In the ring."""
    torn: int
    back: float
    """Seconds that the ring goes back from the end."""
    shown: Shown | None
    """The moment asked for; None where nothing was allocated yet."""
    unfreed: list[Unfreed]
    churn: Churn | None
    notes: list[str]
    """What the trace cannot know, in sentences."""

    def to_json(self) -> dict[str, Any]:
        header = self.header
        return {
            "command": list(header.command),
            "pid": header.pid,
            "mlx": header.backend,
            "closed": header.closed,
            "began": header.wall(header.origin_monotonic_ns),
            "seconds": self.seconds,
            "peak": header.peak,
            "peak_seconds": header.since_origin(header.peak_time_ns) if header.peak_time_ns else None,
            "active": header.active,
            "before": header.before,
            "buffers": self.buffers,
            "allocations": self.allocations,
            "allocated_bytes": self.allocated_bytes,
            "frees": self.frees,
            "lost": header.lost,
            "min_size": header.min_size,
            "ring": {
                "events": self.events,
                "written": header.ring_written,
                "torn": self.torn,
                "seconds": self.back,
            },
            "at": None if self.shown is None else self.shown.to_json(),
            "alive": [one._asdict() for one in self.unfreed],
            "churn": None if self.churn is None else self.churn.to_json(),
            "notes": self.notes,
        }


def summary(moments: Moments, at: Composition | None) -> Summary:
    """The figures of a trace, with what was alive `at` one moment."""
    header, ring, last = moments.header, moments.ring, moments.last_ns
    begins = int(ring.events["time_ns"].min()) if len(ring.events) else last
    seen = None if at is None else shown(moments, at)
    alive = unfreed(moments)
    return Summary(
        header=header,
        seconds=header.since_origin(last),
        allocated_bytes=int(moments.allocated[0].sum()),
        allocations=int(moments.allocated[1].sum()),
        frees=moments.frees,
        buffers=moments.now.count,
        events=len(ring.events),
        torn=ring.torn,
        back=(last - begins) / 1e9,
        shown=seen,
        unfreed=alive,
        churn=churn(moments),
        notes=_notes(moments, seen, alive),
    )


def shown(moments: Moments, at: Composition) -> Shown:
    """A composition by operation, line and size class."""
    sites: Sequence[Site] = moments.sites
    blocks = moments.blocks(at.index)
    time = at.time_ns or moments.last_ns
    return Shown(
        at,
        moments.header.since_origin(time),
        moments.header.peak - at.total if at is moments.peak else None,
        by_operation(at, sites),
        by_line(at, sites),
        by_layer(at, sites),
        None if blocks is None else by_size(blocks),
    )


def _notes(moments: Moments, seen: Shown | None, alive: Sequence[Unfreed]) -> list[str]:
    header = moments.header
    words = {part.name for part in (*seen.operations, *seen.lines)} if seen else set()
    words |= {word for one in alive for word in (one.operation, one.line)}
    notes = ["MLX is lazy: a line is where arrays were evaluated, not where they were built."]
    notes += [_MEANINGS[word] for word in _MEANINGS if word in words]
    if seen and seen.layers:
        notes.append(_LAYERS)
    if seen and seen.missed:
        notes.append(
            f"The peak itself was {format_size(seen.below_peak)} higher: what was alive then was not kept."
        )
    if seen and seen.sizes is None:
        notes.append(
            "That moment is older than the ring, so its sizes are not known: trace with larger --events."
        )
    if header.min_size:
        notes.append(
            f"Buffers under {format_size(header.min_size)} are counted, but their events were not kept: "
            "between two peaks, and by size, they may be missing."
        )
    if header.lost:
        notes.append(
            f"{header.lost:,} allocations found the live table full: what is alive is at least this."
        )
    if moments.ring.torn:
        notes.append(f"{moments.ring.torn:,} events were half written and are left out.")
    if not header.closed:
        notes.append("The file was not closed: the program still runs, or was killed.")
    return notes


_LAYERS = (
    "Traced with --layers: each layer's result was evaluated within its call. "
    "That is slower, and fusion and peaks are not those of a run without."
)
_MEANINGS = {
    names.IMPLICIT: "implicit: evaluated without mx.eval, so no line is known.",
    names.OUTSIDE: "outside an operation: MLX ran none, for example in mx.array of a list.",
    names.BEFORE: "before the trace: allocated before it began, so operation, line and size are not known.",
    names.OTHERS: "more sites than the trace holds: where these were allocated is not known.",
}


def moment(moments: Moments, at: float) -> Composition:
    """What was alive `at` seconds after the beginning. Raises `UsageError` where that is not known."""
    header = moments.header
    found = moments.at(header.origin_monotonic_ns + round(at * 1e9))
    if found is not None:
        return found
    times = moments.ring.events["time_ns"]
    begin = header.since_origin(int(times.min()) if len(times) else moments.last_ns)
    raise UsageError(
        f"What was alive at {at:g} s is not known: the events begin at {begin:.3f} s; "
        "trace with larger --events."
    )
