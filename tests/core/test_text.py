import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.text import block, cell, one_line

anything = st.text(st.characters(exclude_categories=()))
BIDI = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\u200e", "\u200f"}


def harmful(text: str) -> set[str]:
    """What a terminal would obey: controls (C0, DEL, C1), orders to turn the text round, half characters."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in BIDI}


@given(anything)
def test_nothing_a_terminal_obeys_comes_out_of_one_line(text: str) -> None:
    assert not harmful(one_line(text))


@given(anything)
def test_nothing_but_line_ends_comes_out_of_a_block(text: str) -> None:
    assert harmful(block(text)) <= {"\n"}


@given(anything)
def test_what_comes_out_can_be_encoded_and_is_left_alone_the_second_time(text: str) -> None:
    once = block(text)
    once.encode("utf-8")
    assert block(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "plain [bold]text[/bold] \\ 100 %",
        "naïve café, Größe, Ελληνικά, Кириллица",
        "キャッシュの上限",
        "缓存 캐시",
        "e\u0301 combining, a\u0308\u0323 twice",
        "🙂 👍🏽 👩‍👩‍👧 🇨🇭 ❤️",
        "שלום עולם، مرحبا",
        "─│┌┐ ▁▂▃ ⣿ ∑∫√ → …",
    ],
)
def test_ordinary_text_survives(text: str) -> None:
    assert one_line(text) == text
    assert block(f"{text}\n{text}") == f"{text}\n{text}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "␛[2J"),
        ("a\x00b", "a␀b"),
        ("bell\x07", "bell␇"),
        ("back\x08\x7f", "back␈␡"),
        ("\x9b2J", "�2J"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("evil\u202egnp.exe", "evil�gnp.exe"),
        ("half\ud83d", "half�"),
        ("tab\tbed", "tab    bed"),
        ("private \ue000, unassigned \u0378", "private �, unassigned �"),
    ],
)
def test_hostile_text_is_seen_and_does_nothing(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_line_ends_of_all_systems_count_once() -> None:
    assert block("a\r\nb\rc\nd") == "a\nb\nc\nd"
    assert one_line("a\r\nb") == "a␍␊b"


@pytest.mark.parametrize(
    "text", ["=1+1", "@SUM(A1)", "+1", "-1", "\t=1", "\r=1", "  =1", "\u200b=1", "＝1", "\x00=cmd", "\n-1"]
)
def test_a_text_of_a_csv_file_is_no_formula(text: str) -> None:
    shown = cell(text)
    assert shown.lstrip()[0] not in "=+-@＝"
    assert not any(ord(c) < 32 for c in shown)


@pytest.mark.parametrize("text", ["", "decode", "a=b", "rank 0", "1-2", "—"])
def test_any_other_text_of_a_csv_file_stays(text: str) -> None:
    assert cell(text) == text
