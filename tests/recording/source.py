"""Sessions to record, real and made up, and a recorder that a test moves from commit to commit."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlxtop.core.commands import Command, RecordEvent
from mlxtop.core.event_json import from_json
from mlxtop.core.events import Event, EventData, WarningChanged
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.state import State
from mlxtop.core.transcript import Transcript
from mlxtop.recording.reader import Recording
from mlxtop.recording.recorder import Recorder

TRACE = Path(__file__).parents[1] / "tui/trace.jsonl"
PATIENCE = 30.0
PAGE = 4096
Item = Event | Sample


class Session:
    """A session with nothing behind it: it remembers what it is told."""

    steps_are = "tokens"
    footprint_kind = "RSS"

    def __init__(self, title: str = "demo", interval: float = 0.1) -> None:
        self.title = title
        self.interval = interval
        self.phases = ["start"]
        self.state = State()
        self.transcript = Transcript()
        self.warnings: list[str | None] = []
        self.clock = 0.0

    def now(self) -> float:
        return self.clock

    def submit(self, command: Command) -> int:
        assert isinstance(command, RecordEvent)
        assert isinstance(command.data, WarningChanged)
        self.warnings.append(command.data.message)
        return 0

    @property
    def log(self) -> list[str]:
        return [line.text for line in self.transcript.since(0) if line.who == "log"]


def real_run(session: Session) -> list[Item]:
    """What a real run of the demo told, in order; `session` gets its phases and facts."""
    items: list[Item] = []
    for line in map(json.loads, TRACE.read_text().splitlines()):
        at = line.pop("time", 0.0)
        match line.pop("type"):
            case "sample":
                if line["phase"] not in session.phases:
                    session.phases.append(line["phase"])
                line["phase"] = session.phases.index(line["phase"])
                values = (UNKNOWN if line.get(name) is None else line[name] for name in Sample._fields[1:])
                items.append(Sample(at, *values))
            case "event":
                event = Event(at, event_data(line.pop("kind"), line))
                session.state.apply(event)
                items.append(event)
    return items


def event_data(kind: str, fields: object) -> EventData:
    """The data of an event that is one."""
    found = from_json(kind, fields)
    assert found is not None
    return found


def busy_run(rate: float, seconds: float, seed: int = 0) -> Iterator[Sample]:
    """A program that is never at rest: every sample finds other sizes, a token or two more, and was a little late.

    Of the demo on a CPU, half of the samples are equal to the one before.
    """
    chance = random.Random(seed)
    weights, active, cache, peak, footprint = 2**32, 2**32, 0, 2**32, 2**29
    kv, tokens, decode, phase = 0, 0, 0.0, 0
    for n in range(round(rate * seconds)):
        if n % round(rate * 5) == 0:
            phase, kv = 1, 0  # a prompt of many distinct shapes
        elif n % round(rate) == 0:
            phase, footprint = 2, footprint + chance.randrange(-40, 44) * PAGE
        if phase == 2:
            steps = chance.choice((1, 1, 1, 2)) if rate > 50 else chance.choice((14, 15, 16))
            tokens += steps
            decode += steps * chance.gauss(7_000, 150)
            kv += 2**21 if tokens % 256 == 0 else 0
        active = weights + kv + chance.randrange(2**8) * (2**18 if phase == 1 else PAGE)
        cache = min(max(0, cache + chance.randrange(-200, 210) * PAGE), 2**31)
        peak = max(peak, active)
        when = round(n / rate + chance.uniform(0, 3e-4), 6)
        yield Sample(when, active, cache, peak, active + cache, footprint, tokens, tokens, round(decode), phase, weights, kv)  # fmt: skip


def commit(recorder: Recorder, items: Iterable[Item], put: Callable[[Item], None]) -> None:
    """What the recorder's thread does once a second, now and on this thread."""
    for item in items:
        put(item)
    recorder._collect()
    recorder._commit()


def end(recorder: Recorder) -> None:
    """What the recorder's thread does when it is told to stop, on this thread."""
    recorder._stopping.set()
    recorder.run()


def let_go(recorder: Recorder) -> None:
    """Closes the file as it is, with no last commit."""
    recorder._database.close()


def add(recorder: Recorder, session: Session, **about: Any) -> Callable[[Item], None]:
    return recorder.add(session, ["mlxtop", "--model", session.title], started=1_700_000_000.5, **about)


def record(path: Path, items: Iterable[Item], every: int = 100, session: Session | None = None) -> None:
    """A whole recording, `every` so many items to a commit, stopped cleanly."""
    recorder = Recorder(path)
    put = add(recorder, session or Session())
    items = list(items)
    for i in range(0, len(items), every):
        commit(recorder, items[i : i + every], put)
    end(recorder)


@contextmanager
def recording(path: Path, **options: Any) -> Iterator[Recorder]:
    """A recorder on its own thread, as in production."""
    recorder = Recorder(path, **options)
    recorder.start()
    try:
        yield recorder
    finally:
        recorder.stop(PATIENCE)
        assert not recorder.is_alive()


def samples_of(path: Path) -> list[Sample]:
    """All samples of the first session."""
    read = Recording(path)
    found = list(read.samples(1))
    assert read.damaged == 0
    read.close()
    return found


def until(what: Callable[[], Any]) -> Any:
    """Asks `what` until the answer is true, and returns it."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := what()):
        assert time.monotonic() < deadline, f"still {answer!r} after {PATIENCE:g} s"
        threading.Event().wait(0.005)
    return answer
