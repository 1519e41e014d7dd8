"""The agent: what it knows of the program it lives in, and how it carries out a viewer's wishes there.

Whatever goes wrong in here is told to viewers and never reaches the program.
"""

import atexit
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import wraps
from typing import Any

from mlxtop import __version__
from mlxtop.agent import boot, place, wire
from mlxtop.agent.ring import Ring
from mlxtop.agent.server import Server
from mlxtop.core.event import Kind
from mlxtop.core.limits import KNOBS, MLX_DEFAULT, Knob
from mlxtop.core.sample import UNKNOWN
from mlxtop.probe import backend, device, footprint, program
from mlxtop.probe.limits import Call, Change, Watch, defaults

INTERVAL, SHORTEST = 0.1, 0.01
FOOTPRINT_EVERY = 1.0
EVENTS_KEPT = 4_096
OFTEN = 1.0
"""Seconds within which the same call from the same line is told once, with a count."""
SAFE_WITHIN = 0.25
"""Seconds to wait for the program to come by a safe point, before another way is looked for."""
IDLE_SHARE = 0.2
"""Share of a core below which a program counts as doing nothing."""
OVERDUE = 1.5
"""Seconds after which a wish is carried out beside a program whose main thread does not come by either."""
LEAVE_WITHIN = 0.5
NAME_MOST = 80
"""Letters of a mark, a phase or a viewer's name."""
WISHES_MOST = 100
"""Wishes that may wait for a safe point."""

_agent: "Agent | None" = None


def start(run: str = "", late: bool = False) -> None:
    """Starts the agent of this process; once is enough. `late`: the program may have set limits before."""
    global _agent
    if _agent is None:
        _agent = Agent("" if run == "1" else run, late)
        _agent.start()


class Agent:
    """Reads the counters, remembers what happens, obeys. Serves itself through `Server`."""

    def __init__(self, run: str, late: bool) -> None:
        self.run = run
        self.interval = INTERVAL
        self._mx: Any = backend.load()
        self._watch = Watch(self._noticed)
        self._late = late
        self._standing: dict[Knob, tuple[int | None, str, int | None]] = {}
        """Each limit's value, who set it, and MLX's default; `None` is what nobody knows."""
        self._steps = self._busy = 0
        self._last_step, self._usual = 0.0, 0.0
        self._settle = self._mx.synchronize
        self._begin()

    def _begin(self) -> None:
        """What every process has of its own: its clock, its rows, its thread."""
        self._pid = os.getpid()
        self._origin = time.monotonic()
        self._started = time.time()
        self.phases = ["run"]
        self._phase = 0
        self.ring = Ring()
        self._events: deque[tuple[int, bytes]] = deque(maxlen=EVENTS_KEPT)
        self._count = 0
        self._repeats: dict[tuple[Any, ...], _Repeat] = {}
        self._footprint = footprint.reader()
        self._footprint_now, self._footprint_due = UNKNOWN, 0.0
        self._kept = [UNKNOWN, UNKNOWN]
        """Bytes of weights and KV caches as the last census found them."""
        self._census_budget: float | None = None
        """Seconds for the next census, after one that was too short."""
        self.facts: dict[str, Any] = {}
        self.cpu = 0.0
        """Seconds of processor time the agent's thread has used."""
        self._todo: deque[tuple[float, Callable[[], None]]] = deque()
        self._due = False
        """Whether a safe point has something to do: the one thing a program's step asks for."""
        self._lock = threading.Lock()
        self._obeying = threading.Lock()
        self._cpu_then = (0.0, 0.0)
        self._asked: int | None = None
        self._pending: Any = None
        self._inside = False
        """Whether the program is in an `eval`: it will come by at its next."""
        self._server = Server(self)
        self.emit(Kind.PHASE, phase=self.phases[0])

    def start(self) -> None:
        """Wraps MLX's functions and starts the thread. Raises `OSError` where a socket has no place."""
        # Here, on the program's own thread: what opens files beside a program that closes all of them would
        # in the end close one of the program's.
        self._look_around()
        self._server.open()
        self._watch.install()
        for name in ("eval", "async_eval"):
            setattr(self._mx, name, self._step(getattr(self._mx, name)))
        program.listen(self._told)
        if self._late:
            self._ask(self._find_limits)
        else:
            self._set_limits(os.environ.get(boot.LIMITS, ""))
        self._server.start()
        # A daemon thread that lives when Python ends can crash a program whose worker threads used MLX.
        atexit.register(self._leave)
        os.register_at_fork(after_in_child=self._forked)

    def _set_limits(self, text: str) -> None:
        """The limits that the program is to start with: it is just importing MLX, nothing is queued yet."""
        for word in text.split():
            knob, _, size = word.partition("=")
            if size.isdecimal():
                for known in KNOBS:
                    if known == knob:
                        self._set_limit(known, int(size), "flag")

    # In the program's own threads

    def _step(self, function: Any) -> Any:
        """`eval` and `async_eval` are where a program comes by, on the thread that owns its work."""

        @wraps(function)
        def step(*args: Any, **kwargs: Any) -> Any:
            if self._due:
                self._safe_point()
            now = time.perf_counter()
            gap = now - self._last_step
            # A gap far longer than usual is a program that waits, not a step that takes long.
            if gap < 0.25 or gap < 8 * self._usual:
                self._busy += int(gap * 1e6)
                self._steps += 1
            self._usual += (min(gap, 60.0) - self._usual) / 8
            self._last_step = now
            self._inside = True
            try:
                return function(*args, **kwargs)
            finally:
                self._inside = False

        return step

    def _safe_point(self) -> None:
        """Carries out what was asked, on this thread of the program's."""
        try:
            if self._pid != os.getpid():
                self._revive()
            if self._todo and self._obeying.acquire(blocking=False):
                try:
                    # With the GIL free: on the CPU backend the setters wait with it held.
                    self._settle()
                    self._obey()
                finally:
                    self._obeying.release()
        except Exception as error:
            self.fail(error)

    def _obey(self) -> None:
        # Put down first: what is asked for from here on raises it again.
        self._due = False
        while self._todo:
            _, act = self._todo.popleft()
            try:
                act()
            except Exception as error:
                self.emit(Kind.ERROR, message=f"{type(error).__name__}: {error}", phase="limit")

    def _noticed(self, what: Change | Call) -> None:
        try:
            if isinstance(what, Change):
                self._changed(what)
            else:
                kind = Kind.CLEAR if what.name == "clear_cache" else Kind.RESET
                size = {"freed": what.size} if kind is Kind.CLEAR else {"peak": what.size}
                self._often((kind, what.who), kind, who=what.who, **size)
        except Exception as error:
            self.fail(error)

    def _changed(self, change: Change) -> None:
        knob, old, new, who = change
        default = self._standing.get(knob, (None, "", None))[2]
        if default is None and not self._late:
            default = old
            self.emit(Kind.LIMIT, knob=knob, old=old, new=old, who=MLX_DEFAULT)
        self._standing[knob] = new, who, default
        if self._asked is not None:
            self.emit(Kind.LIMIT, knob=knob, old=old, new=new, who=who, asked=self._asked)
        else:
            self._often((Kind.LIMIT, knob, who), Kind.LIMIT, knob=knob, old=old, new=new, who=who)

    def _often(self, key: tuple[Any, ...], kind: Kind, **data: Any) -> None:
        """Tells of a call; the same call from the same line within `OFTEN` is told later, by a count."""
        now, repeat = time.monotonic(), self._repeats.get(key)
        if repeat is None and len(self._repeats) < EVENTS_KEPT:
            self._repeats[key] = _Repeat(now, kind)
            self.emit(kind, **data, count=1)
        elif repeat is not None:
            repeat.add(data)

    def _tell_repeats(self, now: float) -> None:
        """What was counted meanwhile; what has not come again is new when it comes next."""
        for key, repeat in list(self._repeats.items()):
            if now - repeat.since >= OFTEN:
                if repeat.count:
                    self.emit(repeat.kind, **repeat.data, count=repeat.count)
                    self._repeats[key] = _Repeat(now, repeat.kind)
                else:
                    del self._repeats[key]

    def _told(self, kind: str, name: str, now: Any) -> None:
        """The program said something of itself by `mlxtop.mark` or `mlxtop.phase`."""
        if kind == "mark":
            self._mark(name, "program", (now.active, now.cache, now.peak))
        else:
            self._set_phase(name)

    def _set_phase(self, name: str) -> None:
        name = str(name)[:NAME_MOST]
        with self._lock:
            if name not in self.phases:
                if len(self.phases) >= 1000:
                    return
                self.phases.append(name)
            self._phase = self.phases.index(name)
        self.emit(Kind.PHASE, phase=name)

    def _forked(self) -> None:
        """The child of a fork has no agent until it uses MLX itself: most never do."""
        try:
            self._server.forget()
            self._todo.clear()
            self._lock = threading.Lock()
            self._obeying = threading.Lock()
            self._due = True
        except Exception:
            pass

    def _revive(self) -> None:
        """A forked child uses MLX: it becomes a session of its own."""
        self._begin()
        self._server.open()
        self._server.start()

    def begin_anew(self) -> None:
        """The program closed our descriptors: a new socket is opened when it comes by a safe point."""
        self._pid, self._due = -1, True

    def elsewhere(self, path: str) -> bool:
        """Whether the socket at `path` is another process's by now: we are a fork's child."""
        return self._pid not in (os.getpid(), -1)

    def _leave(self) -> None:
        if self._pid == os.getpid():
            self._server.stop(LEAVE_WITHIN)
            peak = self._mx.get_peak_memory()
            if not self._server.met and peak:
                place.leave_word(f"ended before mlxtop could look; its peak was {peak / 2**20:.1f} MiB.")

    # In the agent's thread

    def tick(self, now: float) -> None:
        """Reads the counters, and looks after wishes that no safe point has come for."""
        if not self.facts:
            self._look_around()
        mx = self._mx
        active, cache, peak = mx.get_active_memory(), mx.get_cache_memory(), mx.get_peak_memory()
        if now >= self._footprint_due:
            self._footprint_due = now + FOOTPRINT_EVERY
            read = self._footprint()
            self._footprint_now = UNKNOWN if read is None else read
            self.cpu = time.thread_time()
        self.ring.add(
            now - self._origin, active, cache, peak, self._footprint_now,
            self._steps, self._steps, self._busy, self._phase, *self._kept,
        )  # fmt: skip
        self._tell_repeats(now)

    def _look_around(self) -> None:
        """On what MLX runs, and the limits as it starts with them.

        Asking opens nothing that importing MLX has not opened already, CUDA's device included.
        """
        self.facts = device.facts(packages=False)
        if not self._late:
            for knob, value in defaults().items():
                if knob not in self._standing:
                    self._standing[knob] = value, MLX_DEFAULT, value
                    self.emit(Kind.LIMIT, knob=knob, old=value, new=value, who=MLX_DEFAULT)

    @property
    def waits(self) -> bool:
        """Whether a wish has not been carried out yet."""
        return bool(self._todo)

    def help_along(self, now: float) -> None:
        """Looks after wishes that no safe point has come for: a program that waits for a request comes by
        none, nor does one that never calls `eval`.

        Then this thread obeys: at once where setters only take a lock (Metal, CUDA), else when the program
        does nothing that they would wait for. One that computes is stopped for a moment on its main thread.
        """
        try:
            asked = self._todo[0][0]
        except IndexError:
            # Nothing is asked for, or the program came by just now.
            asked = now
        if now - asked < SAFE_WITHIN:
            self._cpu_then = now, sum(os.times()[:2])
            return
        then, cpu_then = self._cpu_then
        if now - then < SAFE_WITHIN:
            return
        quiet = (sum(os.times()[:2]) - cpu_then) / (now - then) < IDLE_SHARE
        self._cpu_then = now, sum(os.times()[:2])
        # A worker that never calls `eval` has little queued: what the setters wait for is short.
        never = not self._inside and now - asked > OVERDUE
        if not quiet and not never and backend.name() == "CPU":
            self._interrupt()
        elif self._obeying.acquire(blocking=False):
            try:
                self._obey()
            finally:
                self._obeying.release()

    def _interrupt(self) -> None:
        """Has the main thread come by a safe point between two of its instructions, as a signal would."""
        import ctypes

        if self._pending is None:

            def come_by(_: object) -> int:
                self._safe_point()
                return 0

            # Kept for good: Python may call it whenever it likes.
            self._pending = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(come_by)
        ctypes.pythonapi.Py_AddPendingCall(self._pending, None)

    def now(self) -> float:
        """Seconds since the agent came: the time of all it tells."""
        return time.monotonic() - self._origin

    def hello(self) -> dict[str, Any]:
        """What a viewer is told first, `watched` aside."""
        latest = self.ring.rows(self.ring.end - 1, 1) if self.ring.end else []
        names = ("active", "cache", "peak", "footprint")
        return {
            "protocol": wire.PROTOCOL,
            "mlxtop": __version__,
            "pid": self._pid,
            "argv": _argv(),
            "started": self._started,
            "now": self.now(),
            "interval": self.interval,
            "run": self.run,
            "rank": _rank(),
            "log": os.environ.get("MLXTOP_LOG"),
            "footprint": footprint.KIND,
            "counters": dict(zip(names, latest[0][1:5], strict=True)) if latest else None,
        }

    def limits(self) -> dict[Knob, tuple[int | None, str, int | None]]:
        """Each limit's value, who set it, and MLX's default, as they stand."""
        return dict(self._standing)

    def news(self, number: int) -> list[tuple[int, bytes]]:
        """Up to a hundred messages from `number` on, with their numbers; none is older than what is kept."""
        if number >= self._count:
            return []
        events = self._events
        first = max(0, len(events) - (self._count - number))
        return [events[i] for i in range(first, min(len(events), first + 100))]

    def wish(self, message: dict[str, Any]) -> None:
        """What a viewer asks for. Raises `ValueError`, `KeyError` or `TypeError` for what makes no sense."""
        who = str(message.get("who", "viewer"))[:NAME_MOST]
        match message["type"]:
            case "limit":
                self._wish_limit(message["knob"], message["bytes"], who)
            case "clear":
                self._ask(lambda: self._watch.call("clear_cache", who))
            case "reset":
                self._ask(lambda: self._watch.call("reset_peak_memory", who))
            case "collect":
                self._ask(lambda: self._collect(who))
            case "census":
                self._ask(self._census)
            case "mark":
                mx = self._mx
                read = mx.get_active_memory(), mx.get_cache_memory(), mx.get_peak_memory()
                self._mark(message["name"], who, read)
            case "interval":
                self.interval = min(60.0, max(SHORTEST, float(message["seconds"])))
            case _:
                raise ValueError("no such wish")

    def _wish_limit(self, knob: Knob, size: int | None, who: str) -> None:
        if knob not in KNOBS or not (size is None or (isinstance(size, int) and 0 <= size < 2**63)):
            raise ValueError("no such limit")
        value = self._standing.get(knob, (None, "", None))[2] if size is None else size
        if value is not None:
            self._ask(lambda: self._set_limit(knob, value, who))

    def _ask(self, act: Callable[[], None]) -> None:
        if len(self._todo) >= WISHES_MOST:
            raise ValueError("too many wishes")
        self._todo.append((time.monotonic(), act))
        self._due = True

    # Wherever it is safe

    def _set_limit(self, knob: Knob, value: int, who: str) -> None:
        self._asked = value
        try:
            self._watch.set(knob, value, who)
        except Exception as error:
            now, by, _ = self._standing.get(knob, (None, "", None))
            self.emit(Kind.ERROR, message=f"MLX refused the {knob} limit: {error}.", phase="limit")
            self.emit(Kind.LIMIT, knob=knob, old=now, new=now, who=by, asked=value)
        finally:
            self._asked = None

    def _find_limits(self) -> None:
        """The limits of a program that ran before the agent came, asked once by setting."""
        switch = sys.getswitchinterval()
        try:
            # So that no other thread of the program comes between a limit and its return.
            sys.setswitchinterval(1.0)
            found = self._watch.ask()
        finally:
            sys.setswitchinterval(switch)
        for knob, value in found.items():
            if knob not in self._standing:
                who = MLX_DEFAULT if value == defaults()[knob] else "program"
                self._standing[knob] = value, who, defaults()[knob]
                self.emit(Kind.LIMIT, knob=knob, old=value, new=value, who=who)

    def _collect(self, who: str) -> None:
        import gc

        before = self._mx.get_active_memory()
        objects = gc.collect()
        freed = before - self._mx.get_active_memory()
        self.emit(Kind.COLLECT, objects=objects, freed=freed, who=who)

    def _census(self) -> None:
        from mlxtop.probe.census import BUDGET, longer, take

        census = take(self._census_budget or BUDGET)
        self._census_budget = longer(census, self._census_budget or BUDGET)
        self._kept = [census.parts.get("weights", 0), census.parts.get("kv", 0)]
        self.emit(Kind.CENSUS, **census.to_json())

    def _mark(self, name: str, who: str, read: tuple[int, int, int]) -> None:
        active, cache, peak = read
        self.emit(
            Kind.MARK,
            name=str(name)[:NAME_MOST],
            who=who,
            active=active,
            cache=cache,
            peak=peak,
            tokens=self._steps,
        )

    # Telling

    def emit(self, kind: Kind, **data: Any) -> None:
        """Something happened: viewers hear of it, those who come later too."""
        self._add(wire.line("event", time=round(self.now(), 6), kind=kind, data=data))

    def _add(self, message: bytes) -> None:
        with self._lock:
            self._events.append((self._count, message))
            self._count += 1
        self._server.wake()

    def fail(self, error: BaseException) -> None:
        """Something of ours went wrong. The program does not hear of it; viewers do."""
        try:
            text = f"mlxtop's agent failed: {type(error).__name__}: {error}"
            self.emit(Kind.ERROR, message=text, phase="agent")
            place.leave_word(text)
        except Exception:
            pass


class _Repeat:
    """Calls that were not told one by one: how many, and the last of them."""

    __slots__ = ("count", "data", "kind", "since")

    def __init__(self, since: float, kind: Kind) -> None:
        self.since = since
        self.kind = kind
        self.count = 0
        self.data: dict[str, Any] = {}

    def add(self, data: dict[str, Any]) -> None:
        if "freed" in self.data:
            data["freed"] += self.data["freed"]
        if "old" in self.data:
            data["old"] = self.data["old"]
        self.data = data
        self.count += 1


def _argv() -> list[str]:
    """The command as it was typed, `-m` and interpreter options included."""
    return [str(arg)[:300] for arg in getattr(sys, "orig_argv", sys.argv)[:50]]


def _rank() -> int | None:
    """The rank that `mlx.launch` or MPI gave this process."""
    for name in ("MLX_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return None
