"""What every session offers, whether it runs here, elsewhere, or came out of a file."""

from typing import Protocol

from mlxtop.core.history import History
from mlxtop.core.limits import Knob
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from mlxtop.core.transcript import Transcript
from mlxtop.core.units import Size


class Session(Protocol):
    """Data to read and wishes to send. Nothing here waits: not for MLX, a socket or a disk.

    Times are seconds since the session began. A wish is carried out by whoever owns MLX and comes back as
    an event; until then a limit shows as pending in `state`.
    """

    title: str
    interval: float
    """Seconds between samples."""
    history: History
    timeline: Timeline
    transcript: Transcript
    state: State
    phases: list[str]
    """Phase names; a sample's `phase` is an index into it."""
    footprint_kind: str
    """What `footprint` measures here: `RSS`, `phys_footprint`."""
    own_memory: int | None
    """Bytes the process had before MLX came into it: mlxtop itself."""

    def now(self) -> float: ...

    def set_limit(self, knob: Knob, size: Size, who: str) -> None: ...

    def clear_cache(self, who: str) -> None: ...

    def reset_peak(self, who: str) -> None: ...

    def mark(self, name: str, who: str) -> None: ...

    def say(self, text: str) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def forget(self) -> None: ...
