"""The trace of a real run as a recording, written by the recorder as any session is."""

import json
from collections.abc import Sequence
from pathlib import Path

from mlxtop.core.events import Event
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.recording.recorder import Recorder
from tests.recording.source import event_data
from tests.tui.recorded import TRACE, RecordedSession

STARTED = 1_790_000_000.0


def record(
    path: Path, until: float = 26.0, text: bool = True, more: Sequence[Event] = (), **values: int
) -> Path:
    """Records the trace up to `until` seconds, and `more` events, into `path`; returns it. Samples have `values`."""
    session = RecordedSession(until)
    recorder = Recorder(path, text)
    sink = recorder.add(session, ["mlxtop"], started=STARTED, pid=4242, label="4242")
    for line in map(json.loads, TRACE.read_text().splitlines()):
        kind, time = line.pop("type"), line.pop("time", 0.0)
        if time > until:
            continue
        if kind == "sample":
            line["phase"] = session.phases.index(line["phase"])
            sink(
                Sample(
                    time, *(UNKNOWN if line.get(name) is None else line[name] for name in Sample._fields[1:])
                )._replace(**values)
            )
        elif kind == "event":
            sink(Event(time, event_data(line.pop("kind"), line)))
    for event in more:
        sink(event)
    recorder.start()
    recorder.stop()
    return path
