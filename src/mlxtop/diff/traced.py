"""A trace as a run: what was alive at the peak, by operation and by line, and what a step allocates."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from mlxtop.core.facts import Facts
from mlxtop.core.text import one_line
from mlxtop.diff.facts import of_facts
from mlxtop.diff.run import WHOLE, Part, PartKind, Run, Value
from mlxtop.diff.sampled import own
from mlxtop.trace.churn import Churn, churn
from mlxtop.trace.composition import Part as Alive
from mlxtop.trace.composition import by_line, by_operation
from mlxtop.trace.moments import Moments
from mlxtop.trace.reader import TraceFile

LEAST, SHARE = 64 * 1024, 0.01
"""What an operation or a line has more at the peak counts from so many bytes, and from this share of the
peak: threads free a little earlier or later."""
CHURN = 0.02
"""The share by which what a step allocates varies: the file holds other steps."""
BACKENDS = {"cpu": "CPU", "metal": "Metal", "cuda": "CUDA"}
"""As a session's facts have it."""
NO_STEP = "its events hold no whole step"


def read(path: Path) -> Run:
    """Reads a trace. Raises `TraceError`."""
    with TraceFile(path) as opened:
        moments = Moments(opened)
    header, made = moments.header, churn(moments)
    return Run(
        path,
        "trace",
        " ".join(header.command[:2]),
        header.since_origin(moments.last_ns),
        tuple(_parts(moments, made)),
        of_facts(_facts(header.backend), {}, header.command),
    )


def _facts(backend: str) -> Facts:
    """MLX's version and backend, which a trace has in one text."""
    version, _, name = one_line(backend).partition(" ")
    return Facts(mlx=version, backend=BACKENDS.get(name, name))


def _parts(moments: Moments, made: Churn | None) -> Iterator[Part]:
    header, peak = moments.header, moments.peak
    values = {"peak": Value(header.peak, own("true", header.peak))}
    missing = {}
    if peak is not None:
        values["buffers"] = _count(peak.count)
    if made is None:
        missing["churn"] = NO_STEP
    else:
        values["churn"] = _churn(sum(part.bytes for part in made.operations) / made.steps)
    yield Part(WHOLE, "whole", values, missing)
    if peak is None:
        return
    each = {part.name: part.bytes / made.steps for part in made.operations} if made else {}
    noise = max(LEAST, SHARE * header.peak)
    yield from _named("operation", by_operation(peak, moments.sites), noise, each)
    yield from _named("line", _short(by_line(peak, moments.sites)), noise, {})


def _named(kind: PartKind, alive: Iterable[Alive], noise: float, made: dict[str, float]) -> Iterator[Part]:
    found = {part.name: part for part in alive}
    for name in dict.fromkeys((*found, *made)):
        part = found.get(name, Alive(name, 0, 0))
        values = {"live": Value(part.bytes, noise), "buffers": _count(part.buffers)}
        if name in made:
            values["churn"] = _churn(made[name])
        yield Part(one_line(name), kind, values)


def _short(lines: Iterable[Alive]) -> list[Alive]:
    """Lines by the last folder and the file: both traces may be of different places."""
    sums: dict[str, Alive] = {}
    for line in lines:
        name = "/".join(line.name.replace("\\", "/").split("/")[-2:])
        known = sums.get(name, Alive(name, 0, 0))
        sums[name] = Alive(name, known.bytes + line.bytes, known.buffers + line.buffers)
    return list(sums.values())


def _count(buffers: int) -> Value:
    return Value(buffers, max(16, SHARE * buffers))


def _churn(size: float) -> Value:
    return Value(size, max(LEAST, CHURN * size))
