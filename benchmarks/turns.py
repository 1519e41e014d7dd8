"""Pairs within one process: mlx-lm decodes in turns of about a second, with mlxtop at work and with mlxtop
halted. A turn with mlxtop is compared with the two without it around it, so that a machine whose speed drifts
counts for little. The first steps of a turn do not count: whoever was halted has something to catch up with.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.measure import Figure, Terminal, interval, quartiles

CATCH_UP = 0.1
"""Share of a turn's steps that do not count."""
WARM_UP = 2


@dataclass(frozen=True, slots=True)
class Turn:
    """One generation."""

    steps: list[float]
    """Seconds of each step."""
    cpu: float
    """Seconds of processor time of a step, of the whole process."""

    @property
    def speed(self) -> float:
        """Steps a second."""
        counted = self.steps[int(len(self.steps) * CATCH_UP) :]
        return len(counted) / sum(counted)


@dataclass(frozen=True, slots=True)
class Turns:
    """Turns as they came: the first of `plain` after the first of `watched`."""

    watched: list[Turn]
    plain: list[Turn]

    def speed_ratios(self) -> list[float]:
        """Of each turn with mlxtop over the two around it."""
        return [
            turn.speed / statistics.mean((before.speed, after.speed))
            for turn, (before, after) in zip(self.watched[1:], pairwise(self.plain), strict=True)
        ]

    def floor_ratios(self) -> list[float]:
        """Of turns without mlxtop over those around them: what this machine can tell apart just now."""
        return [
            turn.speed / statistics.mean((before.speed, after.speed))
            for before, turn, after in zip(self.plain, self.plain[1:], self.plain[2:], strict=False)
        ]

    def cost_ratios(self) -> list[float]:
        """Of a step's processor time, as `speed_ratios`."""
        return [
            turn.cpu / statistics.mean((before.cpu, after.cpu))
            for turn, (before, after) in zip(self.watched[1:], pairwise(self.plain), strict=True)
        ]


def take(program: Terminal, pairs: int) -> Turns:
    """`pairs` of turns of `subjects.turning`, after some that warm it up."""
    found = Turns([], [])
    for number in range(WARM_UP + pairs):
        told = program.hear()
        if number >= WARM_UP:
            found.watched.append(Turn(**told["watched"]))
            found.plain.append(Turn(**told["plain"]))
    return found


def figures(what: str, turns: Turns, bar: float) -> Iterator[Figure]:
    ratios = turns.speed_ratios()
    yield Figure(what, statistics.median(ratios), "", interval(ratios), ("≥", bar))
    floor = turns.floor_ratios()
    yield Figure("  without mlxtop over itself", statistics.median(floor), "", interval(floor))
    speeds = [turn.speed for turn in turns.plain]
    yield Figure("  without mlxtop", statistics.median(speeds), "/s", quartiles(speeds))
    steps = sum(len(turn.steps) for turn in (*turns.watched, *turns.plain))
    yield Figure("  steps measured", steps, "", f"in {len(turns.plain)} pairs of turns")
