"""The logits of a batch in order, to sample the best. PEAK: Sort"""

import mlx.core as mx

logits = mx.random.normal((8, 16384))
mx.eval(logits)
best = [mx.sort(logits, axis=-1) for _ in range(4)]
mx.eval(best)  # PLANTED
