"""The generation that `plain` does, as a cell of `mlxtop sweep`. One turn is one cell."""

import sys

from benchmarks.subjects import PROMPT, rest, tell
from mlxtop.core.units import DEFAULT
from mlxtop.inference.options import Options
from mlxtop.sweep.executor import ModelExecutor
from mlxtop.sweep.plan import Plan, SweepParameter


def main(tokens: int) -> None:
    # A byte is a token of the demo model.
    plan = Plan(
        "demo", (SweepParameter("cache-limit", (DEFAULT,)),), lengths=(len(PROMPT),), max_tokens=tokens
    )
    bench = ModelExecutor(plan, Options(prompt=PROMPT))
    bench.open()
    while True:
        tell(tokens=tokens, tps=bench.measure((DEFAULT,), len(PROMPT)).values["tps"])
        rest()


if __name__ == "__main__":
    main(int(sys.argv[1]))
