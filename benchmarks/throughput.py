"""Tokens/s with the dashboard open at defaults in a 120×40 terminal, over the same mlx-lm in the same process
with mlxtop halted: the demo model, one prompt, one sampler. See `benchmarks.turns`."""

from collections.abc import Iterator

from benchmarks import turns
from benchmarks.measure import Figure, Terminal, main, subject


def measure(pairs: int = 200, steps: int = 400, model: str = "") -> Iterator[Figure]:
    """`pairs` of turns of `steps`; `model` is a directory instead of the demo."""
    with Terminal(subject("turning", "dashboard", str(steps), *([model] if model else []))) as program:
        found = turns.take(program, pairs)
    yield from turns.figures("throughput: dashboard over plain mlx-lm, tokens/s", found, 0.995)


if __name__ == "__main__":
    main(measure)
