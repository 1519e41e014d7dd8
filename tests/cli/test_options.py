"""What the command line's words come to; nothing is run here."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from mlxtop.__main__ import main
from mlxtop.cli import dashboard, headless
from mlxtop.cli.model_options import RunOptions
from mlxtop.cli.options import BudgetOptions
from mlxtop.core.budget import RunCommand
from mlxtop.core.commands import AddMark
from mlxtop.core.units import DEFAULT, UNLIMITED
from mlxtop.inference.options import FOREVER, Options
from mlxtop.system import machine


class Pipe(io.TextIOWrapper):
    """Standard input with something in it."""

    name = "<stdin>"

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8")


class Shell:
    """Calls `mlxtop` in this process, and keeps what would have been run instead of running it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = monkeypatch, capsys
        self.run: RunOptions | None = None
        self.how = ""
        monkeypatch.setattr(
            headless, "run_headless", lambda run, as_json: self._ran(run, "json" if as_json else "text")
        )
        monkeypatch.setattr(dashboard, "run_dashboard", lambda run, web: self._ran(run, "screen"))

    def _ran(self, run: RunOptions, how: str) -> int:
        self.run, self.how = run, how
        return 0

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Options:
        code, _, err = self.ends(*arguments, stdin=stdin)
        assert (code, err) == (0, "")
        assert self.run is not None
        return self.run.options

    def ends(self, *arguments: str, stdin: bytes = b"") -> tuple[Any, str, str]:
        """Exit code, standard output and standard error."""
        self._patch.setattr(sys, "argv", ["mlxtop", *arguments])
        self._patch.setattr(sys, "stdin", Pipe(stdin))
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, *self._capsys.readouterr()


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


def test_nothing_asked_for_is_the_demo_on_the_ramp_forever(shell: Shell) -> None:
    assert shell() == Options(model=None, workload="ramp", repeat=FOREVER, max_tokens=96)
    assert (shell.how, shell.run.interval) == ("screen", 0.1)


def test_headless_runs_once(shell: Shell) -> None:
    assert shell("--headless").repeat == 1
    assert shell.how == "text"


def test_json_is_headless(shell: Shell) -> None:
    assert shell("--json").repeat == 1
    assert shell.how == "json"


@pytest.mark.parametrize(
    ("arguments", "workload"),
    [
        ([], "ramp"),
        (["--prompt", "hi"], "chat"),
        (["--model", "m"], "chat"),
        (["--model", "m", "--prompt", "hi"], "chat"),
        (["--model", "m", "--prompt", "hi", "--repeat", "2"], "loop"),
        (["--model", "m", "--prompt", "hi", "--headless"], "loop"),
        (["--model", "m", "--headless"], "ramp"),
        (["--prompt", "hi", "--workload", "ramp"], "ramp"),
    ],
)
def test_the_workload_fits_what_was_asked_for(shell: Shell, arguments: list[str], workload: str) -> None:
    assert shell(*arguments).workload == workload


def test_every_option_arrives(shell: Shell) -> None:
    options = shell(
        *[
            "--model",
            "m",
            "--prompt",
            "hi",
            "--max-tokens",
            "7",
            "--repeat",
            "3",
            "--workload",
            "loop",
            "--interval",
            "0.5",
            "--cache-limit",
            "20M",
        ],
        *[
            "--memory-limit",
            "1.5GiB",
            "--wired-limit",
            "500MB",
            "--kv-bits",
            "4",
            "--prefill-step-size",
            "64",
        ],
        *["--adapter-path", "lora", "--seed", "9"],
    )
    assert options == Options(
        model="m",
        prompt="hi",
        workload="loop",
        max_tokens=7,
        repeat=3,
        limits={"cache": 20 * 2**20, "memory": 3 * 2**29, "wired": 500_000_000},
        kv_bits=4,
        prefill_step_size=64,
        adapter_path="lora",
        seed=9,
    )
    assert shell.run.interval == 0.5
    assert shell("--max-kv-size", "512").max_kv_size == 512


def test_sizes_may_be_words_and_zero(shell: Shell) -> None:
    options = shell("--cache-limit", "0", "--memory-limit", "unlimited", "--wired-limit", "default")
    assert options.limits == {"cache": 0, "memory": UNLIMITED, "wired": DEFAULT}


@pytest.mark.parametrize(
    "arguments",
    [["-"], ["--headless", "-"], ["--prompt", "-"], ["--prompt-file", "-"], ["--prompt=-"]],
    ids=" ".join,
)
def test_the_prompt_comes_from_standard_input(shell: Shell, arguments: list[str]) -> None:
    assert shell(*arguments, stdin="read me\nätsch".encode()).prompt == "read me\nätsch"
    assert shell.run.took_stdin


def test_the_prompt_comes_from_a_file(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text("from a file\nüber zwei Zeilen", encoding="utf-8")
    assert shell("--prompt-file", str(file)).prompt == "from a file\nüber zwei Zeilen"
    assert not shell.run.took_stdin


def test_a_prompt_on_the_command_line_leaves_standard_input_alone(shell: Shell) -> None:
    assert shell("--prompt", "hi", stdin=b"not me").prompt == "hi"
    assert not shell.run.took_stdin


WRONG = {
    "--cache-limit lots": "is not a size",
    "--cache-limit=-1": "is not a size",
    "--wired-limit unlimited": "--wired-limit cannot be unlimited",
    "--repeat 0": "neither a whole number from 1 nor forever",
    "--repeat often": "neither a whole number from 1 nor forever",
    "--max-tokens 0": "--max-tokens",
    "--interval 0": "--interval",
    "--interval nan": "--interval",
    "--kv-bits 5": "--kv-bits",
    "--workload sprint": "--workload",
    "--prompt a --prompt-file -": "not both",
    "--prompt-file /no/such/file": "No such file",
    "--headless --workload chat": "give a --prompt",
    "--max-kv-size 8 --kv-bits 4": "exclude each other",
    "--nonsense": "No such option",
    "nonsense": "nonsense",
    "info nonsense": "nonsense",
    "--prompt": "requires an argument",
    "--prefill-step-size 0": "--prefill-step-size",
    "run --budgt 3G -- true": "No such option '--budgt'",
    "run -x true": "No such option '-x'",
    "run --headless": "COMMAND",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_cannot_be_asked_for_ends_in_exit_code_2_and_says_why(shell: Shell, line: str) -> None:
    code, out, err = shell.ends(*line.split())
    assert (code, out) == (2, "")
    assert WRONG[line] in err
    assert "Traceback" not in err
    assert shell.run is None


def test_a_prompt_without_end_is_refused(shell: Shell) -> None:
    code, _, err = shell.ends("--prompt-file", "/dev/zero")
    assert code == 2
    assert "/dev/zero is too long for a prompt: more than 16.0 MiB." in err


def test_a_prompt_that_is_no_text_is_refused(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "prompt"
    file.write_bytes(b"abc\xff\xfe")
    code, _, err = shell.ends("--prompt-file", str(file))
    assert code == 2
    assert "is not UTF-8 text" in err
    for word in ("-", "--prompt=-", "--prompt-file=-"):
        code, _, err = shell.ends(word, stdin=b"abc\xff")
        assert code == 2
        assert "is not UTF-8 text" in err


@pytest.mark.parametrize(
    ("command", "when"), [("attach", "at the program's next"), ("run", "when the program imports MLX")]
)
def test_help_says_when_a_limit_is_set(shell: Shell, command: str, when: str) -> None:
    _, out, _ = shell.ends(command, "--help")
    words = " ".join(out.split())
    assert f"MLX's cache limit: 0, 20M, 500MB, default, unlimited. It is set {when}" in words


def test_help_names_every_option_and_command(shell: Shell) -> None:
    code, out, err = shell.ends("--help")
    assert (code, err) == (0, "")
    for word in [
        "--model",
        "--prompt",
        "--prompt-file",
        "--max-tokens",
        "--repeat",
        "--workload",
        "--interval",
        "--cache-limit",
        "--memory-limit",
        "--wired-limit",
        "--max-kv-size",
        "--kv-bits",
        "--prefill-step-size",
        "--adapter-path",
        "--seed",
        "--headless",
        "--json",
        "info",
    ]:
        assert word in out


def test_the_version_is_the_packages(shell: Shell) -> None:
    import mlxtop

    assert shell.ends("--version")[:2] == (0, f"mlxtop, version {mlxtop.__version__}\n")


def test_a_budget_and_what_to_do_when_it_is_reached(shell: Shell) -> None:
    shell("--budget", "4GiB", "--on-budget", "mark", "--on-budget", "exec:echo a, b")
    assert shell.run.ceiling == BudgetOptions(
        4 * 2**30, (AddMark("budget", "budget"), RunCommand("echo a, b"))
    )
    shell()
    assert shell.run.ceiling == BudgetOptions()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--budget", "16GB Mac"], "Apple publishes no rule"),
        (["--budget", "much"], "is no budget"),
        (["--budget", "0"], "always reached"),
        (["--on-budget", "mark"], "needs a --budget"),
        (["--budget", "none", "--on-budget", "mark"], "needs a --budget"),
        (["--budget", "1G", "--on-budget", "pray"], "is nothing to do"),
        (["run", "--budget", "1G", "--on-budget", "limit:x", "--", "true"], "is not a size"),
    ],
)
def test_a_budget_that_cannot_be_is_told(shell: Shell, arguments: list[str], why: str) -> None:
    code, out, err = shell.ends(*arguments)
    assert (code, out) == (2, "")
    assert why in " ".join(err.split())


def test_a_containers_limit_that_is_not_there_is_told_before_anything_runs(shell: Shell, monkeypatch) -> None:
    monkeypatch.setattr(machine, "cgroup_limit", lambda: None)
    for command in (["--budget", "cgroup"], ["run", "--budget", "cgroup", "--", "true"]):
        code, _, err = shell.ends(*command)
        assert code == 2
        assert "in no container" in err
    monkeypatch.setattr(machine, "cgroup_limit", lambda: 2**30)
    shell("--budget", "cgroup")
    assert shell.run.ceiling.spec == "cgroup"
