"""Two spectra of a signal. PEAK: FFT"""

import mlx.core as mx

signal = mx.zeros((64, 4096), dtype=mx.complex64)
mx.eval(signal)
spectra = [mx.fft.fft(signal, axis=axis) for axis in (0, 1)]
mx.eval(spectra)  # PLANTED
