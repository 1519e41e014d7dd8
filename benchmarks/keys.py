"""From a key to its answer on a 120×40 screen while a prompt is prefilled in long steps."""

import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Iterator

from benchmarks.measure import Figure, Terminal, main, subject, tail
from mlxtop.inference.prompts import TEXT

# Each key and its answer: a limit that waits or is set already, a new mark, the other unit, a still picture.
ANSWERS = (
    ("[", rb"waiting for a safe point|limit [^\x1b]* by keyboard"),
    ("m", rb"\xe2\x80\x9cmark \d+\xe2\x80\x9d"),
    ("u", rb"\d MB"),
    (" ", rb"paused"),
    ("]", rb"waiting for a safe point|limit [^\x1b]* by keyboard"),
    ("m", rb"\xe2\x80\x9cmark \d+\xe2\x80\x9d"),
    ("u", rb"\d MiB"),
    (" ", rb"prefill \d+/"),
)
NAMES = {" ": "space"}


def measure(presses: int = 48, tokens: int = 8192, step: int = 2048) -> Iterator[Figure]:
    """`presses` of keys in all, at odd moments, while prompts of `tokens` are read in steps of `step`."""
    chance = random.Random(0)
    spans: dict[str, list[float]] = {}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as prompt:
        prompt.write((TEXT * (tokens // len(TEXT) + 1))[:tokens])
        prompt.flush()
        options = (
            *("--workload", "loop", "--repeat", "forever", "--max-tokens", "1"),
            *("--prompt-file", prompt.name, "--prefill-step-size", str(step)),
        )
        with Terminal(subject("dashboard", *options)) as terminal:
            terminal.shown(rb"prefill \d+/", timeout=120)
            for key, answer in itertools.islice(itertools.cycle(ANSWERS), presses):
                time.sleep(chance.uniform(0.15, 0.4))
                written, pressed = terminal.type(key)
                spans.setdefault(NAMES.get(key, key), []).append(
                    (terminal.shown(answer, written) - pressed) * 1000
                )
            steps = [terminal.hear() for _ in range(2)]
    every = list(itertools.chain(*spans.values()))
    yield Figure(
        "keys: answered on screen during prefill", statistics.median(every), "ms", tail(every), ("≤", 100)
    )
    for key, values in spans.items():
        yield Figure(f"  {key}", statistics.median(values), "ms", tail(values))
    yield Figure(f"  one step of {step} tokens", steps[1]["time"] - steps[0]["time"], "s", "")


if __name__ == "__main__":
    main(measure)
