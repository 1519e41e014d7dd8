"""Trains the shapes that time and memory allow, from small to large, and extrapolates the others."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from mlxtop.core.budget import Budget
from mlxtop.core.units import format_size
from mlxtop.fit.study import SPARE
from mlxtop.fit.training import extrapolate
from mlxtop.fit.training.extrapolate import TrainingEstimate
from mlxtop.fit.training.measure import MeasuredSteps, Shape, measure
from mlxtop.fit.verdict import Verdict, judge
from mlxtop.inference.finetuning import Recipe, Sizes
from mlxtop.inference.sizes import SizeError

FIRST = 128
"""Tokens of the first, smallest shape."""
FINEST = 32
"""The resolution in tokens of the longest sequence that fits: mlx-lm pads to a multiple of it."""
SHARE = 4
"""A shape that is measured only to learn from it takes at most this part of the time that is left."""

Why = Literal["", "time", "memory", "interrupt"]


class Row(NamedTuple):
    """The result for one shape, with or without gradient checkpointing."""

    shape: Shape
    checkpoint: bool
    need: TrainingEstimate | None
    verdict: Verdict
    run: MeasuredSteps | None
    """`None`: it was not run."""
    why: Why = ""
    """Why it was not run."""


@dataclass(frozen=True, slots=True)
class Study:
    """The results of a study."""

    rows: tuple[Row, ...]
    longest: int | None = None
    """The tokens of a sequence with which the smallest batch that does not fit would; `None`: unknown."""
    interrupted: bool = False


@dataclass(slots=True)
class Trainee:
    """A prepared model whose weights exist, and the means to train it."""

    model: Any
    vocabulary: int
    recipe: Recipe
    sizes: Sizes
    room: int
    """Bytes that MLX may hold."""
    until: float
    """When no more is to be measured, in monotonic seconds."""
    report: Callable[[Shape, bool], None]
    """Is told of each shape before it is trained."""
    beside: int | None = None
    """What the footprint was above MLX's memory in the first, smallest measurement, in bytes."""

    def measure(self, shape: Shape, checkpoint: bool) -> MeasuredSteps:
        self.report(shape, checkpoint)
        found = measure(self.model, self.vocabulary, self.recipe, shape, checkpoint, self.beside)
        if self.beside is None and found.peak.footprint is not None:
            self.beside = max(0, found.peak.footprint - found.peak.total)
        return found


@dataclass(slots=True)
class _Climb:
    """Measurements with or without gradient checkpointing, each allowed by what smaller ones took."""

    trainee: Trainee
    checkpoint: bool
    until: float
    """When no more is to be measured, in monotonic seconds."""
    points: dict[Shape, MeasuredSteps] = field(default_factory=dict)
    why: Why = ""

    def reach(self, shape: Shape) -> None:
        """Measures `shape`, by way of smaller shapes where nothing says yet that it is possible."""
        if not self.points:
            self._measure(Shape(1, min(shape.seq, FIRST)))
        while shape not in self.points:
            if not self._hindrance(shape, 1):
                self._measure(shape)
                return
            step = self._towards(shape)
            self.why = self._hindrance(step or shape, SHARE if step else 1)
            if step is None or self.why:
                return
            self._measure(step)

    def learn(self) -> None:
        """Measures what an extrapolation needs, beside the largest shape for which there is time."""
        for base in sorted(self.points, key=lambda shape: shape.most, reverse=True):
            lacking = [s for s in extrapolate.neighbours(base) if s not in self.points and s.seq > 1]
            if not any(self._hindrance(shape, max(1, len(lacking))) for shape in lacking):
                for shape in lacking:
                    self._measure(shape)
                return

    def need(self, shape: Shape) -> TrainingEstimate | None:
        """Returns the memory of `shape`, measured or extrapolated."""
        if shape in self.points:
            return extrapolate.measured(self.points[shape])
        return extrapolate.extrapolated(list(self.points.values()), shape, self.trainee.sizes.kept)

    def _towards(self, shape: Shape) -> Shape | None:
        """Returns a shape between the largest one and `shape`: twice the length, then twice the batch."""
        largest = max(self.points, key=lambda shape: shape.most)
        batch, seq = largest
        step = Shape(1, min(2 * seq, shape.seq)) if seq < shape.seq else Shape(2 * batch, shape.seq)
        return step if largest.most < step.most < shape.most else None

    def _hindrance(self, shape: Shape, share: int) -> Why:
        """Returns why `shape` is not to be run, by the most that it can take."""
        seconds, total = self._most(shape)
        if seconds > (self.until - time.monotonic()) / share:
            return "time"
        return "memory" if total > SPARE * self.trainee.room else ""

    def _most(self, shape: Shape) -> tuple[float, float]:
        """Returns the seconds and bytes that `shape` takes at most, by one that was run."""
        runs = self.points.values()
        above = [p for p in runs if p.shape.batch >= shape.batch and p.shape.seq >= shape.seq]
        if above:
            return min((p.seconds, p.peak.total) for p in above)
        run = max(runs, key=lambda p: p.shape.most)
        times = max(1.0, shape.most / run.shape.most, shape.tokens / run.shape.tokens)
        kept = self.trainee.sizes.kept
        return times * run.seconds, kept + times * max(0, run.peak.total - kept)

    def _measure(self, shape: Shape) -> None:
        self.points[shape] = self.trainee.measure(shape, self.checkpoint)


def check_sizes(sizes: Sizes, recipe: Recipe, budget: Budget, room: int) -> None:
    """Raises `SizeError` if weights and optimizer exceed the budget, or with the gradients what is free."""
    less = "train fewer layers (--num-layers)"
    less += " or adapters (--train lora)" if recipe.kind == "full" else ""
    kept, needed = sizes.kept, sizes.kept + sizes.trained
    text = f"For {recipe}, weights and optimizer"
    if kept > budget.bytes:
        most = f"the budget of {format_size(budget.bytes)}"
        raise SizeError(f"{text} take {format_size(kept)}, more than {most}: {less}.")
    if needed > SPARE * room:
        most = f"the {format_size(room)} of memory that are free now"
        raise SizeError(f"{text} and gradients take {format_size(needed)}, more than {most}: {less}.")


def study(trainee: Trainee, shapes: Sequence[Shape], checkpoint: bool, budget: Budget) -> Study:
    """Trains `shapes`, the smallest first, and says of each whether it fits.

    Without `checkpoint`, those that do not fit are tried with gradient checkpointing as well. Ctrl-C ends the
    measurements; finished ones count. Raises the errors of `finetuning.train`.
    """
    ordered = sorted(set(shapes), key=lambda shape: (shape.most, shape))
    # Half of the time is for the second attempt.
    now = time.monotonic()
    first = _Climb(trainee, checkpoint, trainee.until if checkpoint else (now + trainee.until) / 2)
    rows, interrupted = _rows(first, ordered, budget, bounded=True)
    failed = next((row.shape for row in rows if row.verdict.word == "does not fit"), None)
    longest = _longest(first, failed, budget) if failed else None
    bad = [row.shape for row in rows if row.verdict.word not in ("fits", "tight")]
    if bad and not checkpoint and not interrupted:
        second = _Climb(trainee, True, trainee.until)
        more, interrupted = _rows(second, bad, budget, bounded=False)
        rows = sorted([*rows, *more], key=lambda row: (row.shape.most, row.shape, row.checkpoint))
    return Study(tuple(rows), longest, interrupted)


def _rows(climb: _Climb, shapes: Sequence[Shape], budget: Budget, bounded: bool) -> tuple[list[Row], bool]:
    """Returns the results of `shapes`, and whether Ctrl-C ended them.

    `bounded`: what does not fit is extrapolated from as well, for the longest that does.
    """
    interrupted = False
    try:
        for shape in shapes:
            climb.reach(shape)
            if climb.why:
                break
        words = {judge(climb.need(shape), budget).word for shape in shapes}
        if "cannot tell" in words or (bounded and "does not fit" in words):
            climb.learn()
    except KeyboardInterrupt:
        climb.why, interrupted = "interrupt", True
    rows = []
    for shape in shapes:
        need, run = climb.need(shape), climb.points.get(shape)
        rows.append(Row(shape, climb.checkpoint, need, judge(need, budget), run, "" if run else climb.why))
    return rows, interrupted


def _longest(climb: _Climb, failed: Shape, budget: Budget) -> int | None:
    """Finds the longest sequences that fit in batches as large as those of `failed`, by bisection."""
    low, high = 0, failed.seq // FINEST
    while low < high:
        middle = (low + high + 1) // 2
        need = climb.need(Shape(failed.batch, middle * FINEST))
        if need is None:
            return None
        low, high = (middle, high) if judge(need, budget).word == "fits" else (low, middle - 1)
    return low * FINEST or None
