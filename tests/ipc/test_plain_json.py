"""The agent's JSON is the JSON of `json`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.ipc import plain_json

texts = st.text() | st.text('"\\/\b\f\n\r\t\x00\x7f\x1b\ud800\udc00é€😀', max_size=8)
single = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | texts
plain = st.recursive(
    single,
    lambda some: st.lists(some, max_size=4) | st.dictionaries(texts, some, max_size=4),
    max_leaves=20,
)


@given(plain)
def test_it_writes_what_json_writes(value: Any) -> None:
    text = plain_json.write(value)
    assert json.dumps(json.loads(text)) == json.dumps(json.loads(json.dumps(value)))
    assert text.isascii()
    assert "\n" not in text


def test_what_is_no_plain_data_is_its_text() -> None:
    assert json.loads(plain_json.write({"a": {1}, 2: (True, str)})) == {"a": "{1}", "2": [True, str(str)]}


@given(st.dictionaries(texts, single, max_size=5), st.sampled_from([None, 2]))
def test_it_reads_what_json_writes(message: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(message, indent=indent)
    assert plain_json.read(text) == json.loads(text)


def test_it_reads_letters_that_are_not_escaped() -> None:
    assert plain_json.read('{"é€":"😀"}') == {"é€": "😀"}


@given(st.text('{}[]:,"\\u0d8e+-.Etrufalsn \n', max_size=30) | texts)
def test_any_text_is_an_object_or_a_value_error(text: str) -> None:
    try:
        found = plain_json.read(text)
    except ValueError:
        return
    assert all(isinstance(name, str) for name in found)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "}", "5", '"x"', "[]", "{}{}", '{"a"}', '{"a":}', '{"a":1,}', '{"a" 1}', "{1:2}", "{a:1}"),
        *('{"a":[1]}', '{"a":{}}', '{"a":Nan}', '{"a":٣}', '{"a":1_0}', '{"a":--1}', '{"a":1e}', '{"a":"x}'),
        *(
            '{"a":"\n"}',
            '{"a":"\\x41"}',
            '{"a":"\\u00"}',
            '{"a":"\\u 123"}',
            '{"a":"\\',
            "[" * 4000,
            "{" * 4000,
        ),
    ],
)
def test_what_is_no_object_of_single_values(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        plain_json.read(text)
