"""How long attaching takes, and how long the program that is attached to stands still meanwhile.

By gdb (left out where there is none): each time a fresh program, at rest in a sleep or decoding. By its
socket: the same program once more, which has its agent by then. The time is that of `session.attach`, from
being asked for a process to connected; and of the whole command `mlxtop attach` to a program with an agent,
from its start to its first frame with the program's figures. Standing still is the largest gap between two
beats of a thread that beats every millisecond; beside it the same program's over as long a while in which
nobody attaches.
"""

import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator

from benchmarks.measure import Figure, Terminal, main, subject, tail
from benchmarks.watching import AGENT, own_place, viewer
from mlxtop.sessions.attach import attach

WAYS = {"debugger": "gdb", "socket": "its socket"}
STATES = {"rest": "at rest", "decode": "decoding"}
SETTLE = 1.0


def measure(programs: int = 8) -> Iterator[Figure]:
    """`programs` of each kind, each attached to in both ways."""
    debugger = shutil.which("gdb") is not None
    for state, words in STATES.items():
        found: dict[str, list[float]] = defaultdict(list)
        with own_place():
            for _ in range(programs):
                _attach(state, debugger, found)
        for way, name in WAYS.items():
            if way in found:
                yield from _figures(f"attach by {name}, {words}", found, way)


def _figures(what: str, found: dict[str, list[float]], way: str) -> Iterator[Figure]:
    for key, words, unit in (
        (way, f"{what}: until connected", "s"),
        (f"{way} command", "  the whole command, to its first figures", "s"),
        (f"{way} gap", "  the program stood still for at most", "ms"),
        (f"{way} usual", "  as long a while without attaching", "ms"),
    ):
        if found[key]:
            yield Figure(words, statistics.median(found[key]), unit, tail(found[key]))


def _attach(state: str, debugger: bool, found: dict[str, list[float]]) -> None:
    """One program: by the debugger, which leaves an agent in it, then by the socket of that agent."""
    command = subject("gap_monitor", state)
    with Terminal(command if debugger else [*AGENT, *command]) as heart:
        pid = heart.hear()["pid"]
        time.sleep(SETTLE)
        for way in ("debugger", "socket") if debugger else ("socket",):
            _gap(heart)
            began = time.monotonic()
            fleet = attach([str(pid)])
            span = time.monotonic() - began
            found[f"{way} gap"].append(_gap(heart))
            fleet.stop()
            time.sleep(max(span, 0.1))
            found[f"{way} usual"].append(_gap(heart))
            found[way].append(span)
        with Terminal(viewer("attach", str(pid))) as screen:
            found["socket command"].append(screen.shown(rb"evals/s") - screen.began)


def _gap(heart: Terminal) -> float:
    """The largest gap between two beats since this was last asked, in ms."""
    heart.type("\n")
    return float(heart.hear()["gap"])


if __name__ == "__main__":
    main(measure)
