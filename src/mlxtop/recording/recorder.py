"""Writes sessions to a file while they run, on its own thread. Its failures do not affect the sessions."""

import errno
import json
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from operator import sub
from pathlib import Path
from typing import Any, Protocol

from mlxtop import __version__
from mlxtop.core.commands import Command, RecordEvent
from mlxtop.core.event_json import to_json
from mlxtop.core.events import PASSING, Event, PhaseChanged, SessionEnded, WarningChanged
from mlxtop.core.resample import Row
from mlxtop.core.sample import Sample
from mlxtop.core.state import State
from mlxtop.core.transcript import Transcript
from mlxtop.recording import codec, schema
from mlxtop.recording.errors import RecordingError
from mlxtop.recording.rollup import LEVELS, PLAIN, plain, roll, row
from mlxtop.system import self_usage

COMMIT_EVERY = 0.4
"""Seconds between commits. A kill loses at most this much, and what an agent has not sent yet."""
MERGE_ROWS = 6_000
MERGE_SECONDS = 60.0
"""The blocks of single commits are merged after this many rows or seconds."""
LEVEL_ROWS = 60
"""Buckets of a level in one block."""
RETRY_EVERY = 5.0
"""Seconds between attempts while the file cannot be written."""
KEPT_SECONDS = 600.0
"""Seconds of samples kept in memory while the file cannot be written."""
Item = Event | Sample


class Source(Protocol):
    """The part of `sessions.session.Session` that the recorder needs."""

    title: str
    interval: float
    phases: list[str]
    steps_are: str
    footprint_kind: str

    @property
    def state(self) -> State: ...

    @property
    def transcript(self) -> Transcript: ...

    def now(self) -> float: ...

    def submit(self, command: Command) -> int:
        """Takes the warning that the recording has a problem."""


@dataclass
class _Written:
    """How much of a session is in the file. A failed commit leaves it unchanged."""

    phases: int = 0
    text: int = 0
    until: float | None = None
    """The time of the last sample."""
    after: float | None = None
    """The time of the last sample before the blocks that are not merged yet."""
    samples: list[Sample] = field(default_factory=list)
    """The samples of the blocks that are not merged yet."""
    begun: dict[int, Row] = field(default_factory=dict)
    """The unfinished bucket of each level."""
    buckets: dict[int, list[Row]] = field(default_factory=dict)
    """The finished buckets of each level that are not in a block yet."""
    ends: dict[int, float] = field(default_factory=dict)
    """The time of the last bucket of each level that is in a block."""

    def copy(self) -> "_Written":
        buckets = {level: list(rows) for level, rows in self.buckets.items()}
        return replace(
            self, samples=list(self.samples), begun=dict(self.begun), buckets=buckets, ends=dict(self.ends)
        )


class _Track:
    """One recorded session, and what is not written of it yet."""

    def __init__(self, number: int, session: Source, about: dict[str, Any]) -> None:
        self.number = number
        self.session = session
        self.about = about
        self.written = _Written()
        self.waiting: deque[Item] = deque()
        """Items that are not committed yet."""
        self.begun = False
        """Whether the session is in the file."""
        self.over = False
        """Whether the session's end was reported."""

    def add(self, item: Item) -> None:
        if isinstance(item, Event) and isinstance(item.data, PASSING):
            return
        self.waiting.append(item)
        if isinstance(item, Event) and isinstance(item.data, PhaseChanged):
            self.over = item.data.phase == "ended"

    def end(self, cause: str) -> None:
        if not self.over:
            self.add(Event(self.session.now(), SessionEnded(cause)))


class Recorder(threading.Thread):
    """Records sessions to `path`. `add` a session, send its samples and events to the result, then `stop`.

    Prompts, replies and output are recorded only with `text`. Raises `RecordingError` if `path` cannot be
    created.
    """

    def __init__(self, path: Path, text: bool = False) -> None:
        super().__init__(name="mlxtop-recorder", daemon=True)
        self.path = path
        self.problem: str | None = None
        """Why and since when nothing is recorded; `None` if there is no problem."""
        self.size = 0
        """The size of the file in bytes."""
        self._text = text
        self._tracks: list[_Track] = []
        self._inbox: queue.SimpleQueue[tuple[int, Item]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._retry_at = 0.0
        self._lost = 0
        self._cause = ""
        self._gaps: list[str] = []
        """Losses that are final, one sentence each."""
        try:
            self._database = self._open()
        except FileExistsError as error:
            why = f"{path} exists already: choose another name with --record, or remove it first."
            raise RecordingError(why) from error
        except (OSError, sqlite3.Error) as error:
            why = f"{path} cannot be written: {_cause(error)}; choose another path with --record."
            raise RecordingError(why) from error

    def add(self, session: Source, command: list[str], **about: Any) -> Callable[[Item], None]:
        """Begins to record `session`. Returns a function that takes its samples and events, on any thread.

        `about` has `started` (seconds since the epoch) and, with several sessions, `pid`, `rank` and `label`.
        """
        number = len(self._tracks) + 1
        self._tracks.append(_Track(number, session, {"command": command, **about}))
        put = self._inbox.put
        return lambda item: put((number, item))

    def stop(self, timeout: float = 5.0, cause: str = "") -> None:
        """Writes what is left, for up to `timeout` seconds. `cause`: why sessions that still run end here."""
        self._cause = cause
        self._stopping.set()
        if self.is_alive():
            self.join(timeout)

    @property
    def failure(self) -> str | None:
        """What is wrong with the stopped recording, as text; `None` if it is complete."""
        if self.is_alive():
            return f"The recording {self.path} is incomplete: the disk does not respond."
        parts = list(self._gaps)
        if self.problem is not None:
            lost = self._lost + sum(
                isinstance(item, Sample) for track in self._tracks for item in track.waiting
            )
            parts.append(f"{self.problem.removesuffix('.')}; {lost:,} samples are lost.")
        wal = _parts(self.path)[1]
        with suppress(OSError):
            if wal.stat().st_size:
                parts.append(f"The recording {self.path} has a second file: keep {wal.name} beside it.")
        return " ".join(parts) or None

    # On the recorder's thread

    @self_usage.counted()
    def run(self) -> None:
        while not self._stopping.wait(COMMIT_EVERY):
            try:
                self._collect()
                if time.monotonic() >= self._retry_at:
                    self._commit()
            except Exception as error:
                # If this thread ended, items would pile up without a warning.
                self._fail(error)
        try:
            self._collect()
            if self._cause:
                for track in self._tracks:
                    track.end(self._cause)
            self._commit(last=True)
            self._close()
        except Exception as error:
            self._fail(error)

    def _open(self) -> sqlite3.Connection:
        # Created here first: no existing file is ever opened, and only the owner can read it.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            self._inode = self.path.stat().st_ino
            database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=1.0)
            schema.create(database)
            about = [("mlxtop", __version__), ("created", str(time.time()))]
            rows = [(*row, schema.checksum(row)) for row in about]
            database.executemany("INSERT INTO about VALUES (?, ?, ?)", rows)
        except BaseException:
            for part in _parts(self.path):
                part.unlink(missing_ok=True)
            raise
        return database

    def _close(self) -> None:
        """Closes the database. It leaves a single file, unless the file is being read or was moved."""
        with suppress(sqlite3.Error):
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if self._in_place():
            with suppress(sqlite3.Error):
                self._database.execute("PRAGMA journal_mode = DELETE")
        self._database.close()

    def _in_place(self) -> bool:
        try:
            return self.path.stat().st_ino == self._inode
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError:
            # Unknown, so the open file is used further.
            return True

    def _collect(self) -> None:
        while True:
            try:
                number, item = self._inbox.get_nowait()
            except queue.Empty:
                return
            track = self._tracks[number - 1]
            track.add(item)
            # Normally about a second of items waits, or the backlog of an attached program.
            most = round(KEPT_SECONDS / max(track.session.interval, 1e-3))
            if self.problem is not None and len(track.waiting) > most:
                self._lose(track.waiting.popleft())

    def _lose(self, item: Item) -> None:
        self._lost += isinstance(item, Sample)

    def _commit(self, last: bool = False) -> None:
        # Another session may be added meanwhile.
        tracks = list(self._tracks)
        count = [len(track.waiting) for track in tracks]
        try:
            self._look_after_file()
            self._database.execute("BEGIN")
            written = [self._write(track, last) for track in tracks]
            self._database.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
            return
        except Exception as error:
            # An item that cannot be stored must not block later ones.
            self._fail(error)
            for track, items in zip(tracks, count, strict=True):
                for _ in range(items):
                    self._lose(track.waiting.popleft())
            return
        self._read_size()
        self._keep_first(tracks)
        for track, state, items in zip(tracks, written, count, strict=True):
            track.written = state
            for _ in range(items):
                track.waiting.popleft()
        self._recover()

    def _read_size(self) -> None:
        # An unknown size is no reason to fail: the data is committed.
        with suppress(OSError):
            self.size = sum(part.stat().st_size for part in _parts(self.path) if part.exists())

    def _keep_first(self, tracks: Sequence[_Track]) -> None:
        """Moves new sessions from the log into the database. A damaged log loses all after the damage."""
        if all(track.begun for track in tracks):
            return
        with suppress(sqlite3.Error):
            self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        for track in tracks:
            track.begun = True

    def _look_after_file(self) -> None:
        """Starts a new file if the present one was moved or removed."""
        if self._in_place():
            return
        self._close()
        if self.path.exists():
            raise FileExistsError(errno.EEXIST, "another file has taken its place")
        for part in _parts(self.path)[1:]:
            part.unlink(missing_ok=True)
        database = self._open()
        gone = f"The recording {self.path} was removed at {_clock()}; a new one starts there."
        self._gaps.append(gone)
        self._warn(gone)
        self._database = database
        for track in self._tracks:
            track.written = _Written()

    def _fail(self, error: Exception) -> None:
        with suppress(sqlite3.Error):
            self._database.rollback()
        self._retry_at = time.monotonic() + RETRY_EVERY
        if self.problem is None:
            self.problem = f"Recording stopped at {_clock()}: {_cause(error)} ({self.path})."
            self._warn(self.problem)

    def _recover(self) -> None:
        if self.problem is not None:
            lost = f"{self._lost:,} samples were lost" if self._lost else "nothing was lost"
            if self._lost:
                gap = f"{self._lost:,} samples until {_clock()} are lost"
                self._gaps.append(f"{self.problem.removesuffix('.')}; {gap}.")
            self.problem, self._lost = None, 0
            self._warn(None)
            self._log(f"Recording resumed at {_clock()}; {lost}.")

    def _log(self, message: str) -> None:
        for track in self._tracks:
            track.session.transcript.write("log", message)

    def _warn(self, message: str | None) -> None:
        if message is not None:
            self._log(message)
        for track in self._tracks:
            track.session.submit(RecordEvent(WarningChanged(message)))

    # Into the tables

    def _write(self, track: _Track, last: bool) -> _Written:
        """Writes the waiting items. Returns the session's new state, which is valid after the commit."""
        session, number, written = track.session, track.number, track.written.copy()
        for name in session.phases[written.phases :]:
            self._insert("phase", number, written.phases, name)
            written.phases += 1
        samples = [item for item in track.waiting if isinstance(item, Sample)]
        for item in track.waiting:
            if isinstance(item, Event):
                self._insert("event", None, number, float(item.time), item.kind, _json(to_json(item.data)))
        if samples:
            self._write_samples(number, written, samples)
        self._roll_up(number, written, samples, last)
        if self._text:
            self._write_text(track, written, last)
        self._write_session(track, written.until)
        return written

    def _write_session(self, track: _Track, until: float | None) -> None:
        session, about = track.session, track.about
        label = about.get("label", session.title)
        self._insert(
            "session", track.number, float(about["started"]), session.title, label, about.get("pid"),
            about.get("rank"), _json(about["command"]), float(session.interval),
            session.steps_are, session.footprint_kind, _json(session.state.facts.to_json()), until,
            or_replace=True,
        )  # fmt: skip

    def _write_samples(self, number: int, written: _Written, samples: list[Sample]) -> None:
        """Writes the new samples as one block, or merges all blocks since the last merge into one."""
        first = (written.samples or samples)[0].time
        if not written.samples:
            written.after = written.until
        after, written.until = written.until, round(samples[-1].time * 1e6) / 1e6
        written.samples += samples
        if len(written.samples) >= MERGE_ROWS or samples[-1].time - first >= MERGE_SECONDS:
            where = "session = ? AND level = 0 AND start >= ?"
            self._database.execute(f"DELETE FROM block WHERE {where}", (number, first))
            samples, written.samples, after = written.samples, [], written.after
        times = [round(sample.time * 1e6) for sample in samples]
        _, *columns, high, buffers = zip(*samples, strict=True)
        # How far it rose: mostly zeros, which pack into nothing.
        rises = [max(rise, 0) for rise in map(sub, high, columns[0])]
        self._insert_block(number, 0, times, [*columns, rises, buffers], after)

    def _roll_up(self, number: int, written: _Written, samples: list[Sample], last: bool) -> None:
        """Adds samples to the buckets and writes full blocks of finished buckets; at the end all buckets."""
        rows = [row(sample) for sample in samples]
        for level in LEVELS:
            rows, begun = roll(level, written.begun.pop(level, None), rows)
            if begun is not None and last:
                rows.append(begun)
            elif begun is not None:
                written.begun[level] = begun
            if level == 1:
                self._write_seconds(number, rows)
            waiting = written.buckets.setdefault(level, [])
            waiting += rows
            if waiting and (last or len(waiting) >= LEVEL_ROWS):
                parts = (
                    zip(*(getattr(r, part) for r in waiting), strict=True) for part in ("lo", "hi", "last")
                )
                columns = [column for part in parts for column in part]
                times, after = [round(r.time * 1e6) for r in waiting], written.ends.get(level)
                self._insert_block(number, level, times, columns, after)
                written.ends[level] = times[-1] / 1e6
                waiting.clear()

    def _write_seconds(self, number: int, buckets: list[Row]) -> None:
        """Writes plain rows for other tools. They have no checksum, because mlxtop does not read them."""
        columns = ("session", "time", *PLAIN)
        self._database.executemany(
            f"INSERT OR REPLACE INTO samples ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            [(number, bucket.time, *plain(bucket)) for bucket in buckets],
        )

    def _write_text(self, track: _Track, written: _Written, last: bool) -> None:
        # The last line may still grow. It is written when the next one begins.
        lines = track.session.transcript.since(written.text)
        if lines and lines[0].number > written.text:
            gone = f"… {lines[0].number - written.text:,} lines left out: they came too fast to be recorded …"
            self._insert("text", None, track.number, float(track.session.now()), "log", gone)
        for line in lines if last else lines[:-1]:
            self._insert("text", None, track.number, float(track.session.now()), line.who, line.text)
            written.text = line.number + 1

    def _insert_block(
        self, number: int, level: int, times: list[int], columns: Sequence[Any], after: float | None
    ) -> None:
        data = codec.pack([times, *columns])
        start, end = times[0] / 1e6, times[-1] / 1e6
        self._insert("block", number, level, start, end, len(times), data, after, or_replace=True)

    def _insert(self, table: str, *values: Any, or_replace: bool = False) -> None:
        parameters = ", ".join("?" * (len(values) + 1))
        verb = "INSERT OR REPLACE" if or_replace else "INSERT"
        valid = [_unicode(value) if isinstance(value, str) else value for value in values]
        # An id that SQLite assigns is not part of the checksum.
        crc = schema.checksum(valid[1:] if valid[0] is None else valid)
        self._database.execute(f"{verb} INTO {table} VALUES ({parameters})", [*valid, crc])


def _parts(path: Path) -> list[Path]:
    """Returns the files that SQLite uses for the database at `path`."""
    return [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]


def _json(data: Any) -> str:
    return json.dumps(data, default=dict, separators=(",", ":"))


def _unicode(text: str) -> str:
    """Escapes surrogates, which stand for bytes of a name that are not UTF-8. SQLite rejects them."""
    return text.encode(errors="backslashreplace").decode()


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def _cause(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
