"""What a sweep costs: tokens/s of a cell over those of the same generation by plain mlx-lm, and the time that
`mlxtop sweep` takes by default on the demo model (7 cache limits × 2 prompt lengths, up to 10 repeats).

All processes are warmed up and take turns, one generation each, in the order A B C C B A; whoever has no turn
is stopped. A ratio is that of one such turn. Plain mlx-lm over itself tells what this machine can tell apart.

Only a quiet machine can tell: where others want its processors too, Linux gives a process with a thread that
wakes up a hundred times a second, as a cell's does, its turn sooner, and a cell is faster than plain mlx-lm.
"""

import json
import statistics
import subprocess
import time
from collections.abc import Iterator

from benchmarks.measure import HOME, MLXTOP, Figure, interval, main, quartiles, subject
from benchmarks.throughput import turns


def measure(rounds: int = 3, pairs: int = 10, tokens: int = 192, whole: int = 1) -> Iterator[Figure]:
    """`rounds` of fresh processes, with `pairs` turns of each; then `whole` sweeps."""
    plain = subject("plain", str(tokens))
    commands = {"plain": plain, "cell": subject("sweeping", str(tokens)), "plain again": plain}
    speeds = turns(commands, rounds, pairs)
    for what, name, bar in (
        ("sweep: a cell over plain mlx-lm, tokens/s", "cell", ("≥", 0.99)),
        ("  plain mlx-lm over itself", "plain again", None),
    ):
        ratios = [a / b for a, b in zip(speeds[name], speeds["plain"], strict=True)]
        yield Figure(what, statistics.median(ratios), "", interval(ratios), bar)
    for name, values in speeds.items():
        yield Figure(f"  {name}", statistics.median(values), "/s", quartiles(values))
    times, said = [], {}
    for _ in range(whole):
        began = time.monotonic()
        done = subprocess.run(
            [MLXTOP, "sweep", "--headless", "--json", "-"],
            cwd=HOME,
            capture_output=True,
            text=True,
            check=True,
        )
        times.append(time.monotonic() - began)
        said = json.loads(done.stdout)
    if times:
        what = "sweep: 7 cache limits × 2 prompt lengths on the demo"
        spread = f"{len(said['readings'])} repeats; {said['advice']['verdict']}; {quartiles(times)}"
        yield Figure(what, statistics.median(times), "s", spread, ("≤", 180.0))


if __name__ == "__main__":
    main(measure)
