"""N Python processes that use MLX a little: each holds arrays of its own size, two times a second others.

python -m benchmarks.subjects.many_processes N

Tells their process ids once all are up. They end with their parent.
"""

import subprocess
import sys

from benchmarks.subjects import tell

CODE = """\
import select, sys
import mlx.core as mx
number, turn = int(sys.argv[1]), 0
kept = mx.ones((number % 8 + 1, 2**18)); mx.eval(kept)
print(flush=True)
while not select.select([sys.stdin], [], [], 0.5)[0]:
    turn += 1
    work = mx.ones(((turn * 7 + number * 3) % 16 + 1, 2**14)); mx.eval(work)
"""


def main(count: int) -> None:
    crew = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for number in range(count)
    ]
    for process in crew:
        assert process.stdout is not None
        process.stdout.readline()
    tell(pids=[process.pid for process in crew])
    for process in crew:
        process.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]))
