"""Measures the memory of each step of one mlx-lm generation."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from mlxtop.core.errors import MlxtopError
from mlxtop.core.units import format_size
from mlxtop.inference.generation import kv_cache
from mlxtop.mlx import allocator, breakdown
from mlxtop.mlx.highwater import HighWater

Why = Literal["", "time", "memory", "interrupt"]
"""Why a run ended before it had read its context."""


class Peak(NamedTuple):
    """The peaks of a part of a run, in bytes."""

    active: int
    total: int
    footprint: int | None


NOTHING = Peak(0, 0, None)


class Step(NamedTuple):
    """One full step of a prefill."""

    tokens: int
    """Prompt tokens read by the end of the step."""
    peak: Peak
    kv: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the generation."""

    max_tokens: int = 16
    prefill_step_size: int = 2048
    kv_bits: int | None = None
    max_kv_size: int | None = None
    seed: int = 0


@dataclass(slots=True)
class MeasuredRun:
    """The measurements of one context."""

    context: int
    """Prompt tokens to read."""
    done: int = 0
    """Prompt tokens that were read."""
    steps: list[Step] = field(default_factory=list)
    rest: Peak = NOTHING
    """The peaks of the prompt's last, shorter step."""
    decode: Peak = NOTHING
    kv: int = 0
    windows: frozenset[int] = frozenset()
    """The lengths at which some layer's KV cache stops growing."""
    stopped: Why = ""
    seconds: float = 0.0

    @property
    def peak(self) -> Peak:
        """The peaks of the whole run."""
        return highest([*(step.peak for step in self.steps), self.rest, self.decode])


Enough = Callable[[Sequence[Step]], Why]
Report = Callable[[int], None]


def build(model: Any, report: Callable[[int, int], None], until: float = math.inf) -> int:
    """Evaluates the weights one by one and returns their bytes. `report` is called with done and total bytes.

    Raises `MlxtopError` if that takes longer than `until` (monotonic seconds).
    """
    import mlx.core as mx

    total, done = breakdown.weights(model), 0
    for array in breakdown.arrays(model):
        mx.eval(array)
        done += array.nbytes
        report(done, total)
        if done < total and time.monotonic() > until:
            raise MlxtopError(
                f"Only {format_size(done)} of {format_size(total)} of weights were created within the time "
                "limit: increase --within."
            )
    return total


class _Stopped(Exception):
    """`enough` ended the run."""


def run(
    model: Any, vocabulary: int, context: int, settings: Settings, enough: Enough, report: Report
) -> MeasuredRun:
    """Reads `context` random tokens with mlx-lm's prefill and decodes some more, on the calling thread.

    After each full step `enough` decides whether to stop, and `report` is called with the tokens done. Ctrl-C
    ends the run too; the result then has the steps until then.
    """
    import mlx.core as mx

    prompt = mx.random.randint(0, vocabulary, (context,), key=mx.random.key(settings.seed))
    mx.eval(prompt)
    return _Measurement(model, context, settings, enough, report).of(prompt)


class _Measurement:
    """A run in progress."""

    def __init__(self, model: Any, context: int, settings: Settings, enough: Enough, report: Report) -> None:
        self._model, self._settings, self._enough, self._report = model, settings, enough, report
        self._cache = kv_cache(model, settings.max_kv_size)
        self._found = MeasuredRun(context, windows=_windows(self._cache))
        self._high = HighWater()

    def of(self, prompt: Any) -> MeasuredRun:
        allocator.begin_peak()
        self._high.start()
        self._began = time.monotonic()
        try:
            self._generate(prompt)
        except KeyboardInterrupt:
            self._found.stopped = "interrupt"
        finally:
            self._high.stop()
        self._found.seconds = time.monotonic() - self._began
        return self._found

    def _generate(self, prompt: Any) -> None:
        with suppress(_Stopped):
            self._step_through(prompt, self._read)
            self._found.done = self._found.context
        if self._found.stopped:
            # The decode is measured with the context that was read.
            self._step_through(prompt[-1:], lambda _done, _total: None)
        self._found.decode = self._take()
        self._found.kv = breakdown.kv(self._cache)

    def _step_through(self, prompt: Any, read: Callable[[int, int], None]) -> None:
        from mlx_lm.generate import generate_step

        for _ in generate_step(
            prompt,
            self._model,
            max_tokens=self._settings.max_tokens,
            prompt_cache=self._cache,
            max_kv_size=self._settings.max_kv_size,
            kv_bits=self._settings.kv_bits,
            quantized_kv_start=0,
            prefill_step_size=self._settings.prefill_step_size,
            prompt_progress_callback=read,
        ):
            pass

    def _read(self, done: int, total: int) -> None:
        """Called by mlx-lm before the prefill, after each step, and before decoding."""
        self._report(done)
        if done in (0, total):
            return
        self._found.done = done
        if done % self._settings.prefill_step_size:
            self._found.rest = self._take()
            return
        now = time.monotonic() - self._began
        self._found.steps.append(Step(done, self._take(), breakdown.kv(self._cache), now))
        self._found.stopped = self._enough(self._found.steps)
        if self._found.stopped:
            raise _Stopped

    def _take(self) -> Peak:
        active = allocator.take_peak()
        total, footprint = self._high.take()
        return Peak(active, max(active, total), footprint)


def highest(peaks: Sequence[Peak]) -> Peak:
    """Returns the maximum of each field."""
    footprints = [peak.footprint for peak in peaks if peak.footprint is not None]
    return Peak(
        max(peak.active for peak in peaks),
        max(peak.total for peak in peaks),
        max(footprints, default=None),
    )


def _windows(cache: Sequence[Any]) -> frozenset[int]:
    found: set[int] = set()
    for layer in cache:
        found |= _windows(getattr(layer, "caches", ()))
        size = getattr(layer, "max_size", None) or getattr(layer, "chunk_size", None)
        if size:
            found.add(int(size))
    return frozenset(found)
