"""The prompts of the three workloads."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle, islice

from mlxtop.inference.options import FOREVER, Options

TEXT = (
    "A buffer that nobody needs any more is not given back. It waits in the cache for the next array of its "
    "size, and most of the time one comes. When every request has another length, the sizes never match: "
    "each prompt leaves its own buffers behind, and the cache grows to its limit. "
)
"""The default prompt."""

RAMP = tuple(range(64, 961, 128))
"""Prompt lengths of one pass, in tokens. Each pass adds one to all of them, so no length repeats within 64
passes: MLX's cache grows with distinct shapes, not with the number of requests."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt. Its tokens are cut or repeated to `length`; `None` keeps them.

    `chat`: it is a turn of a conversation; the chat template applies, and the KV cache is kept.
    """

    text: str
    length: int | None = None
    chat: bool = False

    def fit(self, tokens: list[int]) -> list[int]:
        """Returns `tokens`, repeated and cut to `length`."""
        if self.length is None or not tokens:
            return tokens
        return list(islice(cycle(tokens), self.length))


def prompts(options: Options) -> Iterator[Prompt]:
    """Yields the prompts of a run in order. `chat` yields only the prompt of the options, if there is one."""
    text = options.prompt if options.prompt is not None else TEXT
    times = count() if options.repeat == FOREVER else range(options.repeat)
    match options.workload:
        case "chat":
            if options.prompt is not None:
                yield Prompt(options.prompt, chat=True)
        case "loop":
            for _ in times:
                yield Prompt(text)
        case "ramp":
            for walk in times:
                for length in RAMP:
                    yield Prompt(text, length + walk % 64)
