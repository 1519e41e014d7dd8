"""`mlx_lm.lora` under watch: a training run, and the census of its arrays."""

import json
import re
from pathlib import Path

import mlx_lm
import pytest

from tests.e2e.place import BIN, Place, leave
from tests.e2e.screen import Screen

pytestmark = pytest.mark.e2e

TRAINER = Path(mlx_lm.__file__).with_name("tuner").joinpath("trainer.py").read_text("utf-8").splitlines()
EVALS = r" evals +\d+ +([\d,]+) "
"""In the row of the change since a mark: then, and now."""


@pytest.fixture
def training(place: Place, checkpoint: Path) -> Screen:
    data = place.folder / "data"
    data.mkdir()
    for name in ("train", "valid"):
        rows = [
            {"text": f"{i} buffers " + "and the next step can reuse them " * (i % 7 + 1)} for i in range(16)
        ]
        (data / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return place.run(
        *(BIN / "mlx_lm.lora", "--train", "--model", checkpoint, "--data", data, "--num-layers", "2"),
        *("--iters", "1000000", "--batch-size", "2", "--steps-per-report", "20", "--val-batches", "1"),
        *("--adapter-path", place.folder / "adapters"),
    )


def test_a_training_run_is_watched(training: Screen, place: Place) -> None:
    training.value(r"^ active +[1-9][\d.]* [KM]iB ")
    training.value(r" [1-9]\d*\.\d evals/s ")
    training.wait_for("Trainable parameters:")
    # A row of its own for every twenty steps: it trains on while it is watched.
    training.value(r"^ +40 +\d\.\d{3}")
    # Without a change of its code the screen tells what it does, and its last report.
    training.value(r" ● train [1-9][\d,]*0 · loss \d\.\d")
    before = training.value(EVALS)[1]
    training.wait_for(lambda text: re.search(EVALS, text)[1] != before, why="more evals")
    # The highest step is one of the trainer's.
    training.press("P")
    line = training.value(
        r"^ +[\d.]+ MiB +[\d.]+ [KM]iB +\d:\d\d:\d\d +(?:train|validate) +\d+  tuner/trainer\.py:(\d+)"
    )[1]
    assert "mx.eval" in TRAINER[int(line) - 1]
    training.press("escape")
    training.wait_for("where it goes")
    count(training)
    assert leave(training, "Stop the program") == 130
    assert place.processes() == set()


def count(training: Screen) -> None:
    """The census finds weights and optimizer."""
    training.press("w")
    training.value(r"^ accounted +\d+\.?\d*%  .* active ")
    for part in ("weights", "optimizer"):
        training.value(rf"^ ■ {part} +[1-9][\d.]* [KM]iB +[\d.]+% +\d+ arrays")
        training.value(rf"^ +[\d.]+ KiB +■ {part} +\d+×\d+ +float32 +\S")
    training.value(r"■ weights +\d+×64 +float32 +Model: model\.embed_tokens\.weight")
    training.press("escape")
    training.wait_for(lambda text: "where it goes" in text and "■ optimizer" not in text)
    # The dashboard knows from then on what is weights.
    training.value(r"■ weights +[1-9][\d.]* KiB +\d+%")
    # Twice: the screen opens again, and `w` shows what has changed since.
    training.press("w")
    training.wait_for("accounted")
    training.press("w")
    training.wait_for("since the census")
    training.press("escape")
    training.wait_for("where it goes")
