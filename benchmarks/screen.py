"""What the dashboard's own threads cost at 160×45 while the demo decodes, at the default refresh: with a
minute and with a day of samples behind it, in turns in one process. Beside it, in the same run, Textual's own
parts showing as much, and btop and htop where they are installed."""

import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Figure, Terminal, interval, main, quartiles, subject

SIZE = (160, 45)
BEAT = 0.5
"""Seconds between pictures of btop and htop: as often as the dashboard paints all of itself."""


def measure(rounds: int = 8, seconds: float = 3.0) -> Iterator[Figure]:
    """`rounds` times: minute, day, Textual's parts, btop, htop, for `seconds` each."""
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    shares: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        ours = stack.enter_context(Terminal(subject("long_run", str(seconds)), *SIZE))
        naive = stack.enter_context(Terminal(subject("naive", str(seconds)), *SIZE))
        folder = stack.enter_context(TemporaryDirectory())
        others = {
            name: stack.enter_context(Terminal(command, *SIZE))
            for name, command in _others(Path(folder)).items()
            if shutil.which(name)
        }
        # The first turn of each, which began by itself, is warming up.
        for terminal in (ours, ours, naive):
            terminal.turn()
        for _ in range(rounds):
            for terminal in (ours, ours, naive):
                told = terminal.turn()
                found[told.pop("past")].append(told)
            for name, terminal in others.items():
                shares[name].append(_share(terminal, seconds))
    yield from _figures(found, shares)


def _others(folder: Path) -> dict[str, list[str]]:
    """btop reads how often it paints from a file in `folder`."""
    path = folder / "btop" / "btop.conf"
    path.parent.mkdir()
    path.write_text(f"update_ms = {BEAT * 1000:.0f}\n")
    return {
        "btop": ["env", f"XDG_CONFIG_HOME={folder}", "btop"],
        "htop": ["htop", "-d", f"{BEAT * 10:.0f}"],
    }


def _figures(found: dict[str, list[dict[str, float]]], shares: dict[str, list[float]]) -> Iterator[Figure]:
    def series(past: str, name: str) -> list[float]:
        return [told[name] for told in found[past]]

    def figure(what: str, values: list[float], unit: str, most: float | None = None) -> Figure:
        bar = ("≤", most) if most is not None else None
        return Figure(what, statistics.median(values), unit, quartiles(values), bar)

    yield figure("screen: share of one core, 160×45, decoding", series("minute", "share"), "%", 1.5)
    yield figure("  the same by the system's count", series("minute", "system_share"), "%")
    yield figure("screen: processor time of a frame", series("minute", "frame"), "ms", 4)
    yield figure("  frames drawn", series("minute", "frames"), "/s")
    ratios = [a / b for a, b in zip(series("day", "frame"), series("minute", "frame"), strict=True)]
    yield Figure(
        "screen: after a day over after a minute", statistics.median(ratios), "", interval(ratios), ("≤", 1.2)
    )
    yield figure("  four Sparklines and eight Statics: share of one core", series("naive", "share"), "%")
    yield figure("  four Sparklines and eight Statics: a frame", series("naive", "frame"), "ms")
    for name, values in shares.items():
        yield figure(f"  {name}, every {BEAT:g} s: share of one core", values, "%")


def _share(terminal: Terminal, seconds: float) -> float:
    """What a program that knows nothing of us uses of a core, in percent."""
    terminal.go()
    time.sleep(1)
    then, before = time.monotonic(), terminal.process.cpu_times()
    time.sleep(seconds)
    after, span = terminal.process.cpu_times(), time.monotonic() - then
    terminal.stop()
    return (after.user + after.system - before.user - before.system) / span * 100


if __name__ == "__main__":
    main(measure)
