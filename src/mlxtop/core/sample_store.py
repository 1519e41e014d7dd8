"""What may be asked of a session's samples, wherever they are kept."""

from collections.abc import Sequence
from math import inf
from typing import Protocol

from mlxtop.core.resample import Columns
from mlxtop.core.sample import COUNTERS, GAUGES, Sample


class Samples(Protocol):
    """The samples of a session: those of `core.history.History`, or a file's."""

    @property
    def first(self) -> Sample | None: ...

    @property
    def latest(self) -> Sample | None: ...

    @property
    def count(self) -> int: ...

    def at(self, time: float) -> Sample | None: ...

    def columns(
        self,
        start: float,
        width: float,
        count: int,
        gauges: Sequence[str] = GAUGES,
        counters: Sequence[str] = COUNTERS,
        until: float = inf,
    ) -> Columns: ...
