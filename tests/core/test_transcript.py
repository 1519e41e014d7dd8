import pytest

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


def test_a_prompt_in_one_endless_line_gets_it_ended_too() -> None:
    transcript = Transcript()
    transcript.write("prompt", "x" * 50_000)
    assert max(len(line.text) for line in transcript.since(0)) <= LONGEST_LINE
    assert "".join(line.text for line in transcript.since(0)) == "x" * 50_000


def test_a_line_end_in_two_pieces_is_one_line_end() -> None:
    transcript = Transcript()
    for piece in ("a", "\r", "\n", "b"):
        transcript.write("reply", piece)
    assert [line.text for line in transcript.since(0)] == ["a", "b"]
