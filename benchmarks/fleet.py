"""What the viewer of a fleet uses of a core, in a 160×45 terminal, with 1, 8 and 64 real Python processes
that use MLX a little, each with a real agent at ten samples a second: `mlxtop top`, and `mlxtop run` of the
program that starts them. Then `mlxtop top` with a thousand simulated agents, as of fifty hosts.
Only the viewer's process counts, by the system's count; agents and programs do not.

`mlxtop top` also looks every two seconds for programs without an agent, among all processes of this machine,
and shows whatever else of this user has an agent; `mlxtop run` shows its own alone.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.measure import Figure, Terminal, main, quartiles, subject
from benchmarks.watching import AGENT, Run, own_place, viewer

SIZE = (160, 45)
MOST = 64
MANY, HOSTS, CREWS = 1_000, 50, 4
FIRST = 100_000
"""The first number that stands for a process of the simulated agents."""
SETTLE, SETTLE_MANY = 3.0, 10.0
MIB = 2**20


def measure(windows: int = 6, seconds: float = 5.0) -> Iterator[Figure]:
    """`windows` of `seconds` with each size of fleet."""
    for command, counts in {"top": (1, 8, MOST), "run": (8, MOST)}.items():
        for count in counts:
            with own_place(), ExitStack() as stack:
                screen = _screen(stack, command, count)
                time.sleep(SETTLE)
                shares = [_share(screen, seconds) for _ in range(windows)]
                memory = screen.process.memory_info().rss / MIB
            bar = ("≤", 5.0) if count == MOST else None
            what = f"fleet: share of a core, mlxtop {command}, {count} session{'s' * (count > 1)}"
            yield Figure(what, statistics.median(shares), "%", quartiles(shares), bar)
            yield Figure("  the viewer's memory", memory, "MiB", "")
    with own_place(), ExitStack() as stack:
        screen = _simulated(stack)
        time.sleep(SETTLE_MANY)
        shares = [_share(screen, seconds) for _ in range(windows)]
        memory = screen.process.memory_info().rss / MIB
    what = f"fleet: share of a core, mlxtop top, {MANY:,} simulated sessions"
    yield Figure(what, statistics.median(shares), "%", quartiles(shares), ("≤", 25.0))
    yield Figure("  the viewer's memory", memory, "MiB", "")


def _screen(stack: ExitStack, command: str, count: int) -> Terminal:
    """A viewer that shows all of a fleet of `count`."""
    crew = subject("many_processes", str(count))
    if command == "run":
        screen: Terminal = stack.enter_context(Run(crew, *SIZE))
        pids = screen.hear()["pids"]
    else:
        pids = stack.enter_context(Terminal([*AGENT, *crew], *SIZE)).hear()["pids"]
        screen = stack.enter_context(Terminal(viewer("top"), *SIZE))
    screen.shown(str(pids[0]).encode())
    if count == MOST:
        # They do not fit, and the screen says how many there are: with `top`, perhaps others too.
        screen.shown(rb"of (6[4-9]|[7-9]\d)")
    return screen


def _simulated(stack: ExitStack) -> Terminal:
    """`mlxtop top` of `MANY` agents, which a few processes simulate."""
    each = MANY // CREWS
    for first in range(FIRST, FIRST + MANY, each):
        crew = subject("simulated_agents", str(first), str(each), str(HOSTS))
        stack.enter_context(Terminal(crew)).hear()
    screen = stack.enter_context(Terminal(viewer("top"), *SIZE))
    screen.shown(rb"of \d{4}", timeout=180)
    return screen


def _share(screen: Terminal, seconds: float) -> float:
    """Percent of a core that the viewer's process uses."""
    then, before = time.monotonic(), screen.process.cpu_times()
    time.sleep(seconds)
    after, span = screen.process.cpu_times(), time.monotonic() - then
    return (after.user + after.system - before.user - before.system) / span * 100


if __name__ == "__main__":
    main(measure)
