"""`mlxtop --headless` and `--json` as a shell runs them."""

import json
import os
import re
import resource
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlxtop.cli.headless import describe
from mlxtop.recording.reader import Recording
from tests.agent.program import until
from tests.forked import mlxtop_each
from tests.process import MLXTOP, ROOT, mlxtop, run

SHORT = ("--prompt", "hello there", "--max-tokens", "24")

SIZE = r"-?(?:\d+(?:\.\d+)? (?:B|[KMGT]iB)|unlimited)"
MEMORY = rf"Peak:   {SIZE} \((-?\d+)\)\nActive: {SIZE} \((-?\d+)\)\nCache:  {SIZE} \((-?\d+)\)\n"
FORM = re.compile(
    rf"=======\nCache limit:   {SIZE} \((\d+)\) [^\n]+\nMemory limit:  {SIZE} \(\d+\) MLX's default\n"
    # On a Mac mlx-lm sets it around each generation.
    rf"Wired limit:   {SIZE} \(\d+\) [^\n]+\n\n"
    rf"=======\nStarting memory\n{MEMORY}\n=======\nEnding memory\n{MEMORY}\n=======\nGrowth\n{MEMORY}\n"
    rf"=======\nAt most\nPeak:       {SIZE} \((\d+)\)\nTotal:      {SIZE} \((\d+)\)\nFootprint:  {SIZE} \((\d+)\)\n"
    rf"peak {SIZE} of arrays; most MLX held {SIZE}; most the system charged {SIZE}, as [^\n]+\n\n"
    r"=======\nSpeed\nGenerations:          (\d+) \((\d+) tokens in \S+\)\n"
    r"Tokens/s:             (\d+\.\d)\nTime to first token:  \d+\.\d{3} s\n"
    # A run may be over before the machine is looked at.
    rf"(?:\n=======\nMachine\nPressure:  (?:\w+ at worst|—)\nSwap:      {SIZE} at most, {SIZE} at the start\n)?"
)


@pytest.mark.usefixtures("processes")
def test_a_run_ends_with_the_summary_of_the_mlx_swift_guide() -> None:
    done = mlxtop("--headless", *SHORT, "--repeat", "2", "--cache-limit", "20M")
    assert (done.returncode, done.stderr) == (0, "")
    form = FORM.fullmatch(done.stdout)
    assert form, done.stdout
    cache_limit, *memory, peak, total, footprint, generations, tokens, _tps = form.groups()
    assert int(cache_limit) == 20 * 2**20
    assert "20.0 MiB (20971520) flag" in done.stdout
    start, end, growth = (list(map(int, memory[i : i + 3])) for i in (0, 3, 6))
    assert growth == [b - a for a, b in zip(start, end, strict=True)]
    assert (int(generations), int(tokens)) == (2, 48)
    assert end[0] <= int(peak) <= int(total) < int(footprint)
    assert end[1] > 2**20, "the weights are still active at the end"


def test_a_checkpoint_runs_with_a_prompt_from_standard_input(checkpoint: Path) -> None:
    done = mlxtop("--model", str(checkpoint), "--json", "--max-tokens", "4", "-", input="hello from a pipe")
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, done.stderr) == (0, "")
    assert (summary["type"], summary["generations"], summary["tokens"]) == ("summary", 1, 4)


@pytest.fixture(scope="module")
def stream() -> list[dict[str, Any]]:
    done = mlxtop("--json", *SHORT, "--interval", "0.01")
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.usefixtures("processes")
def test_json_is_a_session_then_samples_and_events_then_a_summary(stream: list[dict[str, Any]]) -> None:
    types = [line["type"] for line in stream]
    assert types[0] == "session"
    assert types[-1] == "summary"
    assert set(types[1:-1]) == {"sample", "event"}


@pytest.mark.usefixtures("processes")
def test_json_says_what_is_run(stream: list[dict[str, Any]]) -> None:
    session = stream[0]
    assert (session["model"], session["workload"], session["interval"]) == ("demo", "loop", 0.01)
    assert session["started"].endswith("+00:00")


@pytest.mark.usefixtures("processes")
def test_json_samples_have_bytes_and_null_where_nothing_is_known(stream: list[dict[str, Any]]) -> None:
    samples = [line for line in stream if line["type"] == "sample"]
    assert all(s["total"] == s["active"] + s["cache"] for s in samples)
    assert samples[0]["weights"] is None
    assert samples[-1]["weights"] > 2**20
    assert samples[0]["phase"] == "load"
    assert [s["time"] for s in samples] == sorted(s["time"] for s in samples)


@pytest.mark.usefixtures("processes")
def test_json_events_have_a_kind_and_the_phases_in_order(stream: list[dict[str, Any]]) -> None:
    events = [line for line in stream if line["type"] == "event"]
    assert {"facts", "phase", "limit", "mark", "generation", "done"} <= {e["kind"] for e in events}
    phases = [e["phase"] for e in events if e["kind"] == "phase"]
    assert phases[-2:] == ["prefill", "decode"]


@pytest.mark.usefixtures("processes")
def test_json_ends_with_what_was_measured(stream: list[dict[str, Any]]) -> None:
    summary = stream[-1]
    assert summary["code"] == 0
    assert (summary["generations"], summary["tokens"]) == (1, 24)
    assert summary["tokens_per_second"] > 0
    assert summary["time_to_first_token"] > 0
    steps = summary["steps"]
    assert [step["peak"] for step in steps] == sorted((step["peak"] for step in steps), reverse=True)
    assert steps[0]["peak"] <= summary["run_peak"]
    assert {step["phase"] for step in steps} >= {"load", "prefill"}
    assert all(step["tokens"] > 0 for step in steps if step["phase"] == "decode")
    assert summary["samples"] >= sum(line["type"] == "sample" for line in stream)
    assert summary["end"]["active"] == summary["start"]["active"] + summary["growth"]["active"]


@pytest.mark.usefixtures("processes")
def test_a_run_shorter_than_the_interval_is_measured_too() -> None:
    done = mlxtop("--json", *SHORT, "--interval", "60")
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["tokens"] == 24
    assert summary["end"]["active"] > 2**20


@pytest.mark.usefixtures("processes")
def test_a_closed_pipe_ends_it_with_the_summary_on_standard_error() -> None:
    command = f"{shlex.join(MLXTOP)} --json --repeat forever --interval 0.01 --prompt hi | head -n 3; exit ${{PIPESTATUS[0]}}"
    done = run(["bash", "-c", command], timeout=60)
    assert done.returncode == 141
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["session", "event", "event"]
    assert done.stderr.startswith("=======\nCache limit:")
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


class Running:
    """`mlxtop` at work."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*MLXTOP, *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, word: str) -> None:
        for line in self.process.stdout:
            if word in line:
                return
        raise AssertionError(f"{word} did not come: {self.process.stderr.read()}")

    def end(self, number: int) -> tuple[int, dict[str, Any], str]:
        """Exit code, summary and standard error after the signal."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, json.loads(out.splitlines()[-1]), err


@pytest.fixture
def running() -> Iterator[Any]:
    started: list[Running] = []

    def start(*arguments: str) -> Running:
        started.append(Running(*arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            os.kill(one.process.pid, signal.SIGKILL)
        one.process.communicate()


@pytest.mark.parametrize(
    ("number", "code", "when"),
    [(signal.SIGINT, 130, '"decode"'), (signal.SIGTERM, 143, '"prefill"'), (signal.SIGINT, 130, '"session"')],
    ids=["Ctrl-C in decode", "SIGTERM in prefill", "Ctrl-C while loading"],
)
@pytest.mark.usefixtures("processes")
def test_a_signal_ends_it_with_the_summary_and_its_exit_code(
    running, number: int, code: int, when: str
) -> None:
    one = running("--json", "--prompt", "hello", "--max-tokens", "100000", "--repeat", "forever")
    one.until(when)
    ended, summary, err = one.end(number)
    assert (ended, err) == (code, "")
    assert (summary["type"], summary["code"]) == ("summary", code)


@pytest.mark.usefixtures("processes")
def test_a_signal_in_a_run_without_json_prints_the_summary(running) -> None:
    one = running("--headless", "--prompt", "hello", "--max-tokens", "100000")
    process = psutil.Process(one.process.pid)
    while process.num_threads() == 1:
        # Its threads begin once it listens for signals.
        time.sleep(0.05)
    one.process.send_signal(signal.SIGINT)
    out, err = one.process.communicate(timeout=30)
    assert (one.process.returncode, err) == (130, "")
    assert out.startswith("=======\nCache limit:")


def test_a_failed_load_is_one_sentence_on_standard_error_and_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nonesuch"}')
    command = ["--headless", "--model", str(tmp_path), "--prompt", "hi"]
    text, as_json = mlxtop_each([command, [*command, "--json"]])
    for done in (text, as_json):
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"mlxtop: Could not load {tmp_path}: ")
        assert not line.endswith("again.")
    # Nothing was run: there is nothing to sum up.
    assert text.stdout == ""
    assert json.loads(as_json.stdout.splitlines()[-1])["code"] == 1


def test_a_failed_generation_is_one_sentence_with_no_key_to_press(checkpoint: Path) -> None:
    # Heads of 16 numbers are too short to be quantized in groups of 64.
    done = mlxtop("--headless", "--model", str(checkpoint), "--prompt", "hi", "--kv-bits", "4")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("mlxtop: The generation failed: ValueError: [quantize]")
    assert "Press" not in line


SUMMARY = {
    "limits": {
        "cache": {"bytes": 0, "source": "flag"},
        "memory": {"bytes": 2**63 - 1, "source": "train.py:12"},
        "wired": {"bytes": None, "source": ""},
    },
    "start": {"active": 395_412_992, "cache": 0, "peak": 395_412_992},
    "end": {"active": 395_412_992, "cache": 2_097_152, "peak": 1_572_864_000},
    "growth": {"active": 0, "cache": 2_097_152, "peak": 1_177_451_008},
    "run_peak": 1_572_864_000,
    "run_total": 1_887_436_800,
    "run_footprint": None,
    "most": "peak 1.46 GiB of arrays; most MLX held 1.76 GiB",
    "generations": 2,
    "steps_are": "tokens",
    "tokens": 512,
    "tokens_per_second": 41.25,
    "time_to_first_token": 0.5,
    "training": None,
    "seconds": 14.2,
    "machine": None,
}


def test_the_summary_has_the_form_of_the_guide_to_the_byte() -> None:
    assert describe(SUMMARY) == (
        "=======\n"
        "Cache limit:   0 B (0) flag\n"
        "Memory limit:  unlimited (9223372036854775807) train.py:12\n"
        "Wired limit:   —\n"
        "\n"
        "=======\n"
        "Starting memory\n"
        "Peak:   377.1 MiB (395412992)\n"
        "Active: 377.1 MiB (395412992)\n"
        "Cache:  0 B (0)\n"
        "\n"
        "=======\n"
        "Ending memory\n"
        "Peak:   1.46 GiB (1572864000)\n"
        "Active: 377.1 MiB (395412992)\n"
        "Cache:  2.0 MiB (2097152)\n"
        "\n"
        "=======\n"
        "Growth\n"
        "Peak:   1.10 GiB (1177451008)\n"
        "Active: 0 B (0)\n"
        "Cache:  2.0 MiB (2097152)\n"
        "\n"
        "=======\n"
        "At most\n"
        "Peak:       1.46 GiB (1572864000)\n"
        "Total:      1.76 GiB (1887436800)\n"
        "Footprint:  —\n"
        "peak 1.46 GiB of arrays; most MLX held 1.76 GiB\n"
        "\n"
        "=======\n"
        "Speed\n"
        "Generations:          2 (512 tokens in 14.2s)\n"
        "Tokens/s:             41.2\n"
        "Time to first token:  0.500 s"
    )


def test_steps_of_a_program_say_what_their_rate_is_of() -> None:
    told = describe({**SUMMARY, "steps_are": "evals"})
    assert "Evals:    512 in 14.2s from start to end\n" in told
    assert told.endswith("Evals/s:  41.2 while working (idle time excluded)")


def test_long_steps_are_told_with_how_long_one_takes() -> None:
    told = describe({**SUMMARY, "steps_are": "evals", "tokens_per_second": 1 / 90})
    assert told.endswith("Evals/s:  0.0111, 1m30s each, while working (idle time excluded)")


def test_the_last_losses_of_a_training_are_told() -> None:
    loss, validation = {"iteration": 1200, "loss": 2.3125, "tps": 540.4}, {"iteration": 0, "loss": None}
    told = describe({**SUMMARY, "training": {"loss": loss, "validation": validation}})
    assert told.endswith(
        "\n\n=======\nTraining\nLoss:             2.31 after 1,200 steps\n"
        "Validation loss:  not a number after 0 steps\nTokens/s:         540 at the last report"
    )


def test_how_the_machine_stood_is_told_where_it_is_known() -> None:
    machine = {"pressure": "warning", "swap_used": 3 * 2**30, "thermal": "heavy", "start": {"swap_used": 0}}
    assert describe({**SUMMARY, "machine": machine}).endswith(
        "\n\n=======\nMachine\nPressure:  warning at worst\nSwap:      3.00 GiB at most, 0 B at the start\nThermal:   heavy"
    )
    unknown = {**machine, "pressure": None, "swap_used": None, "thermal": None, "start": {}}
    assert describe({**SUMMARY, "machine": unknown}).endswith(
        "\nPressure:  —\nSwap:      — at most, — at the start"
    )


def test_what_was_never_measured_is_a_dash() -> None:
    nothing = {
        **SUMMARY,
        "start": None,
        "end": None,
        "growth": None,
        "tokens_per_second": None,
        "time_to_first_token": None,
    }
    text = describe(nothing)
    assert text.count("—") == 7
    assert "None" not in text


@pytest.mark.usefixtures("processes")
def test_a_recording_that_failed_is_told_at_the_end_and_how_the_run_ended_is_in_it(tmp_path: Path) -> None:
    """Two runs beside each other, one of which may write files of 60 kB only, end by SIGTERM."""
    paths = [tmp_path / "whole.mlxtop", tmp_path / "short.mlxtop"]
    runs = [
        subprocess.Popen(
            [*MLXTOP, "--headless", "--repeat", "forever", "--record", str(path)],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
        for path, limit in zip(paths, (2**30, 60_000), strict=True)
    ]  # fmt: skip
    wal = Path(f"{paths[0]}-wal")
    try:
        until(lambda: wal.exists() and wal.stat().st_size > 90_000)
    finally:
        for each in runs:
            each.send_signal(signal.SIGTERM)
    told = [each.communicate(timeout=60)[1] for each in runs]
    assert [each.returncode for each in runs] == [143, 143]
    assert told[0] == ""
    assert re.fullmatch(
        rf"mlxtop: Recording stopped at [\d:]+: .* \({paths[1]}\); \d+ samples are lost\..*\n", told[1]
    )
    whole = Recording(paths[0])
    assert whole.events(1)[-1].describe() == "ended by SIGTERM"
    whole.close()
