"""One generation by mlx-lm: what goes into it, and what it comes to."""

from collections.abc import Callable, Generator
from typing import Any

from mlxtop.core.events import GenerationFinished
from mlxtop.inference import demo
from mlxtop.inference.options import Options
from mlxtop.inference.prompts import Prompt

Progress = Callable[[int, int], None]


class Generation:
    """A generation while it goes on. Times are monotonic seconds."""

    def __init__(self, prompt_tokens: int, context: int, most: int, began: float) -> None:
        self.prompt_tokens = prompt_tokens
        self.context = context
        """Tokens in the KV cache before the prompt."""
        self.most = most
        """Tokens it may come to."""
        self.began = began
        self.tokens = 0
        self.last = began
        self.reason = "length"
        self.ttft = 0.0
        self.prompt_tps = 0.0

    def first(self, now: float, prompt_tps: float) -> None:
        self.ttft, self.prompt_tps = now - self.began, prompt_tps

    def summary(self) -> GenerationFinished:
        """What it came to."""
        seconds = self.last - self.began - self.ttft
        return GenerationFinished(
            tokens=self.tokens,
            prompt_tokens=self.prompt_tokens,
            ttft=self.ttft,
            # The first token belongs to the prompt: its time is ttft.
            tps=(self.tokens - 1) / seconds if seconds > 0 else 0.0,
            prompt_tps=self.prompt_tps,
            reason=self.reason,
            context=self.context,
        )


def encode(tokenizer: Any, prompt: Prompt) -> list[int]:
    """The prompt's tokens, at least one: models take no less."""
    if prompt.chat and tokenizer.has_chat_template:
        messages = [{"role": "user", "content": prompt.text}]
        return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True))
    return prompt.fit(list(tokenizer.encode(prompt.text))) or [0]


def kv_cache(model: Any, most: int | None) -> list[Any]:
    """The KV cache of each layer; with `most`, none keeps more tokens than that.

    mlx-lm itself asks only models that leave their caches to it, which Llama, Gemma and others do not:
    https://github.com/ml-explore/mlx-lm/pull/126. Caches with a window of their own stay as they are.
    """
    from mlx_lm.models.cache import KVCache, RotatingKVCache, make_prompt_cache

    made = make_prompt_cache(model, most)
    if most is None:
        return list(made)
    # The first four tokens stay, as where mlx-lm makes them.
    return [RotatingKVCache(max_size=most, keep=4) if type(each) is KVCache else each for each in made]


def stream(
    model: Any, tokenizer: Any, tokens: list[int], cache: list[Any], options: Options, progress: Progress
) -> Generator[Any, None, None]:
    """mlx-lm's replies, one a token. `progress(done, total)` hears of each step of the prompt."""
    from mlx_lm import stream_generate

    replies: Generator[Any, None, None] = stream_generate(
        model,
        tokenizer,
        tokens,
        max_tokens=options.max_tokens,
        prompt_cache=cache,
        max_kv_size=options.max_kv_size,
        kv_bits=options.kv_bits,
        quantized_kv_start=0,
        prefill_step_size=options.prefill_step_size,
        prompt_progress_callback=progress,
        **_sampling(tokens, options),
    )
    return replies


def _sampling(tokens: list[int], options: Options) -> dict[str, Any]:
    """Greedy as mlx-lm's own default; the demo, which has nothing to say, draws by chance."""
    if options.model is not None:
        return {}
    from mlx_lm.sample_utils import make_sampler

    return {"sampler": make_sampler(temp=1.0), "logits_processors": [demo.murmur(tokens)]}
