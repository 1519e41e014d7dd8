"""On a GPU, with an 8B Llama's shape in 4 bits: tokens/s with the dashboard open, and under `mlxtop run`,
over plain mlx-lm; how long a cache limit asked for by a key takes to be in force and on the screen; how long
leaving takes while the model loads, reads a long prompt, decodes.

Elsewhere it measures nothing and says so: such a model takes seconds a token on a processor.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks import throughput, watch
from benchmarks.measure import Figure, Terminal, main, subject, tail
from benchmarks.subjects import PROMPT

LIMITS = 40


def measure(pairs: int = 120, steps: int = 128, folder: str = "") -> Iterator[Figure]:
    """`pairs` of turns of `steps`; the checkpoint lies in `folder`, or is made and removed again."""
    if not _has_gpu():
        print("no GPU: not measured", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as own:
        if not folder:
            folder = own
            subprocess.run(subject("shape", own), check=True)
        for figure in throughput.measure(pairs, steps, folder):
            yield _named(figure)
        for figure in watch.measure(pairs, steps, 0, folder):
            yield _named(figure)
        yield _limit(folder)
        yield from _leave(folder)


def _has_gpu() -> bool:
    import mlx.core as mx

    return bool(mx.default_device() == mx.Device(mx.gpu))


def _named(figure: Figure) -> Figure:
    indent = "  " if figure.what.startswith("  ") else ""
    return Figure(f"{indent}8B, {figure.what.strip()}", figure.value, figure.unit, figure.spread, figure.bar)


def _loop(model: str, prompt: str) -> list[str]:
    options = ("--model", model, "--workload", "loop", "--prompt", prompt, "--repeat", "forever")
    return subject("dashboard", *options, "--max-tokens", "4096")


def _limit(model: str) -> Figure:
    """The cache limit is walked down and up while the model decodes; each key waits for its answer."""
    spans = []
    with Terminal(_loop(model, PROMPT)) as terminal:
        terminal.shown(rb"decode", timeout=120)
        time.sleep(2)
        for key in ("[" * 5 + "]" * 5) * (LIMITS // 10):
            written, pressed = terminal.type(key)
            spans.append((terminal.shown(rb"limit [^\x1b]* by keyboard", written) - pressed) * 1000)
            time.sleep(0.7)
    return Figure(
        "8B, a cache limit by a key, in force and on screen, p95",
        statistics.quantiles(spans, n=20, method="inclusive")[-1],
        "ms",
        f"median {statistics.median(spans):.3g}, {tail(spans)}",
        ("≤", 100.0),
    )


def _leave(model: str, times: int = 5) -> Iterator[Figure]:
    """From `q` to the end of the process, which must be a clean one."""
    long = PROMPT * 340
    phases = {
        "loading": (rb"load", 0.8, PROMPT),
        "prefill": (rb"prefill \d+/", 0.3, long),
        "decode": (rb"decode", 1.0, PROMPT),
    }
    for phase, (shown, later, prompt) in phases.items():
        spans, codes = [], set()
        for _ in range(times):
            with Terminal(_loop(model, prompt)) as terminal:
                terminal.shown(shown, timeout=120)
                time.sleep(later)
                _, pressed = terminal.type("q")
                ended, code = terminal.ended()
            spans.append(ended - pressed)
            codes.add(code)
        bar = ("≤", 1.0) if codes == {0} else None
        clean = "" if codes == {0} else f", exit codes {codes}"
        yield Figure(f"8B, left while {phase}", statistics.median(spans), "s", tail(spans) + clean, bar)


if __name__ == "__main__":
    main(measure)
