"""What a program tells of itself by `mlxtop.mark` and `mlxtop.phase`, and who listens."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mlxtop.core.snapshot import Snapshot

    Listener = Callable[[str, str, Snapshot], None]

listeners: list[Listener] = []
"""Each is called with a kind, `mark` or `phase`, a name, and the counters of that moment."""
