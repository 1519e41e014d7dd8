"""The `mlxtop` command over a session that tells.

    python -m benchmarks.subjects.dashboard ERRAND [OPTION ...]

`turns` tells each finished generation, and one turn is one generation; `steps` tells each step of a prefill.
"""

import sys
from functools import partial

from benchmarks.subjects import mlxtop, rest, tell
from mlxtop.core.events import Event, Kind
from mlxtop.core.sample import Sample
from mlxtop.sessions.local import LocalSession


def turns(item: Event | Sample) -> None:
    if isinstance(item, Event) and item.kind is Kind.GENERATION:
        tell(**item.data)
        rest()


def steps(item: Event | Sample) -> None:
    if isinstance(item, Event) and item.kind is Kind.PROGRESS and item.data["phase"] == "prefill":
        tell(time=item.time, **item.data)


if __name__ == "__main__":
    errand = {"turns": turns, "steps": steps}[sys.argv[1]]
    mlxtop(partial(LocalSession, sink=errand), sys.argv[2:])
