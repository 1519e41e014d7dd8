import json
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlxtop.core.commands import (
    ClearCache,
    ForgetConversation,
    ResetPeak,
    SetLimit,
    StartWorkload,
    StopWorkload,
    SubmitPrompt,
)
from mlxtop.core.events import (
    CacheCleared,
    ErrorRaised,
    Event,
    FactsRead,
    GenerationFinished,
    LimitChanged,
    MarkAdded,
    PeakReset,
    PhaseChanged,
    ProgressMade,
    WorkloadDone,
)
from mlxtop.core.sample import UNKNOWN
from mlxtop.inference import engine
from mlxtop.inference import prompts as prompting
from mlxtop.inference.engine import Engine
from mlxtop.inference.engine_commands import Generate, Quit
from mlxtop.inference.options import FOREVER, Options
from mlxtop.mlx import backend
from tests.process import default_cache_limit
from tests.recorder import Recorder


class Run:
    """An engine, what it told, and what it wrote."""

    def __init__(self, **options: Any) -> None:
        self.heard = Recorder()
        self.written: list[tuple[str, str]] = []
        self.engine = Engine(Options(**options), self.heard.emit, lambda *line: self.written.append(line))

    def start(self) -> "Run":
        self.engine.start()
        return self

    def to_the_end(self) -> "Run":
        self.start().heard.until(PhaseChanged, phase="idle")
        return self

    def prompts(self) -> list[str]:
        return [text for who, text in self.written if who == "prompt"]

    def reply(self) -> str:
        return "".join(text for who, text in self.written if who == "reply")

    def close(self) -> None:
        if self.engine.ident:
            self.engine.submit(Quit())
            self.engine.join(20)
            assert not self.engine.is_alive()


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
        one.close()
    restore_limits()


def restore_limits() -> None:
    """A run leaves MLX's limits as it last set them; the next one here is to find MLX's own."""
    import mlx.core as mx

    mx.set_cache_limit(32 * 2**20)


def weight_bytes(checkpoint: Path) -> int:
    """What the arrays of a safetensors file take: all of it but its header."""
    file = checkpoint / "model.safetensors"
    with file.open("rb") as stream:
        (header,) = struct.unpack("<Q", stream.read(8))
    return file.stat().st_size - 8 - header


# A run from load to idle


def test_phases_come_in_order(run) -> None:
    assert run(repeat=2).to_the_end().heard.phases == [
        "load",
        "prefill",
        "decode",
        "prefill",
        "decode",
        "idle",
    ]


def test_the_facts_and_the_limits_come_before_anything_is_loaded(run) -> None:
    heard = run(limits={"cache": 2**20}).to_the_end().heard
    told = [e for e in heard.events if isinstance(e.data, FactsRead | LimitChanged | ProgressMade)]
    assert [type(e.data) for e in told[:5]] == [FactsRead, *[LimitChanged] * 4]
    assert [(e.data.name, e.data.source) for e in told[1:5]] == [
        ("cache", "MLX's default"),
        ("memory", "MLX's default"),
        ("wired", "MLX's default"),
        ("cache", "flag"),
    ]
    assert told[4].data.new == 2**20


def test_loading_shows_progress_up_to_the_weights_it_measured(run, checkpoint: Path) -> None:
    done = run(model=str(checkpoint)).to_the_end()
    last = done.heard.each(ProgressMade, phase="load")[-1].data
    assert last.done == last.total == done.engine.counters.weights == weight_bytes(checkpoint)
    assert [e.data.name for e in done.heard.each(MarkAdded)] == ["loaded"]


def test_a_prompt_is_prefilled_in_steps_and_tells_how_far_it_is(run) -> None:
    heard = run(prompt="x" * 100, prefill_step_size=16).to_the_end().heard
    steps = [(e.data.done, e.data.total) for e in heard.each(ProgressMade, phase="prefill")]
    assert heard.each(PhaseChanged, phase="prefill")[0].data.tokens == 100
    assert len(steps) >= 6
    assert steps == sorted(steps)
    assert steps[-1] == (100, 100)


def test_decoding_tells_how_far_it_is(run) -> None:
    heard = run(max_tokens=200).to_the_end().heard
    steps = [(e.data.done, e.data.total) for e in heard.each(ProgressMade, phase="decode")]
    assert steps
    assert steps == sorted(steps)
    assert {total for _, total in steps} == {200}


def test_a_generation_is_summed_up(run) -> None:
    done = run(max_tokens=6).to_the_end()
    (summary,) = (e.data for e in done.heard.each(GenerationFinished))
    assert (summary.tokens, summary.prompt_tokens, summary.reason) == (6, 11, "length")
    assert summary.tps > 0
    assert summary.ttft > 0
    counters = done.engine.counters
    assert (counters.tokens, counters.steps) == (6, 5)
    assert counters.decode / 1e6 == pytest.approx((summary.tokens - 1) / summary.tps, rel=0.01)


def test_the_prompt_and_the_reply_are_written(run) -> None:
    done = run(prompt="ab", max_tokens=40).to_the_end()
    assert done.prompts() == ["ab"]
    assert len(done.reply()) == 40
    assert set(done.reply()) <= {"a", "b"}


def test_a_real_tokenizer_and_chat_template_run_as_well(run, checkpoint: Path) -> None:
    done = run(model=str(checkpoint), workload="chat", prompt="hello", max_tokens=5).to_the_end()
    tokens = done.heard.each(GenerationFinished)[0].data.prompt_tokens
    assert (
        tokens
        > run(model=str(checkpoint), prompt="hello")
        .to_the_end()
        .heard.each(GenerationFinished)[0]
        .data.prompt_tokens
    )


def test_an_empty_prompt_is_generated_from(run) -> None:
    assert run(prompt="").to_the_end().heard.each(ErrorRaised) == []


def test_the_kv_cache_is_measured_while_it_is_there(run, checkpoint: Path) -> None:
    # 2 layers, keys and values, 4 heads of 16 numbers of 4 bytes, with room for 256 tokens at a time.
    seen = run(model=str(checkpoint), workload="chat", prompt="hello", max_tokens=5).to_the_end()
    assert seen.engine.counters.kv == 2 * 2 * 4 * 16 * 4 * 256


def test_a_kv_cache_nobody_needs_any_more_counts_as_nothing(run) -> None:
    assert run().to_the_end().engine.counters.kv == 0


# Workloads


def test_loop_ends_after_its_repeats(run) -> None:
    done = run(repeat=3).to_the_end()
    assert len(done.heard.each(GenerationFinished)) == 3
    assert len(done.heard.each(WorkloadDone)) == 1
    assert done.prompts() == ["hello there"] * 3


def test_ramp_walks_through_distinct_lengths(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompting, "RAMP", (8, 24, 16))
    done = run(workload="ramp", prompt=None, max_tokens=1).to_the_end()
    lengths = [e.data.tokens for e in done.heard.each(PhaseChanged, phase="prefill")]
    assert lengths == [8, 24, 16]


def test_loop_goes_on_with_a_typed_prompt(run) -> None:
    done = run(repeat=FOREVER).start()
    done.heard.until(GenerationFinished)
    done.engine.submit(SubmitPrompt("typed"))
    done.heard.wait(lambda: done.prompts()[-2:] == ["typed", "typed"], "the typed prompt twice")


def test_ramp_takes_a_typed_prompt_once_and_goes_on(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompting, "RAMP", (8, 24, 16))
    done = run(workload="ramp", prompt=None, repeat=FOREVER, max_tokens=2).start()
    done.heard.until(GenerationFinished)
    done.engine.submit(SubmitPrompt("typed"))
    done.heard.wait(lambda: "typed" in done.prompts()[:-1], "another prompt after the typed one")
    assert done.prompts().count("typed") == 1


def test_chat_waits_for_a_prompt_and_remembers_what_was_said(run) -> None:
    chat = run(workload="chat", prompt=None).to_the_end()
    assert chat.heard.each(GenerationFinished) == []
    held = []
    for turn in (1, 2):
        chat.engine.submit(SubmitPrompt("x" * 200))
        chat.heard.until(PhaseChanged, phase="idle", nth=turn + 1)
        held.append(chat.engine.counters.kv)
    # 206 tokens a turn and room for 256 at a time: the second turn needs more.
    assert held[0] == 4 * 2 * 128 * 4 * 256
    assert held[1] > 1.5 * held[0]


def test_a_conversation_that_is_forgotten_begins_anew(run) -> None:
    chat = run(workload="chat", prompt="x" * 200).to_the_end()
    first = chat.engine.counters.kv
    chat.engine.submit(ForgetConversation())
    chat.engine.submit(SubmitPrompt("x" * 200))
    chat.heard.until(PhaseChanged, phase="idle", nth=2)
    assert chat.engine.counters.kv == first > 0
    assert [text for who, text in chat.written if who == "log"] == ["conversation forgotten"]


def test_where_no_conversation_is_kept_there_is_none_to_forget(run) -> None:
    done = run().to_the_end()
    done.engine.submit(ForgetConversation())
    done.engine.submit(Generate(prompting.Prompt("again"), done.engine.options))
    done.heard.until(PhaseChanged, phase="idle", nth=2)
    assert [text for who, text in done.written if who == "log"] == ["no conversation to forget"]


def test_a_prompt_typed_during_a_reply_ends_the_reply(run) -> None:
    done = run(workload="chat", prompt="first", max_tokens=100_000).start()
    done.heard.until(PhaseChanged, phase="decode")
    done.engine.submit(SubmitPrompt("second"))
    assert done.heard.until(GenerationFinished).data.reason == "stopped"
    done.heard.until(PhaseChanged, phase="decode", nth=2)
    assert done.prompts() == ["first", "second"]


# Commands


def test_stop_ends_the_generation_and_start_begins_again(run) -> None:
    done = run(repeat=FOREVER, max_tokens=100_000).start()
    done.heard.until(PhaseChanged, phase="decode")
    done.engine.submit(StopWorkload())
    assert done.heard.until(GenerationFinished).data.reason == "stopped"
    done.heard.until(PhaseChanged, phase="idle")
    assert done.engine.counters.kv == 0
    done.engine.submit(StartWorkload())
    done.heard.until(PhaseChanged, phase="decode", nth=2)


def test_stop_ends_a_prefill_too(run) -> None:
    done = run(prompt="x" * 3000, prefill_step_size=16)
    done.heard.react = lambda e: getattr(e.data, "done", 0) == 32 and done.engine.submit(StopWorkload())
    done.to_the_end()
    assert done.heard.phases == ["load", "prefill", "idle"]
    assert max(e.data.done for e in done.heard.each(ProgressMade, phase="prefill")) == 32


def test_a_workload_that_came_to_its_end_starts_anew(run) -> None:
    done = run(repeat=2).to_the_end()
    done.engine.submit(StartWorkload())
    done.heard.until(PhaseChanged, phase="idle", nth=2)
    assert len(done.heard.each(GenerationFinished)) == 4


def test_a_limit_asked_for_during_a_prefill_is_set_before_it_ends(run) -> None:
    done = run(prompt="x" * 400, prefill_step_size=16)
    done.heard.react = lambda e: (
        getattr(e.data, "done", 0) == 32 and done.engine.submit(SetLimit("cache", 0, "keyboard"))
    )
    heard = done.to_the_end().heard
    (change,) = heard.each(LimitChanged, source="keyboard")
    assert (change.data.new, change.data.asked) == (0, 0)
    after = next(e for e in heard.events[heard.place(change) :] if isinstance(e.data, ProgressMade))
    assert after.data.phase == "prefill"
    assert after.data.done < 400


def test_on_a_gpu_a_limit_does_not_wait_for_a_long_step(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "sets_limits_at_once", lambda: True)
    done = run()

    def stand_still(source: str, _: str) -> None:
        # The engine's thread is not at a safe point here, as within a long step.
        if source == "reply" and not done.heard.each(LimitChanged, source="keyboard"):
            done.engine.submit(SetLimit("cache", 4096, "keyboard"))
            done.heard.until(LimitChanged, source="keyboard", new=4096)

    done.engine._write = stand_still
    done.to_the_end()
    # It is not set again at the next safe point.
    assert len(done.heard.each(LimitChanged, source="keyboard")) == 1


@pytest.mark.usefixtures("processes")
def test_default_means_what_mlx_started_with(run) -> None:
    done = run(limits={"cache": 5}).to_the_end()
    done.engine.submit(SetLimit("cache", "default", "keyboard"))
    change = done.heard.until(LimitChanged, source="keyboard")
    assert (change.data.old, change.data.new) == (5, default_cache_limit())


@pytest.mark.usefixtures("processes")
def test_a_limit_mlx_does_not_take_is_told_and_hurts_nothing(run) -> None:
    done = run().to_the_end()
    done.engine.submit(SetLimit("cache", 2**70, "keyboard"))
    assert "refused the cache limit" in done.heard.until(ErrorRaised).data.message
    done.engine.submit(SetLimit("cache", 7, "keyboard"))
    assert done.heard.until(LimitChanged, source="keyboard", new=7).data.old == default_cache_limit()


def test_a_cleared_cache_and_a_reset_peak_are_told_with_who_asked(run) -> None:
    done = run().to_the_end()
    done.engine.submit(ClearCache("keyboard"))
    done.engine.submit(ResetPeak("keyboard"))
    assert done.heard.until(CacheCleared, source="keyboard").data.freed >= 0
    assert done.heard.until(PeakReset, source="keyboard").data.peak > 0


def test_mlx_lm_clearing_its_own_cache_is_told_with_file_and_line(run) -> None:
    clears = run(prompt="x" * 100, prefill_step_size=16).to_the_end().heard.each(CacheCleared)
    assert clears
    assert all(e.data.source.startswith("mlx_lm/generate.py:") and e.routine for e in clears)


@pytest.mark.parametrize("phase", ["load", "prefill", "decode", "idle"])
def test_quitting_ends_the_thread_in_every_phase(run, phase: str) -> None:
    done = run(prompt="x" * 300, prefill_step_size=16, max_tokens=30)
    quitting = []

    def quit(event) -> None:
        if isinstance(event.data, PhaseChanged) and event.data.phase == phase and not quitting:
            quitting.append(event)
            done.engine.submit(Quit())

    done.heard.react = quit
    done.start().engine.join(20)
    assert not done.engine.is_alive()
    assert done.heard.each(ErrorRaised) == []


# Failures


def broken(checkpoint: Path, folder: Path, how: str) -> Path:
    """A copy of the checkpoint with one thing wrong."""
    shutil.copytree(checkpoint, folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    match how:
        case "truncated weights":
            weights.write_bytes(weights.read_bytes()[:-5000])
        case "no weights":
            weights.unlink()
        case "garbage weights":
            weights.write_bytes(b"not a safetensors file at all")
        case "unknown architecture":
            config.write_text(json.dumps({**json.loads(config.read_text()), "model_type": "nonesuch"}))
        case "wrong shapes":
            config.write_text(json.dumps({**json.loads(config.read_text()), "hidden_size": 96}))
        case "no config":
            config.unlink()
    return folder


CAUSES = {
    "truncated weights": "exceeding the size of the file",
    "no weights": "safetensors",
    "garbage weights": "model.safetensors",
    "unknown architecture": "nonesuch",
    "wrong shapes": "shape",
    "no config": "config.json",
}


@pytest.mark.parametrize("how", CAUSES)
def test_a_failed_load_is_told_in_one_sentence_and_works_once_it_is_repaired(
    run, checkpoint: Path, tmp_path: Path, how: str
) -> None:
    folder = broken(checkpoint, tmp_path / "model", how)
    done = run(model=str(folder)).start()
    message = done.heard.until(ErrorRaised).data.message
    assert message.startswith(f"Could not load {folder}: ")
    assert "\n" not in message
    assert len(message) < 500
    assert not re.search(r"[.?!]\. ", message)
    assert CAUSES[how] in message.removeprefix(f"Could not load {folder}: ")
    done.heard.until(PhaseChanged, phase="failed")
    shutil.copytree(checkpoint, folder, dirs_exist_ok=True)
    done.engine.submit(StartWorkload())
    done.heard.until(GenerationFinished)
    assert len(done.heard.each(ErrorRaised)) == 1


@pytest.mark.parametrize("model", ["/no/such/folder", "nobody/no-such-model", "no-such-model", "~/nowhere"])
def test_a_model_that_is_nowhere_is_told_so(run, model: str) -> None:
    done = run(model=model).start()
    message = done.heard.until(ErrorRaised).data.message
    assert message.startswith(f"Could not load {model}")
    assert "no such directory" in message
    assert "Traceback" not in message


def test_a_prompt_typed_after_a_failed_load_tries_again(run, checkpoint: Path, tmp_path: Path) -> None:
    folder = broken(checkpoint, tmp_path / "model", "truncated weights")
    done = run(model=str(folder), workload="chat", prompt=None).start()
    done.heard.until(PhaseChanged, phase="failed")
    shutil.copytree(checkpoint, folder, dirs_exist_ok=True)
    done.engine.submit(SubmitPrompt("hello"))
    done.heard.until(GenerationFinished)
    assert done.prompts() == ["hello"]


@pytest.mark.parametrize("workload", ["chat", "loop", "ramp"])
def test_a_prompt_that_meets_a_failed_load_again_is_shown_and_the_failure_after_it(
    run, workload: str
) -> None:
    done = run(
        model="/no/such/folder", workload=workload, prompt=None if workload != "loop" else "first"
    ).start()
    done.heard.until(PhaseChanged, phase="failed")
    told: list[tuple[str, ...]] = []
    done.heard.react = lambda event: told.append((type(event.data), *done.prompts()))
    done.engine.submit(SubmitPrompt("hello"))
    done.heard.until(PhaseChanged, phase="failed", nth=2)
    assert done.prompts() == ["hello"]
    assert (ErrorRaised, "hello") in told
    done.engine.submit(StartWorkload())
    done.heard.until(PhaseChanged, phase="failed", nth=3)
    assert done.prompts() == ["hello"]


def test_limits_can_be_set_while_a_load_has_failed(run) -> None:
    done = run(model="/no/such/folder").start()
    done.heard.until(PhaseChanged, phase="failed")
    done.engine.submit(SetLimit("cache", 9, "keyboard"))
    assert done.heard.until(LimitChanged, source="keyboard").data.new == 9


def test_a_failed_generation_is_told_and_the_next_one_works(run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(workload="chat", prompt=None).to_the_end()

    def fails(*_: Any) -> list[int]:
        raise RuntimeError("[metal::malloc] Attempting to allocate 99 bytes\nwhich is greater than allowed")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "encode", fails)
        done.engine.submit(SubmitPrompt("one"))
        message = done.heard.until(ErrorRaised).data.message
        done.heard.until(PhaseChanged, phase="idle", nth=2)
    assert message == (
        "The generation failed: RuntimeError: [metal::malloc] Attempting to allocate 99 bytes"
        " which is greater than allowed."
    )
    assert done.engine.counters.kv == UNKNOWN
    done.engine.submit(SubmitPrompt("two"))
    done.heard.until(GenerationFinished)


def test_the_watch_is_gone_when_the_engine_is(run) -> None:
    import mlx.core as mx

    before = mx.set_cache_limit
    done = run().to_the_end()
    assert mx.set_cache_limit is not before
    done.close()
    assert mx.set_cache_limit is before


def test_the_wired_limit_is_set_between_generations(run: Callable[..., Run]) -> None:
    one = run(max_tokens=20)

    def ask(event: Event) -> None:
        if isinstance(event.data, PhaseChanged) and event.data.phase == "decode":
            for name in ("wired", "memory"):
                one.engine.submit(SetLimit(name, 2**33, "keyboard"))

    one.heard.react = ask
    one.start().heard.until(LimitChanged, name="wired", source="keyboard")
    told = [e for e in one.heard.events if isinstance(e.data, GenerationFinished) or e.source == "keyboard"]
    assert [getattr(event.data, "name", None) for event in told] == ["memory", None, "wired"]
