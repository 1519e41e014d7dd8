"""A training under watch: its phases and losses are seen, and it is the same training as without mlxtop."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any, NamedTuple

import pytest

from mlxtop.agent.training import TrainingWatch
from mlxtop.core.events import LossReported
from tests.agent.program import LEISURE, Start, Viewer, starting

LORA = f"""
import io, json, sys, contextlib
{LEISURE}
from pathlib import Path
import mlx.core as mx, mlx.optimizers as optim, numpy as np
from mlx.utils import tree_flatten
from mlx_lm import load
from mlx_lm.tuner.trainer import TrainingArgs, train
from mlx_lm.tuner.utils import linear_to_lora_layers
import mlxtop

class Recorder:
    def __init__(self): self.told = []
    def on_train_loss_report(self, info): self.told.append(info)
    def on_val_loss_report(self, info): self.told.append(info)
    def on_epoch(self): return "epoch"

checkpoint, folder = sys.argv[1:]
data = [([*range(2, 20 + 3 * i)], 0) for i in range(8)]
def lora(wrap):
    mx.random.seed(1); np.random.seed(1)
    recorder = Recorder()
    model, _ = load(checkpoint)
    model.freeze()
    linear_to_lora_layers(model, 2, {{"rank": 4, "scale": 10.0, "dropout": 0.0}})
    mx.reset_peak_memory()
    args = TrainingArgs(batch_size=2, iters=9, val_batches=1, steps_per_report=3, steps_per_eval=6,
                        adapter_file=str(Path(folder) / "adapters.safetensors"))
    with contextlib.redirect_stdout(io.StringIO()):
        train(model, optim.Adam(1e-3), data, data, args=args, training_callback=wrap(recorder))
    weights = dict(tree_flatten(model.trainable_parameters()))
    return recorder.told, {{name: bytes(memoryview(array)).hex() for name, array in weights.items()}}

print("up", flush=True); sys.stdin.readline()
plain, weights = lora(lambda recorder: recorder)
mx.eval(mx.ones(3))
with mlxtop.phase("mine"):
    added, same = lora(lambda recorder: mlxtop.TrainingCallback(recorder))
"""
TRAINER = "/lib/mlx_lm/tuner/trainer.py"


class Run(NamedTuple):
    """Two trainings in one watched program: without mlxtop's callback, and with it."""

    said: dict[str, Any]
    viewer: Viewer


@pytest.fixture(scope="module")
def run(processes: None, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with starting() as start:
        yield _run(start, checkpoint, tmp_path_factory.mktemp("adapters"))


def _run(start: Start, checkpoint: Path, folder: Path) -> Run:
    tell = "print(json.dumps({'plain': plain, 'added': added, 'weights': weights, 'same': same}), flush=True)"
    program = start([sys.executable, "-c", LORA + tell, str(checkpoint), str(folder)])
    assert program.line() == "up"
    viewer = program.connect()
    viewer.message("hello")
    program.say()
    said = program.json()
    assert program.end() == (0, "")
    viewer.end()
    return Run(said, viewer)


def _losses(run: Run) -> list[dict[str, Any]]:
    return run.viewer.events("loss")


def test_the_phases_are_seen_and_those_of_the_program_stay(run: Run) -> None:
    phases = [event["phase"] for event in run.viewer.events("phase")]
    assert phases == ["run", *["validate", "train"] * 3, "run", "mine", "idle"]


def test_the_losses_are_those_that_the_trainer_reports(run: Run) -> None:
    told = {
        (info["iteration"], info.get("train_loss"), info.get("val_loss"), info.get("tokens_per_second"))
        for info in (*run.said["plain"], *run.said["added"])
    }
    seen = [
        (one["iteration"], None, one["loss"], None)
        if one.get("validation")
        else (one["iteration"], one["loss"], None, one["tps"])
        for one in _losses(run)
    ]
    assert set(seen) <= told
    # At most one of a kind in a second is told, and always the last.
    assert {(iteration, val is None) for iteration, _, val, _ in seen} >= {(9, True), (8, False)}
    assert len(seen) == len(set(seen))


def test_the_training_is_the_same_bit_by_bit(run: Run) -> None:
    def results(reports: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return [(one["iteration"], one.get("train_loss"), one.get("val_loss")) for one in reports]

    assert results(run.said["plain"]) == results(run.said["added"])
    assert len(run.said["weights"]) > 0
    assert run.said["weights"] == run.said["same"]
    assert all(loss == loss for _, loss, _ in results(run.said["plain"]))


def test_every_report_has_the_memory_too(run: Run) -> None:
    ours = {"mlx/active", "mlx/cache", "mlx/peak_step", "mlx/footprint"}
    highest = 0
    for plain, added in zip(run.said["plain"], run.said["added"], strict=True):
        assert added.keys() - plain.keys() == ours
        assert all(type(added[name]) is int for name in ours)
        assert added["mlx/peak_step"] >= added["mlx/active"] > 0
        highest = max(highest, added["mlx/peak_step"])
        if "peak_memory" in added:
            # The trainer sees the highest of all, however often MLX's peak was reset meanwhile.
            assert highest >= round(added["peak_memory"] * 1e9)


# The watch alone, in functions of real frames


def _functions(source: str, path: str = TRAINER, **names: Any) -> dict[str, Any]:
    """The functions of a module that lies at `path`."""
    made = {**names, "sys": sys}
    exec(compile(source, path, "exec"), made)
    return made


class Place:
    """Where a watch tells of phases."""

    def __init__(self) -> None:
        self.phases = ["run"]
        self.watch = TrainingWatch(lambda: self.phases[-1], self.phases.append, lambda: 1.0)

    def step(self) -> None:
        self.watch.step(sys._getframe(1))

    def report(self) -> None:
        self.watch.report(sys._getframe(1))

    @property
    def losses(self) -> list[LossReported]:
        return [report for _, report in self.watch.settled()]


@pytest.fixture
def place() -> Place:
    return Place()


def test_what_a_training_evaluates_in_other_functions_and_threads_is_part_of_it(place: Place) -> None:
    def elsewhere() -> None:
        thread = Thread(target=place.step)
        thread.start()
        thread.join()
        place.step()

    run = _functions("def train(step, elsewhere): step(); elsewhere(); step()")["train"]
    run(place.step, elsewhere)
    assert place.phases == ["run", "train"]
    place.step()
    assert place.phases == ["run", "train", "run"]


@pytest.mark.parametrize("path", ["/mine/train.py", "/lib/mlx_lm/evaluate.py"])
def test_other_functions_of_these_names_are_none(place: Place, path: str) -> None:
    made = _functions("def train(p, it=3, train_loss=1.0): p.step(); p.report()\nevaluate = train", path)
    made["train"](place)
    assert (place.phases, place.losses) == (["run"], [])


def test_mlx_vlm_is_seen_too(place: Place) -> None:
    source = "def train(p, it=3, train_loss=1.5, tokens_sec=2.5): p.step(); p.report()"
    _functions(source, "/lib/mlx_vlm/trainer/sft_trainer.py")["train"](place)
    assert place.phases == ["run", "train"]
    assert place.losses == [LossReported(3, 1.5, tps=2.5)]
    assert place.losses == []


class Watched:
    """An array of MLX: whoever looks at it closely computes it."""

    def __float__(self) -> float:
        raise AssertionError("it was computed")

    __sub__ = __rsub__ = __le__ = __float__


@pytest.mark.parametrize(
    ("loss", "speed", "told"),
    [
        (float("nan"), float("inf"), [LossReported(3, None)]),
        (float("-inf"), -1.0, [LossReported(3, None)]),
        (1.5, Watched(), [LossReported(3, 1.5)]),
        (Watched(), 2.0, []),
        (None, None, []),
    ],
)
def test_only_plain_numbers_are_read(place: Place, loss: Any, speed: Any, told: list[LossReported]) -> None:
    source = "def train(p, train_loss, tokens_sec):\n it = 3\n p.report()"
    _functions(source)["train"](place, loss, speed)
    assert place.losses == told


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="reading variables leaves nothing behind there")
def test_variables_are_not_read_where_that_leaves_something(place: Place) -> None:
    source = "def train(p, it=3, train_loss=1.0):\n{}\n p.report()"
    _functions(source.format(" kept = locals()"))["train"](place)
    _functions(source.format(" old = sys.getprofile()"))["train"](place)
    assert len(place.losses) == 1
    sys.setprofile(lambda *_: None)
    try:
        _functions(source.format(" pass"))["train"](place)
    finally:
        sys.setprofile(None)
    assert place.losses == []


def test_nothing_of_the_variables_is_left_in_the_trainer(place: Place) -> None:
    class Big:
        alive = 0

        def __init__(self) -> None:
            Big.alive += 1

        def __del__(self) -> None:
            Big.alive -= 1

    source = "def train(p, Big, alive, it=3, train_loss=1.0):\n big = Big(); p.report(); del big; alive()"
    seen: list[int] = []
    _functions(source)["train"](place, Big, lambda: seen.append(Big.alive))
    assert (seen, len(place.losses)) == ([0], 1)


def test_an_error_of_ours_ends_the_watch(place: Place) -> None:
    def broken(_: str) -> None:
        raise ZeroDivisionError

    place.watch = TrainingWatch(lambda: "run", broken, lambda: 1.0)
    calls: list[str] = []

    def step(look: Callable[[FrameType], None] = place.watch.step) -> None:
        try:
            look(sys._getframe(1))
        except ZeroDivisionError:
            calls.append("failed")

    run = _functions("def train(step):\n for _ in range(3): step()")["train"]
    run(step)
    assert calls == ["failed"]
