"""A small picture with many channels out. PEAK: Convolution"""

import mlx.core as mx

picture, kernel = mx.ones((1, 64, 64, 2)), mx.ones((1024, 3, 3, 2))
mx.eval(picture, kernel)
features = mx.conv2d(picture, kernel, padding=1)
mx.eval(features)  # PLANTED
