"""What `mlxtop trace --layers` costs: tokens/s of a decoding and steps/s of a LoRA training, with a small
random model, over those without a trace. One process, in turns.
"""

import statistics
from collections.abc import Iterator

from benchmarks.measure import Figure, Terminal, interval, main, quartiles, subject
from benchmarks.watching import own_place

UNITS = {"decode": "tokens", "train": "steps"}
NAMES = {"traced": "a trace", "layers": "a trace with --layers"}


def measure(rounds: int = 30, tokens: int = 60, steps: int = 4) -> Iterator[Figure]:
    """`rounds` of one turn of each way, in an order of chance."""
    turns: dict[tuple[str, str], list[list[float]]] = {}
    with own_place(), Terminal(subject("layers", str(rounds), str(tokens), str(steps))) as program:
        while "over" not in (told := program.hear()):
            for way, turn in told["turns"].items():
                turns.setdefault((told["work"], way), []).append(turn)
    for work, unit in UNITS.items():
        for way, name in NAMES.items():
            both = [*zip(turns[work, way], turns[work, "off"], strict=True)]
            speeds, costs, peaks = ([one[n] / bare[n] for one, bare in both] for n in range(3))
            yield _ratio(f"layers: {unit}/s with {name} over without", speeds)
            yield _ratio(f"  the same, processor time of one of the {unit}", costs)
            yield _ratio("  the same, MLX's peak", peaks)
        bare_speeds = [turn[0] for turn in turns[work, "off"]]
        yield Figure(f"  {unit} without", statistics.median(bare_speeds), "/s", quartiles(bare_speeds))


def _ratio(what: str, ratios: list[float]) -> Figure:
    return Figure(what, statistics.median(ratios), "", interval(ratios))


if __name__ == "__main__":
    main(measure)
