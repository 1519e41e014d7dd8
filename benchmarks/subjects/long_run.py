"""The dashboard at work with a minute, or with a day, behind it. One turn measures one of them for N seconds.

python -m benchmarks.subjects.long_run SECONDS [OPTION ...]
"""

import sys
import threading
from dataclasses import dataclass
from functools import partial
from itertools import cycle

from benchmarks.subjects import PROMPT, mlxtop, rest
from benchmarks.subjects.own import Frames, own_cost
from mlxtop.core.events import PASSING, CacheCleared, Event, LimitChanged, PhaseChanged
from mlxtop.core.history import History
from mlxtop.core.sample import Sample
from mlxtop.core.timeline import Timeline
from mlxtop.inference.options import Options
from mlxtop.sessions.local import LocalSession
from mlxtop.tui.screens.dashboard import Dashboard

DAY = 86_400.0
MINUTE = 60.0
EVERY = 0.1
MIB = 2**20
SETTLE = 1.0


@dataclass(frozen=True, slots=True)
class Past:
    """What a session would hold after `seconds` at 10 Hz, ending at `DAY` on its clock."""

    history: History
    timeline: Timeline

    @classmethod
    def of(cls, seconds: float) -> "Past":
        past = cls(History(EVERY), Timeline())
        start = DAY - seconds
        for i in range(int(seconds / EVERY)):
            active, cache = 64 * MIB + i * 37 % (8 * MIB), i * 101 % (32 * MIB)
            past.add(Sample(start + i * EVERY, active, cache, 80 * MIB, active + cache, 512 * MIB))
        for i in range(int(seconds / 20)):
            at = start + i * 20
            past.add(Event(at, PhaseChanged("prefill", 280)))
            past.add(Event(at + 1, PhaseChanged("decode")))
            past.add(Event(at + 2, CacheCleared("mlx_lm/generate.py:1", MIB)))
            if i % 30 == 0:
                past.add(Event(at + 3, LimitChanged("cache", 0, MIB, "keyboard")))
        return past

    def add(self, item: Event | Sample) -> None:
        if isinstance(item, Sample):
            self.history.add(item)
        elif not isinstance(item.data, PASSING):
            self.timeline.add(item)


class Aged(LocalSession):
    """A session whose clock stands at a day when it begins, and whose past can be exchanged."""

    def __init__(self, seconds: float, options: Options, interval: float) -> None:
        super().__init__(options, interval)
        self.subscribe(self._feed)
        self._origin -= DAY
        self._pasts = {"minute": Past.of(MINUTE), "day": Past.of(DAY)}
        self.live("day")
        threading.Thread(target=self._conduct, args=(seconds,), name="benchmark", daemon=True).start()

    def live(self, name: str) -> None:
        """Exchanges the past, the events' and the samples' alike."""
        self._now = self._pasts[name]
        self.history, self.timeline = self._now.history, self._now.timeline

    def _feed(self, item: Event | Sample) -> None:
        """Lets the other past live on, so that it has no hole when its turn comes."""
        for past in self._pasts.values():
            if past is not self._now:
                past.add(item)

    def _conduct(self, seconds: float) -> None:
        frames = Frames(Dashboard, "frame")
        while self.state.phase != "decode":
            threading.Event().wait(0.1)
        for name in cycle(self._pasts):
            self.live(name)
            threading.Event().wait(SETTLE)
            own_cost(frames, seconds, past=name)
            rest()


if __name__ == "__main__":
    loop = ("--workload", "loop", "--prompt", PROMPT, "--repeat", "forever", "--max-tokens", "2048")
    mlxtop(partial(Aged, float(sys.argv[1])), [*loop, *sys.argv[2:]])
