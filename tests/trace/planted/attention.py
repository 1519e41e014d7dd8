"""Scores of all with all, in the attention that MLX puts together on the CPU. PEAK: Matmul"""

import mlx.core as mx

queries = mx.ones((1, 8, 512, 16))
mx.eval(queries)
out = mx.fast.scaled_dot_product_attention(queries, queries, queries, scale=0.25)
mx.eval(out)  # PLANTED
