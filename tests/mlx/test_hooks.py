"""Real MLX, each test in a process of its own: limits belong to the whole process."""

import sys

import pytest

from tests.process import default_cache_limit, python

pytestmark = pytest.mark.usefixtures("processes")

WATCH = """
import json, sys
import mlx.core as mx
from mlxtop.mlx.hooks import AllocatorHooks, Call, Change, defaults
heard = []
watch = AllocatorHooks(heard.append)
names = ("set_cache_limit", "set_memory_limit", "set_wired_limit", "clear_cache", "reset_peak_memory")
own = {name: getattr(mx, name) for name in names}
found = watch.read_limits()
watch.install()
def told():
    return [[type(h).__name__, *(v for f, v in h.fields().items() if f not in ('asked', 'answers'))] for h in heard]
def say(**what):
    print(json.dumps(what))
def fill():
    a = mx.zeros((1 << 20,), mx.uint8); mx.eval(a); del a
"""


def test_the_limits_mlx_started_with_are_found_and_left_as_they_were() -> None:
    said = python(
        WATCH
        + "say(found=found, defaults=defaults(), told=told(), again=own['set_cache_limit'](5), memory=mx.get_memory_limit())"
    )
    assert said["found"] == said["defaults"]
    assert said["found"]["cache"] == default_cache_limit()
    assert said["again"] == default_cache_limit()
    assert said["found"]["memory"] == said["memory"] > 2**30
    assert said["found"]["wired"] == 0
    assert said["told"] == []


def test_asking_for_the_limits_evicts_nothing() -> None:
    said = python(
        WATCH
        + "fill(); before = mx.get_cache_memory(); watch.read_limits(); say(was=before, now=mx.get_cache_memory())"
    )
    assert said["now"] == said["was"] >= 2**20


def test_a_limit_for_a_block_is_the_programs_own_doing() -> None:
    program = "import mlxtop\nwith mlxtop.cache_limit('20M'):\n    pass\nsay(told=told())"
    said = python(WATCH + f"exec(compile({program!r}, '/home/me/train/loop.py', 'exec'))")
    assert [(new, who.partition(":")[0]) for *_, new, who in said["told"]] == [
        (20 * 2**20, "train/loop.py"),
        (default_cache_limit(), "train/loop.py"),
    ]


def test_somebody_elses_change_is_noticed_with_file_and_line() -> None:
    program = "line = sys._getframe().f_lineno + 1\nold = mx.set_cache_limit(5_000_000)\nsay(line=line, old=old, told=told())"
    said = python(WATCH + f"exec(compile({program!r}, '/home/me/train/loop.py', 'exec'))")
    assert said["old"] == default_cache_limit()
    assert said["told"] == [
        ["Change", "cache", default_cache_limit(), 5_000_000, f"train/loop.py:{said['line']}"]
    ]


def test_all_three_limits_are_watched() -> None:
    said = python(
        WATCH
        + "mx.set_memory_limit(2**33); mx.set_wired_limit(0); mx.set_cache_limit(0)\nsay(told=told(), m=mx.get_memory_limit())"
    )
    assert [(knob, new) for _, knob, _, new, _ in said["told"]] == [
        ("memory", 2**33),
        ("wired", 0),
        ("cache", 0),
    ]
    assert said["m"] == 2**33


def test_the_deprecated_functions_in_metal_are_watched_as_well() -> None:
    program = (
        "line = sys._getframe().f_lineno + 1\n"
        "mx.metal.set_cache_limit(5_000_000)\nmx.metal.set_memory_limit(2**33)\n"
        "mx.metal.set_wired_limit(0)\nfill()\nmx.metal.clear_cache()\nmx.metal.reset_peak_memory()\n"
        "watched = told()\nwatch.remove()\nmx.metal.set_cache_limit(3)\n"
        "say(line=line, watched=watched, after=len(heard), cache=mx.set_cache_limit(9))"
    )
    said = python(WATCH + f"exec(compile({program!r}, '/home/me/train/loop.py', 'exec'))")
    line, told = said["line"], said["watched"]
    assert [who for *_, who in told] == [f"train/loop.py:{line + n}" for n in (0, 1, 2, 4, 5)]
    assert [[name, new] for _, name, *_, new, _ in told[:3]] == [
        ["cache", 5_000_000],
        ["memory", 2**33],
        ["wired", 0],
    ]
    assert [name for _, name, *_ in told[3:]] == ["clear_cache", "reset_peak_memory"]
    assert told[3][2] >= 2**20
    assert (said["after"], said["cache"]) == (5, 3)


WITHOUT_GETTERS = (
    "import mlx.core as mx\ndel mx.get_memory_limit, mx.device_info, mx.clear_streams, mx.cuda\n"
)


def test_without_a_getter_a_limit_is_set_and_set_back() -> None:
    said = python(
        WITHOUT_GETTERS + WATCH + "from mlxtop.mlx import backend, device\n"
        "say(found=found, defaults=defaults(), late=defaults(fresh=False), backend=backend.name(), "
        "facts=device.facts().device, memory=own['set_memory_limit'](5))"
    )
    assert said["found"] == said["defaults"] == said["late"]
    assert said["found"]["memory"] == said["memory"] > 2**28
    assert said["backend"] == "CPU"
    assert said["facts"]


def test_what_mlx_starts_with_is_not_what_stands() -> None:
    said = python(
        WATCH + "mx.set_memory_limit(2**33)\nsay(now=watch.read_limits(), began=defaults(fresh=False))"
    )
    assert said["now"]["memory"] == 2**33
    assert said["began"] == {**found_by_mlx(), "wired": 0}


def found_by_mlx() -> dict[str, int]:
    return python(
        "import json, mlx.core as mx\n"
        "print(json.dumps({'cache': mx.set_cache_limit(1), 'memory': mx.set_memory_limit(1)}))"
    )


def test_a_wired_limit_that_does_nothing_is_nothing_whoever_set_it() -> None:
    said = python(WATCH + "mx.set_wired_limit(2**30)\nsay(told=told())")
    assert [new for *_, new, _ in said["told"]] == [0]


METAL = (
    WATCH
    + """
from mlxtop.mlx import backend
wired = [3 * 2**30]
def set_wired_limit(limit):
    wired.append(limit)
    return wired[-2]
watch._original["set_wired_limit"] = set_wired_limit
backend.no_wiring = lambda: None
"""
)
"""As where MLX wires memory: the setter's calls are kept."""


def test_where_memory_is_wired_the_limit_is_never_probed() -> None:
    said = python(
        METAL
        + "late = watch.read_limits(); fresh = watch.read_limits(fresh=True)\nsay(late=late, fresh=fresh, wired=wired)"
    )
    assert "wired" not in said["late"]
    assert said["fresh"]["wired"] == 0
    assert said["wired"] == [3 * 2**30]


def test_where_memory_is_wired_a_running_programs_limit_is_left_alone() -> None:
    said = python(
        METAL
        + """
from mlxtop.agent.controller import ProgramController
from mlxtop.agent.event_log import EventLog
event_log = EventLog(lambda _: None)
controller = ProgramController(event_log, late=True)
controller._hooks = watch
controller.find_limits()
controller.set_limit("wired", 2**30, "keyboard")
told = [json.loads(message) for _, message in event_log.since(0)]
controller.start_with("wired=7")
say(standing=sorted(controller.limits()), told=[m["data"] for m in told if m["kind"] == "error"],
    answer=[m["data"]["asked"] for m in told if "asked" in m["data"]], wired=wired)
"""
    )
    assert "wired" not in said["standing"]
    assert [told["phase"] for told in said["told"]] == ["limit"]
    assert "mlxtop run --wired-limit" in said["told"][0]["message"]
    assert said["answer"] == [2**30]
    # At the start nothing is queued.
    assert said["wired"] == [3 * 2**30, 7]


def test_a_limit_set_here_is_set_and_told_in_the_name_of_who_asked() -> None:
    said = python(
        WATCH + "watch.set('cache', 7, 'keyboard', 41)\nwatch.call('clear_cache', 'keyboard', 42)\n"
        "mx.set_cache_limit(7)\nsay(told=told()[:1], was=own['set_cache_limit'](0), answers=[[getattr(h, 'asked', None), h.answers] for h in heard])"
    )
    assert said["answers"] == [[7, 41], [None, 42], [None, None]]
    assert said["told"] == [["Change", "cache", default_cache_limit(), 7, "keyboard"]]
    assert said["was"] == 7


@pytest.mark.skipif(sys.platform == "darwin", reason="Metal wires memory")
def test_a_limit_that_the_backend_ignores_is_told_as_it_is() -> None:
    said = python(WATCH + "change = watch.set('wired', 2**30, 'keyboard')\nsay(new=change.new)")
    assert said["new"] == 0


def test_clearing_the_cache_is_counted_whoever_does_it() -> None:
    said = python(
        WATCH
        + "fill(); mx.clear_cache(); fill(); before = mx.get_cache_memory(); watch.call('clear_cache', 'keyboard')\n"
        + "say(told=told(), before=before, after=mx.get_cache_memory())"
    )
    (_, name, size, who), (_, *mine) = said["told"]
    assert name == "clear_cache"
    assert who.startswith("<string>:")
    assert size >= 2**20
    assert mine == ["clear_cache", said["before"], "keyboard"]
    assert said["after"] == 0


def test_a_peak_that_is_reset_is_told_with_what_it_was() -> None:
    said = python(
        WATCH
        + "fill(); own['clear_cache'](); watch.call('reset_peak_memory', 'me'); mx.reset_peak_memory()\nsay(told=told())"
    )
    (_, name, peak, who), (_, again, after, _) = said["told"]
    assert (name, who, again) == ("reset_peak_memory", "me", "reset_peak_memory")
    assert peak >= 2**20 > after


def test_remove_gives_mlx_its_own_functions_back() -> None:
    said = python(
        WATCH + "wrapped = [getattr(mx, n) is not own[n] for n in names]; watch.remove()\n"
        "mx.set_cache_limit(3); mx.clear_cache()\n"
        "say(wrapped=wrapped, own=[getattr(mx, n) is own[n] for n in names], told=told())"
    )
    assert all(said["wrapped"])
    assert all(said["own"])
    assert said["told"] == []


def test_the_wrapped_functions_take_and_refuse_what_mlxs_own_do() -> None:
    said = python(
        WATCH + "old = mx.set_cache_limit(limit=9)\n"
        "try:\n    mx.set_cache_limit('9')\nexcept TypeError as error:\n    refused = str(error)\n"
        "say(old=old, refused=refused, told=len(heard), name=mx.set_cache_limit.__name__)"
    )
    assert said["old"] == default_cache_limit()
    assert "incompatible" in said["refused"]
    assert said["told"] == 1
    assert said["name"] == "set_cache_limit"
