"""Golden logs made from the formats' rules, whole and in fragments; and what only looks like them."""

import itertools
import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.errors import UsageError
from mlxtop.core.events import MarkAdded
from mlxtop.core.sample import UNKNOWN
from mlxtop.follow.forms import Pattern, scaled, stamp_of
from mlxtop.follow.lines import LONGEST, Lines
from mlxtop.follow.parser import Parser
from mlxtop.follow.readings import Begun, Item, Origin, Reading, Reported

MIB = 2**20


def swift(active: int, cache: int, peak: int) -> str:
    """mlx-swift's `Snapshot.description`: whole MiB above 10 MiB, else KiB, filled to 12 cells."""

    def row(name: str, size: int) -> str:
        return f"{name + ':':<7} {scaled(size):<12} ({size})"

    return "\n".join((row("Peak", peak), row("Active", active), row("Cache", cache)))


def read(*data: bytes, patterns: tuple[str, ...] = ()) -> list[Item]:
    parser = Parser([Pattern(pattern) for pattern in patterns])
    return [
        item for part in (*data, None) for item in (parser.finish() if part is None else parser.feed(part))
    ]


def readings(log: str, *patterns: str) -> list[Reading]:
    return [item for item in read(log.encode(), patterns=patterns) if isinstance(item, Reading)]


def texts(items: list[Item]) -> str:
    return "".join(item for item in items if isinstance(item, str))


GUIDE = f"""=======
Memory size: 12582912K
Cache size:  20480K

=======
Starting memory
{swift(500 * MIB, 3 * MIB, 510 * MIB)}

=======
Ending memory
{swift(501 * MIB, 19 * MIB, 640 * MIB)}

=======
Growth
{swift(MIB, 16 * MIB, 130 * MIB)}
"""
SNAPSHOT = Reading(active=500 * MIB, cache=3 * MIB, peak=510 * MIB)


def test_the_guides_block_has_limits_two_snapshots_and_a_growth_that_is_none() -> None:
    items = read(GUIDE.encode())
    found = [item for item in items if isinstance(item, Reading)]
    assert found == [
        Reading(cache_limit=20 * MIB, memory_limit=12 * 2**30),
        SNAPSHOT,
        Reading(active=501 * MIB, cache=19 * MIB, peak=640 * MIB),
    ]
    assert f"Growth\n{swift(MIB, 16 * MIB, 130 * MIB)}" in texts(items), "a difference is text"
    assert "Starting memory" in texts(items)
    assert "Active: 500M" not in texts(items)


def test_a_negative_number_makes_a_block_a_difference_without_a_title() -> None:
    assert readings(swift(-5 * MIB, 0, 12)) == []
    assert [scaled(size) for size in (0, -1025, 10 * MIB, 10 * MIB + 1, -11 * MIB)] == [
        "0K", "-1K", "10240K", "10M", "-11264K",
    ]  # fmt: skip


NSLOG = "2026-05-15 11:35:46.123 MyApp[1234:5678] "
OS_LOG = (
    "2026-05-15 11:35:46.123456+0200 0x1a2b     Default     0x0                  1234   0    MyApp: (MLX) "
)
JOURNALD = "May 15 11:35:46 host MyApp[1234]: "
SYSLOG = "May 15 11:35:46 MyApp(libswiftCore.dylib)[1234] <Notice>: "


@pytest.mark.parametrize("prefix", [NSLOG, OS_LOG, JOURNALD, SYSLOG])
def test_a_prefix_names_the_process_on_the_first_line_or_on_each(prefix: str) -> None:
    block = swift(500 * MIB, 3 * MIB, 510 * MIB)
    whole = SNAPSHOT._replace(origin=Origin("MyApp", 1234), stamp=stamp_of(prefix))
    assert readings(prefix + block) == [whole]
    assert readings("\n".join(prefix + line for line in block.split("\n"))) == [whole]


@pytest.mark.parametrize(
    ("prefix", "stamp"),
    [
        ("2026-05-15T09:35:46Z ", 1778837746.0),
        ("2026-05-15T11:35:46+0200 host app[7]: ", 1778837746.0),
        ("2026-05-15 11:35:46.250000+02:00 ", 1778837746.25),
        ("web-1  | 2026-05-15T09:35:46.123456789Z ", 1778837746.123456),
        ("2026-05-15 09:35:46,5 +0000 INFO ", 1778837746.5),
        ("2026-05-15 11:35:46.500 App[7:8] ", datetime(2026, 5, 15, 11, 35, 46, 500_000).timestamp()),
        ("May 15 11:35:46 host app[7]: ", None),
        ("11:35:46 ", None),
        ("2026-05-15 ", None),
        ("2026-13-45T99:35:46Z ", None),
        ("0001-01-01T00:00:00 ", None),
    ],
)
def test_a_whole_date_and_time_before_a_form_is_its_stamp(prefix: str, stamp: float | None) -> None:
    for form in (LINE, swift(7, 8, 9), "Peak memory: 1.000 GB"):
        assert [reading.stamp for reading in readings(prefix + form)] == [stamp]


def test_two_containers_may_print_their_blocks_at_the_same_time() -> None:
    a, b = swift(500 * MIB, 3 * MIB, 510 * MIB).split("\n"), swift(7, 8, 9).split("\n")
    lines = [
        line for pair in zip(a, b, strict=True) for line in (f"web-1  | {pair[0]}", f"web-2  | {pair[1]}")
    ]
    lines.insert(3, "web-1  | something else")
    assert readings("\n".join(lines)) == [
        SNAPSHOT._replace(origin=Origin("web-1")),
        Reading(Origin("web-2"), active=7, cache=8, peak=9),
    ]


def test_a_block_that_another_cuts_short_tells_what_it_has() -> None:
    block = swift(7, 8, 9).split("\n")
    assert readings("\n".join(block[:2] + block)) == [
        Reading(active=7, peak=9),
        Reading(active=7, cache=8, peak=9),
    ]


def test_a_log_that_begins_within_a_block_has_the_next_one_right() -> None:
    first, second = swift(7, 8, 9).split("\n"), swift(10, 11, 12)
    assert readings("\n".join([*first[1:], second])) == [
        Reading(active=7, cache=8),
        Reading(active=10, cache=11, peak=12),
    ]


def test_a_snapshot_as_json_on_one_line_or_on_many() -> None:
    snapshot = {"activeMemory": 500 * MIB, "cacheMemory": 3 * MIB, "peakMemory": 510 * MIB}
    assert readings(json.dumps(snapshot)) == [SNAPSHOT]
    assert readings(json.dumps(snapshot, indent=2).replace('":', '" :')) == [SNAPSHOT]
    several = {"start": snapshot, "growth": dict.fromkeys(snapshot, 5)}
    assert readings(json.dumps(several)) == [SNAPSHOT]
    assert readings(json.dumps(dict.fromkeys(snapshot, -5))) == []
    assert readings('{"activeMemory": 1.5e9, "cacheMemory": "7"}') == []


LINE = (
    'mlxtop {"active":1,"cache":2,"peak":3,"footprint":4,"available":5,"cacheLimit":6,"phase":"decode",'
    '"mark":"m","t":7.5,"session":"phone","pid":8,"device":"iPhone17,1","tokens":9}'
)
WHOLE = Reading(
    Origin("phone", 8), 7.5, 1, 2, 3, 4, 5, 6, phase="decode", mark="m", device="iPhone17,1", tokens=9
)  # fmt: skip


@pytest.mark.parametrize(
    "prefix", ["", NSLOG, "2026-05-15T09:35:46.123456789Z ", "web-1  | ", "\x1b[32mINFO\x1b[0m "]
)
def test_the_documented_line_behind_any_prefix(prefix: str) -> None:
    assert readings(prefix + LINE) == [WHOLE._replace(stamp=stamp_of(prefix))]


def test_a_field_that_cannot_be_is_left_out() -> None:
    wrong = (
        'mlxtop {"active":-1,"cache":"2","peak":3e9,"footprint":true,"t":NaN,"phase":7,"mark":"","new":[1]}'
    )
    assert readings(wrong) == [Reading(peak=3_000_000_000)]
    assert readings('mlxtop {"active":99999999999999999999999999}') == []
    assert readings('mlxtop {"phase":"a\x1b[2J\\u0007b"}')[0].phase is not None
    assert "\x1b" not in (readings('mlxtop {"phase":"a\\u001b[2Jb"}')[0].phase or "")


def test_dockers_own_files_keep_lines_as_json() -> None:
    for line, found in ((LINE, WHOLE), ("Peak memory: 1.500 GB", Reading(peak=1_500_000_000))):
        kept = json.dumps({"log": line + "\n", "stream": "stdout", "time": "2026-05-15T09:35:46Z"})
        assert readings(kept) == [found]
    assert texts(read(b'{"log":"hello\\n","stream":"stdout"}\n')) == "hello\n"


def test_mlxtops_own_json() -> None:
    sample = {"type": "sample", "time": 1.5, "active": 1, "cache": 2, "peak": 3, "total": 3, "footprint": None,
              "tokens": 4, "steps": 5, "decode": 6, "phase": "decode", "weights": 7, "kv": None, "high": None, "buffers": 8}  # fmt: skip
    mark = {"name": "here", "source": "keyboard", "active": 1, "cache": 2, "peak": 3, "tokens": 4,
            "type": "event", "time": 2.0, "kind": "mark"}  # fmt: skip
    items = read(
        "\n".join(
            map(json.dumps, ({"type": "session", "model": "M"}, sample, mark, {"type": "summary"}))
        ).encode()
    )
    begun, reading, reported, rest = items
    assert begun == Begun(Origin(), "M")
    assert reading == Reading(
        time=1.5, active=1, cache=2, peak=3, tokens=4, steps=5, decode=6, phase="decode", weights=7, buffers=8
    )
    assert isinstance(reported, Reported)
    assert isinstance(reported.event.data, MarkAdded)
    assert rest == '{"type": "summary"}'


def test_what_mlx_lm_prints_is_a_peak_and_text_as_well() -> None:
    lora = "Iter 10: Train loss 2.345, Learning Rate 1.000e-05, It/sec 1.2, Tokens/sec 345.6, Trained Tokens 7890, Peak mem 1.234 GB\n"
    items = read(f"Generation: 100 tokens, 23.4 tokens-per-sec\nPeak memory: 2.000 GB\n{lora}".encode())
    assert [item for item in items if isinstance(item, Reading)] == [
        Reading(peak=2_000_000_000),
        Reading(peak=1_234_000_000),
    ]
    assert lora in texts(items)


def test_a_pattern_of_ones_own() -> None:
    pattern = r"mem: active=(?P<active_mb>[\d.]+) cached=(?P<cache_kib>\d+) in (?P<phase>\w+)(?: #(?P<session>\w+))?"
    found = readings(
        "mem: active=1.5 cached=2 in decode #b\nmem: active=. cached=3 in x\nactive=7\n", pattern
    )
    assert found == [
        Reading(Origin("b"), active=1_500_000, cache=2048, phase="decode"),
        Reading(cache=3072, phase="x"),
    ]
    for wrong in ("(", "active=[0-9]+", r"(?P<weight>\d+)", r"(?P<active_tb>\d+)"):
        with pytest.raises(UsageError):
            Pattern(wrong)


@pytest.mark.parametrize(
    "line",
    [
        "Peak: 12M (99)",
        "Peak:   12M          (12582912",
        "Peak: 3M",
        "Cache: hit",
        "Active: yes (1)",
        "Memory size: 5K",
        "Cache size: 512 KB",
        "cache size:  20480K",
        "mlxtop is fine",
        "mlxtop {not json}",
        "mlxtop {}",
        'mlxtop {"unknown":1}',
        '{"type":"sample"}',
        '{"type":"event","kind":"mark","name":5}',
        '{"type":"session',
        "Peak memory: unknown GB",
        "Peak mem -1.0 GB",
        '{"log":5}',
        "[" * 100_000,
        'mlxtop {"a":' + "[" * 60_000 + "}",
    ],
)
def test_what_only_looks_like_a_reading_is_text(line: str) -> None:
    items = read(line.encode() + b"\n")
    assert all(isinstance(item, str | Begun) for item in items), items
    assert texts(items) == line + "\n"


LOG = f"""noise
{NSLOG}{swift(500 * MIB, 3 * MIB, 510 * MIB)}
Größe ✓ 中文
{LINE}
{GUIDE}
web-1  | {LINE}
Peak memory: 1.234 GB
half a line at the end"""


def parts(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@given(cuts=st.lists(st.integers(0, 10_000), max_size=40))
def test_fragments_tell_what_the_whole_tells(encoding: str, end: str, cuts: list[int]) -> None:
    data = LOG.replace("\n", end).encode(encoding)
    whole = [item for item in read(LOG.encode()) if not isinstance(item, str)]
    items = read(*parts(data, cuts))
    assert [item for item in items if not isinstance(item, str)] == whole
    assert texts(items).replace("\r\n", "\n") == texts(read(LOG.encode()))


@given(
    st.lists(
        st.one_of(st.text(), st.sampled_from([*LOG.split("\n"), "\r", "\x00", "\x1b[31m", "mlxtop {"])),
        max_size=12,
    )
)
def test_any_text_is_taken_and_none_is_lost(pieces: list[str]) -> None:
    data = "\n".join(pieces).encode("utf-8", "surrogatepass")
    for item in read(data):
        if isinstance(item, Reading):
            assert all(value >= UNKNOWN for value in item[2:7])


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=8))
def test_any_bytes_in_any_pieces_come_out_alike(data: bytes, cuts: list[int]) -> None:
    assert texts(read(*parts(data, cuts))) == texts(read(data))


def test_a_line_that_redraws_itself_or_never_ends_is_given_in_pieces() -> None:
    lines = Lines()
    assert lines.feed(b" 10%\r 20%\r 3") == " 10%\r 20%\r"
    assert lines.feed(b"0%\r") == ""
    assert lines.feed(b"\nend") == " 30%\r\n"
    long = "x" * (LONGEST + 5)
    assert lines.feed(long.encode()) == "end" + long
