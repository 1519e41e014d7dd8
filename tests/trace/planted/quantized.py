"""A product with weights of four bits. PEAK: QuantizedMatmul"""

import mlx.core as mx

weights, scales, biases = mx.quantize(mx.ones((1024, 64)), bits=4)
inputs = mx.ones((2048, 64))
mx.eval(weights, scales, biases, inputs)
outputs = mx.quantized_matmul(inputs, weights, scales, biases, bits=4)
mx.eval(outputs)  # PLANTED
