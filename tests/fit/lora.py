"""Training by mlx-lm as anybody would run it: nothing of mlxtop is imported.

`python -m tests.fit.lora FOLDER RUNS` prints the peak of each run. MLX's streams belong to the thread that made
them, so it is never the tests' process that does it.
"""

import contextlib
import gc
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.checkpoint import ROOT

ITERATIONS = 3
Run = tuple[int, int, list[str]]
"""Sequences of a batch, tokens of each, and other arguments of `mlx_lm.lora`."""


def truth(checkpoint: Path, *runs: Run) -> list[int]:
    """The peak of active memory, in bytes, of each run of `mlx_lm.lora --train` in one process.

    mlx-lm's gradient checkpointing stays switched on in a process: those runs come last.
    """
    command = [sys.executable, "-m", "tests.fit.lora", str(checkpoint), json.dumps(runs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    told: list[int] = json.loads(done.stdout.splitlines()[-1])
    return told


def peaks(folder: str, runs: list[Run]) -> list[int]:
    with TemporaryDirectory() as scratch:
        _write_data(Path(scratch), longest=max(seq for _, seq, _ in runs))
        return [_peak(folder, scratch, *run) for run in runs]


def _write_data(folder: Path, longest: int) -> None:
    """Texts of more tokens than any run reads: no token is longer than 16 characters."""
    text = json.dumps({"text": "the cache keeps what a step may use again " * (longest // 2)}) + "\n"
    for name in ("train", "valid"):
        (folder / f"{name}.jsonl").write_text(text * 8, encoding="utf-8")


def _peak(folder: str, scratch: str, batch: int, seq: int, more: list[str]) -> int:
    import mlx.core as mx
    from mlx_lm import lora

    gc.collect()
    mx.clear_cache()
    mx.reset_peak_memory()
    sys.argv = [
        "mlx_lm.lora", "--train", "--model", folder, "--data", scratch, "--adapter-path", f"{scratch}/adapters",
        "--num-layers", "-1", "--iters", str(ITERATIONS), "--val-batches", "1",
        "--batch-size", str(batch), "--max-seq-length", str(seq), *more,
    ]  # fmt: skip
    with contextlib.redirect_stdout(sys.stderr):
        lora.main()
    return int(mx.get_peak_memory())


def main(arguments: Any) -> None:
    folder, runs = arguments
    print(json.dumps(peaks(folder, json.loads(runs))))


if __name__ == "__main__":
    main(sys.argv[1:])
