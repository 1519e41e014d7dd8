"""A project's own tests, which know nothing of mlxtop: a perceptron learns digits, as in MLX's examples."""

import os
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import pytest
from mlx.utils import tree_flatten

BATCH = int(os.environ.get("TEST_BATCH", "64"))
CLASSES, PIXELS = 10, 28 * 28


class Perceptron(nn.Module):
    def __init__(self, layers: int, hidden: int) -> None:
        super().__init__()
        sizes = [PIXELS, *[hidden] * layers, CLASSES]
        self.layers = [nn.Linear(before, after) for before, after in pairwise(sizes)]

    def __call__(self, x: mx.array) -> mx.array:
        for layer in self.layers[:-1]:
            x = nn.relu(layer(x))
        return self.layers[-1](x)


def loss_of(model: nn.Module, images: mx.array, labels: mx.array) -> mx.array:
    return nn.losses.cross_entropy(model(images), labels, reduction="mean")


def batches(count: int) -> Iterator[tuple[mx.array, mx.array]]:
    """Digits of noise: each class is bright somewhere else."""
    bright = mx.random.uniform(shape=(CLASSES, PIXELS))
    for _ in range(count):
        labels = mx.random.randint(0, CLASSES, (BATCH,))
        yield bright[labels] + 0.1 * mx.random.normal((BATCH, PIXELS)), labels


@pytest.fixture
def model() -> Perceptron:
    mx.random.seed(7)
    made = Perceptron(layers=2, hidden=64)
    mx.eval(made.parameters())
    return made


def test_it_has_its_parameters(model: Perceptron) -> None:
    sizes = [value.size for _, value in tree_flatten(model.parameters())]
    assert sum(sizes) == PIXELS * 64 + 64 + 64 * 64 + 64 + 64 * CLASSES + CLASSES


@pytest.mark.parametrize("compiled", [False, True])
def test_it_learns(model: Perceptron, compiled: bool) -> None:
    optimizer = optim.SGD(learning_rate=0.1)
    loss_and_gradients = nn.value_and_grad(model, loss_of)
    state = [model.state, optimizer.state]

    def step(images: mx.array, labels: mx.array) -> mx.array:
        loss, gradients = loss_and_gradients(model, images, labels)
        optimizer.update(model, gradients)
        return loss

    if compiled:
        step = partial(mx.compile(step, inputs=state, outputs=state))
    losses = []
    for images, labels in batches(4):
        loss = step(images, labels)
        mx.eval(loss, state)
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_it_wants_pictures_of_its_size(model: Perceptron) -> None:
    with pytest.raises(ValueError, match=r"addmm|matmul|dimension"):
        mx.eval(model(mx.zeros((1, 3))))
