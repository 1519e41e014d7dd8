"""What a program tells of itself by marks, phases and `mlxtop.TrainingCallback`, and who listens."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mlxtop.core.events import LossReported
    from mlxtop.core.snapshot import Snapshot

    Listener = Callable[[str, str, Snapshot], None]

listeners: list[Listener] = []
"""Each is called with a kind, `mark` or `phase`, a name, and the counters of that moment."""

loss_listeners: list[Callable[[LossReported], None]] = []
"""Each is called with a loss, on the thread that trains."""
