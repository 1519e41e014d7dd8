"""One generation by mlx-lm: its input and its results."""

from collections.abc import Callable, Generator
from typing import Any

from mlxtop.core.events import GenerationFinished
from mlxtop.inference import demo
from mlxtop.inference.options import Options
from mlxtop.inference.prompts import Prompt

Progress = Callable[[int, int], None]


class Generation:
    """A generation in progress. Times are monotonic seconds."""

    def __init__(self, prompt_tokens: int, context: int, most: int, began: float) -> None:
        self.prompt_tokens = prompt_tokens
        self.context = context
        """Tokens in the KV cache before the prompt."""
        self.most = most
        """The most tokens it generates."""
        self.began = began
        self.tokens = 0
        self.last = began
        self.reason = "length"
        self.ttft = 0.0
        self.prompt_tps = 0.0

    def first(self, now: float, prompt_tps: float) -> None:
        self.ttft, self.prompt_tps = now - self.began, prompt_tps

    def summary(self) -> GenerationFinished:
        """Returns the event with its results."""
        seconds = self.last - self.began - self.ttft
        return GenerationFinished(
            tokens=self.tokens,
            prompt_tokens=self.prompt_tokens,
            ttft=self.ttft,
            # The time of the first token is ttft.
            tps=(self.tokens - 1) / seconds if seconds > 0 else 0.0,
            prompt_tps=self.prompt_tps,
            reason=self.reason,
            context=self.context,
        )


def encode(tokenizer: Any, prompt: Prompt) -> list[int]:
    """Returns the prompt's tokens, at least one, because models need one."""
    if prompt.chat and tokenizer.has_chat_template:
        messages = [{"role": "user", "content": prompt.text}]
        return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True))
    return prompt.fit(list(tokenizer.encode(prompt.text))) or [0]


def kv_cache(model: Any, most: int | None) -> list[Any]:
    """Returns the KV cache of each layer, with at most `most` tokens if given.

    mlx-lm applies `most` only to models without their own `make_cache`; Llama, Gemma and others have one:
    https://github.com/ml-explore/mlx-lm/pull/126. Caches with their own window are not changed.
    """
    from mlx_lm.models.cache import KVCache, RotatingKVCache, make_prompt_cache

    made = make_prompt_cache(model, most)
    if most is None:
        return list(made)
    # The first four tokens are kept, as in mlx-lm.
    return [RotatingKVCache(max_size=most, keep=4) if type(each) is KVCache else each for each in made]


def stream(
    model: Any, tokenizer: Any, tokens: list[int], cache: list[Any], options: Options, progress: Progress
) -> Generator[Any, None, None]:
    """Yields mlx-lm's response for each token. `progress(done, total)` is called after each prompt step."""
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
    """Returns the sampler's arguments: greedy, which is mlx-lm's default; for the demo random."""
    if options.model is not None:
        return {}
    from mlx_lm.sample_utils import make_sampler

    return {"sampler": make_sampler(temp=1.0), "logits_processors": [demo.murmur(tokens)]}
