"""Extrapolates the memory of training to larger batches and longer sequences.

A step does the same operations whatever the shape of its batch. So its peak is a constant, a part that grows
with the tokens, and a part that grows with their attention scores: batch times length squared.
"""

from collections.abc import Callable, Sequence
from math import log2
from typing import NamedTuple

import numpy as np

from mlxtop.fit.extrapolate import UNREST, Estimate
from mlxtop.fit.measure import Peak
from mlxtop.fit.training.measure import MeasuredSteps, Shape

LEAST = 4
"""Shapes that are needed: one more than there are unknowns."""


class TrainingEstimate(NamedTuple):
    """The memory that one shape needs."""

    active: Estimate
    total: Estimate
    footprint: Estimate | None
    origin: Shape | None = None
    """The largest shape from which this was extrapolated; `None`: measured."""
    at_most: bool = False
    """No shape is only a bound."""


def measured(steps: MeasuredSteps) -> TrainingEstimate:
    """Returns the memory of a shape that was run."""
    active, total, footprint = steps.peak
    return TrainingEstimate(
        Estimate(active), Estimate(total), None if footprint is None else Estimate(footprint)
    )


def neighbours(shape: Shape) -> list[Shape]:
    """Returns the shapes to measure for an extrapolation from `shape`. None takes more memory than it."""
    batch, seq = shape
    other = Shape(batch // 2, seq) if batch > 1 else Shape(2, seq // 2)
    return [Shape(batch, seq // 2), Shape(batch, seq * 3 // 4), other, shape]


def extrapolated(points: Sequence[MeasuredSteps], shape: Shape, kept: int) -> TrainingEstimate | None:
    """Extrapolates to `shape` from at least `LEAST` measured ones; `None`: there are fewer.

    Only the larger ones count: in small shapes the peak is that of another moment, the optimizer's.
    `kept` is what does not grow, in bytes.
    """
    used = _larger(points)
    if not used:
        return None
    part = [p.peak for p in points if p.shape.batch <= shape.batch and p.shape.seq <= shape.seq]

    def peak(field: Callable[[Peak], int | None]) -> Estimate | None:
        values = [field(p.peak) for p in used]
        known = [value for value in values if value is not None]
        if len(known) < len(used):
            return None
        found = _at([p.shape for p in used], known, shape, kept)
        return found._replace(value=max(found.value, *(field(each) or 0 for each in part), 0))

    active, total = peak(lambda p: p.active), peak(lambda p: p.total)
    assert active is not None
    assert total is not None
    return TrainingEstimate(active, total, peak(lambda p: p.footprint), used[0].shape)


def _larger(points: Sequence[MeasuredSteps]) -> list[MeasuredSteps]:
    """Returns the largest points that suffice, the largest first: each has half the tokens of the first."""
    ordered = sorted(points, key=lambda p: p.shape.most, reverse=True)
    for base in ordered:
        used = [p for p in ordered if 2 * p.shape.tokens >= base.shape.tokens]
        if len(used) >= LEAST:
            return used
    return []


def _at(shapes: Sequence[Shape], values: Sequence[int], wanted: Shape, kept: int) -> Estimate:
    """Returns the value at `wanted`.

    Its margin is `UNREST` for each doubling beyond the largest point, or what the points leave over.
    """
    terms = np.array([(1, shape.tokens, shape.most) for shape in shapes], float)
    terms /= (1, wanted.tokens, wanted.most)
    parts = np.linalg.lstsq(terms, np.array(values, float), rcond=None)[0]
    if parts[2] < 0:
        terms = terms[:, :2]
        parts = np.linalg.lstsq(terms, np.array(values, float), rcond=None)[0]
    value, left = float(parts.sum()), float(np.abs(terms @ parts - values).max())
    reach = wanted.most / max(shape.most for shape in shapes)
    doubt = UNREST * max(1.0, log2(reach)) * (value - kept)
    return Estimate(round(value), round(max(doubt, left * reach)))
