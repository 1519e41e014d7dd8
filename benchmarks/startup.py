"""From the start of the process to the first frame in a 120×40 terminal, with the demo model and with a model
that is not there, and what of it is Python and its imports. All four in turns."""

import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator

from benchmarks.measure import MLXTOP, Figure, Terminal, main, quartiles, tail

COMMANDS = {"demo": [MLXTOP], "no model": [MLXTOP, "--model", "/nonexistent"]}
IMPORTS = "import mlxtop.__main__, mlxtop.cli.main, mlxtop.cli.dashboard"
FRAME = rb" mlxtop "
"""The first word of the header: it comes with the first frame and not before."""


def measure(starts: int = 10) -> Iterator[Figure]:
    """`starts` of each, the first of which is not counted."""
    walls: dict[str, list[float]] = defaultdict(list)
    spent: dict[str, list[float]] = defaultdict(list)
    for _ in range(starts + 1):
        for name, command in COMMANDS.items():
            with Terminal(command) as terminal:
                walls[name].append(terminal.shown(FRAME) - terminal.began)
                times = terminal.process.cpu_times()
                spent[name].append(times.user + times.system)
        for name, code in {"python": "pass", "imports": IMPORTS}.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            walls[name].append(time.perf_counter() - began)
    for name in COMMANDS:
        values = walls[name][1:]
        spread = f"{quartiles(values)}, {tail(values)}"
        yield Figure(f"startup: first frame, {name}", statistics.median(values), "s", spread, ("≤", 0.3))
        yield Figure(
            "  processor time until then", statistics.median(spent[name][1:]), "s", quartiles(spent[name][1:])
        )
    yield Figure(
        "  python alone", statistics.median(walls["python"][1:]), "s", quartiles(walls["python"][1:])
    )
    whole = walls["imports"][1:]
    yield Figure("  python and the dashboard's imports", statistics.median(whole), "s", quartiles(whole))


if __name__ == "__main__":
    main(measure)
