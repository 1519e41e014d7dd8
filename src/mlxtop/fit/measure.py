"""One generation of mlx-lm, and what memory each of its steps took."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from mlxtop.probe import allocator, breakdown
from mlxtop.probe.highwater import HighWater

Why = Literal["", "time", "memory"]
"""Why a run ended before its context was full."""


class Peak(NamedTuple):
    """The most that a stretch of a run took, in bytes."""

    active: int
    total: int
    footprint: int | None


NOTHING = Peak(0, 0, None)


class Step(NamedTuple):
    """One full step of a prefill."""

    tokens: int
    """Of the prompt, done when it ended."""
    peak: Peak
    kv: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Settings:
    """How mlx-lm is asked to generate."""

    max_tokens: int = 16
    prefill_step_size: int = 2048
    kv_bits: int | None = None
    max_kv_size: int | None = None
    seed: int = 0


@dataclass(slots=True)
class Run:
    """What was measured of one context."""

    context: int
    """Tokens of prompt that were asked for."""
    done: int = 0
    """Tokens of prompt that were read."""
    steps: list[Step] = field(default_factory=list)
    rest: Peak = NOTHING
    """Of the prompt's last, shorter step."""
    decode: Peak = NOTHING
    kv: int = 0
    windows: frozenset[int] = frozenset()
    """The lengths at which some layer's KV cache stops growing."""
    stopped: Why = ""
    seconds: float = 0.0

    @property
    def peak(self) -> Peak:
        """The most of everything that was run."""
        return highest([*(step.peak for step in self.steps), self.rest, self.decode])


Enough = Callable[[Sequence[Step]], Why]
Tell = Callable[[int], None]


def build(model: Any, tell: Callable[[int, int], None]) -> int:
    """Evaluates the weights one by one and returns their bytes; `tell` hears of the bytes done and of all."""
    import mlx.core as mx

    total, done = breakdown.weights(model), 0
    for array in breakdown.arrays(model):
        mx.eval(array)
        done += array.nbytes
        tell(done, total)
    return total


class _Stopped(Exception):
    """A step was the last."""


def run(model: Any, vocabulary: int, context: int, settings: Settings, enough: Enough, tell: Tell) -> Run:
    """Reads `context` random tokens in mlx-lm's own prefill, and decodes some more, on the calling thread.

    `enough` is asked after each full step whether to stop there; `tell` hears of the tokens done.
    """
    import mlx.core as mx
    from mlx_lm.generate import generate_step
    from mlx_lm.models.cache import make_prompt_cache

    prompt = mx.random.randint(0, vocabulary, (context,), key=mx.random.key(settings.seed))
    cache = make_prompt_cache(model, settings.max_kv_size)
    found, high = Run(context, windows=_windows(cache)), HighWater()

    def take() -> Peak:
        active = allocator.take_peak()
        total, footprint = high.take()
        return Peak(active, max(active, total), footprint)

    def read(done: int, total: int) -> None:
        tell(done)
        if done in (0, total):
            return
        found.done = done
        now = time.monotonic() - began
        if done % settings.prefill_step_size:
            found.rest = take()
            return
        found.steps.append(Step(done, take(), breakdown.kv(cache), now))
        found.stopped = enough(found.steps)
        if found.stopped:
            raise _Stopped

    def generate(prompt: Any, read: Callable[[int, int], None]) -> None:
        for _ in generate_step(
            prompt,
            model,
            max_tokens=settings.max_tokens,
            prompt_cache=cache,
            max_kv_size=settings.max_kv_size,
            kv_bits=settings.kv_bits,
            quantized_kv_start=0,
            prefill_step_size=settings.prefill_step_size,
            prompt_progress_callback=read,
        ):
            pass

    mx.eval(prompt)
    allocator.begin_peak()
    high.start()
    began = time.monotonic()
    try:
        with suppress(_Stopped):
            generate(prompt, read)
            found.done = context
        if found.stopped:
            # The decode is measured from where the prefill came to.
            generate(prompt[-1:], lambda _done, _total: None)
        mx.synchronize()
        found.decode = take()
        found.kv = breakdown.kv(cache)
    finally:
        high.stop()
    found.seconds = time.monotonic() - began
    return found


def highest(peaks: Sequence[Peak]) -> Peak:
    """Field by field."""
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
