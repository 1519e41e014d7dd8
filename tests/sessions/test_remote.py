"""A session made of what an agent says, sense or nonsense."""

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.commands import (
    AddMark,
    ClearCache,
    Collect,
    ResetPeak,
    SetControl,
    SetInterval,
    SetLimit,
    TakeCensus,
)
from mlxtop.core.event_json import to_json
from mlxtop.core.events import EVENT_TYPES, KINDS, CensusTaken, LimitChanged
from mlxtop.core.facts import Facts
from mlxtop.core.limits import LIMIT_NAMES, LimitName
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.ipc import protocol
from mlxtop.sessions import messages
from mlxtop.sessions.remote import SPARSE, RemoteSession, command
from mlxtop.tui.frame import Own, View, gather, visible_columns

MIB = 2**20
HELLO: dict[str, Any] = {
    "type": "hello", "protocol": protocol.PROTOCOL, "mlxtop": "0.1.0", "pid": 77, "started": 1.8e9, "now": 12.5,
    "argv": ["/v/bin/python", "-u", "train.py", "--x"], "interval": 0.1, "run": "", "rank": None, "log": None,
    "watched": None, "footprint": "RSS", "counters": None,
}  # fmt: skip
EVENTS: dict[str, dict[str, Any]] = {
    "phase": {"phase": "train"},
    "limit": {"name": "cache", "old": 5, "new": 6, "source": "train.py:7", "asked": None},
    "clear": {"source": "train.py:8", "freed": 100, "times": 3},
    "reset": {"source": "train.py:9", "peak": 100, "times": 1},
    "collect": {"source": "keyboard", "objects": 5, "freed": 100},
    "peak": {"peak": 9, "floor": 5, "step": 3, "phase": "run", "caller": "train.py:7", "how": "async"},
    "census": {
        "active": 5,
        "parts": {},
        "counts": {},
        "holdings": [],
        "whole": True,
        "seconds": 0.1,
        "time": 1.0,
    },
    "trace": {"path": "/home/me/a.mlxtrace", "source": "keyboard"},
    "traced": {"path": "/home/me/a.mlxtrace", "source": "mlxtop"},
    "mark": {"name": "here", "source": "keyboard", "active": 1, "cache": 2, "peak": 3, "tokens": 4},
    "error": {"message": "no", "phase": "agent"},
}


TYPES = {kind: type_ for type_, kind in KINDS.items()}


def session(**other: Any) -> tuple[RemoteSession, list[dict[str, Any]]]:
    sent: list[dict[str, Any]] = []
    return RemoteSession(messages.hello({**HELLO, **other}), lambda data: sent.append(json.loads(data))), sent


def take(watched: RemoteSession, message: dict[str, Any]) -> None:
    """As a fleet takes it from the socket."""
    found = messages.parse(json.loads(json.dumps(message)))
    if found is not None:
        watched.handle_message(found)


def limit(watched: RemoteSession, name: LimitName) -> tuple[int | None, str, int | None]:
    found = watched.state.limits[name]
    return found.value, found.source, found.pending


def row(at: float, active: int = MIB, cache: int = 5, peak: int = MIB, phase: int = 0) -> list[float]:
    return [at, active, cache, peak, 2 * MIB, 3, 3, 1000, phase, UNKNOWN, UNKNOWN]


def samples(*rows: list[float], cpu: float = 0.0) -> dict[str, Any]:
    return {"type": "samples", "cpu": cpu, "rows": list(rows)}


def event(kind: str, at: float = 1.0, **data: Any) -> dict[str, Any]:
    return {"type": "event", "time": at, "kind": kind, "data": {**EVENTS.get(kind, {}), **data}}


# What comes in


def test_who_it_is() -> None:
    before = time.monotonic()
    watched, _ = session(rank=2, log="/tmp/x.log")
    assert (watched.pid, watched.label, watched.rank, watched.log) == (77, "rank 2", 2, None), (
        "a log of elsewhere is not read"
    )
    assert watched.title == "train.py --x"
    assert watched.footprint_kind == "RSS"
    assert 12.5 <= watched.now() <= 12.5 + time.monotonic() - before


def test_samples_become_history_and_the_first_a_mark() -> None:
    watched, _ = session()
    take(watched, samples(row(1.0), row(1.1, active=2 * MIB, peak=3 * MIB)))
    latest = watched.history.latest
    assert latest is not None
    assert (latest.time, latest.active, latest.total, latest.footprint) == (
        1.1,
        2 * MIB,
        2 * MIB + 5,
        2 * MIB,
    )
    assert watched.state.run_peak == 3 * MIB
    assert [(mark.name, mark.snapshot.active) for mark in watched.state.marks] == [("start", MIB)]


def test_time_that_goes_backwards_is_no_message() -> None:
    watched, _ = session()
    take(watched, samples(row(2.0)))
    with pytest.raises(ValueError, match="backwards"):
        take(watched, samples(row(1.9)))


@pytest.mark.parametrize("kind", EVENTS)
def test_events_reach_state_and_timeline(kind: str) -> None:
    watched, _ = session()
    take(watched, event(kind))
    latest = watched.timeline.latest(TYPES[kind])
    assert latest is not None
    told = to_json(latest.data)
    same = {"parts": {}, "counts": {}} if kind == "census" else {"asked": None, "times": 1}
    assert (EVENTS[kind] | same).items() <= (same | told | same).items()


@pytest.mark.parametrize(
    ("kind", "missing"),
    [(kind, key) for kind, data in EVENTS.items() for key in data if key not in ("times", "asked", "phase", "freed", "caller", "how")
     and not (kind == "census" and key != "active") and (kind, key) != ("collect", "freed")],
)  # fmt: skip
def test_an_event_that_lacks_something_is_no_message(kind: str, missing: str) -> None:
    watched, _ = session()
    broken = event(kind)
    del broken["data"][missing]
    with pytest.raises((ValueError, KeyError)):
        take(watched, broken)
    assert watched.timeline.latest(TYPES[kind]) is None


def test_facts_and_limits() -> None:
    watched, _ = session()
    limits = {"cache": [5, "train.py:3", 32 * MIB], "memory": [None, "", None]}
    take(watched, {"type": "facts", "facts": {"device": "cpu"}, "limits": limits})
    assert watched.state.facts == Facts(device="cpu")
    assert limit(watched, "cache")[:2] == (5, "train.py:3")
    assert watched.initial_limits == {"cache": 5}


def test_phases_bye_and_what_nobody_knows_yet() -> None:
    watched, _ = session()
    take(watched, {"type": "phases", "names": ["run", "train"]})
    assert watched.phases == ["run", "train"]
    take(watched, {"type": "weather", "tomorrow": "rain"})
    assert not watched.bye
    take(watched, {"type": "bye"})
    assert watched.bye


def test_its_cost_is_a_share_of_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    watched, _ = session()
    start = time.monotonic()
    for after, cpu in (0, 1.0), (6, 1.3), (7, 9.9), (12, 1.9):
        monkeypatch.setattr(time, "monotonic", lambda at=start + after: at)
        take(watched, samples(cpu=cpu))
    assert watched.agent_cost == pytest.approx(0.1, rel=0.01)


def test_the_picture_stands_still_at_the_end() -> None:
    watched, sent = session()
    take(watched, samples(row(1.0)))
    watched.end("process 77 ended")
    assert watched.ended == "process 77 ended"
    assert (watched.state.phase, watched.state.error) == ("ended", "process 77 ended")
    assert watched.now() == watched.now()
    watched.submit(SetLimit("cache", 5, "keyboard"))
    assert sent == []


# Commands


def test_commands_are_lines_an_agent_takes() -> None:
    watched, sent = session()
    take(watched, {"type": "facts", "facts": {}, "limits": {"cache": [5, "x", 32 * MIB]}})
    watched.submit(SetLimit("cache", 9, "keyboard"))
    watched.submit(SetLimit("cache", "default", "keyboard"))
    watched.submit(SetLimit("memory", "default", "keyboard"))  # nobody knows it
    watched.submit(ClearCache("keyboard"))
    watched.submit(ResetPeak("keyboard"))
    watched.submit(AddMark("here", "keyboard"))
    watched.submit(Collect("keyboard"))
    watched.submit(TakeCensus())
    watched.submit(SetInterval(0.5))
    assert [(m["type"], m.get("bytes")) for m in sent] == [
        ("limit", 9), ("limit", 32 * MIB), ("clear", None), ("reset", None), ("mark", None), ("collect", None),
        ("census", None), ("interval", None),
    ]  # fmt: skip
    assert watched.interval == 0.5


def test_a_limit_is_pending_until_its_answer() -> None:
    watched, _ = session()
    watched.submit(SetLimit("cache", 9, "keyboard"))
    assert watched.state.limits["cache"].pending == 9
    take(watched, event("limit", new=3, source="train.py:1"))
    assert watched.state.limits["cache"].pending == 9
    take(watched, event("limit", new=9, asked=9, source="keyboard"))
    assert limit(watched, "cache") == (9, "keyboard", None)


def test_the_answer_names_the_command() -> None:
    watched, sent = session()
    first = watched.submit(SetLimit("cache", 9, "keyboard"))
    second = watched.submit(SetLimit("cache", 9, "keyboard"))
    assert [m["id"] for m in sent] == [first, second]
    take(watched, {**event("limit", new=9, asked=9, source="keyboard"), "answers": first})
    assert watched.state.limits["cache"].pending == 9
    take(watched, {**event("limit", new=9, asked=9, source="keyboard"), "answers": second})
    assert watched.state.limits["cache"].pending is None


def test_a_refused_limit_is_pending_no_longer() -> None:
    watched, _ = session()
    take(watched, {"type": "facts", "facts": {}, "limits": {"wired": [0, "MLX's default", 0]}})
    watched.submit(SetLimit("wired", 9, "keyboard"))
    take(watched, event("limit", name="wired", old=0, new=0, asked=9, source="MLX's default"))
    assert limit(watched, "wired") == (0, "MLX's default", None)


def test_only_what_we_altered_is_put_back() -> None:
    watched, sent = session()
    limits = {knob: [5, "x", 5] for knob in LIMIT_NAMES}
    take(watched, {"type": "facts", "facts": {}, "limits": limits})
    take(watched, event("limit", name="cache", old=5, new=9, asked=9, source="keyboard"))
    take(watched, event("limit", name="memory", old=5, new=9, source="train.py:3"))
    assert watched.changed_limits() == {"cache": 5}
    watched.restore_limits()
    assert [(m["knob"], m["bytes"]) for m in sent] == [("cache", 5)]


def test_a_limit_that_is_not_set_yet_is_put_back_too() -> None:
    watched, sent = session()
    take(watched, {"type": "facts", "facts": {}, "limits": {"cache": [5, "x", 5]}})
    watched.submit(SetLimit("cache", 9, "keyboard"))
    assert watched.changed_limits() == {"cache": 5}
    watched.restore_limits()
    assert [m["bytes"] for m in sent] == [9, 5]


def test_who_is_refused_asks_for_no_limit() -> None:
    watched, sent = session()
    take(watched, {"type": "facts", "facts": {}, "limits": {"cache": [5, "x", 5]}})
    watched.submit(SetLimit("cache", 7, "keyboard"))
    sent.clear()
    watched.refuse("already watched by mlxtop (process 5)")
    watched.submit(SetLimit("cache", 9, "keyboard"))
    assert sent == []
    assert watched.state.limits["cache"].pending is None
    assert watched.state.error == "already watched by mlxtop (process 5)"


def test_control_is_lent_and_given_back() -> None:
    sent: list[dict[str, Any]] = []
    watched = RemoteSession(messages.hello(HELLO), lambda data: sent.append(json.loads(data)), controls=False)
    watched.submit(SetLimit("cache", 9, "keyboard"))
    watched.submit(SetControl(True))
    watched.submit(SetControl(True))
    watched.submit(SetLimit("cache", 9, "keyboard"))
    watched.submit(SetControl(False))
    assert [m.get("role") or m["type"] for m in sent] == ["watch", "limit", "look"]


def test_of_what_nobody_looks_at_few_samples_are_asked() -> None:
    sent: list[dict[str, Any]] = []
    watched = RemoteSession(messages.hello(HELLO), lambda data: sent.append(json.loads(data)), controls=False)
    watched.greet()
    watched.look(False)
    watched.greet()
    # Whoever controls it looks at it.
    watched.submit(SetControl(True))
    watched.submit(SetControl(False))
    watched.look(True)
    watched.greet()
    assert [(m["role"], m["every"], m["sparse"]) for m in sent] == [
        ("look", 0, False), ("look", SPARSE, True), ("watch", 0, False), ("look", SPARSE, True),
        ("look", 0, False),
    ]  # fmt: skip
    # A column between two of its samples is not empty.
    watched.handle_message(messages.Samples(0.0, (Sample(1.0, 5, 2, 5, 7), Sample(5.0, 5, 2, 5, 7))))
    assert watched.history.columns(1.0, 0.5, 9, ("total",), ()).hi["total"] == [7] * 9


def test_what_a_fleet_controls_is_not_given_back() -> None:
    watched, sent = session()
    watched.submit(SetControl(False))
    assert sent == []
    assert watched.controls


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["/usr/bin/python3.12", "-u", "train.py"], "train.py"),
        (["python", "-X", "dev", "-W", "error", "train.py", "-X"], "train.py -X"),
        (["python", "-m", "mlx_lm.generate", "--model", "x"], "mlx_lm.generate --model x"),
        (["python", "-c", "import mlx"], "python -c import mlx"),
        (
            ["/v/bin/python3", "-u", "-c", "\nimport json\nif 1:\n    pass\n", "x"],
            "python -c import json if 1: pass x",
        ),
        (["python", "train.py", "two\nlines"], "train.py two lines"),
        (["/v/bin/python", "/v/bin/mlx_lm.server"], "mlx_lm.server"),
        (["python"], "python"),
        (["./tool", "x"], "./tool x"),
        ([], "a program"),
        (None, "a program"),
        ([5, None], "5 None"),
        (["x" * 900], "x" * 200),
    ],
)
def test_commands_in_few_words(argv: Any, words: str) -> None:
    assert command(argv) == words


# Nonsense


NUMBERS = (
    st.integers(-(2**65), 2**65) | st.floats() | st.sampled_from([0, 1, -1, 10**400, math.inf, math.nan])
)
ANY = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8) | st.sampled_from(["cache", "wired", "mark"]),
    lambda some: st.lists(some, max_size=12) | st.dictionaries(st.text(max_size=5), some, max_size=5),
    max_leaves=14,
)
KEYS = sorted({key for data in EVENTS.values() for key in data} | {"ticks", "done", "total", "ttft", "tps"})
odd_data = ANY | st.dictionaries(st.sampled_from(KEYS), ANY, max_size=8)
odd_event = st.one_of(
    st.fixed_dictionaries({"type": st.just("event"), "time": ANY, "kind": ANY, "data": odd_data}),
    # One thing is wrong with it.
    st.builds(
        lambda kind, key, value: event(kind, **{key: value}), st.sampled_from(sorted(TYPES)), st.sampled_from(KEYS), ANY
    ),
    st.builds(
        lambda kind, data, at: {"type": "event", "time": at, "kind": kind, "data": data},
        st.sampled_from(sorted(TYPES)), odd_data, st.floats(0, 100) | ANY,
    ),
)  # fmt: skip
odd_row = ANY | st.lists(ANY, min_size=11, max_size=11) | st.builds(
    lambda at, place, value: [*row(at)[:place], value, *row(at)[place + 1 :]],
    st.floats(0, 100), st.integers(0, 10), ANY,
)  # fmt: skip
odd_message = st.one_of(
    odd_event,
    st.fixed_dictionaries({"type": st.just("samples"), "cpu": ANY | st.just(0.5), "rows": ANY | st.lists(odd_row, max_size=4)}),
    st.fixed_dictionaries({
        "type": st.just("facts"), "facts": ANY,
        "limits": ANY | st.dictionaries(st.sampled_from(LIMIT_NAMES), ANY | st.tuples(ANY, ANY, ANY).map(list)),
    }),
    st.fixed_dictionaries({"type": st.just("phases"), "names": ANY}),
    st.fixed_dictionaries({"type": ANY}),
)  # fmt: skip


def looked_at(watched: RemoteSession) -> None:
    """What a screen does at every frame."""
    view, now = View(), watched.now()
    frame = gather(watched, view, Own(), visible_columns(watched, view, 80, now), now)
    for kind in EVENT_TYPES:
        for one in watched.timeline.between(kind, -math.inf, math.inf):
            assert isinstance(one.describe(), str)
    for mark in watched.state.marks:
        if frame.sample is not None:
            frame.delta(frame.sample.active - mark.snapshot.active)
        assert isinstance(mark.name, str)
    for limit in watched.state.limits.values():
        frame.size(limit.value)
        frame.size(limit.wanted)
        assert isinstance(limit.source, str)
    frame.size(frame.most.peak)
    assert all(isinstance(name, str) for name in watched.phases)


@given(st.lists(odd_message, min_size=1, max_size=4))
def test_any_message_is_taken_or_is_none(messages: list[dict[str, Any]]) -> None:
    watched, _ = session()
    take(watched, samples(row(0.5), row(0.6)))
    for message in messages:
        try:
            take(watched, message)
        except ValueError:
            break
    looked_at(watched)
    # A second later what waits is moved into the history.
    watched.history.add(watched.history.latest._replace(time=1e6))  # type: ignore[union-attr]
    looked_at(watched)


@given(st.dictionaries(st.sampled_from(sorted(HELLO)), ANY, max_size=4))
def test_any_hello_makes_a_session_or_a_value_error(other: dict[str, Any]) -> None:
    try:
        watched, _ = session(**other)
    except ValueError:
        return
    take(watched, samples(row(0.5)))
    looked_at(watched)


BROKEN = {
    "a size in words": samples(row(1.0, active="much")),  # type: ignore[arg-type]
    "a size with a fraction": samples(row(1.0, active=1.5)),  # type: ignore[arg-type]
    "a size beyond all": samples(row(1.0, peak=2**63)),
    "a time beyond all": samples(row(math.inf)),
    "a phase nobody named": samples(row(1.0, phase=7)),
    "an event without data": {"type": "event", "time": 1.0, "kind": "done", "data": None},
    "a mark of words": event("mark", active="much"),
    "a limit of words": {"type": "facts", "facts": {}, "limits": {"cache": ["much", "x", None]}},
    "facts that are none": {"type": "facts", "facts": 5, "limits": {}},
    "a setter that is none": event("limit", source=["x"]),
    "a count that is none": event("clear", times="often"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_message_of_wrong_types_is_none(what: str) -> None:
    watched, _ = session()
    take(watched, samples(row(0.5)))
    with pytest.raises(ValueError, match=r"expected|must|made of|have|has|list|no name|share"):
        take(watched, BROKEN[what])
    looked_at(watched)


def test_a_limit_set_while_the_agent_introduced_itself_stays_the_last_in_order_of_time() -> None:
    watched, _ = session()
    told: list[Any] = []
    watched.subscribe(told.append)
    take(watched, {"type": "facts", "time": 0.3, "facts": {}, "limits": {"cache": [5, "MLX's default", 5]}})
    take(watched, event("limit", 0.35, old=5, new=6, source="train.py:4"))
    limits = [e for e in sorted(told, key=lambda e: e.time) if isinstance(e.data, LimitChanged)]
    assert [(e.time, e.data.new) for e in limits] == [(0.3, 5), (0.35, 6)]


# Behind a forwarded socket may be anybody

HOSTILE = "x\x1b[2J\x1b]0;PWNED\x07\x9b31m\u202e"
DEEP: Any = []
for _ in range(500):
    DEEP = [DEEP]
LIES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no device": {"memory": 5},
    "wrong types": {
        "device": 5,
        "backend": [],
        "memory": "much",
        "unified": "yes",
        "pid": "1",
        "argv": 7,
        "model": {},
    },
    "beyond all": {
        "memory": 10**30,
        "working_set": -5,
        "cgroup_limit": 2**63,
        "pid": -1,
        "system_memory": True,
    },
    "no numbers": {"memory": math.inf, "working_set": -math.inf, "max_buffer": 1e400},
    "long": {"device": "d" * 10**7, "x" * 10**6: "y" * 10**6, "argv": ["w" * 10**6] * 200},
    "many": {f"fact {n}": n for n in range(100_000)},
    "deep": {"device": DEEP, "argv": DEEP, "other": DEEP},
    "escapes": {"device": HOSTILE, "backend": HOSTILE, HOSTILE: HOSTILE, "argv": [HOSTILE], "mlx": HOSTILE},
}


def texts(value: Any) -> list[str]:
    """All text in a value."""
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts(part)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


def harmless(*values: Any) -> bool:
    return not set("".join(texts(values))) & set("\x1b\x07\x9b\u202e")


@pytest.mark.parametrize("lie", LIES)
def test_facts_may_lack_or_lie_about_anything(lie: str) -> None:
    watched, _ = session()
    take(watched, {"type": "facts", "facts": LIES[lie], "limits": {}})
    take(watched, samples(row(0.5)))
    looked_at(watched)
    facts = watched.state.facts
    assert sum(map(len, texts(facts))) < 60_000
    assert harmless(facts)
    assert isinstance(facts.device, str)
    sizes = (facts.memory, facts.working_set, facts.cgroup_limit)
    assert all(size is None or (type(size) is int and 0 < size < 2**63) for size in sizes)
    assert type(facts.unified) is bool


def test_escapes_are_taken_off_wherever_text_comes_in() -> None:
    watched, _ = session(argv=["python", "-c", HOSTILE], footprint=HOSTILE, log=HOSTILE)
    take(watched, {"type": "phases", "names": ["run", HOSTILE]})
    take(watched, {"type": "facts", "facts": {}, "limits": {"cache": [5, HOSTILE, 5]}})
    for kind in ("limit", "clear", "reset", "collect", "mark", "error", "phase"):
        data = dict.fromkeys(EVENTS.get(kind, {"phase": ""}), HOSTILE)
        strings = {
            name: HOSTILE
            for name in data
            if name in ("source", "name", "message", "phase") and (kind, name) != ("limit", "name")
        }
        take(watched, event(kind, **strings, **{HOSTILE: HOSTILE}))
    refused = messages.parse({"type": "refused", "why": HOSTILE})
    older = messages.disagreement({"mlxtop": HOSTILE, "pid": HOSTILE, "protocol": HOSTILE})
    said = [
        watched.title,
        watched.command,
        watched.label,
        watched.footprint_kind,
        watched.phases,
        refused,
        older,
    ]
    events = [
        to_json(e.data)
        for kind in TYPES.values()
        for e in watched.timeline.between(kind, -math.inf, math.inf)
    ]
    assert len(events) >= 7
    assert harmless(said, events, watched.state.error, [mark.name for mark in watched.state.marks])
    assert "PWNED" in watched.title


@pytest.mark.parametrize("kind", ["budget", "system", "facts", "end", "party", 5, None])
def test_events_that_are_not_an_agent_s_to_tell_are_passed_over(kind: Any) -> None:
    """A budget from over there would have us act on it; what is known of the machine is our own reading."""
    watched, _ = session()
    data = {"budget": 1, "source": "x", "against": "footprint", "level": 100, "was": 0, "used": 5, "pid": 1}
    take(watched, {"type": "event", "time": 1.0, "kind": kind, "data": data})
    take(watched, {"type": "party", "kind": kind})
    assert (watched.state.budget, watched.state.system, watched.state.facts) == (None, None, Facts())


def test_an_event_keeps_what_it_must_and_little_else() -> None:
    watched, _ = session()
    more = {f"more {n}": "y" * 10_000 for n in range(100)}
    take(
        watched,
        {
            "type": "event",
            "time": 1.0,
            "kind": "limit",
            "data": {**more, **EVENTS["limit"], "asked": 5, "new": 5},
        },
    )
    told = watched.timeline.latest(LimitChanged)
    assert told is not None
    assert (told.data.new, told.data.asked) == (5, 5)
    assert to_json(told.data) == {
        "name": "cache", "old": 5, "new": 5, "source": "train.py:7", "asked": 5,
    }  # fmt: skip


def test_a_flood_is_kept_in_bounds() -> None:
    watched, _ = session()
    mark = event("mark", name="m" * 1000)
    for _ in range(6):
        take(watched, samples(*[row(0.5)] * 20_000))
    for _ in range(5_000):
        watched.handle_message(messages.parse(mark))  # type: ignore[arg-type]
    assert len(watched.history._recent) <= 5_001
    assert len(watched.state.marks) <= 4_100
    assert watched.state.marks[0].name == "start"
    assert max(len(mark.name) for mark in watched.state.marks) <= 80
    census = {"type": "event", "time": 1.0, "kind": "census", "data": EVENTS["census"]}
    for _ in range(300):
        watched.handle_message(messages.parse(census))  # type: ignore[arg-type]
    assert len(watched.timeline.between(CensusTaken, 0, 9)) <= 200
    with pytest.raises(ValueError, match="list"):
        take(watched, {"type": "phases", "names": ["run"] * 5_000})
    with pytest.raises(ValueError, match="list"):
        take(watched, samples(*[row(0.5)] * 20_001))


@pytest.mark.parametrize("gauge", ["active", "cache", "peak"])
@pytest.mark.parametrize("value", [-1, 2**62, 1.5, "5", None, True])
def test_a_sample_that_cannot_be(gauge: str, value: Any) -> None:
    watched, _ = session()
    with pytest.raises(ValueError, match="whole numbers"):
        take(watched, samples(row(1.0, **{gauge: value})))


@pytest.mark.parametrize(
    ("more", "high"), [([], UNKNOWN), ([UNKNOWN], UNKNOWN), ([MIB], UNKNOWN), ([3 * MIB], 3 * MIB)]
)
def test_what_rose_between_two_samples_is_taken_from_agents_that_tell_it(more: list[int], high: int) -> None:
    watched, _ = session()
    take(watched, samples([*row(0.1), *more]))
    latest = watched.history.latest
    assert latest is not None
    assert (latest.active, latest.high) == (MIB, high)
    assert watched.history.columns(0.0, 1.0, 1).hi["active"] == [max(high, MIB)]


def test_buffers_are_taken_from_an_agent_that_counts_them() -> None:
    watched, _ = session()
    take(watched, samples(row(0.1), [*row(0.2), UNKNOWN, 77]))
    assert [watched.history.at(time).buffers for time in (0.1, 0.2)] == [UNKNOWN, 77]
    assert watched.history.columns(0.0, 1.0, 1).last["buffers"] == [77]


@pytest.mark.parametrize("more", [[1, 1, 1], ["1"], [-2], [2**62], [None], [1, -2]])
def test_a_sample_of_other_numbers_is_no_message(more: list[Any]) -> None:
    watched, _ = session()
    with pytest.raises(ValueError, match="sample"):
        take(watched, samples([*row(0.1), *more]))
