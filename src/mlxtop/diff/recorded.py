"""A recording as a run."""

from dataclasses import replace
from pathlib import Path

from mlxtop.core.events import TraceStarted
from mlxtop.core.state import State
from mlxtop.diff.facts import of_facts
from mlxtop.diff.measures import TIMED
from mlxtop.diff.run import WHOLE, Part, Run, Value
from mlxtop.diff.sampled import parts
from mlxtop.diff.series import Sampled, of_levels
from mlxtop.recording.export import chunks
from mlxtop.recording.reader import Recording, SessionInfo


def read(path: Path) -> Run:
    """Reads a recording once. Raises `RecordingError`."""
    found = sessions(path)
    return several([run for _, run in found], [label for label, _ in found])


def sessions(path: Path) -> list[tuple[str, Run]]:
    """Each session that held memory, with its rank's name or an empty one. Raises `RecordingError`."""
    recording = Recording(path)
    try:
        return [
            (about.label if about.rank is not None else "", _session(recording, about))
            for about in _used(recording)
        ]
    finally:
        recording.close()


def sampled(path: Path) -> Sampled:
    """The samples of a recording's first session that held memory. Raises `RecordingError`."""
    recording = Recording(path)
    try:
        return _sampled(recording, _used(recording)[0])
    finally:
        recording.close()


def _used(recording: Recording) -> list[SessionInfo]:
    """The sessions in which MLX held memory: a launcher imports MLX, too. All where none did."""
    ends = [(about, recording.last(about.id)) for about in recording.sessions]
    return [about for about, end in ends if end is not None and end.peak > 0] or recording.sessions


def _sampled(recording: Recording, about: SessionInfo) -> Sampled:
    series = of_levels(chunks(recording, about.id), recording.phases(about.id))
    return Sampled(series, recording.events(about.id))


def several(runs: list[Run], labels: list[str]) -> Run:
    """The sessions of one file as one run: of more than one, each names its parts."""
    if len(runs) == 1:
        return runs[0]
    named = [_highest([part for run in runs if (part := run.part(WHOLE)) is not None])]
    for place, (run, label) in enumerate(zip(runs, labels, strict=True), 1):
        name = label or f"process {place}"
        for part in run.parts:
            title = name if part.name == WHOLE else f"{name} {part.name}"
            named.append(Part(title, "phase", part.values, part.missing))
    first = runs[0]
    return replace(
        first,
        seconds=max(run.seconds or 0.0 for run in runs),
        parts=tuple(named),
        traced=any(run.traced for run in runs),
    )


def _highest(parts: list[Part]) -> Part:
    """Of each measure the highest among processes."""
    values: dict[str, Value] = {}
    for part in parts:
        for name, value in part.values.items():
            if name not in TIMED and value.value >= values.get(name, value).value:
                values[name] = value
    missing = {name: why for part in parts for name, why in part.missing.items() if name not in values}
    return Part(WHOLE, "whole", values, {**missing, "steps": "each process has its own"})


def _session(recording: Recording, about: SessionInfo) -> Run:
    series, events = _sampled(recording, about)
    state = State(facts=about.facts)
    for event in events:
        state.apply(event)
    return Run(
        recording.path,
        "recording",
        about.title,
        float(series.time[-1] - series.time[0]) if len(series) else None,
        tuple(parts(series, events)),
        of_facts(state.facts, state.limits, about.command),
        about.steps_are,
        about.footprint_kind,
        any(isinstance(event.data, TraceStarted) for event in events),
    )
