"""The traces of a checked program: how many buffers there were, and whose they are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote

from mlxtop.check.judgement import Finding, Judgement
from mlxtop.check.observer import Observer
from mlxtop.core.text import one_line
from mlxtop.trace.moments import Moments
from mlxtop.trace.reader import TraceError, TraceFile
from mlxtop.trace.unfreed import unfreed

HOLDERS = 3
"""Operations that are named."""


def count(paths: Sequence[Path], observers: Sequence[Observer]) -> None:
    """Tells observers the most buffers that there were at any moment, between two samples too."""
    for path in paths:
        with _opened(path) as trace:
            if trace is not None:
                # Those for which the trace had no room may have been alive at once.
                most = trace.header.most_buffers + trace.header.lost
                for observer in observers:
                    if observer.session.pid == trace.header.pid:
                        observer.count(most)


def explain(judgement: Judgement, paths: Sequence[Path]) -> tuple[Judgement, list[str]]:
    """The judgement with whose buffers were never freed, and where to see more. Removes all other traces."""
    findings, notes = list(judgement.findings), []
    for path in paths:
        with _opened(path) as trace:
            where = None if trace is None else _index(findings, trace.header.pid)
            if trace is not None and where is not None:
                findings[where] = findings[where]._replace(holders=_holders(trace), held="never freed")
                notes.append(f"see whose buffers they are with: mlxtop trace show {quote(str(path))}")
                continue
        with suppress(OSError):
            path.unlink()
    return Judgement(tuple(findings)), notes


@contextmanager
def _opened(path: Path) -> Iterator[TraceFile | None]:
    """A trace; `None` where it cannot be read."""
    try:
        trace = TraceFile(path)
    except TraceError:
        yield None
        return
    with trace:
        yield trace


def _index(findings: Sequence[Finding], pid: int) -> int | None:
    """Where it is found that the buffers of a process cross their bound."""
    crossed = (
        i for i, one in enumerate(findings) if one.verdict == "crossed" and one.bound.quantity == "buffers"
    )
    return next((i for i in crossed if (process := findings[i].process) and process.pid == pid), None)


def _holders(trace: TraceFile) -> tuple[str, ...]:
    """The operations and lines with the most buffers that were never freed."""
    found = sorted(unfreed(Moments(trace)), key=lambda one: -one.buffers)
    here = f"{Path.cwd()}/"
    texts = (f"{one.buffers:,} of {one.operation} {one.line.removeprefix(here)}" for one in found[:HOLDERS])
    return tuple(one_line(text).rstrip() for text in texts)
