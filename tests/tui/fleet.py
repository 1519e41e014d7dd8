"""A fleet that stands still: recorded sessions of one program's ranks, each a little different."""

from collections.abc import Callable, Collection
from typing import Any

from mlxtop.core.history import History
from mlxtop.core.sample import Sample
from mlxtop.core.transcript import Transcript
from mlxtop.sessions.session import UnattachedProcess
from tests.tui.recorded import RecordedSession

EPOCH = 1_800_000_000.0
MIB = 2**20


class RecordedMember(RecordedSession):
    """A recorded session as one process of several: begun `late` seconds after the first, its sizes `scale`
    times the recording's."""

    steps_are = "evals"
    capabilities: frozenset[Any] = frozenset()

    def __init__(self, rank: int, until: float = 26.0, late: float = 0.0, scale: float = 1.0) -> None:
        super().__init__(max(0.0, until - late))
        self.title = "python train.py --model demo"
        self.pid = 4000 + rank
        self.rank: int | None = rank
        self.label = f"rank {rank}"
        self.started = EPOCH + late
        self.ended: str | None = None
        self._scale(scale)

    def _scale(self, scale: float) -> None:
        history, self.history = self.history, History(self.interval)
        time = 0.0
        while time <= self._now:
            sample = history.at(time)
            if sample is not None:
                sizes = (round(v * scale) for v in (sample.active, sample.cache, sample.peak, sample.total))
                self.history.add(Sample(time, *sizes, *sample[5:]))
            time = round(time + self.interval, 6)

    def grow(self, rate: int) -> None:
        """Has the cache rise by `rate` bytes a second from the beginning."""
        history, self.history = self.history, History(self.interval)
        time = 0.0
        while time <= self._now:
            sample = history.at(time)
            if sample is not None:
                more = round(rate * time)
                self.history.add(
                    sample._replace(time=time, cache=sample.cache + more, total=sample.total + more)
                )
            time = round(time + self.interval, 6)


class RecordedFleet:
    """Some members and unattached processes, standing still."""

    title = "python train.py"

    def __init__(self, members: int = 4, unattached: int = 0, prints: bool = False) -> None:
        self.list = [
            RecordedMember(rank, late=0.7 * (rank % 7), scale=0.8 + 0.05 * (rank * 5 % 9))
            for rank in range(members)
        ]
        self.others = [
            UnattachedProcess(
                9000 + i, f"/usr/bin/python3 -m mlx_lm.server --port {8080 + i}", (900 + 37 * i) * MIB
            )
            for i in range(unattached)
        ]
        self.transcript: Transcript | None = Transcript() if prints else None
        self.word = "python train.py runs" if members else "waiting for MLX in python train.py …"
        self.said: list[str] = []
        self.send_input: Callable[[str], None] | None = self.said.append if prints else None
        if self.transcript is not None:
            for step in range(30):
                self.transcript.write("reply", f"step {step}: loss {3 - step / 20:.3f}\n")

    def members(self) -> list[RecordedMember]:
        return self.list

    def unattached(self) -> list[UnattachedProcess]:
        return self.others

    def status(self) -> str:
        return self.word

    def trouble(self) -> str:
        return ""

    def look_at(self, pids: Collection[int]) -> None:
        pass
