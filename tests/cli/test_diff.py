"""`mlxtop diff`: what it prints, and its exit code."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlxtop.cli.main import cli
from mlxtop.core.errors import UsageError
from mlxtop.diff.measures import MEASURES
from tests.diff.conftest import runs as runs
from tests.process import mlxtop


def diff(*arguments: object, env: dict[str, str] | None = None) -> tuple[int, Result]:
    done = CliRunner().invoke(cli, ["diff", *map(str, arguments)], env=env, standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return int(done.return_value), done


def test_nothing_changed(runs: Path) -> None:
    code, done = diff(runs / "unchanged.mlxtop", runs / "unchanged.jsonl", "--fail-if", "peak>+5%")
    assert code == 0
    assert done.stdout.splitlines()[0] == "Nothing changed beyond noise."
    assert done.stderr == "mlxtop: passed: peak>+5%: it changed by 0 B (+0.0 %), which is within noise\n"


def test_a_condition_that_holds_is_1_and_one_that_cannot_be_judged_is_2(runs: Path) -> None:
    files = runs / "unchanged.mlxtop", runs / "leak.mlxtop"
    code, done = diff(*files, "--fail-if", "floor>+4M", "--fail-if", "buffers>+1")
    assert code == 1
    failed, unknown = done.stderr.splitlines()
    assert failed.startswith("mlxtop: failed: floor>+4M: it changed by +")
    assert unknown == "mlxtop: not comparable: buffers>+1: only a trace counts buffers"
    assert diff(*files, "--fail-if", "buffers>+1")[0] == 2
    assert diff(*files)[0] == 0


def test_json_is_one_object(runs: Path) -> None:
    code, done = diff(
        runs / "unchanged.mlxtop", runs / "higher_peak.mlxtop", "--json", "--fail-if", "peak>+5%"
    )
    assert code == 1
    assert done.stderr == ""
    (condition,) = json.loads(done.stdout)["conditions"]
    assert (condition["condition"], condition["holds"]) == ("peak>+5%", True)


def test_markdown_goes_to_the_summary_of_a_job_too(runs: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    _, done = diff(
        runs / "unchanged.mlxtop", runs / "higher_peak.mlxtop", "--markdown", "--fail-if", "peak>+5%",
        env={"GITHUB_STEP_SUMMARY": str(summary)},
    )  # fmt: skip
    assert done.stdout.startswith("**B's peak is 4.6 MiB (10.0 %) higher, in prefill;")
    assert "\n- failed: peak>+5%: it changed by +4.6 MiB (+10.0 %)\n" in done.stdout
    assert "| whole | peak | 45.8 MiB | 50.4 MiB | +4.6 MiB | ▲ +10.0 % |" in done.stdout
    assert summary.read_text() == f"before\n{done.stdout}\n"
    with pytest.raises(UsageError, match=r"cannot be written: Is a directory"):
        diff(
            runs / "leak.mlxtop",
            runs / "leak.mlxtop",
            "--markdown",
            env={"GITHUB_STEP_SUMMARY": str(tmp_path)},
        )


def test_the_help_names_every_measure() -> None:
    told = " ".join(CliRunner().invoke(cli, ["diff", "--help"]).stdout.split())
    assert all(f" {name}" in told for name in MEASURES)


@pytest.mark.slow
def test_what_is_wrong_is_one_sentence_and_code_2(runs: Path) -> None:
    for arguments, why in (
        (("diff", str(runs / "none"), str(runs / "leak.mlxtop")), "cannot be read: No such file"),
        (("diff", str(runs / "leak.mlxtop"), "pyproject.toml"), "is not a recording, a trace"),
        (("diff", str(runs / "leak.mlxtop"), str(runs / "leak.mlxtop"), "--fail-if", "peek>1"), "names no measure"),
    ):  # fmt: skip
        done = mlxtop(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        assert why in done.stderr


def test_one_form_at_a_time(runs: Path) -> None:
    file = runs / "leak.mlxtop"
    for options, why in (
        (("--json", "--markdown"), "Give one of --markdown, --json and --screen"),
        (("--align", "decode"), "--align needs --screen"),
    ):
        with pytest.raises(UsageError, match=why):
            diff(file, file, *options)
