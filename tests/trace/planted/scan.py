"""The running sums of a long row. PEAK: Scan"""

import mlx.core as mx

row = mx.ones((1, 1024))
mx.eval(row)
sums = mx.cumsum(mx.broadcast_to(row, (2048, 1024)), axis=0)
mx.eval(sums)  # PLANTED
