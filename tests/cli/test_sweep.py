"""The command line of `mlxtop sweep`: what it takes and refuses, and a headless run with its files."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlxtop.cli.sweep import parse_plan, resumed
from mlxtop.cli.sweep_runner import interrupted
from mlxtop.core.errors import UsageError
from mlxtop.sweep.plan import SweepParameter
from mlxtop.sweep.runner import Progress, Sweep
from mlxtop.sweep.target import CommandTarget, ModelTarget
from tests.process import MLXTOP, ROOT, mlxtop
from tests.sweep.made import Bench, measurements, plan

MIB = 2**20
GIVEN = {
    "model": None, "limits": None, "parameters": (), "knobs": (), "prompt_tokens": None, "max_tokens": None, "repeats": 10,
    "tolerance": "2%", "adapter_path": None, "random_weights": False, "seed": 0, "metric": None, "lower_is_better": False,
}  # fmt: skip
SMALL = ("--limits", "0,1M,default", "--prompt-tokens", "16,48", "--max-tokens", "4", "--headless")


def test_the_demo_s_plan_and_a_model_s() -> None:
    demo = parse_plan(GIVEN, ())
    limits = (0, 2 * MIB, 20 * MIB, 100 * MIB, 256 * MIB, 1024 * MIB, "default")
    assert demo.parameters == (SweepParameter("cache-limit", limits),)
    assert (demo.target, demo.metric) == (ModelTarget((128, 512), 64), "tps")
    model = parse_plan({**GIVEN, "model": "m", "tolerance": "0.5 %"}, ())
    assert (model.target, model.tolerance) == (ModelTarget((128, 2048), 128, "m"), 0.005)


def test_what_is_compared_follows_the_parameter() -> None:
    assert parse_plan({**GIVEN, "parameters": ("prefill-step-size=256,2048",)}, ()).metric == "prefill"
    both = parse_plan({**GIVEN, "limits": "0,default", "parameters": ("kv-bits=4,8",)}, ())
    assert both.names == ("cache-limit", "kv-bits")
    assert parse_plan(GIVEN, ("prog", "a b")).metric == "seconds"
    found = parse_plan({**GIVEN, "metric": "x (.)", "lower_is_better": True}, ("prog", "a b"))
    assert (found.metric, found.target.name) == ("value", "prog 'a b'")
    assert found.target == CommandTarget(("prog", "a b"), "x (.)", lower_is_better=True)


@pytest.mark.parametrize(
    ("values", "command", "word"),
    [
        ({"limits": "0"}, (), "two or more"),
        ({"limits": "0,big"}, (), "is not a size"),
        ({"limits": "0,1M", "parameters": ("cache-limit=1,2",)}, (), "different"),
        ({"tolerance": "much"}, (), "--tolerance much"),
        ({"tolerance": "0"}, (), "--tolerance 0"),
        ({"tolerance": "nan"}, (), "--tolerance nan"),
        ({"prompt_tokens": "12,x"}, (), "--prompt-tokens 12,x"),
        ({"prompt_tokens": "0"}, (), "--prompt-tokens 0"),
        ({"prompt_tokens": "5,5"}, (), "different lengths"),
        ({"random_weights": True}, (), "--random-weights needs --model"),
        ({"random_weights": True}, ("ls",), "--random-weights is for a model"),
        ({"metric": "(x)"}, (), "need a command after --"),
        ({"lower_is_better": True}, (), "need a command after --"),
        ({"model": "m"}, ("ls",), "--model is for a model"),
        ({"prompt_tokens": "5"}, ("ls",), "--prompt-tokens is for a model"),
        ({"parameters": ("kv-bits=4,8",)}, ("ls",), "Only the cache limit"),
        ({"metric": "("}, ("ls",), "not a valid regular expression"),
        ({"metric": "x"}, ("ls",), "one group"),
        ({"metric": "(x)(y)"}, ("ls",), "one group"),
        ({"lower_is_better": True}, ("ls",), "needs --metric"),
    ],
)
def test_what_cannot_be_asked_for(values: dict[str, object], command: tuple[str, ...], word: str) -> None:
    with pytest.raises(UsageError, match=re.escape(word)) as caught:
        parse_plan({**GIVEN, **values}, command)
    assert str(caught.value).rstrip().endswith((".", "%"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("stray",), "mlxtop: sweep takes no argument stray. Put -- before a command to measure."),
        (
            ("--json", "-", "--csv", "-"),
            "Only one of --json, --csv, --markdown and --html can be standard output.",
        ),
        (("--json", "a", "--csv", "./a"), "must be different files."),
        (("--json", "/no/such/a.json"), "there is no folder /no/such."),
        (("--resume", "/no/such/a.json"), "there is no folder /no/such."),
        ((), "terminal to draw on"),
    ],
)
@pytest.mark.usefixtures("processes")
def test_refused_before_anything_runs(arguments: tuple[str, ...], sentence: str) -> None:
    done = mlxtop("sweep", *arguments, preexec_fn=os.setsid)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.usefixtures("processes")
def test_a_file_that_cannot_be_read_is_told_before_a_terminal_is_missed() -> None:
    done = mlxtop("sweep", "--resume", "no-such.json", preexec_fn=os.setsid)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "mlxtop: no-such.json cannot be read: No such file or directory.\n"


@pytest.mark.usefixtures("processes")
def test_help_shows_how() -> None:
    text = mlxtop("sweep", "--help").stdout
    assert "--prompt-tokens" in text
    assert "A recommendation needs 5." in " ".join(text.split())
    assert "mlxtop sweep --resume s.json" in text


@pytest.mark.usefixtures("processes")
def test_headless_with_all_its_files(tmp_path: Path) -> None:
    json_, csv_, markdown, html = (tmp_path / name for name in ("s.json", "s.csv", "s.md", "s.html"))
    outs = ("--json", str(json_), "--csv", str(csv_), "--markdown", str(markdown), "--html", str(html))
    done = mlxtop("sweep", *SMALL, "--repeats", "3", *outs, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("mlxtop: --repeats 3 is too few for a recommendation: use 5 ")
    assert "mlxtop: warming up: 0 B, prompt 16" in done.stderr
    assert re.search(r"^mlxtop: 18 of 18: .*, at most .* left$", done.stderr, re.MULTILINE)
    assert "tokens/s against peak total, prompt of 48 tokens" in done.stdout
    assert "Cannot tell yet: " in done.stdout
    assert "\x1b" not in done.stdout
    data = json.loads(json_.read_text())
    assert len({(r["round"], r["arm"], r["length"]) for r in data["readings"]}) == 18
    assert data["plan"]["lengths"] == [16, 48]
    rows = list(csv.DictReader(io.StringIO(csv_.read_text())))
    assert len(rows) == len(data["readings"])
    text = markdown.read_text()
    assert text.count("\n| ") == 2 + 6
    assert "```text\ntokens/s against peak total" in text
    assert html.read_text().count('class="chart"') == 2
    # The same again, once it is complete, measures nothing and says the same.
    again = mlxtop("sweep", "--headless", "--resume", str(json_), timeout=120)
    assert again.returncode == 0
    assert " of 18: " not in again.stderr
    assert json.loads(json_.read_text())["readings"] == data["readings"]
    # Another sweep's file is left alone.
    other = mlxtop("sweep", "--headless", "--seed", "5", "--resume", str(json_))
    assert other.returncode == 2
    assert (
        f"mlxtop: {json_} was not measured with the same seed: leave that option out, "
        "or start a new sweep without --resume." in other.stderr
    )
    assert json.loads(json_.read_text())["readings"] == data["readings"]


@pytest.mark.usefixtures("processes")
def test_markdown_on_standard_output_and_nothing_else() -> None:
    done = mlxtop("sweep", *SMALL, "--repeats", "1", "--markdown", "-", timeout=120)
    assert done.returncode == 0
    assert done.stdout.startswith("Cannot tell yet: ")
    assert "recommended" in done.stdout
    assert "1 round, seed 0" in done.stdout


@pytest.mark.usefixtures("processes")
def test_ctrl_c_reports_what_there_is_and_resume_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    command = [*MLXTOP, "sweep", *SMALL, "--repeats", "40", "--json", str(path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if " 4 of " in line:
                child.send_signal(signal.SIGINT)
                break
        out, err = child.communicate(timeout=60)
        assert child.returncode == 130
    assert "Cannot tell yet: 0 of 5 undisturbed rounds are done." in out
    before = json.loads(path.read_text())["readings"]
    assert 3 <= len(before) <= 4
    told = f"mlxtop: interrupted after {len(before)} of 240 measurements. Continue with: mlxtop sweep --resume {path}"
    assert err.splitlines()[-1] == told
    done = mlxtop("sweep", "--repeats", "1", "--headless", "--resume", str(path), timeout=120)
    assert done.returncode == 0
    after = json.loads(path.read_text())["readings"]
    assert after[: len(before)] == before
    assert len({(r["round"], r["arm"], r["length"]) for r in after}) == 6


@pytest.mark.parametrize(
    ("values", "command"),
    [
        ({"limits": "0,1M,default", "prompt_tokens": "16,48", "seed": 3}, ()),
        ({"model": "./m", "random_weights": True, "parameters": ("kv-bits=4,8",), "max_tokens": 9}, ()),
        ({"model": "./m", "adapter_path": "./a", "parameters": ("prefill-step-size=64,256",)}, ()),
        ({"metric": "(x)", "lower_is_better": True, "tolerance": "5%"}, ("ls", "-l s")),
        ({}, ("ls",)),
    ],
)
def test_resume_takes_all_options_from_the_file(values: dict[str, object], command: tuple[str, ...]) -> None:
    stored = parse_plan({**GIVEN, **values}, command)
    assert resumed(stored, GIVEN, (), ()) == stored
    # The same said again is no contradiction.
    assert resumed(stored, {**GIVEN, **values}, values, command) == stored
    more = resumed(stored, {**GIVEN, "repeats": 40, "tolerance": "9%"}, ("repeats", "tolerance"), ())
    assert more == replace(stored, rounds=40, tolerance=0.09)
    assert stored.differs(resumed(stored, {**GIVEN, "limits": "0,7M"}, ("limits",), ())) == "parameters"


def test_resume_with_another_target_is_another_sweep() -> None:
    demo, command = parse_plan(GIVEN, ()), parse_plan(GIVEN, ("ls",))
    assert demo.differs(resumed(demo, GIVEN, (), ("ls",))) == "model or command"
    assert demo.differs(resumed(demo, {**GIVEN, "model": "m"}, ("model",), ())) == "model or command"
    assert (
        demo.differs(resumed(demo, {**GIVEN, "max_tokens": 9}, ("max_tokens",), ())) == "tokens a generation"
    )
    assert (
        demo.differs(resumed(demo, {**GIVEN, "prompt_tokens": "9"}, ("prompt_tokens",), ()))
        == "prompt lengths"
    )
    with pytest.raises(UsageError, match="--model is for a model"):
        resumed(command, {**GIVEN, "model": "m"}, ("model",), ())


def test_what_was_interrupted_is_told() -> None:
    sweep = Sweep(of := plan(), Bench(of, [70.0, 90.0, 100.0, 100.0]))
    assert interrupted(sweep, None) == "interrupted before the first measurement."
    sweep.measurements = measurements(of, [70.0, 90.0, 100.0, 100.0])
    sweep.progress = Progress("stopped", None, 48, 80)
    assert interrupted(sweep, None) == (
        "interrupted after 48 of 80 measurements. It cannot be continued: that needs --json FILE."
    )
    assert interrupted(sweep, Path("a b.json")).endswith(". Continue with: mlxtop sweep --resume 'a b.json'")


@pytest.mark.usefixtures("processes")
def test_a_model_that_is_not_there_ends_in_one_sentence() -> None:
    done = mlxtop("sweep", "--model", "./no-such-model", "--headless")
    assert (done.returncode, done.stdout) == (1, "")
    assert "mlxtop: Could not load ./no-such-model: no such directory" in done.stderr


@pytest.mark.usefixtures("processes")
def test_a_command_without_mlx_is_none() -> None:
    done = mlxtop("sweep", "--headless", "--", sys.executable, "-c", "print(1)")
    assert done.returncode == 1
    assert (
        "python -c print(1) cannot be measured: it did not use MLX as far as mlxtop could see." in done.stderr
    )
    assert done.stdout == ""
