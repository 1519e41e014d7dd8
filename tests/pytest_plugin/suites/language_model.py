"""A project's own tests, which know nothing of mlxtop: a small transformer learns a text, and continues it."""

import math
import unittest

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim

WORDS, LENGTH, SIZE = 17, 24, 32


class LanguageModel(nn.Module):
    def __init__(self, blocks: int = 1, heads: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, SIZE)
        self.positions = nn.SinusoidalPositionalEncoding(SIZE)
        self.transformer = nn.TransformerEncoder(blocks, SIZE, heads, norm_first=True)
        self.out = nn.Linear(SIZE, WORDS)

    def __call__(self, tokens: mx.array) -> mx.array:
        length = tokens.shape[1]
        mask = nn.MultiHeadAttention.create_additive_causal_mask(length)
        x = self.embedding(tokens) + self.positions(mx.arange(length))
        return self.out(self.transformer(x, mask))


def perplexity(model: LanguageModel, tokens: mx.array) -> mx.array:
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    return nn.losses.cross_entropy(model(inputs), targets, reduction="mean")


def text(rows: int) -> mx.array:
    """A text that can be learnt: each word is the one before plus three."""
    first = mx.random.randint(0, WORDS, (rows, 1))
    return (first + 3 * mx.arange(LENGTH)) % WORDS


class TestLanguageModel(unittest.TestCase):
    def setUp(self) -> None:
        mx.random.seed(3)
        self.model = LanguageModel()
        mx.eval(self.model.parameters())

    def train(self, steps: int) -> list[float]:
        optimizer = optim.AdamW(learning_rate=1e-2)
        gradients_of = nn.value_and_grad(self.model, perplexity)
        losses = []
        for _ in range(steps):
            loss, gradients = gradients_of(self.model, text(8))
            optimizer.update(self.model, gradients)
            mx.eval(self.model.parameters(), optimizer.state)
            losses.append(loss.item())
        return losses

    def test_it_begins_by_guessing(self) -> None:
        self.assertAlmostEqual(perplexity(self.model, text(8)).item(), math.log(WORDS), delta=1.0)

    def test_it_learns_and_continues(self) -> None:
        losses = self.train(6)
        self.assertLess(losses[-1], losses[0])
        tokens = text(1)[:, :12]
        for _ in range(2):
            following = mx.argmax(self.model(tokens)[:, -1:], axis=-1)
            tokens = mx.concatenate([tokens, following], axis=1)
        self.assertEqual(tokens.shape, (1, 14))

    def test_the_future_does_not_leak(self) -> None:
        tokens = text(1)
        whole, part = self.model(tokens)[:, :5], self.model(tokens[:, :5])
        self.assertTrue(mx.allclose(whole, part, atol=1e-4).item())
