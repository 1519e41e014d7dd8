import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.transcript import KEPT_LINES, LONGEST_LINE, Transcript


def lines(transcript: Transcript) -> list[tuple[str, str]]:
    return [(line.who, line.text) for line in transcript.since(0)]


def test_a_reply_goes_on_where_it_stopped() -> None:
    transcript = Transcript()
    for piece in ("Once ", "upon", " a\ntime", "\n\nthere"):
        transcript.write("reply", piece)
    assert lines(transcript) == [
        ("reply", "Once upon a"),
        ("reply", "time"),
        ("reply", ""),
        ("reply", "there"),
    ]


def test_prompts_and_logs_begin_their_own_lines() -> None:
    transcript = Transcript()
    for who, text in (
        ("prompt", "hi"),
        ("prompt", "again"),
        ("reply", "yes"),
        ("log", "warned"),
        ("reply", "no"),
    ):
        transcript.write(who, text)
    assert lines(transcript) == [
        ("prompt", "hi"),
        ("prompt", "again"),
        ("reply", "yes"),
        ("log", "warned"),
        ("reply", "no"),
    ]


def test_nothing_written_changes_nothing() -> None:
    transcript = Transcript()
    transcript.write("reply", "")
    assert (transcript.version, transcript.since(0)) == (0, [])


def test_what_a_terminal_would_obey_is_shown_instead() -> None:
    transcript = Transcript()
    transcript.write("reply", "[bold]\x1b[2J\x00\x07")
    assert lines(transcript) == [("reply", "[bold]␛[2J␀␇")]


def test_only_the_last_lines_are_kept_and_their_numbers_go_on() -> None:
    transcript = Transcript()
    for number in range(KEPT_LINES + 500):
        transcript.write("log", str(number))
    kept = transcript.since(0)
    assert len(kept) == KEPT_LINES
    assert [line.number for line in kept] == [int(line.text) for line in kept]
    assert kept[-1].number == KEPT_LINES + 499


def test_since_gives_only_what_is_new() -> None:
    transcript = Transcript()
    transcript.write("reply", "a\nb\nc")
    assert [line.text for line in transcript.since(2)] == ["c"]
    assert transcript.since(3) == []
    version = transcript.version
    transcript.write("reply", "d")
    assert [line.text for line in transcript.since(2)] == ["cd"]
    assert transcript.version != version


@pytest.mark.parametrize("piece", [7, 100, 3 * LONGEST_LINE])
def test_a_reply_that_never_ends_its_line_gets_it_ended(piece: int) -> None:
    transcript = Transcript()
    times = 4 * LONGEST_LINE // piece + 1
    for _ in range(times):
        transcript.write("reply", "x" * piece)
    lengths = [len(line.text) for line in transcript.since(0)]
    assert max(lengths) <= LONGEST_LINE + 100
    assert sum(lengths) == times * piece
    assert {line.who for line in transcript.since(0)} == {"reply"}


def test_a_prompt_in_one_endless_line_gets_it_ended_too() -> None:
    transcript = Transcript()
    transcript.write("prompt", "x" * 50_000)
    assert max(len(line.text) for line in transcript.since(0)) <= LONGEST_LINE
    assert "".join(line.text for line in transcript.since(0)) == "x" * 50_000


@pytest.mark.parametrize("who", ["reply", "out"])
@pytest.mark.parametrize("pieces", [("a", "\r", "\n", "b"), ("a\r", "\nb")])
def test_a_line_end_in_two_pieces_is_one_line_end(who, pieces: tuple[str, ...]) -> None:
    transcript = Transcript()
    for piece in pieces:
        transcript.write(who, piece)
    assert [line.text for line in transcript.since(0)] == ["a", "b"]


def test_a_reply_may_begin_with_an_empty_line() -> None:
    transcript = Transcript()
    transcript.write("reply", "\nthen")
    assert [line.text for line in transcript.since(0)] == ["", "then"]


def test_where_somebody_begins_to_speak_is_known() -> None:
    transcript = Transcript()
    transcript.write("prompt", "hi\nthere")
    transcript.write("reply", "a")
    transcript.write("reply", "b\nc")
    transcript.write("log", "x" * 2 * LONGEST_LINE)
    transcript.line("out", "shown before")
    transcript.line("out", "so was this")
    assert [(line.text[:2], line.begins) for line in transcript.since(0)] == [
        ("hi", True),
        ("th", False),
        ("ab", True),
        ("c", False),
        ("xx", True),
        ("xx", False),
        ("sh", True),
        ("so", True),
    ]


# What a program prints


@given(st.lists(st.text("ab\r\n\t", max_size=6), max_size=8))
def test_output_reads_the_same_in_whatever_pieces_it_comes(pieces: list[str]) -> None:
    apart, once = Transcript(), Transcript()
    for piece in pieces:
        apart.write("out", piece)
    once.write("out", "".join(pieces))
    assert lines(apart) == lines(once)


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (("10 %\r", "50 %\r100", " %\ndone\n"), ["100 %", "done"]),
        (("\x1b[31mred\x1b[0m\n",), ["red"]),
        (("loss \x1b", "[1m2.5\x1b[0m\n"), ["loss 2.5"]),
        (("no end", " yet"), ["no end yet"]),
        (("one\n", "two\n"), ["one", "two"]),
        (("\n\n",), ["", ""]),
        (("bell\x07\n",), ["bell␇"]),
    ],
)
def test_output_looks_as_on_a_terminal_and_does_nothing_to_it(
    pieces: tuple[str, ...], shown: list[str]
) -> None:
    transcript = Transcript()
    for number, piece in enumerate(pieces, 1):
        transcript.write("out", piece)
        assert transcript.version == number
    assert lines(transcript) == [("out", line) for line in shown]


def test_output_begins_its_own_line_after_somebody_else() -> None:
    transcript = Transcript()
    for who, text in (("reply", "yes"), ("out", "half"), ("log", "warned"), ("out", " and half\n")):
        transcript.write(who, text)
    assert [(line.text, line.begins) for line in transcript.since(0)] == [
        ("yes", True),
        ("half", True),
        ("warned", True),
        (" and half", True),
    ]


def test_output_that_never_ends_its_line_keeps_the_end_of_it() -> None:
    transcript = Transcript()
    for letter in "abc":
        transcript.write("out", letter * (LONGEST_LINE // 2))
    (line,) = transcript.since(0)
    assert line.text == "b" * (LONGEST_LINE // 2) + "c" * (LONGEST_LINE // 2)
