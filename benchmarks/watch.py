"""Tokens/s of plain mlx-lm under `mlxtop run` with the dashboard in a 120×40 terminal, over the same program
bare: the demo model, the same prompt, sampler and number of tokens. Beside it the bare program over itself,
which tells what this machine can tell apart just now, the program with the agent alone and nobody watching,
and the program under memray, which is installed for the occasion and removed again.

As in `throughput`, all processes are warmed up and then take turns, one generation each, in an order drawn
anew each time; whoever has no turn is stopped, a viewer together with its program. A turn lasts about a
second, because a viewer that was stopped has something to catch up with first. A ratio is to the mean of the
two bare turns of that while. memray has rounds of its own beside the bare program, as its turns are long.

Only a machine that does nothing else can tell: where terminals are scheduled as groups (Linux's autogroup), a
program under `mlxtop run` has a group to itself, and on a busy machine that is more of it. The processor time
of a token, the viewer's aside, depends on company less.
"""

import random
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial

from benchmarks.measure import Figure, Terminal, interval, main, quartiles, subject
from benchmarks.peers import peer
from benchmarks.watching import AGENT, Run, own_place

WARM_UP = 2
AGAIN = "bare again"
Start = Callable[[], Terminal]
Speeds = dict[str, list[float]]
ORDER = random.Random(0)


def measure(
    rounds: int = 4, pairs: int = 16, tokens: int = 384, memray: int = 6, model: str = ""
) -> Iterator[Figure]:
    """`rounds` of fresh processes, with `pairs` turns of each; `memray` turns with memray, 0 for none;
    `model` is a directory instead of the demo."""
    plain = subject("plain", str(tokens), *([model] if model else []))
    bare = partial(Terminal, plain)
    starts: dict[str, Start] = {
        "bare": bare,
        "watched": partial(Run, plain),
        AGAIN: bare,
        "agent": partial(Terminal, [*AGENT, *plain]),
    }
    with own_place():
        speeds, costs = _turns(starts, rounds, pairs)
    yield _ratio("watch: tokens/s under mlxtop run over bare", speeds, "watched", ("≥", 0.99))
    yield _ratio("  bare over itself", speeds, AGAIN)
    yield _ratio("  the agent alone, nobody watching, over bare", speeds, "agent")
    yield _ratio("watch: processor time of a token, mlxtop run over bare", costs, "watched")
    yield _ratio("  bare over itself", costs, AGAIN)
    yield _ratio("  the agent alone, nobody watching, over bare", costs, "agent")
    for name, values in speeds.items():
        yield Figure(f"  {name}", statistics.median(values), "/s", quartiles(values))
    if memray:
        yield from _memray(bare, plain, memray)


def _turns(starts: dict[str, Start], rounds: int, pairs: int) -> tuple[Speeds, Speeds]:
    """Tokens/s, and the program's processor time of a token in ms, of every turn by name."""
    speeds: Speeds = {name: [] for name in starts}
    costs: Speeds = {name: [] for name in starts}
    for _ in range(rounds):
        with ExitStack() as stack:
            all_ = {name: stack.enter_context(start()) for name, start in starts.items()}
            for terminal in [*all_.values()] * WARM_UP:
                terminal.turn()
            # That the dashboard is there, and has the program's counters.
            if "watched" in all_:
                all_["watched"].shown(rb"evals/s")
            for _ in range(pairs):
                for name in ORDER.sample(list(all_), len(all_)):
                    before = _cpu(all_[name])
                    told = all_[name].turn()
                    speeds[name].append(told["tps"])
                    costs[name].append((_cpu(all_[name]) - before) / told["tokens"] * 1000)
    return speeds, costs


def _cpu(terminal: Terminal) -> float:
    """Seconds of processor time that the program has used; a viewer is not the program."""
    program = terminal.process.children()[0] if isinstance(terminal, Run) else terminal.process
    times = program.cpu_times()
    return times.user + times.system


def _ratio(what: str, speeds: Speeds, name: str, bar: tuple[str, float] | None = None) -> Figure:
    # Two bare turns say better than one how fast the machine was in that while.
    base = [speeds["bare"]] if name == AGAIN or AGAIN not in speeds else [speeds["bare"], speeds[AGAIN]]
    ratios = [a / statistics.mean(b) for a, *b in zip(speeds[name], *base, strict=True)]
    return Figure(what, statistics.median(ratios), "", interval(ratios), bar)


def _memray(bare: Start, plain: Sequence[str], pairs: int) -> Iterator[Figure]:
    """The same generation under memray, with Python's stacks alone and with native ones."""
    with peer("memray") as found:
        if found is None:
            return
        starts: dict[str, Start] = {"bare": bare}
        for name, native in {"memray": (), "memray --native": ("--native",)}.items():
            output = ("-o", f"{found.folder}/{name.replace(' ', '')}.bin", "--force", "--quiet")
            run = (sys.executable, "-m", "memray", "run", *native, *output, *plain[1:])
            starts[name] = partial(Terminal, [*found.environment, *run])
        speeds, _ = _turns(starts, 1, pairs)
    yield _ratio(f"  {found.name} over bare", speeds, "memray")
    yield _ratio(f"  {found.name} --native over bare", speeds, "memray --native")


if __name__ == "__main__":
    main(measure)
