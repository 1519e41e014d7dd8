"""Tokens/s with the dashboard open at defaults in a 120×40 terminal, over plain mlx-lm: the same demo model,
prompt, sampler and number of tokens. Beside it plain mlx-lm over itself, which tells what this machine can
tell apart just now.

All processes are warmed up (the CPU backend compiles its kernels at first use) and then take turns, one
generation each, in the order A B C C B A; whoever has no turn is stopped. A ratio is that of one such turn.
"""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.measure import Figure, Terminal, interval, main, quartiles, subject
from benchmarks.subjects import PROMPT

WARM_UP = 2


def measure(rounds: int = 3, pairs: int = 6, tokens: int = 192, model: str = "") -> Iterator[Figure]:
    """`rounds` of fresh processes, with `pairs` turns of each; `model` is a directory instead of the demo."""
    plain = subject("plain", str(tokens), *([model] if model else []))
    commands = {"plain": plain, "dashboard": _dashboard(tokens, model), "plain again": plain}
    speeds = turns(commands, rounds, pairs)
    yield _ratio("throughput: dashboard over plain mlx-lm, tokens/s", speeds, "dashboard", ("≥", 0.97))
    yield _ratio("  plain mlx-lm over itself", speeds, "plain again")
    for name, values in speeds.items():
        yield Figure(f"  {name}", statistics.median(values), "/s", quartiles(values))


def turns(commands: dict[str, list[str]], rounds: int, pairs: int) -> dict[str, list[float]]:
    """Tokens/s of every turn by name: `rounds` of fresh processes, `pairs` turns of each, there and back."""
    speeds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        with ExitStack() as stack:
            all_ = {name: stack.enter_context(Terminal(command)) for name, command in commands.items()}
            for terminal in [*all_.values()] * WARM_UP:
                terminal.turn()
            for pair in range(pairs):
                for name in all_ if pair % 2 == 0 else reversed(all_):
                    speeds[name].append(all_[name].turn()["tps"])
    return speeds


def _ratio(
    what: str, speeds: dict[str, list[float]], name: str, bar: tuple[str, float] | None = None
) -> Figure:
    ratios = [a / b for a, b in zip(speeds[name], speeds["plain"], strict=True)]
    return Figure(what, statistics.median(ratios), "", interval(ratios), bar)


def _dashboard(tokens: int, model: str) -> list[str]:
    options = ("--workload", "loop", "--prompt", PROMPT, "--repeat", "forever", "--max-tokens", str(tokens))
    return subject("dashboard", "turns", *options, *(("--model", model) if model else ()))


if __name__ == "__main__":
    main(measure)
