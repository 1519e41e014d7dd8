"""The steps of a run in which the most memory was active."""

from __future__ import annotations

from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

    from mlxtop.core.events import Event, StepPeaked

MOST = 10
"""Steps that are listed."""
NEAR = 1.0
"""Seconds within which the steps of one place and phase count as one: the highest of them is told."""

HOW: Final[Mapping[str, str]] = {
    "async": "async", "threads": "several threads", "between": "between two steps",
}  # fmt: skip
"""Why a peak is not its step's alone, in words."""


def highest(steps: Sequence[Event[StepPeaked]]) -> list[Event[StepPeaked]]:
    """The `MOST` highest, the highest first."""
    return sorted(steps, key=lambda event: -event.data.peak)[:MOST]


class Candidate:
    """A step that may be among the highest. `time` is when it ended, sizes are bytes, `place` is the file and
    line that called it."""

    __slots__ = ("floor", "how", "peak", "phase", "place", "since", "step", "time", "tokens", "told")

    def __init__(
        self, time: float, peak: int, floor: int, step: int, phase: str, place: tuple[str, int] | None,
        tokens: int | None = None, how: str = "",
    ) -> None:  # fmt: skip
        self.time = self.since = time
        self.peak, self.floor, self.step = peak, floor, step
        self.phase, self.place, self.tokens, self.how = phase, place, tokens, how
        self.told = False

    def is_near(self, other: Candidate) -> bool:
        """Whether `other`, which comes later, counts as the same."""
        return (
            not self.told
            and other.time - self.since < NEAR
            and self.place == other.place
            and self.phase == other.phase
            and self.how == other.how
        )


_PEAK = attrgetter("peak")


class HighestSteps:
    """The `MOST` highest of the steps that were added. One a second for each place is told at most."""

    def __init__(self) -> None:
        self._found: list[Candidate] = []

    @property
    def least(self) -> int:
        """Bytes that a step must exceed to be among them."""
        found = self._found
        return found[-1].peak if len(found) == MOST else 0

    def add(self, new: Candidate) -> bool:
        """Takes a step in, and returns whether it is among them. Steps come in order of time."""
        rest = []
        for one in self._found:
            if not one.is_near(new):
                rest.append(one)
            elif new.peak <= one.peak:
                return False
            else:
                new.since = one.since
        rest.append(new)
        rest.sort(key=_PEAK, reverse=True)
        del rest[MOST:]
        self._found = rest
        return True

    def settled(self, now: float = float("inf")) -> Iterator[Candidate]:
        """Those that nothing replaces any more at `now`, each once."""
        for one in self._found:
            if not one.told and now - one.since >= NEAR:
                one.told = True
                yield one
