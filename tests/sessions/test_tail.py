"""A program's output as it is followed: a bounded piece at a look, from regular files only."""

import os
from pathlib import Path

import pytest

from mlxtop.core.transcript import KEPT_LINES, Transcript, Who
from mlxtop.sessions.tail import READ_MOST, Tail

LINE = "y" * 79 + "\n"


def texts(transcript: Transcript, who: str = "out") -> list[str]:
    return [line.text for line in transcript.since(0) if line.who == who]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


def test_what_comes_too_fast_is_left_out_and_told(log: Path) -> None:
    tail, transcript = Tail(log), Transcript()
    with log.open("a") as file:
        file.truncate(2**31)  # 2 GiB of it, on a disk that need not have them
        file.seek(2**31)
        file.write("\n" + LINE * (READ_MOST // 80 - 2) + "the end\n")
    tail.poll(transcript)
    assert texts(transcript)[-2:] == [LINE[:-1], "the end"]
    assert len(texts(transcript)) <= KEPT_LINES
    assert transcript.behind
    assert transcript.left_out == pytest.approx(2**31, abs=READ_MOST)
    tail.poll(transcript)
    assert not transcript.behind


def test_the_first_line_after_a_gap_is_a_whole_one(log: Path) -> None:
    tail, transcript = Tail(log), Transcript()
    width = 300
    log.write_text("".join(f"{n:0{width - 1}}\n" for n in range(2 * READ_MOST // width)))
    tail.poll(transcript)
    first, *rest = transcript.since(0)
    assert (first.who, first.text) == ("log", "… 256.1 KiB of output left out …")
    assert {len(line.text) for line in rest} == {width - 1}
    assert first.number == 0
    assert int(rest[0].text) * width == transcript.left_out


def test_what_is_not_too_much_is_all_there_and_characters_are_whole(log: Path) -> None:
    tail, transcript = Tail(log), Transcript()
    data = "né à la fin\n".encode()
    for byte in data:
        with log.open("ab") as file:
            file.write(bytes((byte,)))
        tail.poll(transcript)
    assert texts(transcript) == ["né à la fin"]
    assert transcript.left_out == 0
    log.write_text("")
    tail.poll(transcript)
    log.write_text("anew\n")
    tail.poll(transcript)
    assert texts(transcript)[-1] == "anew"


@pytest.mark.parametrize(
    "data",
    [b"\n" * 2**20, b"y\n" * 2**19, b"y" * 2**20, os.urandom(2**20), b"\x1b]" * 2**19, b"\x1b[31m\xff" * 2**18],
    ids=["empty lines", "short lines", "no line end", "binary", "strings without end", "escapes"],
)  # fmt: skip
@pytest.mark.timeout(60)
def test_a_look_is_short_whatever_was_printed(
    log: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    tail, transcript, lines = Tail(log), Transcript(), []
    append = transcript._append

    def counted(who: Who, text: str, begins: bool = False) -> None:
        lines.append(text)
        append(who, text, begins)

    monkeypatch.setattr(transcript, "_append", counted)
    log.write_bytes(data)
    tail.poll(transcript)
    # The end of it is read, and of its lines those that stay.
    assert len(data) - transcript.left_out <= READ_MOST
    assert len(lines) <= KEPT_LINES + 2
    assert len(transcript.since(0)) <= KEPT_LINES
    assert "\x1b" not in "".join(texts(transcript))


def test_a_log_of_ours_is_emptied_before_it_fills_the_disk(log: Path) -> None:
    tail, transcript = Tail(log, most=2**20), Transcript()
    with log.open("ab", buffering=0) as program:
        for n in range(8):
            program.write(LINE.encode() * 2_500 + f"end {n}\n".encode())
            tail.poll(transcript)
            assert log.stat().st_size < 2**20 + 200_100
            assert texts(transcript)[-1] == f"end {n}"
    assert [text for text in texts(transcript) if text not in (LINE[:-1], "end 7")] == [], (
        "only the last are kept"
    )
    assert transcript.left_out == 0


@pytest.mark.parametrize("what", ["a FIFO", "/dev/zero", "a terminal", "a directory", "nothing"])
def test_only_a_regular_file_is_followed_and_nobody_waits(tmp_path: Path, what: str) -> None:
    path = {"/dev/zero": Path("/dev/zero"), "a terminal": Path("/dev/ptmx")}.get(what, tmp_path / "x")
    if what == "a FIFO":
        os.mkfifo(path)
    if what == "a directory":
        path.mkdir()
    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(OSError, match=r"regular|No such file"):
        Tail(path)
    assert len(list(Path("/dev/fd").iterdir())) == before
