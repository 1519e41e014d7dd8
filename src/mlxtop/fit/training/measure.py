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
    train: Peak = NOTHING
    validate: Peak = NOTHING
    seconds: float = 0.0

    @property
    def peak(self) -> Peak:
        return highest([self.train, self.validate])


def measure(
    model: Any, vocabulary: int, recipe: Recipe, shape: Shape, checkpoint: bool, beside: int | None = None
) -> MeasuredSteps:
    """Trains a few steps, on the calling thread. Raises the errors of `finetuning.train`.

    `beside` is what the process needs above MLX's memory, in bytes. What the system charges beyond that is
    for earlier measurements.
    """
    # What the last measurement left behind in cycles would count in this one.
    gc.collect()
    found, high = MeasuredSteps(shape), HighWater()

    def began() -> None:
        allocator.begin_peak()
        high.take()

    def ended(stage: Stage) -> None:
        total, footprint = high.take()
        active = allocator.take_peak()
        total = max(active, total)
        if footprint is not None and beside is not None:
            footprint = min(footprint, total + beside)
        peak = Peak(active, total, footprint)
        setattr(found, stage, highest([getattr(found, stage), peak]))

    began_at = time.monotonic()
    high.start()
    try:
        finetuning.train(model, vocabulary, recipe, shape, checkpoint, began, ended)
    finally:
        high.stop()
    found.seconds = time.monotonic() - began_at
    return found
