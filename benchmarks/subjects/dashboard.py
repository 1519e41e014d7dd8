"""The `mlxtop` command over a session that tells.

    python -m benchmarks.subjects.dashboard ERRAND [OPTION ...]

`turns` tells each finished generation, and one turn is one generation; `steps` tells each step of a prefill.
"""

import sys
from functools import partial
from typing import Any

from benchmarks.subjects import mlxtop, rest, tell
from mlxtop.core.events import Event, GenerationFinished, ProgressMade
from mlxtop.core.sample import Sample
from mlxtop.sessions.local import LocalSession
from mlxtop.sessions.session import Listener


def turns(item: Event | Sample) -> None:
    if isinstance(item, Event) and isinstance(item.data, GenerationFinished):
        tell(**item.data.fields())
        rest()


def steps(item: Event | Sample) -> None:
    if isinstance(item, Event) and isinstance(item.data, ProgressMade) and item.data.phase == "prefill":
        tell(time=item.time, **item.data.fields())


def heard(errand: Listener, *arguments: Any, **options: Any) -> LocalSession:
    session = LocalSession(*arguments, **options)
    session.subscribe(errand)
    return session


if __name__ == "__main__":
    errand = {"turns": turns, "steps": steps}[sys.argv[1]]
    mlxtop(partial(heard, errand), sys.argv[2:])
