"""The demo model: a small Llama with random weights, created in memory, which needs no download."""

from collections.abc import Callable
from typing import Any

LAYERS, HIDDEN, HEADS, FEED_FORWARD = 2, 256, 4, 768
VOCABULARY = 256


def load(seed: int) -> tuple[Any, Any]:
    """Returns a float32 model and a tokenizer with a token for each byte, like `mlx_lm.load`."""
    import mlx.core as mx
    from mlx_lm.models.llama import Model, ModelArgs

    mx.random.seed(seed)
    model = Model(
        ModelArgs(
            model_type="llama",
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            intermediate_size=FEED_FORWARD,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            rms_norm_eps=1e-5,
            vocab_size=VOCABULARY,
            tie_word_embeddings=False,
        )
    )
    return model, tokenizer()


def tokenizer(size: int = VOCABULARY) -> Any:
    """Returns a tokenizer with a token for each byte, no merges and no end-of-text token.

    It has `size` tokens. Those beyond the bytes are never encoded, and decoded as `<1234>`.
    """
    from mlx_lm.tokenizer_utils import BPEStreamingDetokenizer, TokenizerWrapper
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    symbols = alphabet[:size] + [f"<{i}>" for i in range(VOCABULARY, size)]
    core = Tokenizer(models.BPE(vocab={symbol: i for i, symbol in enumerate(symbols)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=core, clean_up_tokenization_spaces=False)
    return TokenizerWrapper(fast, BPEStreamingDetokenizer, eos_token_ids=[])


def murmur(prompt: list[int]) -> Callable[[Any, Any], Any]:
    """Returns a logits processor that draws the bytes of `prompt` with the frequencies they have in it.

    Random weights alone would produce bytes that are not text.
    """
    import mlx.core as mx

    counts = [prompt.count(token) for token in range(VOCABULARY)]
    bias = mx.log(mx.array(counts, dtype=mx.float32))

    def process(_tokens: Any, logits: Any) -> Any:
        return logits + bias

    return process
