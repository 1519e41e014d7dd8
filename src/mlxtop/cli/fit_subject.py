"""What `mlxtop fit` looks at: a model, a budget, and what the measurement may take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mlxtop.cli.fit_progress import Progress
from mlxtop.core.budget import Budget, BudgetSpec, resolve
from mlxtop.core.errors import MlxtopError
from mlxtop.core.facts import Facts
from mlxtop.core.units import DEFAULT, Size
from mlxtop.inference.failure import explain
from mlxtop.inference.options import Options


@dataclass(frozen=True, slots=True)
class Subject:
    """The values of the options that all measurements share."""

    model: str
    """A Hub repository or a directory."""
    budget: Budget
    facts: Facts
    cache_limit: Size
    within: float
    """The seconds that the measurement may take."""
    seed: int
    progress: Progress = field(default_factory=Progress)

    def plan(self) -> tuple[Any, dict[str, Any]]:
        """Returns the model with no weight computed yet, and its config. Raises `MlxtopError`."""
        from mlxtop.inference import architecture, hub

        with self._explaining("load"), hub.progress(self.progress.fetched):
            built, config, _folder = architecture.plan(self.model, self.seed, self.budget.bytes)
        return built, config

    @contextmanager
    def measuring(self, built: Any, what: str) -> Iterator[tuple[int, float]]:
        """Computes the weights and sets the cache limit. Yields the weights' bytes, and when to stop.

        A failure becomes an `MlxtopError` that says `what` failed.
        """
        from mlxtop.fit.measure import build
        from mlxtop.mlx import hooks

        until = time.monotonic() + self.within
        try:
            with self._explaining("load"):
                weights = build(built, self.progress.built, until)
                if self.cache_limit != DEFAULT:
                    hooks.apply({"cache": int(self.cache_limit)})
            with self._explaining(what):
                yield weights, until
        finally:
            self.progress.end()

    def limit(self) -> int:
        """Returns the cache limit in bytes."""
        from mlxtop.mlx import hooks

        return hooks.defaults()["cache"] if self.cache_limit == DEFAULT else int(self.cache_limit)

    @contextmanager
    def _explaining(self, what: str) -> Iterator[None]:
        try:
            yield
        except (MlxtopError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise MlxtopError(explain(what, Options(model=self.model), error)) from error


def ceiling(spec: BudgetSpec | None, facts: Facts) -> Budget:
    """Returns the budget that was asked for, or what this machine has."""
    from mlxtop.mlx import device

    found = resolve(spec, facts, "from --budget") if spec is not None else None
    if found is not None:
        return found
    size, source = device.ceiling(facts)
    return Budget(size, source, "footprint" if facts.unified else "device")
