"""Decoding by mlx-lm in turns of about a second: untraced, traced, and under memray where it is installed.

python -m benchmarks.subjects.tracing ROUNDS TOKENS
"""

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import mlx.core as mx
from mlx_lm.generate import generate_step
from mlx_lm.models.llama import Model, ModelArgs

from benchmarks.subjects import tell
from mlxtop.agent import agent
from mlxtop.core.commands import SetTrace

SHAPE = {
    "model_type": "llama", "hidden_size": 256, "num_hidden_layers": 6, "intermediate_size": 512,
    "num_attention_heads": 8, "num_key_value_heads": 4, "rms_norm_eps": 1e-5, "vocab_size": 1024,
}  # fmt: skip
Way = Callable[[Path], AbstractContextManager[object]]


@contextmanager
def traced(folder: Path) -> Iterator[None]:
    """As a viewer's command does it, at a safe point of this thread."""
    found = agent._agent
    assert found is not None
    found._execute(SetTrace(True, "flag", str(folder / f"{time.monotonic_ns()}.mlxtrace")), None)
    try:
        yield
    finally:
        found._execute(SetTrace(False, "flag"), None)


def ways() -> dict[str, Way]:
    found: dict[str, Way] = {"off": lambda _: nullcontext(), "traced": traced}
    try:
        import memray
    except ImportError:
        return found
    found["memray"] = lambda folder: memray.Tracker(str(folder / f"{time.monotonic_ns()}.bin"))
    return found


def main(rounds: int, tokens: int) -> None:
    mx.random.seed(0)
    model = Model(ModelArgs.from_dict(SHAPE))
    mx.eval(model.parameters())
    prompt = mx.arange(16)

    def decode() -> tuple[float, float]:
        """Tokens a second, and milliseconds of the process's processor time a token."""
        began = spent = 0.0
        for count, _ in enumerate(generate_step(prompt, model, max_tokens=tokens)):
            if not count:
                began, spent = time.monotonic(), time.process_time()
        took = time.process_time() - spent
        return (tokens - 1) / (time.monotonic() - began), took / (tokens - 1) * 1000

    chance, every = random.Random(0), ways()
    decode()
    with TemporaryDirectory() as name:
        for _ in range(rounds):
            order = list(every)
            chance.shuffle(order)
            speeds = {}
            for way in order:
                with every[way](Path(name)):
                    speeds[way] = decode()
                for file in Path(name).iterdir():
                    file.unlink()
            tell(**speeds)
    tell(over=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
