"""Tokens/s while every allocation is traced over tokens/s without, both under the agent, in one process and
in short turns: mlx-lm decodes with small random models, whose tokens take a few milliseconds only. A larger
model allocates as often in a longer time. Beside it memray, in the same process.
"""

import statistics
from collections.abc import Iterator

from benchmarks.measure import Figure, Terminal, interval, main, quartiles, subject
from benchmarks.peers import peer
from benchmarks.watching import AGENT, own_place

WIDTHS = {256: 80, 512: 40}
"""Of the models' layers, and how many tokens a turn decodes."""


def measure(rounds: int = 80) -> Iterator[Figure]:
    """`rounds` of one turn of each, in an order of chance, for each model."""
    for width, tokens in WIDTHS.items():
        yield from _of_width(width, rounds, tokens)


def _of_width(width: int, rounds: int, tokens: int) -> Iterator[Figure]:
    with own_place(), peer("memray") as memray:
        before = memray.environment if memray is not None else ()
        speeds: dict[str, list[float]] = {}
        costs: dict[str, list[float]] = {}
        with Terminal(
            [*before, *AGENT, *subject("tracing", str(rounds), str(tokens), str(width))]
        ) as program:
            while "over" not in (told := program.hear()):
                for way, (speed, cost) in told.items():
                    speeds.setdefault(way, []).append(speed)
                    costs.setdefault(way, []).append(cost)
        names = {"traced": "a trace of every allocation", "memray": memray.name if memray else ""}
        for way in [way for way in names if way in speeds]:
            bar = ("≥", 0.98) if way == "traced" else None
            what = f"trace: tokens/s with {names[way]} over without, 6 layers of {width}"
            yield _ratio(what, speeds, way, bar)
            yield _ratio("  the same, processor time of a token", costs, way)
        for way, values in speeds.items():
            yield Figure(f"  {way}", statistics.median(values), "/s", quartiles(values))


def _ratio(
    what: str, values: dict[str, list[float]], way: str, bar: tuple[str, float] | None = None
) -> Figure:
    ratios = [a / b for a, b in zip(values[way], values["off"], strict=True)]
    return Figure(what, statistics.median(ratios), "", interval(ratios), bar)


if __name__ == "__main__":
    main(measure)
