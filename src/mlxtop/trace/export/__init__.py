"""A trace in the formats of other tools, one file a format."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from mlxtop.trace.export import folded, json, memory_viz, perfetto, pprof
from mlxtop.trace.export.chosen import Chosen
from mlxtop.trace.moments import Moments


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its file's suffix, and what writes a trace in it."""

    suffix: str
    write: Callable[[Moments, Chosen, BinaryIO], None]


FORMATS = {
    "memory-viz": Format(".pickle", memory_viz.write),
    "pprof": Format(".pb.gz", pprof.write),
    "folded": Format(".folded", folded.write),
    "perfetto": Format(".pftrace", perfetto.write),
    "json": Format(".json", json.write),
}
