from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from mlxtop.inference.options import FOREVER, Options
from mlxtop.inference.prompts import RAMP, TEXT, Prompt, prompts


def test_chat_without_a_prompt_waits_for_one() -> None:
    assert list(prompts(Options(workload="chat"))) == []


def test_chat_with_a_prompt_begins_with_it_and_then_waits() -> None:
    assert list(prompts(Options(workload="chat", prompt="hi"))) == [Prompt("hi", chat=True)]


def test_loop_repeats_one_prompt_as_often_as_asked() -> None:
    assert list(prompts(Options(workload="loop", prompt="hi", repeat=3))) == [Prompt("hi")] * 3


def test_forever_has_no_end() -> None:
    assert len(list(islice(prompts(Options(workload="loop", repeat=FOREVER)), 1000))) == 1000
    assert len(list(islice(prompts(Options(workload="ramp", repeat=FOREVER)), 1000))) == 1000


def test_without_a_prompt_there_is_a_text_to_read() -> None:
    assert next(prompts(Options(workload="loop"))).text == TEXT


def test_an_empty_prompt_is_a_prompt() -> None:
    assert next(prompts(Options(workload="loop", prompt=""))).text == ""


def test_one_walk_of_the_ramp_has_every_length_once() -> None:
    assert [prompt.length for prompt in prompts(Options(workload="ramp", repeat=1))] == list(RAMP)


def test_no_length_comes_twice_within_64_walks() -> None:
    lengths = [prompt.length for prompt in prompts(Options(workload="ramp", repeat=64))]
    assert len(set(lengths)) == len(lengths) == 64 * len(RAMP)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=50), st.integers(1, 300))
def test_a_text_is_repeated_and_cut_to_the_length_of_its_prompt(tokens: list[int], length: int) -> None:
    fitted = Prompt("", length).fit(tokens)
    assert len(fitted) == length
    assert all(token == tokens[i % len(tokens)] for i, token in enumerate(fitted))


def test_without_a_length_a_text_stays_as_it_is() -> None:
    assert Prompt("").fit([1, 2, 3]) == [1, 2, 3]
    assert Prompt("", 5).fit([]) == []
