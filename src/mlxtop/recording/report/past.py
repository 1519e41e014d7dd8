"""A recorded session as a history that can be asked like a live one: for the diagnosis."""

from collections.abc import Sequence
from math import inf
from typing import cast

from mlxtop.core import thresholds
from mlxtop.core.columns import Columns, cut
from mlxtop.core.diagnosis import diagnose
from mlxtop.core.history import WIDTHS, History
from mlxtop.core.sample import COUNTERS, GAUGES, Sample
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from mlxtop.core.verdicts import Diagnosis
from mlxtop.recording.reader import About, Recording


class Past:
    """All of a recorded session, as `core.history.History` gives it."""

    def __init__(self, recording: Recording, about: About) -> None:
        self._recording = recording
        self._about = about
        self.first = recording.first(about.id)
        self.latest = recording.last(about.id)

    def at(self, time: float) -> Sample | None:
        """The last sample at or before `time`."""
        return self._recording.at(self._about.id, time)

    def columns(
        self,
        start: float,
        width: float,
        count: int,
        gauges: Sequence[str] = GAUGES,
        counters: Sequence[str] = COUNTERS,
        until: float = inf,
    ) -> Columns:
        """See `History.columns`."""
        level = sum(width >= wide for wide in WIDTHS)
        hold = max(2.5 * self._about.interval, width, WIDTHS[level - 1] if level else 0.0)
        end = min(start + width * count, until + 1e-6)
        rows = self._recording.rows(self._about.id, level, start - hold, end)
        return cut(rows, start, width, count, hold=hold, gauges=gauges, counters=counters)


def verdict(
    recording: Recording, about: About, timeline: Timeline, state: State, phases: Sequence[str]
) -> Diagnosis | None:
    """What there is to say at the end of a session; `None` without a sample."""
    past = Past(recording, about)
    if past.latest is None:
        return None
    budget = state.budget.bytes if state.budget else None
    history, now, window = cast(History, past), past.latest.time, thresholds.WINDOW
    return diagnose(history, timeline, state, phases, now, about.steps_are, budget, window)
