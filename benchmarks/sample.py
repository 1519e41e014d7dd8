"""What a sample costs from MLX's counters to the history, beside one of Stormlog's MLX tracker, and whether
1,000 a second hold while the demo decodes: ticks that came before the next was due, and the sampler thread's
share of a core. Beside it the same with MLX at rest, which says what this machine allows just now, and with
the dashboard open."""

import statistics
from collections.abc import Iterator, Sequence

from benchmarks.measure import Figure, Terminal, main, quartiles, subject
from benchmarks.peers import peer

ON_TIME, SHARE = ("≥", 99.0), ("≤", 5.0)
COMPANY = {"decode": "decoding", "rest": "MLX at rest", "screen": "decoding, dashboard at 120×40"}


def measure(batches: int = 20, windows: int = 6, seconds: float = 1.0) -> Iterator[Figure]:
    """`batches` of 10,000 samples; then `windows` of `seconds` at 1,000 Hz in each company."""
    costs = _told(batches, "sampling", "path")["cost"]
    yield _figure("sample: from counter to history", costs, "µs", ("≤", 5))
    with peer("stormlog") as found:
        if found is not None:
            theirs = _told(batches, "stormlog", before=found.environment)["cost"]
            yield _figure(f"  {found.name}, its MLX tracker", theirs, "µs")
    for company, words in COMPANY.items():
        told, held = _told(windows, "sampling", company, str(seconds)), company == "decode"
        yield _figure(f"sample: 1,000 Hz on time, {words}", told["on_time"], "%", ON_TIME if held else None)
        yield _figure("  share of a core", told["share"], "%", SHARE if held else None)
        yield _figure("  a tick, waking up and all", told["tick"], "µs")


def _told(times: int, *words: str, before: Sequence[str] = ()) -> dict[str, list[float]]:
    """What the subject tells `times` over, by name; the first, while it warms up, is not counted."""
    with Terminal([*before, *subject(*words)]) as terminal:
        told = [terminal.hear() for _ in range(times + 1)][1:]
    return {name: [one[name] for one in told] for name in told[0]}


def _figure(what: str, values: list[float], unit: str, bar: tuple[str, float] | None = None) -> Figure:
    return Figure(what, statistics.median(values), unit, quartiles(values), bar)


if __name__ == "__main__":
    main(measure)
