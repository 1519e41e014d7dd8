"""Plain mlx-lm: what `mlxtop` does in a `loop`, without mlxtop. One turn is one generation of N tokens."""

import sys
import time

import mlx.core as mx
from mlx_lm import stream_generate
from mlx_lm.sample_utils import make_sampler

from benchmarks.subjects import PROMPT, rest, tell
from mlxtop.workload import demo


def main(tokens: int) -> None:
    model, tokenizer = demo.load(seed=0)
    mx.eval(model.parameters())
    prompt = list(tokenizer.encode(PROMPT))
    while True:
        count, first, last = 0, 0.0, 0.0
        for _ in stream_generate(
            model,
            tokenizer,
            prompt,
            max_tokens=tokens,
            sampler=make_sampler(temp=1.0),
            logits_processors=[demo.murmur(prompt)],
        ):
            last = time.monotonic()
            first, count = first or last, count + 1
        tell(tokens=count, tps=(count - 1) / (last - first))
        rest()


if __name__ == "__main__":
    main(int(sys.argv[1]))
