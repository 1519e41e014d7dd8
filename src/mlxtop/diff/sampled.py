"""The measures of a run that was sampled: of the whole, and of each phase.

A sample sees one moment. So each measure tells how far another run of the same program may lie from it: by
how much it would change if only every second or third sample had been taken, and by what allocators and
threads vary on their own. A peak is MLX's own counter, which no sample can miss.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlxtop.core.events import CacheCleared, Event, PeakReset, PhaseChanged, StepPeaked
from mlxtop.core.limits import MIB
from mlxtop.core.sample import UNKNOWN
from mlxtop.diff.rates import blocks, fastest
from mlxtop.diff.run import WHOLE, Part, Value
from mlxtop.diff.series import Column, Series, known

Mask = NDArray[np.bool_]

LEAST_SAMPLES = 8
"""With fewer samples of a part nothing tells how much they vary."""
LATER = (0.65, 0.75, 0.85)
"""The floor is taken after the second of these shares of a part: whatever warms up has done so by then. Where
it still moves, as in a program that grows, the others tell by how much."""
OVER = 0.95
"""And before this one: a program that ends frees what it held."""
HELD = 0.9
"""The cache is at its most for as long as an operation takes, or for long: what fewer than a tenth of samples
saw may as well have been missed. (The total changes only where MLX asks the system for memory.)"""
THINNED = (2, 3)
"""Every so manieth sample is left to see what sampling misses."""
OWN = {
    "true": (64 * 1024, 0.005),
    "shared": (MIB, 0.02),
    "polled": (256 * 1024, 0.01),
    "system": (2 * MIB, 0.02),
}
"""What varies on its own, in bytes and as a share: a step's peak; one that several threads or the device's
queue made; what is sampled of MLX; what the system charges, with allocators and libraries in it."""
REPEATED = 0.03
"""Steps whose peaks differ by less than this share do the same work: their spread is noise."""
FEW = f"it has fewer than {LEAST_SAMPLES} samples"
UNTOLD = "nobody told it"
NO_STEPS = "no steps were told"
NOT_HIGHEST = "none of its steps is among the ten highest"
NO_BUFFERS = "only a trace counts buffers"


def parts(series: Series, events: Sequence[Event]) -> Iterator[Part]:
    """The whole run, then its phases in the order in which they began."""
    everything = np.ones(len(series), bool)
    joined = np.ones(len(series), bool)
    joined[:1] = False
    yield _part(WHOLE, series, Stretch(everything, joined), events)
    joined &= ~_changed(series, events)
    for number, name in enumerate(series.phases):
        mask = series["phase"] == number
        if mask.any() and name != WHOLE:
            before = np.concatenate([[False], mask[:-1]])
            yield _part(name, series, Stretch(mask, mask & before & joined), events)


class Stretch(NamedTuple):
    """The samples of a part of the run."""

    mask: Mask
    joined: Mask
    """Those before which nothing but this part happened since the sample before."""


def _changed(series: Series, events: Sequence[Event]) -> Mask:
    """The samples before which the phase changed, be it to another one and back."""
    times = [event.time for event in events if isinstance(event.data, PhaseChanged)]
    changed = np.zeros(len(series) + 1, bool)
    changed[np.searchsorted(series.time, np.array(times, np.float64))] = True
    return changed[:-1]


def _part(name: str, series: Series, stretch: Stretch, events: Sequence[Event]) -> Part:
    whole, mask = name == WHOLE, stretch.mask
    told = [
        (event.time, event.data)
        for event in events
        if isinstance(event.data, StepPeaked) and (whole or event.data.phase == name)
    ]
    steps = [step for _, step in told]
    values: dict[str, Value] = {}
    missing: dict[str, str] = {}
    peak = _peak(series, stretch, steps, events, whole)
    found: dict[str, Value | str] = {
        "peak": peak,
        "true-peak": _true_peak(steps) if steps else NO_STEPS if whole else NOT_HIGHEST,
        "total": _most(series, stretch, "total", "polled"),
        "footprint": _most(series, stretch, "footprint", "system"),
        "floor": _floor(series, stretch, told),
        "cache": _most(series, stretch, "cache", "polled"),
        "buffers": _buffers(series, mask),
        "steps": _speed(series, stretch),
    }
    if isinstance(total := found["total"], Value):
        cleared = [event.data.total or 0 for event in events if isinstance(event.data, CacheCleared)]
        least = [*(cleared if whole else ()), *((peak.value,) if isinstance(peak, Value) else ())]
        found["total"] = total._replace(value=max([total.value, *least]))
    for measure, value in found.items():
        if isinstance(value, Value):
            values[measure] = value
        else:
            missing[measure] = value
    return Part(name, "whole" if whole else "phase", values, missing)


def own(kind: str, value: float) -> float:
    """How much a value of this kind varies on its own."""
    size, share = OWN[kind]
    return max(size, share * value)


# Peaks


def _peak(
    series: Series, stretch: Stretch, steps: Sequence[StepPeaked], events: Sequence[Event], whole: bool
) -> Value | str:
    """The most that was active: by MLX's counter, by steps, and by samples."""
    inner, first = stretch.joined, stretch.mask & ~stretch.joined
    sure = [step.peak for step in steps]
    unsure = 0
    if whole:
        sure += [event.data.peak for event in events if isinstance(event.data, PeakReset)]
        sure += known(series["peak"]).tolist()
        sure += known(series["high"]).tolist()
    else:
        sure += known(series["high"][inner]).tolist()
        sure += known(series["active"][first]).tolist()
        # MLX's counter belongs to the phase in which it rose.
        counter = series["peak"]
        sure += known(counter[inner & (np.diff(counter, prepend=counter[:1]) > 0)]).tolist()
        # What rose before a phase's first sample may have risen in the phase before.
        unsure = max(known(series["high"][first]).tolist(), default=0)
        if not steps and stretch.mask.sum() < LEAST_SAMPLES:
            return FEW
    if not sure:
        return UNTOLD
    value = max(sure)
    return Value(value, max(_repeats(steps, value), unsure - value, 0))


def _true_peak(steps: Sequence[StepPeaked]) -> Value:
    value = max(step.peak for step in steps)
    return Value(value, _repeats(steps, value))


def _repeats(steps: Sequence[StepPeaked], value: float) -> float:
    """How much a peak varies: as the highest steps do that repeat it, twice."""
    near = sorted(
        (step for step in steps if step.peak >= (1 - REPEATED) * value), key=lambda step: -step.peak
    )
    shared = any(step.how for step in near[:1])
    spread = 2 * (near[0].peak - near[2].peak) if len(near) > 2 else 0
    return max(own("shared" if shared else "true", value), spread)


# What is sampled


def _most(series: Series, stretch: Stretch, name: str, kind: str) -> Value | str:
    column = series[name]
    if name == "total":
        column = np.where(stretch.joined, np.maximum(column, series["high"]), column)
    column = known(column[stretch.mask])
    if len(column) < LEAST_SAMPLES:
        return FEW if len(known(series[name])) else UNTOLD
    value = int(column.max())
    brief = value - int(np.quantile(column, HELD)) if name == "cache" else 0
    return Value(value, max(own(kind, value), _missed(-column), brief))


def _floor(series: Series, stretch: Stretch, steps: Sequence[tuple[float, StepPeaked]]) -> Value | str:
    """The least that was active after warm-up."""
    there = stretch.mask & (series["active"] != UNKNOWN)
    active, count = series["active"][there], int(there.sum())
    if count < LEAST_SAMPLES:
        return FEW if (series["active"] != UNKNOWN).any() else UNTOLD
    done = np.cumsum(_gained(series, stretch, "steps"))[there]
    end = int(OVER * count)
    windows = [active[min(int(share * count), end - 1) : end] for share in LATER]
    # A machine that is busy for a while moves what happened in time, not among the steps.
    windows += [window for share in LATER if len(window := active[:end][done[:end] > share * done[-1]])]
    floors = [int(window.min()) for window in windows]
    value, moved = floors[1], max(floors) - min(floors)
    # What was active before a step is known. Where that is less, no sample may have come between two steps.
    begin = series.time[there][int(LATER[0] * count)]
    before = [step.floor for time, step in steps if time >= begin] or [step.floor for _, step in steps]
    unseen = value - min(before, default=value)
    return Value(value, max(own("polled", value), _missed(windows[1]), moved, unseen))


def _missed(column: Column) -> int:
    """How far the least of `column` may be from what sampling missed: as the lowest samples are apart, and by
    how much it rises if samples are left out."""
    lowest = np.sort(column)
    apart = 2 * int(lowest[min(2, len(lowest) - 1)] - lowest[0])
    thinned = [int(part.min()) for part in _thinned(column)]
    return max(apart, max(thinned) - int(lowest[0]))


def _thinned(column: Column) -> Iterator[Column]:
    """The column with only every second value, and with every third."""
    for every in THINNED:
        for start in range(min(every, len(column))):
            yield column[start::every]


def _buffers(series: Series, mask: Mask) -> Value | str:
    column = known(series["buffers"][mask])
    if len(column) < max(THINNED):
        return NO_BUFFERS
    value = int(column.max())
    return Value(value, max(16, 0.01 * value, _missed(-column)))


# Work


def _gained(series: Series, stretch: Stretch, name: str) -> Column:
    """What the part added to a counter before each sample."""
    column = series[name]
    gained = np.diff(column, prepend=column[:1])
    return np.where(stretch.joined & (column != UNKNOWN), np.maximum(gained, 0), 0)


def _speed(series: Series, stretch: Stretch) -> Value | str:
    steps, work = _gained(series, stretch, "steps"), _gained(series, stretch, "decode")
    done, spent = int(steps.sum()), int(work.sum())
    if not done or not spent:
        return "no step was seen in it"
    return Value(done / spent * 1e6, blocks=blocks(steps, work), fastest=fastest(steps, work))
