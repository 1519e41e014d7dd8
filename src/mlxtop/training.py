"""MLX's memory in the reports of a training: to W&B, SwanLab, TensorBoard, or whatever is told of them."""

import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mlxtop import api
from mlxtop.core.announcements import loss_listeners
from mlxtop.core.events import LossReported

REPORTED = ("mlx/active", "mlx/cache", "mlx/peak_step", "mlx/footprint")


class TrainingCallback:
    """A training callback of mlx-lm's shape that adds MLX's memory to every report, and passes it on.

    `wrapped` is the callback that gets the reports: mlx-lm's `WandBCallback` or `SwanLabCallback`, or another
    with `on_train_loss_report` and `on_val_loss_report`. It gets a copy of the trainer's dict with these
    numbers added, in bytes (mlx-lm's own `peak_memory` is in gigabytes):

    - `mlx/active`: in live arrays
    - `mlx/cache`: in freed buffers that are kept for reuse
    - `mlx/peak_step`: the highest `mlx/active` since the report before, a validation's or a training's
    - `mlx/footprint`: what the system charges the process

    See `metrics` for what each is, and how `mlx/peak_step` is found. The training is not changed: no array is
    read, and the trainer's dict stays as it is. If mlxtop fails, it warns once, and `wrapped` gets what the
    trainer reports. What `wrapped` raises is raised. A viewer that watches the program shows the losses.
    """

    def __init__(self, wrapped: Any = None) -> None:
        self.wrapped = wrapped
        self._warned = False
        # What is reported first counts from here.
        self._add({})

    def on_train_loss_report(self, train_info: Any) -> None:
        """Called by the trainer with a report of the training loss."""
        told = self._add(train_info, "train_loss")
        if self.wrapped is not None:
            self.wrapped.on_train_loss_report(told)

    def on_val_loss_report(self, val_info: Any) -> None:
        """Called by the trainer with a report of the validation loss."""
        told = self._add(val_info, "val_loss")
        if self.wrapped is not None:
            self.wrapped.on_val_loss_report(told)

    def __getattr__(self, name: str) -> Any:
        # Other trainers call more methods than mlx-lm's.
        if name.startswith("_") or name == "wrapped":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.wrapped, name)

    def _add(self, report: Any, loss: str = "") -> Any:
        """A copy of `report` with our numbers; `report` itself where that fails."""
        try:
            numbers = api.metrics()
            _tell(report, loss)
            return {**report, **{name: numbers[name] for name in REPORTED if name in numbers}}
        except Exception as error:
            self._warn(error)
            return report

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        # Where warnings are errors, this one would end the training.
        with suppress(Exception):
            why = f"mlxtop cannot add MLX's memory to the reports: {type(error).__name__}: {error}"
            warnings.warn(why, RuntimeWarning, stacklevel=4)


def _tell(report: Mapping[str, Any], loss: str) -> None:
    """Tells whoever watches of a loss, if both it and its iteration are plain numbers."""
    iteration, value = report.get("iteration"), report.get(loss)
    if type(iteration) is not int or iteration < 0 or not isinstance(value, float):
        return
    validation = loss == "val_loss"
    told = LossReported.of(iteration, value, validation, report.get("tokens_per_second"))
    for listener in tuple(loss_listeners):
        listener(told)
