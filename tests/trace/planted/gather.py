"""Few rows of a table, each many times. PEAK: Gather"""

import mlx.core as mx

table = mx.ones((64, 512))
tokens = mx.zeros((16, 512), dtype=mx.int32)
mx.eval(table, tokens)
embedded = table[tokens]
mx.eval(embedded)  # PLANTED
