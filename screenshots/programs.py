"""The programs in the pictures of `mlxtop run`: a server that is asked all the time, and ranks that train."""

import json
import threading
import time
import urllib.request
from contextlib import suppress

PORT = 8080
SERVER = ["mlx_lm.server", "--model", "my-model", "--port", str(PORT)]
RANKS = ["mlx.launch", "-n", "4", "--backend", "ring", "--", "python", "train.py"]
TRAIN = """\
import time
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import mlxtop

group = mx.distributed.init()
model = nn.Sequential(*[nn.Linear(256, 256) for _ in range(4)])
optimizer = optim.Adam(1e-4)
step = nn.value_and_grad(model, lambda x: mx.mean(model(x) ** 2))
kept = []
with mlxtop.phase("train"):
    for n in range(100_000):
        loss, grads = step(mx.random.normal((16 + n * 7 % 48, 256)))
        optimizer.update(model, nn.average_gradients(grads))
        mx.eval(model.parameters(), optimizer.state, loss)
        if group.rank() == 2 and n % 4 == 0 and len(kept) < 40:
            kept.append(mx.zeros((512, 512)) + n)  # what a rank should not do
            mx.eval(kept[-1])
        if n % 20 == 0:
            print(f"rank {group.rank()} step {n} loss {loss.item():.5f}", flush=True)
        time.sleep(0.05)
"""


class Asking(threading.Thread):
    """Asks the server for completions of prompts of ever other lengths, until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stopping = False

    def run(self) -> None:
        length = 1
        while not self.stopping:
            length = length * 7 % 89
            body = {"prompt": "the cache keeps buffers " * length, "max_tokens": 24}
            request = urllib.request.Request(
                f"http://127.0.0.1:{PORT}/v1/completions",
                json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )
            # Until it is up, nobody answers.
            with suppress(OSError):
                urllib.request.urlopen(request, timeout=20).read()
            time.sleep(0.2)
