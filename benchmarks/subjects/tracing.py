"""Decoding by mlx-lm in turns of a quarter of a second: untraced, traced, and now and then under memray where
it is installed.

python -m benchmarks.subjects.tracing ROUNDS TOKENS WIDTH
"""

import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import mlx.core as mx
from mlx_lm.generate import generate_step
from mlx_lm.models.llama import Model, ModelArgs

from benchmarks.subjects import tell
from mlxtop.agent import agent
from mlxtop.core.commands import SetTrace

SHAPE = {
    "model_type": "llama", "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 4,
    "rms_norm_eps": 1e-5, "vocab_size": 1024,
}  # fmt: skip
WARM_UP = 2
"""Tokens at the beginning of a turn that are not counted."""
RARELY = 10
"""Memray, which takes long to start, has a turn in every tenth round."""
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


def median_step(moments: Sequence[float]) -> float:
    return statistics.median(after - before for before, after in pairwise(moments))


def main(rounds: int, tokens: int, width: int) -> None:
    mx.random.seed(0)
    shape = {**SHAPE, "hidden_size": width, "intermediate_size": 2 * width}
    model = Model(ModelArgs.from_dict(shape))
    mx.eval(model.parameters())
    prompt = mx.arange(16)

    def decode() -> tuple[float, float]:
        """Tokens a second, and milliseconds of the process's processor time a token, by the median token: of
        a busy machine's interruptions it knows nothing."""
        moments, spent = [], []
        for _ in generate_step(prompt, model, max_tokens=WARM_UP + tokens + 1):
            moments.append(time.perf_counter())
            spent.append(time.process_time())
        return 1 / median_step(moments[WARM_UP:]), median_step(spent[WARM_UP:]) * 1000

    chance, every = random.Random(0), ways()
    decode()
    with TemporaryDirectory() as name:
        for number in range(rounds):
            order = [way for way in every if way != "memray" or number % RARELY == 0]
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
    main(*map(int, sys.argv[1:]))
