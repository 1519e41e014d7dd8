"""Decoding and a LoRA training by mlx-lm's parts, in turns: untraced, traced, and traced with `--layers`.

python -m benchmarks.subjects.layers ROUNDS TOKENS STEPS
"""

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx_lm.generate import generate_step
from mlx_lm.models.llama import Model, ModelArgs
from mlx_lm.tuner.utils import linear_to_lora_layers

from benchmarks.subjects import tell
from benchmarks.subjects.tracing import SHAPE
from mlxtop.mlx.tracing import Tracing

WAYS = {"off": None, "traced": "", "layers": "layers=1 "}
"""What the trace is asked for."""
Turn = tuple[float, float, int]
"""Tokens or steps a second, milliseconds of the process's processor time for one, and MLX's peak in bytes."""


def main(rounds: int, tokens: int, steps: int) -> None:
    works = {"decode": (decoding(), tokens), "train": (training(), steps)}
    chance, tracing = random.Random(0), Tracing(lambda *_: None)
    with TemporaryDirectory() as name:
        for number in range(rounds + 1):
            for work, (run, count) in works.items():
                order = list(WAYS)
                chance.shuffle(order)
                turns = {}
                for way in order:
                    if WAYS[way] is not None:
                        tracing.start_with(f"{WAYS[way]}{name}/{way}.mlxtrace")
                        assert tracing.tracer is not None
                    turns[way] = run(count)
                    tracing.stop("flag")
                    for file in Path(name).iterdir():
                        file.unlink()
                # The first round warms up.
                if number:
                    tell(work=work, turns=turns)
    tell(over=True)


def model() -> Model:
    mx.random.seed(0)
    made = Model(ModelArgs.from_dict(SHAPE))
    mx.eval(made.parameters())
    return made


def decoding() -> Callable[[int], Turn]:
    made, prompt = model(), mx.arange(16)

    def turn(count: int) -> Turn:
        one = generate_step(prompt, made, max_tokens=count + 1)
        next(one)
        return measured(count, lambda: next(one))

    return turn


def training() -> Callable[[int], Turn]:
    """Not compiled: within `mx.compile` nothing is evaluated, and no layer named."""
    made = model()
    made.freeze()
    linear_to_lora_layers(made, len(made.layers), {"rank": 8, "scale": 10.0, "dropout": 0.0})
    gradient, optimizer = nn.value_and_grad(made, loss), optim.Adam(1e-4)
    batch = mx.random.randint(0, SHAPE["vocab_size"], (1, 33))

    def step() -> None:
        value, gradients = gradient(made, batch)
        optimizer.update(made, gradients)
        mx.eval(made.trainable_parameters(), optimizer.state, value)

    return lambda count: measured(count, step)


def loss(made: Model, batch: mx.array) -> mx.array:
    return nn.losses.cross_entropy(made(batch[:, :-1]), batch[:, 1:]).mean()


def measured(count: int, step: Callable[[], object]) -> Turn:
    mx.reset_peak_memory()
    began, spent = time.monotonic(), time.process_time()
    for _ in range(count):
        step()
    took, cost = time.monotonic() - began, time.process_time() - spent
    return count / took, cost / count * 1000, mx.get_peak_memory()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
