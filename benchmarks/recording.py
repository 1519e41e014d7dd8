"""What a recording costs while it is written, at 10 and at 100 samples a second of a program that is never at
rest: bytes of the file a sample, and the share of a core that the recorder's thread takes in real time. Then
how long one of ten million samples takes to open, and to show at every zoom: its columns alone, and the whole
picture in a 120×40 terminal."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.recording import big
from tests.recording.source import busy_run, record

from benchmarks.measure import MLXTOP, Figure, Terminal, main, quartiles, subject, tail
from mlxtop.core.units import format_span
from mlxtop.sessions.replay import ReplayFleet
from mlxtop.tui.charts.timeaxis import WIDTHS, TimeAxis

BYTES, SHARE, OPEN, VIEW = ("≤", 24.0), ("≤", 1.0), ("≤", 0.3), ("≤", 100.0)
COLUMNS = 160
RATE = 100


def measure(
    minutes: int = 10, windows: int = 6, seconds: float = 10.0, samples: int = 10_002_000
) -> Iterator[Figure]:
    """Files of `minutes`; the recorder's thread over `windows` of `seconds` each; a recording of `samples`, a
    multiple of 6,000."""
    with tempfile.TemporaryDirectory() as name:
        for rate in (10, RATE):
            yield _size(Path(name, f"{rate}.mlxtop"), rate, minutes * 60)
        yield from _written(Path(name, "live.mlxtop"), windows, seconds)
        big.write(path := Path(name, "big.mlxtop"), samples)
        yield from _read(path, samples / 1e6)
        yield from _shown(path, samples / 1e6)


def _size(path: Path, rate: int, seconds: int) -> Figure:
    record(path, busy_run(rate, seconds), every=rate)
    size = path.stat().st_size
    spread = f"{size / seconds * 86_400 / 1e6:,.0f} MB a day, of {seconds // 60} min"
    bar = BYTES if rate == RATE else None
    return Figure(f"recording: a sample in the file, {rate} Hz", size / (rate * seconds), "B", spread, bar)


def _written(path: Path, windows: int, seconds: float) -> Iterator[Figure]:
    with Terminal(subject("recording", str(path), str(RATE), str(seconds))) as terminal:
        # The first is not counted: blocks are merged once a minute, and all windows together see that.
        told = [terminal.hear() for _ in range(windows + 1)][1:]
    shares = [one["share"] for one in told]
    yield Figure(
        f"recording: share of a core, {RATE} Hz", statistics.mean(shares), "%", quartiles(shares), SHARE
    )
    yield Figure(
        "  a sink, in the thread that samples", statistics.median(one["sink"] for one in told), "µs", ""
    )


def _read(path: Path, millions: float) -> Iterator[Figure]:
    spans = []
    for _ in range(10):
        began = time.perf_counter()
        fleet = ReplayFleet(path)
        (member,) = fleet.members()
        member.history.columns(_start(member.now(), 0.5), 0.5, COLUMNS)
        spans.append(time.perf_counter() - began)
        fleet.recording.close()
    what = f"recording: {millions:.0f} million samples to the first columns"
    yield Figure(what, statistics.median(spans), "s", tail(spans), OPEN)
    fleet = ReplayFleet(path)
    (member,) = fleet.members()
    whole = member.now()
    views: dict[float, list[float]] = {}
    for width in WIDTHS:
        for place in range(1, 21):
            start = _start(whole * place / 20, width)
            # A new place, then a step aside: a zoom or a jump, and a pan.
            for at in (start, start - 10 * width):
                began = time.perf_counter()
                member.history.columns(at, width, COLUMNS)
                views.setdefault(width, []).append((time.perf_counter() - began) * 1e3)
    slowest = max(views, key=lambda width: statistics.median(views[width]))
    every = [span for spans in views.values() for span in spans]
    yield Figure(
        "recording: a view after a key, slowest zoom",
        statistics.median(views[slowest]),
        "ms",
        tail(every),
        VIEW,
    )
    for width, spans in views.items():
        yield Figure(f"  columns of {width:g} s", statistics.median(spans), "ms", tail(spans))
    fleet.recording.close()


def _shown(path: Path, millions: float, starts: int = 5) -> Iterator[Figure]:
    """From the command to the first picture, and from a key that zooms to the picture of that zoom."""
    first, zooms = [], []
    for _ in range(starts):
        with Terminal([MLXTOP, "replay", str(path)]) as terminal:
            first.append(terminal.shown(b" a column") - terminal.began)
            time.sleep(0.5)
            at = WIDTHS.index(TimeAxis().width)
            for key in "-" * (len(WIDTHS) - 1 - at) + "+" * (len(WIDTHS) - 1):
                at += 1 if key == "-" else -1
                written, pressed = terminal.type(key)
                answer = f" {format_span(WIDTHS[at])} a column".encode()
                zooms.append((terminal.shown(answer, written) - pressed) * 1e3)
                time.sleep(0.2)
    what = f"recording: {millions:.0f} million samples to the first picture"
    yield Figure(what, statistics.median(first), "s", tail(first), OPEN)
    yield Figure("recording: a zoom on the screen", statistics.median(zooms), "ms", tail(zooms), VIEW)


def _start(end: float, width: float) -> float:
    """Where a view begins that ends at `end`."""
    return max(0.0, (end // width - COLUMNS + 1) * width)


if __name__ == "__main__":
    main(measure)
