"""A program of two phases: `python program.py STEPS PAUSE WAY…` does it once for each way, in processes one after another.

`leak` keeps 8 MiB more until the end, a little with each step; `peak` needs a tenth more in each step of training;
`slow` waits a tenth longer in each step of decoding. Each process is a rank, in the order of the ways. Beside
one whose way ends in `+busy` another process burns a processor now and then.
"""

import os
import signal
import sys
import time

import mlx.core as mx

import mlxtop

ROUNDS = 2
LEAK = 8 * 2**20


def work(way: str, steps: int, pause: float) -> None:
    # No product of matrices: its threads wait busily for each other, for seconds on a loaded machine.
    weights = mx.ones((64, 1024))
    mx.eval(weights)
    rows = 564 if way == "peak" else 512
    kept = []
    for _ in range(ROUNDS):
        mlxtop.phase("train")
        for _ in range(steps // 2):
            batch = mx.ones((rows, 1024)) + weights[0]
            mx.eval(batch, mx.tanh(batch))
            time.sleep(pause)
        mlxtop.phase("decode")
        token = weights[0]
        for _ in range(steps):
            token = mx.tanh(token * weights).sum(axis=0)
            if way == "leak":
                kept.append(mx.zeros((LEAK // ROUNDS // steps // 4,)))
            mx.eval(token, kept)
            time.sleep(pause * (1.1 if way == "slow" else 1.0))
    mx.synchronize()


def burn() -> None:
    """Takes a processor for a while, then rests for a while, until it is killed."""
    while True:
        end = time.monotonic() + 0.7
        while time.monotonic() < end:
            pass
        time.sleep(0.5)


def main() -> None:
    steps, pause, *ways = int(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:]
    for rank, way in enumerate(ways):
        child = os.fork()
        if not child:
            os.environ["MLX_RANK"] = str(rank)
            work(way.removesuffix("+busy"), steps, pause)
            sys.exit(0)
        other = os.fork() if way.endswith("+busy") else None
        if other == 0:
            burn()
        assert os.waitpid(child, 0)[1] == 0
        if other is not None:
            os.kill(other, signal.SIGKILL)
            os.waitpid(other, 0)


main()
