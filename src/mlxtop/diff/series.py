"""The samples of a run as columns, wherever they come from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlxtop.core.events import Event
from mlxtop.core.resample import Level
from mlxtop.core.sample import COUNTERS, GAUGES, UNKNOWN

Column = NDArray[np.int64]
NAMES = ("active", "cache", "peak", "total", "footprint", "high", "steps", "decode", "phase", "buffers")


@dataclass(frozen=True, slots=True)
class Series:
    """Samples in order of time. Sizes are bytes, `decode` is microseconds; `UNKNOWN` where nobody knows."""

    time: NDArray[np.float64]
    columns: Mapping[str, Column]
    """By the names of `NAMES`. `phase` is an index into `phases`; `high` is at least `active`."""
    phases: Sequence[str]

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]


class Sampled(NamedTuple):
    """A run that can be drawn: its samples, and what happened meanwhile."""

    series: Series
    events: Sequence[Event]


def of_levels(levels: Iterable[Level], phases: Sequence[str]) -> Series:
    """The samples of a recording, read in pieces."""
    times: list[NDArray[np.float64]] = [np.empty(0)]
    pieces: dict[str, list[Column]] = {name: [np.empty(0, np.int64)] for name in NAMES}
    for level in levels:
        times.append(np.array(level.time, np.float64))
        rows = {**dict(zip(GAUGES, level.lo, strict=True)), **dict(zip(COUNTERS, level.last, strict=True))}
        rows["high"] = level.hi[GAUGES.index("active")]
        for name in NAMES:
            pieces[name].append(np.array(rows[name], np.int64))
    return Series(
        np.concatenate(times), {name: np.concatenate(parts) for name, parts in pieces.items()}, phases
    )


def of_rows(times: Sequence[float], rows: Mapping[str, Sequence[int]], phases: Sequence[str]) -> Series:
    """Samples given column by column."""
    columns = {name: np.array(rows[name], np.int64) for name in NAMES}
    columns["high"] = np.maximum(columns["high"], columns["active"])
    return Series(np.array(times, np.float64), columns, phases)


def known(column: Column) -> Column:
    """The values that are known."""
    found: Column = column[column != UNKNOWN]
    return found
