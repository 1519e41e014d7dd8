"""Plain mlx-lm: what `mlxtop` does in a `loop`, without mlxtop. One turn is one generation of N tokens.

python -m benchmarks.subjects.plain N [MODEL]         without MODEL: the demo model
"""

import sys
import time

import mlx.core as mx
from mlx_lm import load, stream_generate
from mlx_lm.sample_utils import make_sampler

from benchmarks.subjects import PROMPT, rest, tell
from mlxtop.inference import demo


def main(tokens: int, name: str = "") -> None:
    model, tokenizer = load(name)[:2] if name else demo.load(seed=0)
    mx.eval(model.parameters())
    prompt = list(tokenizer.encode(PROMPT))
    # As `mlxtop` samples: greedily, but for the demo.
    sampling = {} if name else {"sampler": make_sampler(temp=1.0), "logits_processors": [demo.murmur(prompt)]}
    while True:
        count, first, last = 0, 0.0, 0.0
        for _ in stream_generate(model, tokenizer, prompt, max_tokens=tokens, **sampling):
            last = time.monotonic()
            first, count = first or last, count + 1
        tell(tokens=count, tps=(count - 1) / (last - first))
        rest()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
