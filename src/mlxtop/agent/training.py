"""A training run by mlx-lm or mlx-vlm: its phases `train` and `validate`, and its losses.

Nothing of theirs is replaced or asked. The phase is seen from the function that calls `mx.eval`. Losses are
read from the trainer's variables: as it asks for MLX's peak, which is the last it does for a report, and at
the first step after a validation. Only plain numbers are read: MLX would have to compute an array.
"""

from __future__ import annotations

from _thread import get_ident

from mlxtop.core.events import LossReported
from mlxtop.mlx.variables import leaves_nothing, variables_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType
    from typing import Any

TRAIN, VALIDATE = "train", "validate"
FUNCTIONS = ("train", "evaluate")
"""What the names of their functions begin with."""
FOLDERS = ("/mlx_lm/tuner/", "/mlx_vlm/trainer/")
UNNAMED = ("run", "idle")
"""Phases that a program has not named: they give way to ours."""
DEEPEST = 200
"""Frames that are looked through for the trainer's."""


class TrainingWatch:
    """Call `step` before an evaluation and `report` as the peak is asked for, on the program's thread.

    `phase` tells the phase now, `set_phase` begins another, `now` is the time. A phase that the program has
    named itself stays. After the first error of ours, which is raised, nothing is watched any more.
    """

    def __init__(
        self, phase: Callable[[], str], set_phase: Callable[[str], None], now: Callable[[], float]
    ) -> None:
        self._phase = phase
        self._set_phase = set_phase
        self._now = now
        self.begin_process()

    def begin_process(self) -> None:
        """Forgets what was: a fork's child trains nothing yet."""
        self._doing = self._told = self._before = ""
        """What the trainer does, the last phase that we began, and the phase before the training."""
        self._code: CodeType | None = None
        """The trainer's function that does it: most steps are its."""
        self._thread = 0
        self._failed = False
        """Also while something is looked at: only an error leaves it so."""
        self._waiting: dict[bool, tuple[float, LossReported]] = {}
        """The last loss of either kind that was not yet told."""
        self._last: dict[bool, LossReported] = {}
        """And the last that was told."""

    def step(self, frame: FrameType) -> None:
        """`frame` is about to evaluate something."""
        code = frame.f_code
        if code is self._code or self._failed:
            return
        if self._doing or code.co_name.startswith(FUNCTIONS):
            self._failed = True
            self._look(frame)
            self._failed = False

    def report(self, frame: FrameType) -> None:
        """`frame` asks for MLX's peak."""
        if frame.f_code.co_name.startswith(TRAIN) and not self._failed:
            self._failed = True
            if _phase_of(frame.f_code) and leaves_nothing(frame):
                self._read(variables_of(frame), "train_loss", validation=False)
            self._failed = False

    def take(self, report: LossReported) -> None:
        """A loss, from whoever reports it."""
        self._waiting[report.validation] = self._now(), report

    def settled(self) -> Iterator[tuple[float, LossReported]]:
        """The losses to tell, each once, and when they were reported. One thread calls it."""
        found = [one for kind in (True, False) if (one := self._waiting.pop(kind, None)) is not None]
        for time, report in sorted(found, key=lambda one: one[0]):
            if report != self._last.get(report.validation):
                self._last[report.validation] = report
                yield time, report

    def _look(self, frame: FrameType) -> None:
        phase = _phase_of(frame.f_code)
        if phase and phase != self._doing:
            self._enter(phase, frame)
        elif not phase and self._doing and get_ident() == self._thread and not _is_inside(frame):
            self._leave()

    def _enter(self, phase: str, frame: FrameType) -> None:
        validated = self._doing == VALIDATE and phase == TRAIN
        now = self._phase()
        if not self._doing:
            self._before = now
        self._doing, self._code, self._thread = phase, frame.f_code, get_ident()
        if now == self._told or now in UNNAMED:
            self._told = phase
            self._set_phase(phase)
        if validated and leaves_nothing(frame):
            self._read(variables_of(frame), "val_loss", validation=True)

    def _leave(self) -> None:
        self._doing, self._code = "", None
        if self._told and self._phase() == self._told:
            self._set_phase(self._before)
        self._told = ""

    def _read(self, variables: dict[str, Any], name: str, validation: bool) -> None:
        iteration, value, speed = (variables.get(one) for one in ("it", name, "tokens_sec"))
        if type(iteration) is int and isinstance(value, float):
            # A validation comes before the step of its iteration.
            done = max(0, iteration - 1) if validation else iteration
            self.take(LossReported.of(done, value, validation, None if validation else speed))


def _phase_of(code: CodeType) -> str:
    """The phase of a trainer's function; empty for any other."""
    name, path = code.co_name, code.co_filename.replace("\\", "/")
    if not name.startswith(FUNCTIONS) or not any(folder in path for folder in FOLDERS):
        return ""
    return TRAIN if name.startswith(TRAIN) else VALIDATE


def _is_inside(frame: FrameType) -> bool:
    """Whether a trainer's function has led to `frame`."""
    outer = frame.f_back
    for _ in range(DEEPEST):
        if outer is None:
            return False
        if _phase_of(outer.f_code):
            return True
        outer = outer.f_back
    return False
