"""The highest steps of this process, found as they end and told when nothing replaces them any more."""

from __future__ import annotations

from mlxtop.core.events import StepPeaked
from mlxtop.core.peaks import Candidate, HighestSteps
from mlxtop.mlx.hooks import place_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlxtop.mlx.hooks import Place
    from mlxtop.mlx.step_peaks import Rise, StepPeaks


class StepLog:
    """Takes in what `peaks` tells of steps. `settled` is for the thread that reports."""

    def __init__(self, peaks: StepPeaks) -> None:
        self._peaks = peaks
        self._highest = HighestSteps()
        peaks.least = 0

    def note(
        self, time: float, rise: Rise, phase: str,
        place: Place | None = None, tokens: int | None = None, how: str = "",
    ) -> None:  # fmt: skip
        """A step ended at `time`, in seconds. `tokens` are those in the KV cache."""
        peak, floor, step, shared = rise
        how = "threads" if shared else how
        if self._highest.add(Candidate(time, peak, floor, step, phase, place, tokens, how)):
            self._peaks.least = self._highest.least

    def settled(self, now: float = float("inf")) -> Iterator[tuple[float, StepPeaked]]:
        """The steps to tell, each once, and when they ended."""
        for one in self._highest.settled(now):
            caller = "" if one.place is None else place_text(one.place)
            yield (
                one.time,
                StepPeaked(one.peak, one.floor, one.step, one.phase, caller, one.tokens, one.how),
            )
