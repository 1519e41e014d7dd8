"""The `mlxtop` command over a session that tells each step of a prefill.

python -m benchmarks.subjects.dashboard [OPTION ...]
"""

import sys
from typing import Any

from benchmarks.subjects import mlxtop, tell
from mlxtop.core.events import Event, ProgressMade
from mlxtop.core.sample import Sample
from mlxtop.sessions.local import LocalSession


def steps(item: Event | Sample) -> None:
    if isinstance(item, Event) and isinstance(item.data, ProgressMade) and item.data.phase == "prefill":
        tell(time=item.time, **item.data.fields())


def heard(*arguments: Any, **options: Any) -> LocalSession:
    session = LocalSession(*arguments, **options)
    session.subscribe(steps)
    return session


if __name__ == "__main__":
    mlxtop(heard, sys.argv[1:])
