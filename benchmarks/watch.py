"""Tokens/s of plain mlx-lm under `mlxtop run` with the dashboard in a 120×40 terminal, over the same process
with its agent and its viewer halted; and with the agent alone, nobody watching. See `benchmarks.turns`.

memray, which is installed for the occasion and removed again, runs in a process of its own beside the bare
program: both are warmed up and then take turns, one generation each; whoever has no turn is stopped.
"""

import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from benchmarks import turns
from benchmarks.measure import Figure, Terminal, interval, main, subject
from benchmarks.peers import peer
from benchmarks.watching import AGENT, Run, own_place


def measure(pairs: int = 200, steps: int = 400, memray: int = 6, model: str = "") -> Iterator[Figure]:
    """`pairs` of turns of `steps`, half as many with the agent alone; `memray` turns with memray, 0 for none;
    `model` is a directory instead of the demo."""
    names = [model] if model else []
    program = subject("turning", "program", str(steps), *names)
    with own_place():
        with Run(program) as run:
            watched = turns.take(run, pairs)
            # That the dashboard is there, and has the program's counters.
            run.shown(rb"evals/s")
        with Terminal([*AGENT, *program]) as alone:
            unwatched = turns.take(alone, pairs // 2)
    yield from turns.figures("watch: tokens/s under mlxtop run over bare", watched, 0.995)
    yield _ratio("  processor time of a token", watched.cost_ratios())
    yield from turns.figures("watch: with the agent alone, nobody watching, over bare", unwatched, 0.995)
    yield _ratio("  processor time of a token", unwatched.cost_ratios())
    if memray:
        yield from _memray(subject("plain", str(steps), *names), memray)


def _ratio(what: str, ratios: Sequence[float]) -> Figure:
    return Figure(what, statistics.median(ratios), "", interval(ratios))


def _memray(plain: list[str], pairs: int) -> Iterator[Figure]:
    """The same generation under memray, with Python's stacks alone and with native ones."""
    with peer("memray") as found, ExitStack() as stack:
        if found is None:
            return
        commands = {"bare": plain}
        for name, native in {"memray": (), "memray --native": ("--native",)}.items():
            output = ("-o", f"{found.folder}/{name.replace(' ', '')}.bin", "--force", "--quiet")
            run = (sys.executable, "-m", "memray", "run", *native, *output, *plain[1:])
            commands[name] = [*found.environment, *run]
        all_ = {name: stack.enter_context(Terminal(command)) for name, command in commands.items()}
        for terminal in [*all_.values()] * turns.WARM_UP:
            terminal.turn()
        speeds = [{name: terminal.turn()["tps"] for name, terminal in all_.items()} for _ in range(pairs)]
    yield _ratio(f"  {found.name} over bare", [told["memray"] / told["bare"] for told in speeds])
    yield _ratio(
        f"  {found.name} --native over bare", [told["memray --native"] / told["bare"] for told in speeds]
    )


if __name__ == "__main__":
    main(measure)
