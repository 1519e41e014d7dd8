"""Tokens/s while every allocation is traced over tokens/s without, both under the agent, in one process and
in pairs of short turns; and the same of a token's processor time, which the machine's other work disturbs
less. mlx-lm decodes with small random models, whose tokens take a few milliseconds only. A larger model
allocates as often in a longer time. Beside it memray, in the same process.
"""

import statistics
from collections.abc import Iterator

from benchmarks.measure import Figure, Terminal, interval, main, quartiles, subject
from benchmarks.peers import peer
from benchmarks.watching import AGENT, own_place

WIDTHS = {256: 32, 512: 12}
"""Of the models' layers, and how many tokens of a turn count."""
Round = dict[str, tuple[float, float]]
"""Of each way tokens/s and a token's processor time."""


def measure(rounds: int = 300) -> Iterator[Figure]:
    """`rounds` of one turn of each, in an order of chance, for each model; memray has few turns."""
    for width, tokens in WIDTHS.items():
        yield from _of_width(width, rounds, tokens)


def _of_width(width: int, rounds: int, tokens: int) -> Iterator[Figure]:
    with own_place(), peer("memray") as memray:
        before = memray.environment if memray is not None else ()
        told_rounds: list[Round] = []
        with Terminal(
            [*before, *AGENT, *subject("tracing", str(rounds), str(tokens), str(width))]
        ) as program:
            while "over" not in (told := program.hear()):
                told_rounds.append(told)
        names = {"traced": "a trace of every allocation", "memray": memray.name if memray else ""}
        # In the first round there are all ways.
        for way in [way for way in names if way in told_rounds[0]]:
            bar = ("≥", 0.98) if way == "traced" else None
            what = f"trace: tokens/s with {names[way]} over without, 6 layers of {width}"
            yield _ratio(what, told_rounds, way, 0, bar)
            yield _ratio("  the same, processor time of a token", told_rounds, way, 1)
        for way in told_rounds[0]:
            values = [told[way][0] for told in told_rounds if way in told]
            yield Figure(f"  {way}", statistics.median(values), "/s", quartiles(values))


def _ratio(
    what: str, rounds: list[Round], way: str, which: int, bar: tuple[str, float] | None = None
) -> Figure:
    ratios = [told[way][which] / told["off"][which] for told in rounds if way in told]
    return Figure(what, statistics.median(ratios), "", interval(ratios), bar)


if __name__ == "__main__":
    main(measure)
