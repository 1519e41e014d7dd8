"""Records at 100 Hz, as mlxtop does, until it is killed: `python -m tests.recording.victim FILE [HOW]`.

It prints `put N` for each sample and `committed N` after each commit. Sample N is `sample(N)`. HOW: `merging`
merges blocks every 40 rows and dies by itself in the 4th merge, between the old blocks' end and the new
one's beginning; `merged` just before that is committed.
"""

import os
import signal
import sys
import time
from pathlib import Path

from mlxtop.core.sample import Sample
from mlxtop.recording import codec
from mlxtop.recording import recorder as module
from mlxtop.recording.recorder import Recorder
from tests.recording.source import Session, add

RATE = 100


def sample(n: int) -> Sample:
    return Sample(n / RATE, n * 4096, n % 77, n, n * 4096 + n % 77, n // 10, n, n, n * 7, n % 3, -1, n)


def main(path: str, how: str = "running") -> None:
    # Nobody is to be left behind where the one who kills is killed.
    signal.alarm(60)
    if how != "running":
        module.MERGE_ROWS, module.COMMIT_EVERY = 40, 0.1
        die_in_merge(4, how)
    recorder = Recorder(Path(path))
    commit, session = recorder._commit, Session(interval=1 / RATE)
    told = 0

    def committed(last: bool = False) -> None:
        commit(last)
        done = len(recorder._tracks[0].waiting)
        os.write(1, b"committed %d\n" % (told - done - recorder._inbox.qsize()))

    recorder._commit = committed  # type: ignore[method-assign]
    put = add(recorder, session)
    recorder.start()
    began = time.monotonic()
    for n in range(10**9):
        time.sleep(max(0.0, began + n / RATE - time.monotonic()))
        put(sample(n))
        told = n + 1
        os.write(1, b"put %d\n" % told)


def die_in_merge(which: int, how: str) -> None:
    pack, merges = codec.pack, 0

    def deadly(columns: list[list[int]]) -> bytes:
        nonlocal merges
        merges += len(columns[0]) >= module.MERGE_ROWS
        if merges == which and how == "merging":
            os.kill(os.getpid(), signal.SIGKILL)
        return pack(columns)

    roll = Recorder._roll_up

    def rolled(self: Recorder, number: int, written: module._Written, *rest: object) -> None:
        roll(self, number, written, *rest)  # type: ignore[arg-type]
        if merges == which:
            os.kill(os.getpid(), signal.SIGKILL)

    codec.pack = deadly  # type: ignore[assignment]
    Recorder._roll_up = rolled  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    main(*sys.argv[1:])
