"""Two small factors, a large product. PEAK: Matmul"""

import mlx.core as mx

rows, columns = mx.ones((2048, 8)), mx.ones((8, 2048))
mx.eval(rows, columns)
product = rows @ columns
mx.eval(product)  # PLANTED
