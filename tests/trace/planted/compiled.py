"""A compiled function of elements, from small inputs. PEAK: Compiled"""

import mlx.core as mx


@mx.compile
def activate(column: mx.array, row: mx.array) -> mx.array:
    return mx.exp(column * row) + column - row


column, row = mx.zeros((1024, 1)), mx.zeros((1, 1024))
mx.eval(column, row)
active = activate(column, row)
mx.eval(active)  # PLANTED
