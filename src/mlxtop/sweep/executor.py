"""The interface of executors, which measure cells, and the executor that runs a model in this process."""

import gc
import queue
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from mlxtop.core.commands import ClearCache, Collect, ResetPeak, SetLimit, StopWorkload
from mlxtop.core.errors import MlxtopError
from mlxtop.core.events import CacheCleared, ErrorRaised, Event, GenerationFinished, PeakReset, PhaseChanged
from mlxtop.core.facts import Facts
from mlxtop.core.sample import Sample
from mlxtop.core.units import DEFAULT, Size
from mlxtop.inference.options import Options
from mlxtop.inference.prompts import TEXT, Prompt
from mlxtop.mlx import allocator
from mlxtop.sessions.local import LocalSession
from mlxtop.sweep.plan import Cell, Plan
from mlxtop.sweep.target import ModelTarget
from mlxtop.system import footprint
from mlxtop.system.cpu_load import Load

SOURCE = "sweep"
INTERVAL = 0.01
"""Seconds between samples. Each sample delays the model by some microseconds."""
CLOSE_WITHIN = 5.0
LOOK_EVERY = 0.5
"""Seconds between checks that the engine has not failed."""
ARGUMENTS = {"kv-bits": "kv_bits", "max-kv-size": "max_kv_size", "prefill-step-size": "prefill_step_size"}
"""The parameters that are options of a generation. The cache limit is set in the allocator instead."""


class CellFailedError(MlxtopError):
    """A cell could not be measured. The sweep continues with the others."""


class Stopped(Exception):
    """The sweep was stopped while a cell was measured."""


class Measured(NamedTuple):
    """The result of one repeat; see `measurement.Measurement`."""

    values: dict[str, float]
    busy: float | None


class Executor(Protocol):
    """Measures cells one by one. All methods but `stop` are called by one thread."""

    facts: Facts
    """The device's, once something has run, with MLX's default `cache_limit` in bytes."""

    def open(self) -> None:
        """Prepares the measurement. Raises `MlxtopError` if nothing can be measured."""

    def measure(self, cell: Cell) -> Measured:
        """Measures one repeat. Raises `CellFailedError`, `Stopped`, or `MlxtopError` to end the sweep."""

    def shape(self, cell: Cell) -> Any:
        """Returns a key for the warm-up. Cells with equal keys run the same code on equal shapes."""

    def stop(self) -> None:
        """Stops the present measurement, from any thread; returns at once."""

    def close(self) -> None:
        """Restores the limits and frees everything."""


class ModelExecutor:
    """Measures each cell with one generation, from a prompt made of `text`."""

    def __init__(self, plan: Plan, target: ModelTarget, text: str = TEXT, interval: float = INTERVAL) -> None:
        self._plan, self._target, self._text = plan, target, text
        self._options = Options(
            model=target.model,
            adapter_path=target.adapter_path,
            random_weights=target.random_weights,
            seed=plan.seed,
            workload="chat",
            max_tokens=target.max_tokens,
            to_the_end=True,
        )
        self._listener = _Listener()
        self.session = LocalSession(self._options, interval)
        self.session.subscribe(self._listener.handle)
        self._stopping = threading.Event()
        self.facts = Facts()

    def open(self) -> None:
        self.session.open()
        self._idle()
        if self.session.state.phase == "failed":
            raise MlxtopError(self._listener.message)
        # Excludes everything loaded so far from the collections between cells.
        gc.collect()
        gc.freeze()
        limit = self.session.state.limits["cache"].default
        self.facts = self.session.state.facts.replace(cache_limit=limit)

    def shape(self, cell: Cell) -> Any:
        return cell.length, self._settings(self._plan.arms[cell.arm])

    def measure(self, cell: Cell) -> Measured:
        arm, length = self._plan.arms[cell.arm], self._target.lengths[cell.length]
        session = self.session
        session.submit(Collect(SOURCE))
        session.submit(SetLimit("cache", self._limit(arm), SOURCE))
        # A limit takes effect at the next allocation only, so the cache is cleared now.
        session.submit(ClearCache(SOURCE))
        session.submit(ResetPeak(SOURCE))
        load = Load()
        session.generate(Prompt(self._text, length), replace(self._options, **self._arguments(arm)))
        self._idle()
        busy = load.others()
        if self._stopping.is_set():
            raise Stopped
        done, high = self._listener.generation, self._listener.high
        if done is None or done.tokens < self._target.max_tokens:
            raise CellFailedError(self._listener.message or "The generation ended before its last token.")
        rates = {"tps": done.tps, "ttft": done.ttft, "prefill": done.prompt_tps}
        return Measured({**{k: v for k, v in rates.items() if v > 0}, **high.sizes()}, busy)

    def stop(self) -> None:
        self._stopping.set()
        self.session.submit(StopWorkload())
        self._listener.phases.put(None)

    def close(self) -> None:
        gc.unfreeze()
        self.session.submit(SetLimit("cache", DEFAULT, SOURCE))
        self.session.close(CLOSE_WITHIN)

    def _limit(self, arm: tuple[Size, ...]) -> Size:
        return dict(zip(self._plan.names, arm, strict=True)).get("cache-limit", DEFAULT)

    def _arguments(self, arm: tuple[Size, ...]) -> dict[str, Any]:
        return {name: value for name, value in self._settings(arm) if value != DEFAULT}

    def _settings(self, arm: Sequence[Size]) -> tuple[tuple[str, Size], ...]:
        pairs = zip(self._plan.names, arm, strict=True)
        return tuple((ARGUMENTS[name], value) for name, value in pairs if name in ARGUMENTS)

    def _idle(self) -> None:
        """Waits until the engine is idle. Raises the error that ended it."""
        while True:
            try:
                phase = self._listener.phases.get(timeout=LOOK_EVERY)
            except queue.Empty:
                phase = ""
            if self.session.failure is not None:
                raise self.session.failure
            if phase in (None, "idle", "failed"):
                return


class Highest:
    """The largest sizes so far, in bytes."""

    def __init__(self) -> None:
        self.active = self.total = self.cache = self.footprint = 0

    def see(self, active: int, cache: int, footprint: int) -> None:
        self.active, self.cache = max(self.active, active), max(self.cache, cache)
        self.total = max(self.total, active + cache)
        self.footprint = max(self.footprint, footprint)

    def sizes(self) -> dict[str, float]:
        found = {"active": self.active, "total": self.total, "cache": self.cache}
        return {**found, **({"footprint": self.footprint} if self.footprint > 0 else {})}


class _Listener:
    """Collects the session's samples and events, on the engine's and the sampler's threads."""

    def __init__(self) -> None:
        self.phases: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        """The phases in order; `None` when the sweep is stopped."""
        self.high = Highest()
        self.generation: GenerationFinished | None = None
        self.message = ""
        self._footprint = footprint.reader()

    def handle(self, item: Event | Sample) -> None:
        if isinstance(item, Sample):
            self.high.see(item.active, item.cache, item.footprint)
            return
        match item.data:
            case PeakReset(source=source) if source == SOURCE:
                self.high, self.generation, self.message = Highest(), None, ""
            case CacheCleared(freed=freed):
                # mlx-lm clears the cache after each step of the prompt, when it is largest.
                self.high.see(allocator.snapshot().active, freed or 0, 0)
            case GenerationFinished() as generation:
                self._finish(generation)
            case ErrorRaised(message):
                self.message = message
            case PhaseChanged(phase):
                self.phases.put(phase)

    def _finish(self, generation: GenerationFinished) -> None:
        """Records the sizes at the end of a generation, before its KV cache is freed."""
        now = allocator.snapshot()
        self.high.see(now.active, now.cache, self._footprint() or 0)
        # MLX's own peak may fall between two samples. The cache may have been empty then.
        self.high.see(now.peak, 0, 0)
        self.generation = generation
