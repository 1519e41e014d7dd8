"""A model from the Hub: the real client of huggingface_hub, against a hub of our own on loopback."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import REPO
from tests.hub import hub as serving


@pytest.fixture
def hub(checkpoint: Path) -> Iterator[str]:
    with serving(checkpoint) as (address, _served):
        yield address


def run(model: str, endpoint: str, home: Path) -> tuple[list[dict[str, object]], str, int]:
    environ = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HOME": str(home), "PATH": "/usr/bin:/bin"}
    command = [
        sys.executable,
        "-m",
        "mlxtop",
        "--json",
        "--model",
        model,
        "--prompt",
        "hello",
        "--max-tokens",
        "4",
    ]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr, done.returncode


def test_a_repository_is_downloaded_with_progress_and_runs(hub: str, tmp_path: Path) -> None:
    lines, errors, code = run(REPO, hub, tmp_path)
    assert code == 0, errors
    phases = [line["phase"] for line in lines if line.get("kind") == "phase"]
    assert phases[:3] == ["load", "load", "download"]
    assert phases[3:6] == ["load", "prefill", "decode"]
    progress = [
        (line["done"], line["total"])
        for line in lines
        if line.get("kind") == "progress" and line["phase"] == "download"
    ]
    assert progress
    assert all(0 < done <= total for done, total in progress)


def test_no_such_repository(hub: str, tmp_path: Path) -> None:
    _, errors, code = run("mlxtop/nothing", hub, tmp_path)
    assert code == 1
    assert (
        "mlxtop: Could not load mlxtop/nothing: no such directory, and no such repository on the Hub"
        in errors
    )


@pytest.mark.usefixtures("processes")
def test_no_network(tmp_path: Path) -> None:
    _, errors, code = run(REPO, "http://127.0.0.1:9", tmp_path)
    assert code == 1
    assert "the Hub cannot be reached" in errors
    assert "Traceback" not in errors
