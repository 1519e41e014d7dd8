from typing import Any

import pytest

from tests.process import python

pytestmark = pytest.mark.usefixtures("processes")

CODE = """
import json
import mlx.core as mx
from mlx_lm import generate
import mlx_lm.models.llama
from mlxtop.mlx import breakdown
from mlxtop.inference import demo
(model, tokenizer), (again, _), (other, _) = demo.load(7), demo.load(7), demo.load(8)
mx.eval(model.parameters())
texts = ["plain", "naïve 日本語 🙂", "\\x00\\x1b[2J", "  two  spaces\\n\\ttab "]
ids = [list(tokenizer.encode(text)) for text in texts]
def same(a, b):
    return all(bool(mx.array_equal(x, y)) for x, y in zip(breakdown.arrays(a), breakdown.arrays(b)))
prompt = tokenizer.encode("abc abc")
logits = demo.murmur(prompt)(None, mx.zeros((1, demo.VOCABULARY)))
print(json.dumps(dict(
    lengths=[len(i) for i in ids],
    bytes=[len(text.encode()) for text in texts],
    back=[tokenizer.decode(i) for i in ids],
    texts=texts,
    same=same(model, again), other=same(model, other),
    dtypes=sorted({str(a.dtype) for a in breakdown.arrays(model)}),
    layers=len(model.layers),
    murmured=sorted(tokenizer.decode([i]) for i, x in enumerate(logits[0].tolist()) if x > float("-inf")),
    eos=sorted(tokenizer.eos_token_ids),
)))
"""


@pytest.fixture(scope="module")
def demo() -> Any:
    return python(CODE)


def test_its_tokenizer_has_one_token_a_byte(demo: Any) -> None:
    assert demo["lengths"] == demo["bytes"]


def test_its_tokenizer_gives_every_text_back(demo: Any) -> None:
    assert demo["back"] == demo["texts"]


def test_a_seed_makes_the_same_model_and_another_seed_another(demo: Any) -> None:
    assert (demo["same"], demo["other"]) == (True, False)


def test_its_weights_are_float32(demo: Any) -> None:
    assert demo["dtypes"] == ["mlx.core.float32"]


def test_it_murmurs_in_the_letters_of_the_prompt(demo: Any) -> None:
    assert demo["murmured"] == [" ", "a", "b", "c"]


def test_no_token_ends_its_text(demo: Any) -> None:
    assert demo["eos"] == []
