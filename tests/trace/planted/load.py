"""Weights from a file. PEAK: Load"""

import tempfile
from pathlib import Path

import mlx.core as mx

with tempfile.TemporaryDirectory() as folder:
    path = str(Path(folder, "model.safetensors"))
    # As a model's weights: many of one size.
    mx.save_safetensors(path, {"0": mx.ones((512, 1024))})
    files = [mx.load(path) for _ in range(4)]
    weights = [file["0"] for file in files if isinstance(file, dict)]
    mx.eval(weights)  # PLANTED
