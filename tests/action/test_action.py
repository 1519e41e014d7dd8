"""The GitHub Action: its file is one, no input becomes code, and its scripts run as a job would run them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.process import ROOT

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
SCRIPTS = {step["name"]: step for step in STEPS if "run" in step}
INPUT = re.compile(r"\$\{\{\s*inputs\.([\w-]+)")
PROGRAM = "import mlx.core as mx; mx.eval(mx.ones((1024, 1024)) + 1)"
# `gh api`, as far as the action uses it: the comments are a file, and what is sent is written down.
GH = """#!/bin/bash
printf '%s\\n' "$*" >> "$PLACE/calls"
case "$*" in
  *--paginate*) [ -z "$GH_TOKEN" ] && exit 4; cat "$PLACE/ids"; exit 0 ;;
esac
[ -n "$READ_ONLY" ] && exit 1
for word in "$@"; do case "$word" in body=@*) cp "${word#body=@}" "$PLACE/body" ;; esac; done
"""


def test_each_input_is_declared_and_used() -> None:
    used = {name for step in STEPS for name in INPUT.findall(json.dumps(step))}
    assert used == set(ACTION["inputs"])
    assert all(
        told["description"] and ("default" in told or told["required"]) for told in ACTION["inputs"].values()
    )


def test_no_expression_is_in_a_script() -> None:
    for name, step in SCRIPTS.items():
        assert "${{" not in step["run"], name
        assert step["shell"] == "bash"


@pytest.mark.usefixtures("processes")
def test_the_file_is_an_action_by_githubs_schema() -> None:
    pytest.importorskip("check_jsonschema")
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-actions",
        "action.yml",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_are_sound(name: str) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    if not shellcheck.exists():
        pytest.skip("needs shellcheck")
    script = SCRIPTS[name]["run"]
    done = subprocess.run([shellcheck, "--shell=bash", "-"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


class Job:
    """A job in a folder of its own: what GitHub would set, and a `gh` that keeps what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("output", "summary", "ids", "calls"):
            (folder / name).touch()
        (folder / "bin").mkdir()
        (folder / "bin/gh").write_text(GH)
        (folder / "bin/gh").chmod(0o755)
        venv = folder / "temp/mlxtop/venv/bin"
        venv.mkdir(parents=True)
        (venv / "mlxtop").write_text(f'#!/bin/bash\nexec {sys.executable} -m mlxtop "$@"\n')
        (venv / "mlxtop").chmod(0o755)

    @property
    def results(self) -> Path:
        return self.folder / "temp/mlxtop/results"

    def run(self, name: str, **values: str) -> "subprocess.CompletedProcess[str]":
        """One step, as a runner starts bash."""
        env = {
            **os.environ, **dict.fromkeys(SCRIPTS[name].get("env", {}), ""), "RUNNER_TEMP": str(self.folder / "temp"),
            "GITHUB_OUTPUT": str(self.folder / "output"), "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "PLACE": str(self.folder), **values,
        }  # fmt: skip
        script = self.folder / "step.sh"
        script.write_text(SCRIPTS[name]["run"])
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        return subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    @property
    def outputs(self) -> Mapping[str, str]:
        return dict(line.split("=", 1) for line in (self.folder / "output").read_text().splitlines())


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Job:
    """A check that was crossed, in a folder whose name is no plain word."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    job = Job(tmp_path_factory.mktemp("a job's $(place)"))
    program = job.folder / "program.py"
    program.write_text(PROGRAM)
    command = f'echo "it\'s $((1 + 1))" | cat; {sys.executable} program.py'
    done = job.run("Check", COMMAND=command, PEAK="1M", WARM_UP="3", RECORD="kept.mlxtop")
    assert (done.returncode, done.stdout) == (0, "it's 2\n"), done.stderr
    return job


def test_a_check_tells_its_code_and_leaves_its_results(job: Job) -> None:
    assert job.outputs == {
        "code": "1", "json": str(job.results / "check.json"), "recording": str(job.folder / "kept.mlxtop"),
    }  # fmt: skip
    told = json.loads((job.results / "check.json").read_text())
    assert (told["verdict"], told["bounds"][0]["allowed"]) == ("crossed", 2**20)
    assert (job.folder / "summary").read_text().startswith("### mlxtop check")
    assert (job.folder / "kept.mlxtop").exists()


def test_what_is_put_in_is_never_run_as_code(job: Job) -> None:
    done = job.run(
        "Check", COMMAND="true", PEAK="1G; touch owned", GROWTH="$(touch owned)", RECORD="`touch owned`"
    )
    assert done.returncode == 0
    assert "is not a size" in done.stderr
    done = job.run(
        "Compare with the baseline", BASELINE="$(touch owned)", FAIL_IF="peak>+5%; touch owned\n`touch owned`"
    )
    assert done.returncode == 0
    job.run(
        "Comment", NAME="$(touch owned)", NUMBER="5; touch owned", REPOSITORY="a/b;touch owned", GH_TOKEN="t"
    )
    assert not list(job.folder.rglob("owned"))


def test_a_baseline_is_compared(job: Job) -> None:
    recording = str(job.folder / "kept.mlxtop")
    same = {"BASELINE": recording, "RECORDING": recording}
    for conditions, code in (("peak>+5%\n\npeak>1G\n", "0"), ("peak>1M", "1"), ("nonsense", "2")):
        assert job.run("Compare with the baseline", FAIL_IF=conditions, **same).returncode == 0
        assert job.outputs["code"] == code
    job.run("Compare with the baseline", BASELINE="no.mlxtop", RECORDING=recording)
    assert job.outputs["code"] == "2"


def test_a_comment_is_made_once_and_edited_after(job: Job) -> None:
    told = {"NAME": "memory", "NUMBER": "7", "REPOSITORY": "some/project", "GH_TOKEN": "t"}
    (job.folder / "calls").write_text("")
    assert job.run("Comment", **told).returncode == 0
    (job.folder / "ids").write_text("41\n42\n")
    assert job.run("Comment", **told).returncode == 0
    found, made, _, edited = (job.folder / "calls").read_text().splitlines()
    assert found.startswith("api --paginate repos/some/project/issues/7/comments --jq")
    assert "--method POST repos/some/project/issues/7/comments" in made
    assert "--method PATCH repos/some/project/issues/comments/41" in edited
    body = (job.folder / "body").read_text()
    assert body.startswith("<!-- mlxtop check: memory -->\n### mlxtop check\n")
    assert "| peak |" in body
    # From a fork the token may only read: no reason to fail.
    for hindrance in ({"GH_TOKEN": ""}, {"READ_ONLY": "1"}):
        done = job.run("Comment", **{**told, **hindrance})
        assert (done.returncode, done.stdout.startswith("::warning::mlxtop could not comment")) == (0, True)


@pytest.mark.parametrize(
    ("check", "diff", "code"),
    [("0", "", 0), ("0", "0", 0), ("0", "1", 1), ("3", "1", 3), ("1", "0", 1), ("", "", 2)],
)
def test_the_job_fails_with_what_failed_first(job: Job, check: str, diff: str, code: int) -> None:
    assert job.run("Result", CHECK=check, DIFF=diff).returncode == code
