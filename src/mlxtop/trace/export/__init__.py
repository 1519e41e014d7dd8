"""A trace in the formats of other tools, one file a format."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from mlxtop.trace.composition import Composition
from mlxtop.trace.export import folded, json, memory_viz, perfetto, pprof
from mlxtop.trace.moments import Moments


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its file's suffix, and what writes a trace in it.

    `at` is the moment that a format without times shows: None before the first allocation.
    """

    suffix: str
    write: Callable[[Moments, Composition | None, BinaryIO], None]


FORMATS = {
    "memory-viz": Format(".pickle", lambda moments, at, out: memory_viz.write(moments, out)),
    "pprof": Format(".pb.gz", pprof.write),
    "folded": Format(".folded", folded.write),
    "perfetto": Format(".pftrace", lambda moments, at, out: perfetto.write(moments, out)),
    "json": Format(".json", json.write),
}
