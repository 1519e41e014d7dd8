"""The generation that `plain` does, as a cell of `mlxtop sweep`. One turn is one cell."""

import sys

from benchmarks.subjects import PROMPT, rest, tell
from mlxtop.core.units import DEFAULT
from mlxtop.sweep.executor import ModelExecutor
from mlxtop.sweep.plan import Cell, Plan, SweepParameter
from mlxtop.sweep.target import ModelTarget


def main(tokens: int) -> None:
    # A byte is a token of the demo model.
    target = ModelTarget((len(PROMPT),), tokens)
    plan = Plan(target, (SweepParameter("cache-limit", (DEFAULT,)),))
    bench = ModelExecutor(plan, target, PROMPT)
    bench.open()
    while True:
        tell(tokens=tokens, tps=bench.measure(Cell(0, 0)).values["tps"])
        rest()


if __name__ == "__main__":
    main(int(sys.argv[1]))
