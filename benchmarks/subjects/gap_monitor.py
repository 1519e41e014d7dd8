"""A program that nobody watches yet, with a second thread whose heart beats every millisecond.

python -m benchmarks.subjects.gap_monitor rest|decode

Tells its process id once MLX is in use, and after each line on standard input the largest gap between two
beats since the last one, in ms.
"""

import os
import sys
import threading
import time

import mlx.core as mx

from benchmarks.subjects import tell
from benchmarks.subjects.agent_cost import decode

BEAT = 0.001


class Heart(threading.Thread):
    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.gap = 0.0

    def run(self) -> None:
        last = time.monotonic()
        while True:
            time.sleep(BEAT)
            now = time.monotonic()
            self.gap, last = max(self.gap, now - last), now


def listen(heart: Heart) -> None:
    for _ in sys.stdin:
        gap, heart.gap = heart.gap, 0.0
        tell(gap=gap * 1000)


def main(errand: str) -> None:
    mx.eval(mx.ones(8))
    heart = Heart()
    heart.start()
    threading.Thread(target=listen, args=(heart,), daemon=True).start()
    tell(pid=os.getpid())
    if errand == "decode":
        decode()
    time.sleep(86_400)


if __name__ == "__main__":
    main(sys.argv[1])
