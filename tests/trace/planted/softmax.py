"""Probabilities of scores that are there already. PEAK: Softmax"""

import mlx.core as mx


def attend(scores: mx.array) -> list[mx.array]:
    weights = [mx.softmax(scores[first:], axis=-1) for first in range(3)]
    mx.eval(weights)  # PLANTED
    return weights


scores = mx.random.normal((1024, 1024))
mx.eval(scores)
weights = attend(scores)
