"""Measures the memory of training steps of one batch size and sequence length."""

import gc
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from mlxtop.fit.measure import NOTHING, Peak, highest
from mlxtop.inference import finetuning
from mlxtop.inference.finetuning import Recipe, Stage
from mlxtop.mlx import allocator
from mlxtop.mlx.highwater import HighWater
from mlxtop.system import footprint


class Shape(NamedTuple):
    """The shape of a batch."""

    batch: int
    """Sequences."""
    seq: int
    """Tokens of each."""

    @property
    def tokens(self) -> int:
        return self.batch * self.seq

    @property
    def most(self) -> int:
        """What memory and time grow with at most: attention scores are quadratic in the length."""
        return self.batch * self.seq**2


@dataclass(slots=True)
class MeasuredSteps:
    """The peaks of one shape, and the seconds of all its steps."""

    shape: Shape
    start: int | None = None
    """The footprint before the first step."""
    train: Peak = NOTHING
    validate: Peak = NOTHING
    seconds: float = 0.0

    @property
    def peak(self) -> Peak:
        return highest([self.train, self.validate])


def measure(
    model: Any, vocabulary: int, recipe: Recipe, shape: Shape, checkpoint: bool, fresh: int | None = None
) -> MeasuredSteps:
    """Trains a few steps, on the calling thread. Raises the errors of `finetuning.train`.

    `fresh` is the footprint before the first measurement of this process. What the system still charges for
    earlier measurements is no part of this one.
    """
    # What the last measurement left behind in cycles would count in this one.
    gc.collect()
    found, high, left = MeasuredSteps(shape), HighWater(), 0

    def began() -> None:
        nonlocal left
        allocator.begin_peak()
        high.take()
        if found.start is None:
            found.start = footprint.reader()()
            left = max(0, found.start - fresh) if found.start and fresh else 0

    def ended(stage: Stage) -> None:
        total, charged = high.take()
        active = allocator.take_peak()
        peak = Peak(active, max(active, total), charged and charged - left)
        setattr(found, stage, highest([getattr(found, stage), peak]))

    began_at = time.monotonic()
    high.start()
    try:
        finetuning.train(model, vocabulary, recipe, shape, checkpoint, began, ended)
    finally:
        high.stop()
    found.seconds = time.monotonic() - began_at
    return found
