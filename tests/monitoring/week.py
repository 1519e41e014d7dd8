"""A week of four programs on three hosts, as Prometheus would have stored it."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from mlxtop.serve import metrics as m

GIB = 2**30
DAY = 86_400
EVERY = 600
"""Seconds between two scrapes: enough for a week."""
BEGIN = 1_750_000_000 // DAY * DAY
END = BEGIN + 7 * DAY

Course = Callable[[int], float | None]
"""A value at so many seconds since the week began; `None` where the series has none."""


class Program(NamedTuple):
    instance: str
    session: str
    about: Mapping[str, str]
    gauges: Mapping[m.Metric, Course]
    limits: Mapping[str, float]
    verdict: Callable[[int], str]
    pace: float
    """Steps a second. Each needs `most` bytes, and each hundredth ends a generation of `takes` seconds."""
    most: float
    takes: float
    setters: Mapping[str, float]
    """Who sets limits, and how often in a day."""
    lives: int = 7 * DAY


def at(size: float) -> Course:
    return lambda t: size


def by_day(night: float, day: float) -> Course:
    return lambda t: day if 8 <= t % DAY // 3600 < 20 else night


def grows(start: float, per_day: float) -> Course:
    return lambda t: start + per_day * t / DAY


SERVER = Program(
    "mini",
    "mlx_lm.server-101",
    {
        "pid": "101",
        "program": "mlx_lm.server",
        "model": "qwen3-8b-4bit",
        "device": "Apple M4 Pro",
        "backend": "Metal",
    },
    {
        m.ACTIVE: by_day(5 * GIB, 8 * GIB),
        m.CACHE: by_day(1 * GIB, 3 * GIB),
        m.PEAK: at(9 * GIB),
        m.FOOTPRINT: by_day(7 * GIB, 12 * GIB),
        m.BUDGET: at(16 * GIB),
        m.BUDGET_USED: by_day(7 * GIB, 12 * GIB),
    },
    {"cache": 4 * GIB, "memory": 36 * GIB, "wired": float("inf")},
    lambda t: "steady" if t > 3600 else "not enough data",
    pace=40.0,
    most=8.5 * GIB,
    takes=4.0,
    setters={"mlx_lm": 5000.0, "flag": 0.2},
)
TRAINING = Program(
    "studio",
    "train.py-202",
    {"pid": "202", "program": "train.py", "device": "Apple M3 Ultra", "backend": "Metal", "rank": "0"},
    {
        m.ACTIVE: grows(4 * GIB, 5 * GIB),
        m.CACHE: at(2 * GIB),
        m.PEAK: grows(5 * GIB, 5 * GIB),
        m.FOOTPRINT: grows(7 * GIB, 5 * GIB),
        m.BUDGET: at(38 * GIB),
        m.BUDGET_USED: grows(7 * GIB, 5 * GIB),
        m.BUFFERS: grows(20_000, 60_000),
        m.BUFFERS_LIMIT: at(499_000),
    },
    {"cache": 2 * GIB, "memory": 100 * GIB},
    lambda t: "active grows" if t > 3600 else "not enough data",
    pace=2.0,
    most=30 * GIB,
    takes=90.0,
    setters={"program": 1.0},
)
CHAT = Program(
    "studio",
    "chat-303",
    {"pid": "303", "program": "chat", "model": "llama-70b", "device": "Apple M3 Ultra", "backend": "Metal"},
    {m.ACTIVE: at(0), m.CACHE: at(50 * GIB)},
    {},
    lambda t: "idle cache",
    pace=0.0,
    most=0,
    takes=1.0,
    setters={},
    lives=5 * DAY,
)
"""It is over before the week is. Nothing is known of its footprint."""
CUDA = Program(
    "rig",
    "serve.py-404",
    {"pid": "404", "program": "serve.py", "device": "NVIDIA H100", "backend": "CUDA"},
    {m.ACTIVE: at(20 * GIB), m.CACHE: at(10 * GIB), m.PEAK: at(22 * GIB), m.FOOTPRINT: at(3 * GIB)},
    {"cache": 10 * GIB, "memory": 70 * GIB},
    lambda t: "limit overridden" if t > 3 * DAY else "steady",
    pace=20.0,
    most=21 * GIB,
    takes=2.0,
    setters={"keyboard": 0.5, "program": 0.5},
)
PROGRAMS = (SERVER, TRAINING, CHAT, CUDA)

Series = tuple[m.Metric, str, Mapping[str, str], Course]
"""A metric, what follows its name, further labels, and the values."""


def _series(program: Program) -> Iterator[Series]:
    yield m.INFO, "", {name: program.about.get(name, "") for name in m.INFO.labels[1:]}, at(1)
    yield m.SAMPLED, "", {}, lambda t: BEGIN + t - 1
    for metric, course in program.gauges.items():
        yield metric, "", {}, course
    for limit, size in program.limits.items():
        yield m.LIMIT, "", {"limit": limit}, at(size)
    for verdict in m.VERDICTS:
        yield m.DIAGNOSIS, "", {"verdict": verdict}, lambda t, v=verdict: float(program.verdict(t) == v)
    yield m.STEPS, "", {}, lambda t: program.pace * t // 1
    yield m.CLEARS, "", {}, lambda t: program.pace * t / 256 // 1
    for source in m.SOURCES:
        yield (
            m.LIMIT_CHANGES,
            "",
            {"source": source},
            lambda t, s=source: program.setters.get(s, 0) * t / DAY // 1,
        )
    yield from _histogram(m.STEP_PEAK, program.most, program.pace)
    yield from _histogram(m.GENERATION, program.takes, program.pace / 100)


def _histogram(metric: m.Metric, value: float, pace: float) -> Iterator[Series]:
    """All observations are `value`, so many a second."""
    for bound in (*metric.buckets, float("inf")):
        label = {"le": "+Inf" if bound == float("inf") else repr(bound)}
        yield metric, "_bucket", label, lambda t, b=bound: pace * t // 1 if value <= b else 0.0
    yield metric, "_sum", {}, lambda t: value * (pace * t // 1)
    yield metric, "_count", {}, lambda t: pace * t // 1


def openmetrics() -> Iterator[str]:
    """The week as lines, each metric's together, with their times."""
    everything = [(program, *series) for program in PROGRAMS for series in _series(program)]
    for metric in m.METRICS:
        family = metric.name.removesuffix(
            "_total" if metric.kind == "counter" else "_info" if metric.kind == "info" else ""
        )
        yield f"# TYPE {family} {metric.kind}\n"
        for program, found, suffix, labels, course in everything:
            if found is metric:
                named = {"job": "mlxtop", "instance": program.instance, "session": program.session, **labels}
                name = (
                    metric.name
                    + suffix
                    + "{"
                    + ",".join(f'{key}="{value}"' for key, value in named.items())
                    + "}"
                )
                for t in range(0, program.lives + 1, EVERY):
                    yield f"{name} {course(t)} {BEGIN + t}\n"
    yield "# EOF\n"
