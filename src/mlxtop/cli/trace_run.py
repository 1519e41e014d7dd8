"""`mlxtop trace -- COMMAND`: a program that is traced from MLX's import on, without a screen."""

import time
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import NoReturn

from mlxtop.cli.foreground import Foreground
from mlxtop.cli.hard_exit import hard_exit, show, tell
from mlxtop.cli.run import FORWARDED
from mlxtop.cli.signals import catch
from mlxtop.core.errors import UsageError
from mlxtop.core.events import ErrorRaised, Event, TraceStarted
from mlxtop.core.sample import Sample
from mlxtop.core.text import one_line
from mlxtop.core.units import format_size
from mlxtop.mlx import trace_files
from mlxtop.mlx.trace import native
from mlxtop.sessions.remote import RemoteSession
from mlxtop.sessions.run_fleet import RunFleet
from mlxtop.trace import layout
from mlxtop.trace.composition import Part, by_line, by_operation
from mlxtop.trace.moments import Moments
from mlxtop.trace.reader import TraceError, TraceFile

TOLD = 3
"""Operations that the summary names."""


def request(file: Path | None, events: int | None = None, min_size: int = 0, layers: bool = False) -> str:
    """What `ipc.environment.TRACE` is to say for a trace into `file`, or into one of its own.

    Raises `UsageError` where no trace could be written.
    """
    path = make_room(Path(trace_files.new()) if file is None else file)
    words = [f"events={events}"] if events is not None else []
    words += [f"min_size={min_size}"] if min_size else []
    words += ["layers=1"] if layers else []
    return " ".join([*words, str(path)])


def make_room(file: Path) -> Path:
    """The whole path of a file for a trace. Removes an earlier trace there.

    Raises `UsageError` where the folder takes no file, and where a file is there that is no trace.
    """
    path = file.absolute()
    try:
        _remove_trace(path)
    except OSError as error:
        raise UsageError(
            f"{one_line(str(path))} cannot be written: {error.strerror}. Give another file for the trace."
        ) from error
    return path


def _remove_trace(path: Path) -> None:
    if path.exists():
        with path.open("rb") as old:
            if old.read(len(layout.MAGIC)) != layout.MAGIC:
                raise UsageError(f"{one_line(str(path))} is no trace, and stays: give another file.")
    # As the program will: only whoever can make a file there can trace into it.
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.unlink()


def run_traced(command: Sequence[str], trace: str) -> NoReturn:
    """Runs a program with the trace that `request` returned, and ends with its exit code.

    The program has the terminal. At the end a summary of each trace is printed.
    """
    foreground, began = Foreground(), time.time()
    absent = native.load() is None
    if absent:
        tell(f"{native.ABSENT} The program runs without a trace.")

    program = foreground.start(command, None if absent else trace)
    sessions: list[RemoteSession] = []

    def joined(session: RemoteSession) -> None:
        sessions.append(session)
        session.subscribe(_tell_refusal)

    fleet = RunFleet(program, joined)
    catch(lambda number, _frame: program.signal(number), FORWARDED)
    fleet.start()
    foreground.wait(program)
    foreground.back()
    fleet.settle()
    told = [
        Path(event.data.path)
        for session in sessions
        for event in session.timeline.between(TraceStarted, 0.0, session.now())
    ]
    text = summary(files(trace, told, began))
    show(f"{text}\n" if text else f"mlxtop: {fleet.status()}\n" if not sessions else "")
    hard_exit(program.exit_code)


def _tell_refusal(item: Event | Sample) -> None:
    if isinstance(item, Event) and isinstance(item.data, ErrorRaised):
        if item.data.phase == "trace":
            tell(f"{item.data.message} The program runs without a trace.")
        elif item.data.phase == "layers":
            tell(item.data.message)


def _path(trace: str) -> Path:
    """The file of what `request` returned."""
    return Path(trace[trace.index("/") :])


def files(trace: str, told: Sequence[Path], began: float) -> list[Path]:
    """The traces of a run that `began` then, asked for as `trace`: those that agents told of, and those of
    processes that were over too soon.
    """
    path = _path(trace)
    beside = path.parent.glob(f"{path.stem}-*{path.suffix}")
    return [one for one in dict.fromkeys([*told, path, *beside]) if _is_of_this_run(one, began)]


def _is_of_this_run(path: Path, began: float) -> bool:
    try:
        with TraceFile(path) as trace:
            return trace.header.origin_wall_ns >= began * 1e9
    except TraceError:
        return False


def summary(files: Sequence[Path]) -> str:
    """What each trace says in a few lines, the highest peak first. One without an allocation is removed."""
    found: list[tuple[int, str]] = []
    for path in files:
        try:
            with TraceFile(path) as trace:
                if not trace.header.allocations and not trace.header.peak:
                    # As of `mlx.launch`, which imports MLX and never uses it.
                    path.unlink(missing_ok=True)
                    continue
                found.append((trace.header.peak, _describe(trace)))
        except TraceError as error:
            tell(str(error))
    return "\n".join(text for _, text in sorted(found, reverse=True))


def _describe(trace: TraceFile) -> str:
    moments = Moments(trace)
    header, peak = moments.header, moments.peak
    rows = [("peak", f"{format_size(header.peak)} in process {header.pid}")]
    if peak is not None and peak.total:
        operations, lines = by_operation(peak, moments.sites), by_line(peak, moments.sites)
        rows += [("made by", _shares(operations, peak.total)), ("at", _shares(lines[:1], peak.total))]
    least = "at least " if header.lost or header.before > 0 else ""
    alive = f"{least}{moments.now.count:,} buffers, {format_size(header.active)}"
    rows += [("not freed", alive), ("trace", one_line(str(trace.path)))]
    rows += [("see it", f"mlxtop trace show {quote(one_line(str(trace.path)))}")]
    return "\n".join(f"mlxtop: {name:<9} {text}" for name, text in rows)


def _shares(parts: Sequence[Part], total: int) -> str:
    told = [part for part in parts[:TOLD] if part.bytes >= total / 100]
    return ", ".join(f"{one_line(part.name)} {100 * part.bytes / total:.0f} %" for part in told)
