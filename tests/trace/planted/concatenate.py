"""A KV cache that is copied whole for each token. PEAK: Concatenate"""

import mlx.core as mx


class Cache:
    def __init__(self) -> None:
        self.keys = mx.zeros((1, 8, 4096, 64))
        mx.eval(self.keys)

    def update(self, fresh: mx.array) -> None:
        self.keys = mx.concatenate([self.keys, fresh], axis=2)
        mx.eval(self.keys)  # PLANTED


cache = Cache()
for _ in range(4):
    cache.update(mx.ones((1, 8, 1, 64)))
