import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mlxtop
from mlxtop.core.commands import (
    AddMark,
    ClearCache,
    ResetPeak,
    SetLimit,
    StartWorkload,
    StopWorkload,
    SubmitPrompt,
)
from mlxtop.core.events import (
    CacheCleared,
    ErrorRaised,
    LimitChanged,
    PeakReset,
    PhaseChanged,
    ProgressMade,
)
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.units import DEFAULT
from mlxtop.inference.options import FOREVER, Options
from mlxtop.sessions.local import LocalSession
from tests.process import run as run_process
from tests.recorder import Recorder

MIB = 2**20


class Run:
    """A session, and what it told."""

    def __init__(self, **options: Any) -> None:
        self.heard = Recorder()
        self.session = LocalSession(Options(**options), 0.01)
        self.session.subscribe(self.heard.sink)
        self.closed = False

    def open(self) -> "Run":
        self.session.open()
        return self

    def to_the_end(self) -> "Run":
        self.open().heard.until(PhaseChanged, phase="idle")
        self.sampled()
        return self

    def close(self, timeout: float) -> bool:
        """Closes the session, unless the test did."""
        if not self.closed:
            self.closed = self.session.close(timeout)
        return self.closed

    def sampled(self) -> None:
        """Waits for a sample that was taken after this."""
        count = self.session.history.count
        # The sample being taken now may have begun before.
        self.heard.wait(lambda: self.session.history.count > count + 1, "a sample")


@pytest.fixture
def run() -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def make(**options: Any) -> Run:
        runs.append(
            Run(**{"workload": "loop", "prompt": "hello there", "max_tokens": 6, "repeat": 1, **options})
        )
        return runs[-1]

    yield make
    for one in runs:
        assert one.close(20)

    import mlx.core as mx

    mx.set_cache_limit(32 * MIB)


def long_prefill(run: Callable[..., Run], tokens: int = 400) -> Run:
    return run(prompt="x" * tokens, prefill_step_size=16)


def test_a_run_can_be_read_from_start_to_end(run) -> None:
    session = run(repeat=2).to_the_end().session
    assert session.title == "demo"
    assert session.state.phase == "idle"
    assert session.state.done
    assert session.done.is_set()
    assert session.state.generations == 2
    assert session.state.facts.model == "demo"
    assert [mark.name for mark in session.state.marks] == ["start", "loaded"]
    assert session.transcript.since(0)[0][1:3] == ("prompt", "hello there")
    latest = session.history.latest
    assert (latest.tokens, latest.steps) == (12, 10)
    assert latest.total == latest.active + latest.cache
    assert latest.footprint > latest.active
    assert session.phases[latest.phase] == "idle"


def test_samples_know_phase_weights_and_kv_cache_of_their_moment(run) -> None:
    one = long_prefill(run).to_the_end()
    by_phase: dict[str, list[Any]] = {}
    for sample in one.heard.samples:
        by_phase.setdefault(one.session.phases[sample.phase], []).append(sample)
    assert next(iter(by_phase)) == "load"
    assert by_phase["load"][0].weights == UNKNOWN
    assert by_phase["load"][0].kv == UNKNOWN
    assert {s.weights for s in by_phase["idle"]} == {one.session.history.latest.weights}
    assert one.session.history.latest.weights > MIB
    assert max(s.kv for s in by_phase["prefill"]) > 0
    assert by_phase["idle"][-1].kv == 0


def test_weights_of_a_checkpoint_are_the_bytes_of_its_arrays(run, checkpoint: Path) -> None:
    file = (checkpoint / "model.safetensors").read_bytes()
    one = run(model=str(checkpoint)).to_the_end()
    assert one.session.history.latest.weights == len(file) - 8 - struct.unpack("<Q", file[:8])[0]
    assert one.session.title == str(checkpoint)


def test_samples_come_in_order_of_time_and_so_do_events(run) -> None:
    heard = run(repeat=3).to_the_end().heard
    for times in ([s.time for s in heard.samples], [e.time for e in heard.events]):
        assert times == sorted(times)
        assert times[0] >= 0


def test_a_limit_asked_for_during_a_long_prefill_is_pending_and_then_set_before_it_ends(run) -> None:
    one = long_prefill(run)
    limits = []

    def press(event: Any) -> None:
        if event.data == ProgressMade("prefill", 32, 400):
            one.session.submit(SetLimit("cache", 0, "keyboard"))
            limits.append(one.session.state.limits["cache"])

    one.heard.react = press
    heard = one.to_the_end().heard
    (asked,) = limits
    assert (asked.value, asked.pending, asked.wanted) == (32 * MIB, 0, 0)
    now = one.session.state.limits["cache"]
    assert (now.value, now.pending, now.source, now.default) == (0, None, "keyboard", 32 * MIB)
    change = heard.each(LimitChanged, source="keyboard")[0]
    later = [e.data.done for e in heard.events[heard.place(change) :] if isinstance(e.data, ProgressMade)]
    assert later[0] < 400
    assert one.session.timeline.between(LimitChanged, 0, 1e9)[-1] is change


def test_two_presses_end_with_the_second_and_nothing_pending(run) -> None:
    one = run().to_the_end()
    one.session.submit(SetLimit("cache", 20 * MIB, "keyboard"))
    one.session.submit(SetLimit("cache", 2 * MIB, "keyboard"))
    assert one.session.state.limits["cache"].pending == 2 * MIB
    one.heard.until(LimitChanged, new=2 * MIB)
    one.heard.wait(lambda: one.session.state.limits["cache"].pending is None)
    assert one.session.state.limits["cache"].value == 2 * MIB


def test_back_to_default_is_what_mlx_started_with(run) -> None:
    one = run(limits={"cache": 5}).to_the_end()
    one.session.submit(SetLimit("cache", DEFAULT, "keyboard"))
    assert one.heard.until(LimitChanged, source="keyboard").data.new == 32 * MIB


def test_a_limit_somebodys_code_sets_is_seen_with_file_and_line(run) -> None:
    import mlx.core as mx

    one = run().to_the_end()
    mx.set_cache_limit(3 * MIB)
    limit = one.session.state.limits["cache"]
    assert limit.value == 3 * MIB
    assert limit.source.startswith("sessions/test_local.py:")


def test_a_limit_no_backend_can_take_does_not_stay_pending(run) -> None:
    one = run().to_the_end()
    one.session.submit(SetLimit("wired", 2**50, "keyboard"))
    one.heard.until(LimitChanged, name="wired", asked=2**50)
    one.heard.wait(lambda: one.session.state.limits["wired"].pending is None)
    assert one.session.state.limits["wired"].value == 0


def test_a_refused_limit_leaves_the_old_one_shown(run) -> None:
    one = run().to_the_end()
    one.session.submit(SetLimit("cache", 2**70, "keyboard"))
    one.heard.until(ErrorRaised)
    one.heard.wait(lambda: one.session.state.limits["cache"].pending is None)
    assert one.session.state.limits["cache"].value == 32 * MIB


def test_clearing_the_cache_empties_it(run) -> None:
    one = run().to_the_end()
    one.session.submit(ClearCache("keyboard"))
    one.heard.until(CacheCleared, source="keyboard")
    one.sampled()
    assert one.session.history.latest.cache == 0


def test_a_peak_that_was_reset_stays_the_runs_peak(run) -> None:
    one = long_prefill(run).to_the_end()
    before = one.session.history.latest.peak
    one.session.submit(ResetPeak("keyboard"))
    assert one.heard.until(PeakReset, source="keyboard").data.peak == before
    one.sampled()
    assert one.session.history.latest.peak < before <= one.session.state.run_peak


def test_a_mark_is_the_moment_it_was_set(run) -> None:
    one = run().to_the_end()
    before = one.session.now()
    one.session.submit(AddMark("mine", "keyboard"))
    mark, latest = one.session.state.marks[-1], one.session.history.latest
    assert (mark.name, mark.tokens) == ("mine", 6)
    assert (mark.snapshot.active, mark.snapshot.peak) == (latest.active, latest.peak)
    assert before <= mark.snapshot.time <= one.session.now()


def test_before_mlx_is_there_nothing_can_be_marked(run) -> None:
    one = run()
    one.session.submit(AddMark("too early", "keyboard"))
    assert one.session.state.marks == []


def test_a_program_in_this_process_can_mark_and_name_its_phases(run) -> None:
    one = run().to_the_end()
    mlxtop.mark("from code")
    with mlxtop.phase("evaluate"):
        assert one.session.state.phase == "evaluate"
    assert one.session.state.phase == "idle"
    assert one.session.state.marks[-1].name == "from code"
    assert one.session.phases.count("idle") == 1


def test_stop_start_and_say(run) -> None:
    one = run(repeat=FOREVER, max_tokens=100_000).open()
    one.heard.until(PhaseChanged, phase="decode")
    one.session.submit(StopWorkload())
    one.heard.until(PhaseChanged, phase="idle")
    one.session.submit(StartWorkload())
    one.heard.until(PhaseChanged, phase="decode", nth=2)
    one.session.submit(SubmitPrompt("typed"))
    one.heard.until(PhaseChanged, phase="decode", nth=3)
    prompts = [line.text for line in one.session.transcript.since(0) if line.who == "prompt"]
    assert prompts == ["hello there", "hello there", "typed"]


def test_a_failed_load_is_shown_and_sampling_goes_on(run) -> None:
    one = run(model="/no/such/folder").open()
    one.heard.until(PhaseChanged, phase="failed")
    one.sampled()
    assert one.session.state.error.startswith("Could not load /no/such/folder: ")
    assert one.session.state.phase == "failed"
    assert one.session.done.is_set()
    assert one.session.failure is None


def test_hostile_words_of_a_model_are_harmless_in_the_transcript(run) -> None:
    hostile = "[bold]\x1b[2J\x1b]0;x\x07 é漢\U0001f642 \x00"
    one = run(prompt=hostile, max_tokens=60).to_the_end()
    text = "".join(line.text for line in one.session.transcript.since(0))
    assert text.startswith("[bold]␛[2J␛]0;x␇ é漢\U0001f642 ␀")
    assert all(c.isprintable() for c in text)


@pytest.mark.parametrize("phase", ["decode", "idle", "failed"])
def test_close_ends_the_run_in_every_phase(run, phase: str) -> None:
    failed = {"model": "/no/such/folder"} if phase == "failed" else {}
    one = run(max_tokens=100_000 if phase == "decode" else 3, **failed).open()
    one.heard.until(PhaseChanged, phase=phase)
    assert one.close(20)


def test_nothing_is_told_after_close(run) -> None:
    one = run().to_the_end()
    assert one.close(5)
    told = len(one.heard.events), len(one.heard.samples)
    mlxtop.mark("unheard")
    time.sleep(0.05)
    assert (len(one.heard.events), len(one.heard.samples)) == told


def test_closing_twice_or_without_opening_hurts_nobody(run) -> None:
    assert run().close(1)
    one = run().to_the_end()
    assert one.close(5)
    assert one.session.close(5)


EXIT = """
import sys
from mlxtop.core.events import Event, PhaseChanged
from mlxtop.sessions.local import LocalSession
from mlxtop.inference.options import Options
import threading
reached = threading.Event()
def sink(item):
    if isinstance(item, Event) and isinstance(item.data, PhaseChanged) and item.data.phase == sys.argv[1]:
        reached.set()
session = LocalSession(Options(workload="loop", prompt="hello", max_tokens=200, repeat=1), 0.001)
session.subscribe(sink)
session.open()
assert reached.wait(60)
assert session.close(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["load", "prefill", "decode", "idle"])
@pytest.mark.parametrize("attempt", [1, *(pytest.param(n, marks=pytest.mark.soak) for n in range(2, 11))])
def test_the_process_ends_with_exit_code_0_in_every_phase(phase: str, attempt: int) -> None:
    done = run_process([sys.executable, "-c", EXIT, phase], timeout=150)
    assert (done.returncode, done.stderr) == (0, "")
